/**
 * The thread that holds the PostgreSQL parser. Hostile nesting can break the parser for good, so it lives
 * where it can be thrown away: `parse.ts` ends this thread after anything but an answer.
 */
import { parentPort } from 'node:worker_threads';
import { hasSqlDetails, loadModule, parseSync } from 'libpg-query';
import type { Json } from '../../lib/json.ts';
import type { TargetCode } from '../../model/entry.ts';
import { judge, type Statement } from './statement.ts';
import { Rejection } from './tree.ts';

export interface ParserRequest {
  readonly id: number;
  readonly text: string;
  readonly schemas: readonly string[];
}

export type ParserAnswer =
  | { readonly id: number; readonly kind: 'accepted'; readonly statement: Statement }
  | {
      readonly id: number;
      readonly kind: 'rejected';
      readonly code: TargetCode;
      readonly reason: string;
      /** Byte offset; -1 where there is none. */
      readonly at: number;
    }
  /** The parser itself broke: nothing may be read into it, and it may not be used again. */
  | { readonly id: number; readonly kind: 'broken' };

function answer(request: ParserRequest): ParserAnswer {
  const { id, text, schemas } = request;
  try {
    // The parser types its tree by node; the walk trusts none of it and reads it as plain JSON.
    const tree = parseSync(text) as unknown as Json;
    return { id, kind: 'accepted', statement: judge(tree, text, schemas) };
  } catch (error) {
    if (error instanceof Rejection) {
      return { id, kind: 'rejected', code: error.code, reason: error.message, at: error.at };
    }
    if (error instanceof Error && hasSqlDetails(error)) {
      const position = error.sqlDetails?.cursorPosition ?? -1;
      const at = position < 0 ? -1 : Buffer.byteLength([...text].slice(0, position).join(''));
      return { id, kind: 'rejected', code: 'statement-invalid', reason: error.message, at };
    }
    return { id, kind: 'broken' };
  }
}

const port = parentPort;
if (port === null) throw new Error('this file is the body of a worker thread');
await loadModule();
port.on('message', (request: ParserRequest) => port.postMessage(answer(request)));
port.postMessage('ready');
