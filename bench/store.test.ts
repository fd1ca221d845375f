import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { batching, type RowWrites, type Tables } from './direct.ts';
import { emptied, recorded } from './store.ts';
import { postgresOn, sqliteIn, type StoreKind } from './stores.ts';

let folder: string;
let postgres: Postgres;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writegate-bench-'));
  postgres = await startPostgres();
});

after(async () => {
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('the peer of the SQLite store leaves the rows that the store does', () =>
  assertSameRows(sqliteIn(folder)));

test('the peer of the PostgreSQL store leaves the rows that the store does', () =>
  assertSameRows(postgresOn(postgres)));

async function assertSameRows(kind: StoreKind): Promise<void> {
  const { intent, outcome, after: expected } = await recorded(kind);
  const tables = await emptied(kind, 'single');
  await tables.write([intent]);
  assert.equal(rowsIn(await tables.tables(), 'reservations'), 1);
  await tables.write([outcome]);
  const found = await tables.tables();
  await tables.close();
  assert.deepEqual(found, expected);
  assert.deepEqual(
    ['entries', 'payloads', 'proposals', 'reservations', 'leases', 'spendings'].map((table) =>
      rowsIn(found, table),
    ),
    [5, 4, 1, 0, 0, 1],
  );
}

function rowsIn(tables: Tables, table: string): number {
  return tables.get(table)?.length ?? 0;
}

test('what waits while a batch is written goes into the next one', async () => {
  const batches: number[] = [];
  const write = batching<RowWrites>(async (commits) => {
    batches.push(commits.length);
    await new Promise(setImmediate);
  }, 4);
  await Promise.all(Array.from({ length: 9 }, () => write([])));
  assert.deepEqual(batches, [4, 4, 1]);
});
