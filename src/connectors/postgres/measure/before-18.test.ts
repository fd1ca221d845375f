import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { digestTables } from '../../../../test/support/dump.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';

/** Before version 18 RETURNING has no old row; this runs where such a server is on the PATH. */
const SCHEMA = `
CREATE TABLE accounts (a int, b text, balance int, PRIMARY KEY (a, b));
INSERT INTO accounts SELECT i, 'b' || i, i FROM generate_series(1, 5000) i;
CREATE TABLE loose (n int);
INSERT INTO loose VALUES (1), (1);
CREATE TABLE events (id int, day int, kind text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_a PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_b PARTITION OF events FOR VALUES FROM (10) TO (20);
INSERT INTO events SELECT i, i % 20, 'k' FROM generate_series(1, 40) i;
`;

let server: Postgres;
let bench: TargetBench;

before(async () => {
  server = await startPostgres({ prefer: 'oldest' });
  bench = await openTargetBench(server, SCHEMA, { rowsMax: 10_000 });
});
after(async () => {
  await bench.close();
  await server.stop();
});

test('images before an update are those that were updated, batch after batch', async (context) => {
  context.diagnostic(`PostgreSQL ${server.version}`);
  const plan = await bench.planned('UPDATE accounts SET balance = balance + 1');
  assert.equal(plan.headline, '5,000 updates in public.accounts');
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
  for (const effect of plan.effects) {
    assert.equal(Number(effect.after?.['balance']), Number(effect.before?.['balance']) + 1);
  }
  const [effect] = plan.effects;
  assert.deepEqual(effect?.key, ['1', 'b1']);
});

test('an upsert tells inserts from updates', async () => {
  const plan = await bench.planned(
    `INSERT INTO accounts VALUES (1, 'b1', 7), (1, 'new', 8) ON CONFLICT (a, b)
     DO UPDATE SET balance = excluded.balance`,
  );
  assert.equal(plan.headline, '1 update in public.accounts, 1 insert into public.accounts');
  assert.equal(plan.reversibility.kind, 'proved');
});

test('a change of the key stays one update; rows without a key are counted as updates', async () => {
  const plan = await bench.planned(`UPDATE accounts SET b = 'moved' WHERE a = 1`);
  assert.equal(plan.headline, '1 update in public.accounts');
  assert.deepEqual(plan.effects[0]?.before?.['b'], 'b1');
  assert.deepEqual(plan.effects[0]?.after?.['b'], 'moved');
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
  const loose = await bench.planned('UPDATE loose SET n = 2');
  assert.equal(loose.headline, '2 updates in public.loose');
  assert.deepEqual(loose.effects.map(({ kind }) => kind).toSorted(), [
    'create',
    'create',
    'delete',
    'delete',
  ]);
});

test('rows of partitions keep their images', async () => {
  const plan = await bench.planned(`UPDATE events SET kind = 'z' WHERE id <= 12`);
  assert.deepEqual(
    plan.counts.map((count) => [count.resource, count.updated]),
    [
      ['public.events_a', 9],
      ['public.events_b', 3],
    ],
  );
  assert.equal(plan.reversibility.kind, 'proved');
});

test('concurrent writers to one row never see a wrong image', async () => {
  const writer = async (): Promise<void> => {
    for (let round = 0; round < 15; round += 1) {
      const asked = bench.ask('UPDATE accounts SET balance = balance + 1 WHERE a = 9');
      const answer = await bench.plan(asked);
      if (answer.kind === 'refused') continue;
      const [effect] = answer.plan.effects;
      assert.equal(Number(effect?.after?.['balance']), Number(effect?.before?.['balance']) + 1);
      await bench.apply(asked, answer.plan);
    }
  };
  await Promise.all([writer(), writer(), writer(), writer()]);
});

test('steps that change the same rows again, move them, and upsert them come back', async () => {
  const state = await digestTables(bench.admin, ['public']);
  const asked = bench.askSteps(
    `UPDATE accounts SET balance = balance + 1 WHERE a < 4`,
    `UPDATE accounts SET b = 'moved' WHERE a = 1`,
    `INSERT INTO accounts VALUES (1, 'moved', 70), (2, 'b2', 71), (9000, 'new', 72)
     ON CONFLICT (a, b) DO UPDATE SET balance = excluded.balance`,
    `UPDATE events SET day = day + 10 WHERE id IN (1, 2)`,
    `UPDATE events SET kind = 'k2' WHERE id < 4`,
    `UPDATE events SET day = 1 WHERE id = 1`,
    'DELETE FROM accounts WHERE a = 2',
    'UPDATE loose SET n = n + 1',
  );
  const answer = await bench.plan(asked);
  assert(answer.kind === 'planned', JSON.stringify(answer));
  const { plan } = answer;
  assert.equal(
    plan.steps?.[2]?.plan.headline,
    '2 updates in public.accounts, 1 insert into public.accounts',
  );
  const moved = plan.effects.find(({ after: image }) => image?.['b'] === 'moved');
  assert.deepEqual(
    [moved?.kind, moved?.before?.['b'], moved?.after?.['balance']],
    ['update', 'b1', '70'],
  );
  const inverse = await bench.carriedOut(asked);
  await bench.carriedOut(inverse);
  assert.equal(await digestTables(bench.admin, ['public']), state);
});
