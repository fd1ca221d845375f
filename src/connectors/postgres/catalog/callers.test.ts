import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';
import { Callers, CALLERS_BOUNDS } from './callers.ts';

const SCHEMA = `
CREATE TABLE orders (id int PRIMARY KEY, total numeric);
CREATE TABLE orders_old (id int PRIMARY KEY);
CREATE TABLE parts (id int, day int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE "odd.*t" (id int PRIMARY KEY);
INSERT INTO orders VALUES (1, 1);
INSERT INTO parts VALUES (1, 1);
CREATE FUNCTION turnover() RETURNS numeric LANGUAGE sql BEGIN ATOMIC SELECT sum(total) FROM orders; END;
CREATE FUNCTION report() RETURNS int LANGUAGE plpgsql AS $$BEGIN
  RETURN (SELECT count(*) FROM Orders); END$$;
CREATE FUNCTION other() RETURNS int LANGUAGE plpgsql AS $$BEGIN
  RETURN (SELECT count(*) FROM orders_old); END$$;
CREATE FUNCTION sums() RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM parts';
CREATE FUNCTION odd() RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM "odd.*t"';
`;

let server: Postgres;
let bench: TargetBench;

before(async () => {
  server = await startPostgres({ settings: { fsync: 'off' } });
  bench = await openTargetBench(server, SCHEMA, {});
});
after(async () => {
  await bench.close();
  await server.stop();
});

const ORDERS = ['function public.report, which may use it by name', 'function public.turnover'];

test('a plan names the functions that depend on what it changes, and how that is known', async () => {
  const plan = await bench.planned('UPDATE orders SET total = 2 WHERE id = 1');
  assert.deepEqual(plan.dependents, ORDERS);
  const part = await bench.planned('DELETE FROM parts_a WHERE id = 1');
  assert.deepEqual(part.dependents, ['function public.sums, which may use it by name']);
  const odd = await bench.planned('INSERT INTO "odd.*t" VALUES (1)');
  assert.deepEqual(odd.dependents, ['function public.odd, which may use it by name']);
});

test('each step, and the whole, names those of its own tables', async () => {
  const answer = await bench.plan(
    bench.askSteps('INSERT INTO orders_old VALUES (1)', 'UPDATE orders SET total = 3 WHERE id = 1'),
  );
  assert(answer.kind === 'planned', JSON.stringify(answer));
  const old = ['function public.other, which may use it by name'];
  assert.deepEqual(
    answer.plan.steps?.map(({ plan }) => plan.dependents),
    [old, ORDERS],
  );
  assert.deepEqual(answer.plan.dependents.toSorted(), [...old, ...ORDERS].toSorted());
});

test('an answer is kept for a minute, so that the bodies are not read for every write', async () => {
  let now = 0;
  let reads = 0;
  const sessions = {
    read: () => {
      reads += 1;
      return Promise.resolve([['public.orders', `function of ${reads}`]]);
    },
  };
  const callers = new Callers(sessions, () => now);
  const plan = await bench.planned('UPDATE orders SET total = 2 WHERE id = 1');
  const bare = { ...plan, dependents: [] };
  const told = async () => (await callers.addTo(bare)).dependents;
  assert.deepEqual(await told(), ['function of 1']);
  now = CALLERS_BOUNDS.keptMs - 1;
  assert.deepEqual(await told(), ['function of 1']);
  now = CALLERS_BOUNDS.keptMs;
  assert.deepEqual(await told(), ['function of 2']);
});
