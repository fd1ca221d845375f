/** Newline-delimited JSON, one object a row, made into the text form that COPY takes. */
import { Refused } from '../../connector.ts';
import { isJsonObject, type Json, type JsonObject } from '../../../lib/json.ts';

export const NDJSON_BOUNDS = { lineBytesMax: 4_194_304, columnsMax: 1_600 } as const;

const NEW_LINE = 0x0a;
/** Rows are handed on in pieces of about this size. */
const PIECE_CHARS = 65_536;

/** Reads the columns off the first object. */
export async function ndjsonColumns(
  content: AsyncIterable<Uint8Array>,
): Promise<readonly string[]> {
  for await (const { bytes, line } of linesIn(content)) {
    const columns = Object.keys(objectOf(bytes, line));
    if (columns.length === 0 || columns.length > NDJSON_BOUNDS.columnsMax) {
      throw invalid(
        line,
        `expected 1 to ${NDJSON_BOUNDS.columnsMax} members, found ${columns.length}`,
      );
    }
    return columns;
  }
  throw invalid(1, 'expected an object, found nothing');
}

/**
 * Each row in the order of `columns`. A member that is not there is refused: COPY would write null, not the
 * column's default, and cannot be told otherwise for single rows.
 */
export async function* textOfNdjson(
  content: AsyncIterable<Uint8Array>,
  columns: readonly string[],
): AsyncGenerator<Uint8Array> {
  const known = new Set(columns);
  let piece = '';
  for await (const { bytes, line } of linesIn(content)) {
    const row = objectOf(bytes, line);
    const unknown = Object.keys(row).find((name) => !known.has(name));
    if (unknown !== undefined) {
      throw invalid(line, `\`${unknown.slice(0, 100).toWellFormed()}\` is not one of the columns`);
    }
    const missing = columns.find((name) => !Object.hasOwn(row, name));
    if (missing !== undefined) {
      throw invalid(
        line,
        `\`${missing.slice(0, 100).toWellFormed()}\` is not in it; give every line the same members, with ` +
          'null where there is no value, and put rows that take a default into a file of their own',
      );
    }
    const fields = columns.map((name) => fieldOf(row[name] ?? null, name, line));
    piece += `${fields.join('\t')}\n`;
    if (piece.length < PIECE_CHARS) continue;
    yield Buffer.from(piece, 'utf8');
    piece = '';
  }
  if (piece !== '') yield Buffer.from(piece, 'utf8');
}

/** Lines that are not blank, counted from 1; memory holds one line and one chunk. */
async function* linesIn(
  content: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ readonly bytes: Uint8Array; readonly line: number }> {
  let kept: Uint8Array[] = [];
  let keptBytes = 0;
  let line = 1;
  const take = (): Uint8Array => {
    const [only] = kept;
    const bytes = kept.length === 1 && only !== undefined ? only : Buffer.concat(kept);
    kept = [];
    keptBytes = 0;
    return bytes;
  };
  for await (const chunk of content) {
    let from = 0;
    while (from <= chunk.length) {
      const end = chunk.indexOf(NEW_LINE, from);
      const part = chunk.subarray(from, end < 0 ? chunk.length : end);
      keptBytes += part.length;
      if (keptBytes > NDJSON_BOUNDS.lineBytesMax) {
        throw invalid(line, `expected at most ${NDJSON_BOUNDS.lineBytesMax} bytes a line`);
      }
      kept.push(part);
      if (end < 0) break;
      const bytes = take();
      if (!isBlank(bytes)) yield { bytes, line };
      line += 1;
      from = end + 1;
    }
  }
  const last = take();
  if (!isBlank(last)) yield { bytes: last, line };
}

function isBlank(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09);
}

const UTF8 = new TextDecoder('utf-8', { fatal: true });

function objectOf(bytes: Uint8Array, line: number): JsonObject {
  let parsed: Json;
  try {
    // `exactly` puts in texts of numbers, which are told by their class.
    parsed = JSON.parse(UTF8.decode(bytes), exactly) as Json;
  } catch {
    throw invalid(line, 'expected JSON in UTF-8, one object a line');
  }
  if (isJsonObject(parsed) && !(parsed instanceof Written)) return parsed;
  throw invalid(line, 'expected an object, one a line');
}

/** A number that would not come back as it is written stays a text, so that no digit is lost. */
function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || context?.source === undefined) return value;
  if (Number.isSafeInteger(value)) return value;
  return String(value) === context.source ? value : new Written(context.source);
}

/** A number in the digits that it was written with. */
class Written {
  readonly source: string;

  constructor(source: string) {
    this.source = source;
  }
}

function fieldOf(value: Json | Written, name: string, line: number): string {
  if (value === null) return String.raw`\N`;
  if (typeof value === 'boolean' || typeof value === 'number') return String(value);
  if (value instanceof Written) return value.source;
  const text = typeof value === 'string' ? value : jsonText(value, name, line);
  if (text.includes('\0') || !text.isWellFormed()) {
    throw invalid(
      line,
      `\`${name}\` holds a NUL or half a character, which no text of the database can`,
    );
  }
  return text.replaceAll(/[\\\n\r\t]/g, (mark) => ESCAPES[mark] ?? mark);
}

function jsonText(value: Json, name: string, line: number): string {
  try {
    return written(value);
  } catch (error) {
    // The stack is what ends hostile depth.
    if (!(error instanceof RangeError)) throw error;
    throw invalid(line, `\`${name}\` is nested too deeply`);
  }
}

function written(value: Json | Written): string {
  if (value instanceof Written) return value.source;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (isList(value)) return `[${value.map(written).join(',')}]`;
  const members = Object.entries(value).map(
    ([name, member]) => `${JSON.stringify(name)}:${written(member)}`,
  );
  return `{${members.join(',')}}`;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': String.raw`\\`,
  '\n': String.raw`\n`,
  '\r': String.raw`\r`,
  '\t': String.raw`\t`,
};

function invalid(line: number, reason: string): Refused {
  return new Refused(
    'arguments-invalid',
    `line ${line} of the ndjson file cannot be taken: ${reason}`,
  );
}
