/**
 * Effects as lines of text, as a database writes rows when it copies them out: made and read without an
 * object for each row. A line is the number of its making, then the fields of the image before, then those
 * of the image after, each after a tab, and a line feed. A field is the value with `\b \f \n \r \t \v \\`
 * for the characters that mean something here; `\N` is null.
 */
import type { Cause, Effect, Image } from './plan.ts';

/** What is the same for many effects. An update has both images, a create none before, a delete none after. */
export interface EffectMaking {
  readonly resource: string;
  readonly kind: Effect['kind'];
  readonly by?: Cause;
  readonly columns: readonly string[];
  /** For each column its place among the fields of an image. */
  readonly places: readonly number[];
  /** Places of the key's columns, in key order; the key is that of the image before, where there is one. */
  readonly key: readonly number[];
}

export interface EffectLines {
  /** By the number that a line begins with. */
  readonly makings: readonly EffectMaking[];
  /** UTF-8. */
  readonly lines: Uint8Array;
  readonly rows: number;
}

export const NULL_FIELD: string = String.raw`\N`;

const SPECIAL = /[\b\f\n\r\t\v\\]/;
const SPECIALS = new RegExp(SPECIAL, 'g');
const ESCAPES: Readonly<Record<string, string>> = {
  '\b': String.raw`\b`,
  '\f': String.raw`\f`,
  '\n': String.raw`\n`,
  '\r': String.raw`\r`,
  '\t': String.raw`\t`,
  '\v': String.raw`\v`,
  '\\': String.raw`\\`,
};
const MEANINGS: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Writes a value as a field. */
export function fieldOf(value: string | null): string {
  if (value === null) return NULL_FIELD;
  return SPECIAL.test(value)
    ? value.replaceAll(SPECIALS, (found) => ESCAPES[found] ?? found)
    : value;
}

/** Reads a field as it was written by `fieldOf`, or by the server. */
export function valueOfField(field: string): string | null {
  if (!field.includes('\\')) return field;
  if (field === NULL_FIELD) return null;
  return field.replaceAll(/\\(.)/g, (_, found: string) => MEANINGS[found] ?? found);
}

/** The effects that lines hold; throws where they are not as described above. */
export function effectsOfLines({ makings, lines, rows }: EffectLines): readonly Effect[] {
  const text = Buffer.from(lines.buffer, lines.byteOffset, lines.byteLength).toString('utf8');
  const split = text.split('\n');
  if (split.pop() !== '' || split.length !== rows) throw new Error('lines of effects were cut');
  return split.map((line) => {
    const [number = '', ...fields] = line.split('\t');
    const making = makings[Number(number)];
    if (making === undefined) throw new Error('a line of effects is of no making');
    return effectOf(making, fields.map(valueOfField));
  });
}

function effectOf(making: EffectMaking, values: readonly (string | null)[]): Effect {
  const { resource, kind, by, columns } = making;
  const isBoth = kind === 'update';
  if (values.length !== columns.length * (isBoth ? 2 : 1)) {
    throw new Error('a line of effects has another number of fields');
  }
  const first = imageOf(making, values, 0);
  return {
    resource,
    kind,
    key: making.key.map((place) => values[place] ?? null),
    before: kind === 'create' ? null : first,
    after: isBoth ? imageOf(making, values, columns.length) : kind === 'create' ? first : null,
    ...(by === undefined ? {} : { by }),
  };
}

function imageOf(
  { columns, places }: EffectMaking,
  values: readonly (string | null)[],
  from: number,
): Image {
  return Object.fromEntries(
    columns.map((name, at): [string, string | null] => [
      name,
      values[from + (places[at] ?? 0)] ?? null,
    ]),
  );
}
