import { strict as assert } from 'node:assert';
import type { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { fillStore, operations } from '../../../test/support/store-operations.ts';
import { testLedger, testRandom } from '../conformance/ledger.ts';
import { SqliteStore } from '../sqlite.ts';
import { IN_MEMORY, openDatabase } from './database.ts';

/** Few rows by nature, and read whole: a row for each tenant, or for what is being carried out. */
const READ_WHOLE = ['logs', 'leases'];

test('no statement of the store goes through a table, or sorts what it found', async () => {
  const database = openDatabase(IN_MEMORY);
  const statements = recorded(database);
  const { sequencer } = testLedger;
  const store = new SqliteStore(database, { sequencer, random: testRandom() });
  await fillStore(store, 4);
  for (const ask of operations(store, 3).values()) await ask();
  assert(statements.size > 50, `only ${statements.size} statements were seen`);
  const slow = [...statements].flatMap((statement) =>
    plan(database, statement)
      .filter((line) => line.startsWith('SCAN') || line.includes('TEMP B-TREE'))
      .filter((line) => !READ_WHOLE.includes(line.split(' ')[1] ?? ''))
      .map((line) => `${line}: ${statement.replaceAll(/\s+/g, ' ')}`),
  );
  assert.deepEqual(slow, []);
  await store.close();
});

/** The statements that are prepared on it from here on. */
function recorded(database: DatabaseSync): ReadonlySet<string> {
  const statements = new Set<string>();
  const prepare = database.prepare.bind(database);
  database.prepare = (statement) => {
    statements.add(statement);
    return prepare(statement);
  };
  return statements;
}

function plan(database: DatabaseSync, statement: string): readonly string[] {
  if (/^\s*(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|EXPLAIN|PRAGMA)/.test(statement)) return [];
  return database
    .prepare(`EXPLAIN QUERY PLAN ${statement}`)
    .all()
    .map((row) => String(row['detail']));
}
