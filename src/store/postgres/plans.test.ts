import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import type pg from 'pg';
import { fillStore, operations } from '../../../test/support/store-operations.ts';
import { storeServer } from '../../../test/support/store-server.ts';

// Without sequential scans of tables that happen to be small: where one is left, there is no index.
const server = storeServer({ settings: { autovacuum: 'off', enable_seqscan: 'off' } });

const COUNT = 500;
const TURNS = 5;
/** The most that any of the calls asks for is a page for each of twelve states. */
const ROWS_MAX = 200;
/** Few rows by nature: one for each tenant, version of the schema, or what is being carried out. */
const READ_WHOLE = ['logs', 'schema_versions', 'leases', 'freezes', 'notes', 'rounds'];

test('no call of the store goes through a table, and none reads more for a longer one', async () => {
  const { admin, newSchema, open } = server();
  const schema = newSchema();
  const filling = await open(schema);
  await fillStore(filling, COUNT);
  await filling.close();
  // Of a few hundred rows all of them are soon read: here a join with a list has to look them up.
  await admin.query(
    `INSERT INTO ${schema}.deadlines
     SELECT 'acme', 'prop_' || n, ${Number.MAX_SAFE_INTEGER} FROM generate_series(1, 20000) AS n`,
  );
  await admin.query('ANALYZE');
  const slow: string[] = [];
  for (const [name] of operations(filling, 0)) {
    const before = await rowsRead(admin, schema);
    const store = await open(schema);
    for (let turn = 0; turn < TURNS; turn += 1) {
      await operations(store, COUNT + turn).get(name)?.();
    }
    // A connection tells what it read at the latest when it ends.
    await store.close();
    const after = await rowsRead(admin, schema);
    for (const [table, { whole, byIndex }] of after) {
      const was = before.get(table) ?? { whole: 0, byIndex: 0 };
      if (READ_WHOLE.includes(table)) continue;
      if (whole > was.whole) slow.push(`${name} goes through ${table}`);
      const rows = (byIndex - was.byIndex) / TURNS;
      if (rows > ROWS_MAX) slow.push(`${name} reads ${rows} rows of ${table}`);
    }
  }
  assert.deepEqual(slow, []);
});

interface RowsRead {
  /** By going through the table. */
  readonly whole: number;
  readonly byIndex: number;
}

async function rowsRead(admin: pg.Pool, schema: string): Promise<ReadonlyMap<string, RowsRead>> {
  await gone(admin);
  const { rows } = await admin.query<{ table: string; whole: string; by_index: string }>(
    `SELECT relname AS table, seq_tup_read AS whole,
       (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes AS i
        WHERE i.relid = t.relid) AS by_index
     FROM pg_stat_user_tables AS t WHERE schemaname = $1`,
    [schema],
  );
  return new Map(
    rows.map(({ table, whole, by_index: byIndex }) => [
      table,
      { whole: Number(whole), byIndex: Number(byIndex) },
    ]),
  );
}

/** Waits until no connection of a store is left. */
async function gone(admin: pg.Pool): Promise<void> {
  for (;;) {
    const { rows } = await admin.query<{ count: string }>(
      "SELECT count(*) AS count FROM pg_stat_activity WHERE application_name = 'writegate'",
    );
    if (Number(rows[0]?.count) === 0) return;
  }
}
