/**
 * Moves a SQLite store into an empty PostgreSQL store: every row, byte for byte, in one transaction.
 *
 * What the target holds in the end is checked inside that transaction: as many rows of each table, each
 * leaf with its hash, and of each tenant the tree that the hashes give. A crash, or a check that does
 * not hold, leaves the target empty and the source as it was.
 */
import { createHash } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import type pg from 'pg';
import { tenantId, type TenantId } from '../model/ids.ts';
import type { Sequencer, TreeState } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { MOVED, type Moved } from './move/tables.ts';
import { openPostgresStore, type PostgresStoreOptions } from './postgres.ts';
import { beginSql, openPool, placeOf, quoted, transaction } from './postgres/connect.ts';
import { storageProblem } from './postgres/problem.ts';
import type { Row as TargetRow } from './postgres/rows.ts';
import { openDatabase } from './sqlite/database.ts';
import { integerOf, textOf, type Row } from './sqlite/rows.ts';

/** Rows that one statement writes, at most, and their bytes. */
const BATCH_ROWS_MAX = 2_000;
const BATCH_BYTES_MAX = 4 * 1024 * 1024;

export interface MoveOptions {
  /** The SQLite file. */
  readonly from: string;
  readonly to: PostgresStoreOptions;
  /** Told after each statement how many more rows of a table are written. */
  readonly progress?: (done: { readonly table: string; readonly rows: number }) => void;
}

export interface MoveReport {
  readonly tenants: readonly { readonly tenant: TenantId; readonly tree: TreeState }[];
  /** How many rows were moved, by table. */
  readonly rows: Readonly<Record<string, number>>;
}

/**
 * Moves it, while nobody else has the source open. The source is not changed, but for its schema and
 * its leases: retiring it is for the caller. Throws `store-locked` where a gateway has it,
 * `store-unusable` where the target is not empty or came out other, `store-unreachable` where it may be
 * either empty or whole, since the reply to the commit was lost.
 */
export async function moveToPostgres(options: MoveOptions): Promise<MoveReport> {
  const { from, to } = options;
  const source = openDatabase(from);
  try {
    // Makes the schema, and says what is wrong with the server.
    await (await openPostgresStore(to)).close();
    const place = placeOf(to);
    const pool = openPool(place, 1, { query_timeout: 0 });
    try {
      const client = await pool.connect();
      try {
        return await transaction(client, beginSql({ limitMs: 0 }), () =>
          move({ source, client, schema: quoted(place), options }),
        );
      } finally {
        client.release(true);
      }
    } finally {
      await pool.end();
    }
  } catch (error) {
    throw storageProblem(error);
  } finally {
    source.close();
  }
}

interface Moving {
  readonly source: DatabaseSync;
  readonly client: pg.ClientBase;
  readonly schema: string;
  readonly options: MoveOptions;
}

async function move(moving: Moving): Promise<MoveReport> {
  const { client, schema, source } = moving;
  const names = MOVED.map(({ name }) => `${schema}.${name}`);
  // Nobody begins anything in it meanwhile; readers may look.
  await client.query(
    `LOCK TABLE ${[`${schema}.logs`, ...names].join(', ')} IN SHARE ROW EXCLUSIVE MODE`,
  );
  await checkEmpty(moving, names);
  const tenants = headsIn(source);
  const rows: Record<string, number> = {};
  for (const table of MOVED) rows[table.name] = await copy(moving, table);
  await writeHeads(moving, tenants);
  await checkCounts(moving, rows);
  await checkTrees(moving, tenants);
  return { tenants: tenants.map(({ tenant, tree }) => ({ tenant, tree })), rows };
}

async function checkEmpty({ client }: Moving, names: readonly string[]): Promise<void> {
  const found = names.map((name) => `EXISTS (SELECT FROM ${name})`).join(' OR ');
  const { rows } = await client.query<TargetRow>(`SELECT ${found} AS taken`);
  if (rows[0]?.['taken'] === false) return;
  throw new Problem(
    'store-unusable',
    'the store to move to is not empty; name another database or schema',
  );
}

interface Head {
  readonly tenant: TenantId;
  readonly tree: TreeState;
  readonly latestAt: number;
}

function headsIn(source: DatabaseSync): readonly Head[] {
  const rows: readonly Row[] = source
    .prepare('SELECT tenant, size, range, latest_at FROM logs ORDER BY tenant')
    .all();
  return rows.map((row) => {
    const tenant = tenantId(textOf(row, 'tenant'));
    if (tenant === undefined) throw other('a tenant of the source has no name that can be one');
    const range = textOf(row, 'range');
    const tree = { size: integerOf(row, 'size'), range: range === '' ? [] : range.split(' ') };
    return { tenant, tree, latestAt: integerOf(row, 'latest_at') };
  });
}

/** Writes a table in batches, while the next rows are read; returns how many there were. */
async function copy({ source, client, schema, options }: Moving, table: Moved): Promise<number> {
  let count = 0;
  let batch: Row[] = [];
  let bytes = 0;
  const put = async (): Promise<void> => {
    for (const { text, values } of table.write(schema, batch)) {
      await client.query({ text, values: [...values] });
    }
    count += batch.length;
    options.progress?.({ table: table.name, rows: batch.length });
    batch = [];
    bytes = 0;
  };
  const rows: Iterable<Row> = source.prepare(table.read).iterate();
  for (const row of rows) {
    batch.push(row);
    bytes += table.sizeOf(row);
    if (batch.length >= BATCH_ROWS_MAX || bytes >= BATCH_BYTES_MAX) await put();
  }
  if (batch.length > 0) await put();
  return count;
}

/** A tenant that somebody has asked after already may have its row, with nothing in it. */
async function writeHeads({ client, schema }: Moving, heads: readonly Head[]): Promise<void> {
  for (const { tenant, tree, latestAt } of heads) {
    await client.query(
      `INSERT INTO ${schema}.logs (tenant, size, range, latest_at) VALUES ($1, $2, $3, $4)
       ON CONFLICT (tenant) DO UPDATE
       SET size = excluded.size, range = excluded.range, latest_at = excluded.latest_at`,
      [tenant, tree.size, tree.range.join(' '), latestAt],
    );
  }
}

async function checkCounts(
  { source, client, schema }: Moving,
  moved: Readonly<Record<string, number>>,
): Promise<void> {
  for (const { name } of MOVED) {
    const here = integerOf(
      source.prepare(`SELECT count(*) AS count FROM ${name}`).get() ?? {},
      'count',
    );
    const { rows } = await client.query<{ count: number }>(
      `SELECT count(*) AS count FROM ${schema}.${name}`,
    );
    const there = rows[0]?.count;
    // What an old record held of its effects has rows of its own now.
    const isWhole = name === 'effects' ? Number(there) >= here : there === here;
    if (moved[name] === here && isWhole) continue;
    throw other(`of ${here} rows of \`${name}\` ${String(there)} are there`);
  }
}

/** Page by page, as it is in the target: each leaf with its own hash, and the hashes with the tree. */
async function checkTrees(moving: Moving, heads: readonly Head[]): Promise<void> {
  const { sequencer } = moving.options.to;
  for (const { tenant, tree } of heads) {
    let built: TreeState = { size: 0, range: [] };
    while (built.size < tree.size) {
      const next = await grown(moving, sequencer, tenant, built);
      if (next.size === built.size) break;
      built = next;
    }
    if (built.size === tree.size && built.range.join() === tree.range.join()) continue;
    throw other(`the entries of \`${tenant}\` do not give its tree at size ${tree.size}`);
  }
}

async function grown(
  { client, schema }: Moving,
  sequencer: Sequencer,
  tenant: TenantId,
  from: TreeState,
): Promise<TreeState> {
  const { rows } = await client.query<{ index: number; leaf: Buffer; hash: Buffer }>(
    `SELECT entry_index AS index, leaf, leaf_hash AS hash FROM ${schema}.entries
     WHERE tenant = $1 AND entry_index >= $2 ORDER BY entry_index LIMIT ${BATCH_ROWS_MAX}`,
    [tenant, from.size],
  );
  let tree = from;
  for (const { index, leaf, hash } of rows) {
    const own = createHash('sha256').update(Uint8Array.of(0)).update(leaf).digest();
    if (index !== tree.size || !own.equals(hash)) {
      throw other(`entry ${index} of \`${tenant}\` is not the one that its place asks for`);
    }
    tree = sequencer.push(tree, hash.toString('hex'));
  }
  return tree;
}

function other(what: string): Problem {
  return new Problem('store-unusable', `nothing was moved: ${what}`);
}
