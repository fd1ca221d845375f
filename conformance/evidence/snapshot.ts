/** What a superuser sees of every table, read beside the gateway and without any code of it. */
import type { Client } from 'pg';

/** A row as `column=text`, in the order of its columns: two are the same row where the texts are. */
export type RowText = string;

/** By table: each distinct row, and how often it is there. */
export type Rows = ReadonlyMap<string, ReadonlyMap<RowText, number>>;

export interface Snapshot {
  /** Each column as `column::text` has it, which is what images hold. */
  readonly images: Rows;
  /** As the server sends the row: what has to be there again, bit for bit. */
  readonly exact: Rows;
}

/** Rows that are in one and not in the other, by table; both lists sorted. */
export interface Change {
  readonly table: string;
  readonly gone: readonly RowText[];
  readonly came: readonly RowText[];
}

/** Spells a row; null and the text `null` differ. */
export function rowText(row: Readonly<Record<string, string | null>>): RowText {
  return JSON.stringify(Object.entries(row).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

const TABLES = `
  SELECT c.oid::regclass::text, n.nspname || '.' || c.relname,
    string_agg(format('%I::text AS %I', a.attname, a.attname), ', ' ORDER BY a.attnum)
  FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE c.relkind = 'r' AND n.nspname = 'public'
  GROUP BY 1, 2 ORDER BY 2`;

/** Reads every row of every plain table, in one snapshot of the database. */
export async function takeSnapshot(superuser: Client): Promise<Snapshot> {
  await superuser.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  const tables = await superuser.query<[string, string, string]>({
    text: TABLES,
    rowMode: 'array',
  });
  const images = new Map<string, ReadonlyMap<RowText, number>>();
  const exact = new Map<string, ReadonlyMap<RowText, number>>();
  for (const [sql, name, casts] of tables.rows) {
    images.set(name, await rowsOf(superuser, `SELECT ${casts} FROM ONLY ${sql}`));
    exact.set(name, await rowsOf(superuser, `SELECT * FROM ONLY ${sql}`));
  }
  await superuser.query('COMMIT');
  return { images, exact };
}

async function rowsOf(superuser: Client, text: string): Promise<ReadonlyMap<RowText, number>> {
  const found = await superuser.query<Record<string, string | null>>({
    text,
    // As the server writes it: nothing of ours between.
    types: { getTypeParser: () => (value: string) => value },
  });
  return counted(found.rows.map(rowText));
}

/** Says how the second differs from the first; tables that do not differ are left out. */
export function changesBetween(first: Rows, second: Rows): readonly Change[] {
  return [...new Set([...first.keys(), ...second.keys()])].toSorted().flatMap((table) => {
    const before = first.get(table) ?? new Map<RowText, number>();
    const after = second.get(table) ?? new Map<RowText, number>();
    return changeOf(table, before, after);
  });
}

/** The same for rows that are listed; what is in both lists equally often is no change. */
export function changeOf(
  table: string,
  before: ReadonlyMap<RowText, number>,
  after: ReadonlyMap<RowText, number>,
): readonly Change[] {
  const gone = beyond(before, after);
  const came = beyond(after, before);
  return gone.length + came.length === 0 ? [] : [{ table, gone, came }];
}

/** How many rows went or came. */
export function rowsIn(changes: readonly Change[]): number {
  return changes.reduce((sum, { gone, came }) => sum + gone.length + came.length, 0);
}

/** Counts rows. */
export function counted(rows: readonly RowText[]): ReadonlyMap<RowText, number> {
  const counts = new Map<RowText, number>();
  for (const row of rows) add(counts, row, 1);
  return counts;
}

function beyond(
  rows: ReadonlyMap<RowText, number>,
  others: ReadonlyMap<RowText, number>,
): readonly RowText[] {
  return [...rows]
    .flatMap(([row, times]) =>
      Array.from({ length: Math.max(times - (others.get(row) ?? 0), 0) }, () => row),
    )
    .toSorted();
}

function add(counts: Map<RowText, number>, row: RowText, times: number): void {
  counts.set(row, (counts.get(row) ?? 0) + times);
}
