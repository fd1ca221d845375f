/**
 * Which text of `writegate.yaml` this gateway has judged, over its restarts: so that a file that did
 * not change is not brought into force again after another gateway's came (decision 0021).
 */
import { createHash } from 'node:crypto';
import { isJsonObject, parsedJson } from '../lib/json.ts';
import { readText, writePrivate } from './folder.ts';

/** A text and how far its judgement came. */
export interface JudgedText {
  /** SHA-256 of the text, lower-case hex. */
  readonly sha256: string;
  /** The step of the ledger's own act that it was judged at. */
  readonly step: number;
  /** False while it is being brought into force: then only the ledger knows whether it was. */
  readonly isSettled: boolean;
}

export interface Judged {
  /** The text judged last; undefined where this data folder knows of none. */
  last(): Promise<JudgedText | undefined>;
  /** Durable when it resolves. */
  note(text: string, about: Omit<JudgedText, 'sha256'>): Promise<void>;
}

/** Keeps it in a file. A crash leaves the former note or the new one. */
export function judgedInFile(path: string): Judged {
  return {
    async last() {
      const text = await readText(path);
      return text === undefined ? undefined : parsed(text);
    },
    note: (text, { step, isSettled }) =>
      writePrivate(path, `${JSON.stringify({ sha256: sha256Of(text), step, isSettled })}\n`),
  };
}

export function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** What is no note of ours counts as none. */
function parsed(text: string): JudgedText | undefined {
  const note = parsedJson(text);
  if (!isJsonObject(note)) return undefined;
  const { sha256, step, isSettled } = note;
  if (typeof sha256 !== 'string' || typeof step !== 'number' || typeof isSettled !== 'boolean') {
    return undefined;
  }
  return { sha256, step, isSettled };
}
