/** Rows of one table, written by one statement however many they are. */
import { bigints, byteas, texts } from './arrays.ts';

/** A statement with arrays for its values. */
export interface WriteQuery {
  readonly text: string;
  readonly values: readonly Buffer[];
}

export interface Column<Row> {
  readonly name: string;
  /** As which it is sent, and what makes the column's value of that. */
  readonly sent: 'text' | 'bigint' | 'bytea';
  readonly cast: '' | '::jsonb';
  array(rows: readonly Row[]): Buffer;
}

export interface Table<Row> {
  readonly name: string;
  readonly columns: readonly Column<Row>[];
  /** For a row that is there: the columns by which it is found, and those that are then set. */
  readonly replaces?: { readonly by: readonly string[]; readonly set: readonly string[] };
}

export function text<Row>(name: string, of: (row: Row) => string | null): Column<Row> {
  return { name, sent: 'text', cast: '', array: (rows) => texts(rows.map(of)) };
}

export function bigint<Row>(
  name: string,
  of: (row: Row, place: number) => number | null,
): Column<Row> {
  return {
    name,
    sent: 'bigint',
    cast: '',
    array: (rows) => bigints(rows.map((row, place) => of(row, place))),
  };
}

export function bytea<Row>(name: string, of: (row: Row) => Uint8Array): Column<Row> {
  return { name, sent: 'bytea', cast: '', array: (rows) => byteas(rows.map(of)) };
}

/** Given as JSON text. */
export function jsonb<Row>(name: string, of: (row: Row) => string): Column<Row> {
  return { name, sent: 'text', cast: '::jsonb', array: (rows) => texts(rows.map(of)) };
}

/** Inserts the rows, or sets what they replace; no statement without rows. */
export function insert<Row>(
  schema: string,
  table: Table<Row>,
  rows: readonly Row[],
): readonly WriteQuery[] {
  if (rows.length === 0) return [];
  const { name, columns, replaces } = table;
  const names = columns.map((column) => quoted(column.name));
  const read = columns.map((column) => `w.${quoted(column.name)}${column.cast}`);
  const set = (column: string): string => `${quoted(column)} = excluded.${quoted(column)}`;
  const conflict = replaces
    ? `ON CONFLICT (${replaces.by.map(quoted).join(', ')})
       DO UPDATE SET ${replaces.set.map(set).join(', ')}`
    : '';
  return [
    {
      text: `
        INSERT INTO ${schema}.${name} (${names.join(', ')})
        SELECT ${read.join(', ')} FROM ${given(columns)} ${conflict}`,
      values: columns.map((column) => column.array(rows)),
    },
  ];
}

/** `unnest(…) AS w (…)`: arrays from `$1` on, in the order of the columns. */
export function given<Row>(columns: readonly Column<Row>[], as = 'w', from = 1): string {
  const arrays = columns.map(({ sent }, place) => `$${from + place}::${sent}[]`);
  const names = columns.map(({ name }) => quoted(name));
  return `unnest(${arrays.join(', ')}) AS ${as} (${names.join(', ')})`;
}

/**
 * A statement that writes exactly `count` rows: where it does not, it fails, and with it the
 * transaction. For what the lock on the tenant rules out anyway.
 */
export function expecting(
  count: number,
  { text: statement, values }: WriteQuery,
  withOthers: readonly string[] = [],
): WriteQuery {
  const written = `written AS (${statement} RETURNING 1)`;
  return {
    text: `
      WITH ${[...withOthers, written].join(', ')}
      SELECT 1 / (CASE WHEN count(*) = ($${values.length + 1}::bigint[])[1] THEN 1 ELSE 0 END)
      FROM written`,
    values: [...values, bigints([count])],
  };
}

/** `window` is a word of SQL, and `range` nearly one. */
function quoted(name: string): string {
  return `"${name}"`;
}
