/** The head of a csv file, and what of its body the server would misread. The rest is the server's. */
import { Refused } from '../../connector.ts';

export const CSV_BOUNDS = { headBytesMax: 1_048_576, columnsMax: 1_600 } as const;

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const QUOTE = 0x22;
const NEW_LINE = 0x0a;
const RETURN = 0x0d;
const BACKSLASH = 0x5c;
const DOT = 0x2e;

/** Reads which columns the first record names. */
export async function csvColumns(content: AsyncIterable<Uint8Array>): Promise<readonly string[]> {
  const chunks = content[Symbol.asyncIterator]();
  try {
    return (await readHead(chunks)).columns;
  } finally {
    await chunks.return?.();
  }
}

/** Gives what comes after the first record. */
export async function* withoutHead(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = content[Symbol.asyncIterator]();
  try {
    const { rest } = await readHead(chunks);
    if (rest.length > 0) yield rest;
    for (;;) {
      const next = await chunks.next();
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await chunks.return?.();
  }
}

async function readHead(
  chunks: AsyncIterator<Uint8Array>,
): Promise<{ readonly columns: readonly string[]; readonly rest: Uint8Array }> {
  let head = Buffer.alloc(0);
  for (;;) {
    const next = await chunks.next();
    if (next.done !== true) head = Buffer.concat([head, next.value]);
    const end = endOfRecord(head, next.done === true);
    if (end !== null) {
      return { columns: fieldsOf(head.subarray(0, end.text)), rest: head.subarray(end.next) };
    }
    if (head.length > CSV_BOUNDS.headBytesMax) {
      throw invalid(`the line with the names is over ${CSV_BOUNDS.headBytesMax} bytes`);
    }
  }
}

/** Where the record's text ends and the next begins; null where more must be read to tell. */
function endOfRecord(
  head: Buffer,
  isAll: boolean,
): { readonly text: number; readonly next: number } | null {
  let isQuoted = false;
  for (const [at, byte] of head.entries()) {
    if (byte === QUOTE) isQuoted = !isQuoted;
    if (isQuoted) continue;
    if (byte === NEW_LINE) return { text: at, next: at + 1 };
    if (byte !== RETURN) continue;
    if (at + 1 === head.length && !isAll) return null;
    return { text: at, next: head[at + 1] === NEW_LINE ? at + 2 : at + 1 };
  }
  return isAll ? { text: head.length, next: head.length } : null;
}

const FIELD = /(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/gy;

function fieldsOf(record: Buffer): readonly string[] {
  const isMarked = record.subarray(0, 3).equals(BYTE_ORDER_MARK);
  const text = (isMarked ? record.subarray(3) : record).toString('utf8');
  const fields: string[] = [];
  let end = 0;
  for (const match of text.matchAll(FIELD)) {
    fields.push((match[1] ?? '').replaceAll('""', '"') || (match[2] ?? ''));
    end = match.index + match[0].length;
  }
  if (end !== text.length || fields.some((field) => field === '')) {
    throw invalid('the first line names no columns; put the names there, or give `columns`');
  }
  if (fields.length > CSV_BOUNDS.columnsMax) {
    throw invalid(`the first line names more than ${CSV_BOUNDS.columnsMax} columns`);
  }
  return fields;
}

/**
 * Passes the body on. A line that is `\.` alone would end the data before PostgreSQL 18, and what
 * comes after it would be lost without a word, so it is refused.
 */
export async function* checkedCsv(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let line = 1;
  /** What the present line began with, as far as it matters. */
  let start: 'begin' | 'backslash' | 'end mark' | 'other' = 'begin';
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (byte === NEW_LINE || byte === RETURN) {
        if (start === 'end mark') throw ended(line);
        if (byte === NEW_LINE) line += 1;
        start = 'begin';
      } else if (start === 'begin' && byte === BACKSLASH) {
        start = 'backslash';
      } else if (start === 'backslash' && byte === DOT) {
        start = 'end mark';
      } else {
        start = 'other';
        // Only the start of a line matters: on to the next one.
        at = nextLine(chunk, at) - 1;
      }
    }
    yield chunk;
  }
  if (start === 'end mark') throw ended(line);
}

function nextLine(chunk: Uint8Array, from: number): number {
  const feed = chunk.indexOf(NEW_LINE, from);
  const until = feed < 0 ? chunk.length : feed;
  const back = chunk.subarray(from, until).indexOf(RETURN);
  return back < 0 ? until : from + back;
}

function ended(line: number): Refused {
  return invalid(
    `line ${line} of its rows is a backslash and a dot alone, which would end the data; quote the field`,
  );
}

function invalid(reason: string): Refused {
  return new Refused('arguments-invalid', `the csv file cannot be taken: ${reason}`);
}
