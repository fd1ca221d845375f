/**
 * The thread that holds the PostgreSQL parser. Hostile nesting can break the parser for good, so it lives
 * where it can be thrown away: `parse.ts` ends this thread after anything but an answer.
 */
import { setFlagsFromString } from 'node:v8';
import { parentPort } from 'node:worker_threads';
import { hasSqlDetails, loadModule, parseSync, scanSync } from 'libpg-query';
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';
import type { TargetCode } from '../../../model/entry.ts';
import { treeText } from './canonical.ts';
import { countQuery, softDelete, softTable, type SoftTable, type Taker } from './rewrite.ts';
import { judge, judgeRead, type Query, type Statement, type SyntaxRules } from './statement.ts';
import { objectOf, Rejection, type RelationName } from './tree.ts';

export interface WriteRules extends SyntaxRules {
  readonly soft: readonly SoftTable[];
}

export type ParserRequest =
  | {
      readonly id: number;
      readonly mode: 'write';
      readonly text: string;
      readonly rules: WriteRules;
    }
  | {
      readonly id: number;
      readonly mode: 'read';
      readonly text: string;
      readonly rules: Pick<SyntaxRules, 'schemas'>;
    };

export type ParserAnswer =
  | {
      readonly id: number;
      readonly kind: 'accepted';
      readonly statement: Statement;
      /** What `canonicalForm` takes; null where it is over its bounds. */
      readonly tree: string | null;
    }
  | { readonly id: number; readonly kind: 'readable'; readonly query: Query }
  | {
      readonly id: number;
      readonly kind: 'rejected';
      readonly code: TargetCode;
      readonly reason: string;
      /** Byte offset; -1 where there is none. */
      readonly at: number;
    }
  /** The parser itself broke: nothing may be read into it, and it may not be used again. */
  | { readonly id: number; readonly kind: 'broken' }
  /** It was not asked: enough wait for it already. */
  | { readonly id: number; readonly kind: 'busy' };

const taker: Taker = {
  // The parser types its tree by node; the walk trusts none of it and reads it as plain JSON.
  parse: (text) => parseSync(text) as unknown as Json,
  scan: (text) => scanSync(text).tokens.filter(({ tokenName }) => !tokenName.endsWith('COMMENT')),
};

function answer(request: ParserRequest): ParserAnswer {
  const { id, text } = request;
  try {
    const tree = taker.parse(text);
    if (request.mode === 'read') {
      return { id, kind: 'readable', query: judgeRead(tree, text, request.rules.schemas) };
    }
    const statement = write(tree, text, request.rules);
    return { id, kind: 'accepted', statement, tree: treeText(tree) };
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

/** The agent's own text is judged first, so that a refusal points into it; then what it is made into. */
function write(tree: Json, text: string, rules: WriteRules): Statement {
  const own = judge(tree, text, rules);
  const soft = rules.soft.length === 0 ? null : rewritten(own, rules);
  const statement = soft ?? own;
  if (!statement.isPlain || statement.kind === 'insert') return statement;
  return { ...statement, countQuery: countQuery(statement.text, taker) };
}

function rewritten(own: Statement, rules: WriteRules): Statement | null {
  const deletes = own.writes.filter((each) => each.kind === 'delete');
  const hard = deletes.find((each) => softTable(nodeOf(each.relation), rules.soft) !== null);
  if (hard === undefined) return null;
  if (!own.isPlain) {
    throw new Rejection(
      'statement-unsupported',
      `rows of \`${hard.relation.name}\` are marked as deleted instead of deleted; ` +
        'propose the DELETE as a statement of its own',
      hard.relation.at,
    );
  }
  const made = softDelete(own.text, rules.soft, taker);
  if (made === null) return null;
  return { ...judge(taker.parse(made), made, rules), rewritten: 'soft-delete' };
}

function nodeOf({ schema, name, at }: RelationName): JsonObject {
  const node = objectOf({ relname: name, location: at });
  return schema === null || !isJsonObject(node) ? node : { ...node, schemaname: schema };
}

const port = parentPort;
if (port === null) throw new Error('this file is the body of a worker thread');
// To optimise the grammar's one function, V8 takes over 500 MB for a second, and parses 5 % faster.
for (const flag of ['--no-wasm-tier-up', '--no-wasm-dynamic-tiering', '--liftoff-only']) {
  setFlagsFromString(flag);
}

await loadModule();
port.on('message', (request: ParserRequest) => port.postMessage(answer(request)));
port.postMessage('ready');
