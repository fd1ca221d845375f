/** Every row of every table as text: what a measure is held against. */
import type pg from 'pg';
import type { Effect, Image } from '../../src/model/plan.ts';

interface DumpedTable {
  readonly resource: string;
  readonly key: readonly string[];
  readonly rows: readonly Image[];
}

export type Dump = ReadonlyMap<string, DumpedTable>;

interface Shape {
  readonly resource: string;
  readonly columns: readonly string[];
  readonly key: readonly string[];
}

/** What a database’s tables look like does not change while it is dumped again and again. */
const shapes = new WeakMap<pg.ClientBase, readonly Shape[]>();

async function shapesOf(
  client: pg.ClientBase,
  schemas: readonly string[],
): Promise<readonly Shape[]> {
  const known = shapes.get(client);
  if (known !== undefined) return known;
  const { rows } = await client.query<{ resource: string; columns: string[]; key: string[] }>(
    `SELECT s.nspname || '.' || c.relname AS resource,
       array(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
         AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
       array(SELECT a.attname::text FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY u(n, place),
         pg_attribute a WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid
         AND a.attnum = u.n ORDER BY u.place) AS key
     FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
     WHERE c.relkind = 'r' AND s.nspname = ANY ($1) ORDER BY 1`,
    [schemas],
  );
  return rows;
}

/** Holds the shapes of a client’s tables fast: for a database whose tables stay as they are. */
export async function fixShapes(client: pg.ClientBase, schemas: readonly string[]): Promise<void> {
  shapes.set(client, await shapesOf(client, schemas));
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function textsOf({ resource, columns }: Shape): { readonly row: string; readonly from: string } {
  const list = columns.map((column) => `d.${quoted(column)}::text`).join(', ');
  return {
    row: `ARRAY[${list}]::text[]`,
    from: `ONLY ${resource.split('.').map(quoted).join('.')} AS d`,
  };
}

/** Reads all ordinary tables of the schemas in one statement, in the session's own settings. */
export async function dumpTables(client: pg.ClientBase, schemas: readonly string[]): Promise<Dump> {
  const tables = await shapesOf(client, schemas);
  const parts = tables.map((table, at) => {
    const { row, from } = textsOf(table);
    return `SELECT ${at} AS at, ${row} AS row FROM ${from}`;
  });
  const { rows } = await client.query<{ at: number; row: (string | null)[] }>({
    ...(shapes.has(client) ? { name: 'dump' } : {}),
    text: parts.join(' UNION ALL '),
  });
  const images: Image[][] = tables.map(() => []);
  for (const { at, row } of rows) {
    const columns = tables[at]?.columns ?? [];
    images[at]?.push(Object.fromEntries(columns.map((name, place) => [name, row[place] ?? null])));
  }
  return new Map(
    tables.map(({ resource, key }, at) => [resource, { resource, key, rows: images[at] ?? [] }]),
  );
}

/** A digest of the same rows, made by the server: equal where the dumps are. */
export async function digestTables(
  client: pg.ClientBase,
  schemas: readonly string[],
): Promise<string> {
  const tables = await shapesOf(client, schemas);
  const parts = tables.map((table) => {
    const { row, from } = textsOf(table);
    return `(SELECT concat(count(*), ' ', sum(hashtextextended(${row}::text, 0))) FROM ${from})`;
  });
  const { rows } = await client.query<{ digest: string }>({
    ...(shapes.has(client) ? { name: 'digest' } : {}),
    text: `SELECT concat_ws(',', ${chunked(parts)}) AS digest`,
  });
  return rows[0]?.digest ?? '';
}

/** A function takes at most a hundred arguments. */
function chunked(parts: readonly string[]): string {
  const chunks: string[] = [];
  for (let from = 0; from < parts.length; from += 50) {
    chunks.push(`concat_ws(',', ${parts.slice(from, from + 50).join(', ')})`);
  }
  return chunks.join(', ');
}

/** The net difference as effects, paired by key within each table; in a canonical order. */
export function difference(before: Dump, after: Dump): readonly Effect[] {
  const effects: Effect[] = [];
  for (const [resource, { key, rows }] of before) {
    const [gone, come] = unmatched(rows, after.get(resource)?.rows ?? []);
    const keyOf = (image: Image): (string | null)[] => key.map((name) => image[name] ?? null);
    const waiting = new Map<string, Image>();
    if (key.length > 0) for (const image of come) waiting.set(JSON.stringify(keyOf(image)), image);
    for (const image of gone) {
      const name = JSON.stringify(keyOf(image));
      const other = waiting.get(name) ?? null;
      waiting.delete(name);
      const kind = other === null ? 'delete' : 'update';
      effects.push({ resource, kind, key: keyOf(image), before: image, after: other });
    }
    const created = key.length > 0 ? [...waiting.values()] : come;
    for (const image of created) {
      effects.push({ resource, kind: 'create', key: keyOf(image), before: null, after: image });
    }
  }
  return effects;
}

/** Rows of one side that the other does not have, each as often as it is missing. */
function unmatched(before: readonly Image[], after: readonly Image[]): [Image[], Image[]] {
  const counts = new Map<string, Image[]>();
  for (const image of before) {
    const name = JSON.stringify(image);
    counts.set(name, [...(counts.get(name) ?? []), image]);
  }
  const come: Image[] = [];
  for (const image of after) {
    const name = JSON.stringify(image);
    if (counts.get(name)?.pop() === undefined) come.push(image);
  }
  return [[...counts.values()].flat(), come];
}

/** Puts every table back as the dump has it, triggers and keys aside; needs a superuser. */
export async function restoreDump(client: pg.ClientBase, dump: Dump): Promise<void> {
  const changed = new Set(
    difference(dump, await dumpTables(client, schemasOf(dump))).map(({ resource }) => resource),
  );
  await client.query('BEGIN; SET LOCAL session_replication_role = replica');
  for (const { resource, rows } of dump.values()) {
    if (!changed.has(resource)) continue;
    const { rows: columns } = await client.query<{ name: string; type: string }>(
      `SELECT quote_ident(attname) AS name, format_type(atttypid, atttypmod) AS type
       FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
         AND attgenerated = '' ORDER BY attnum`,
      [resource],
    );
    const names = columns.map(({ name }) => name).join(', ');
    const casts = columns.map(({ type }, at) => `($${at + 1}::text)::${type}`).join(', ');
    await client.query(`DELETE FROM ONLY ${resource}`);
    for (const row of rows) {
      await client.query(
        `INSERT INTO ${resource} (${names}) OVERRIDING SYSTEM VALUE VALUES (${casts})`,
        columns.map(({ name }) => row[name.replace(/^"(.*)"$/, '$1')] ?? null),
      );
    }
  }
  await client.query('COMMIT');
}

function schemasOf(dump: Dump): string[] {
  return [...new Set([...dump.keys()].map((resource) => resource.split('.')[0] ?? ''))];
}
