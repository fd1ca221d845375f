import { strict as assert } from 'node:assert';
import { connect, createServer, type AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';
import { Problem } from '../../../model/problem.ts';
import type { PlanRequest } from '../../../model/ports.ts';
import { openPostgresTarget } from '../../postgres.ts';

/** Joins as a larger catalog has them: our look-up then meets the partitions of `pay` before `pay`. */
const SCHEMA = `
DO $$BEGIN
  EXECUTE format('ALTER DATABASE %I SET enable_nestloop = off', current_database());
  EXECUTE format('ALTER DATABASE %I SET enable_mergejoin = off', current_database());
END$$;
CREATE TABLE pay (id int PRIMARY KEY, amount numeric NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE pay_1 PARTITION OF pay FOR VALUES FROM (0) TO (50);
CREATE TABLE pay_2 PARTITION OF pay FOR VALUES FROM (50) TO (100) PARTITION BY RANGE (id);
CREATE TABLE pay_2_low (amount numeric NOT NULL, id int NOT NULL);
ALTER TABLE pay_2 ATTACH PARTITION pay_2_low FOR VALUES FROM (50) TO (100);
INSERT INTO pay SELECT i, i FROM generate_series(1, 99) i;
-- Puts its row in the catalog after those of its partitions.
ALTER TABLE pay RENAME TO paid;
ALTER TABLE paid RENAME TO pay;

CREATE TABLE animals (id int PRIMARY KEY, n text);
CREATE TABLE cats (PRIMARY KEY (id)) INHERITS (animals);
INSERT INTO animals VALUES (1, 'one'); INSERT INTO cats VALUES (2, 'two');

CREATE TABLE owners (id int PRIMARY KEY, cat int);
INSERT INTO owners VALUES (1, 2);
CREATE FUNCTION rename() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  UPDATE cats SET n = 'owned' WHERE id = NEW.cat; RETURN NEW; END$$;
CREATE TRIGGER rename AFTER UPDATE ON owners FOR EACH ROW EXECUTE FUNCTION rename();

CREATE TABLE wallets (id int PRIMARY KEY, balance numeric NOT NULL, at timestamptz,
  doubled numeric GENERATED ALWAYS AS (balance * 2) STORED);
INSERT INTO wallets VALUES (1, 100);
CREATE TABLE filled (id int PRIMARY KEY, balance numeric);
INSERT INTO filled VALUES (1, 1);
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  NEW.balance := extract(epoch from clock_timestamp()); RETURN NEW; END$$;
CREATE TRIGGER fill BEFORE UPDATE ON filled FOR EACH ROW EXECUTE FUNCTION fill();
CREATE TABLE started (id int PRIMARY KEY, balance int DEFAULT random()::int);
`;

let server: Postgres;
let bench: TargetBench;

before(async () => {
  server = await startPostgres();
  bench = await openTargetBench(server, SCHEMA, {
    value: [
      { table: 'pay', column: 'amount', currency: 'GBP' },
      { table: 'wallets', column: 'balance', currency: 'GBP' },
      { table: 'wallets', column: 'doubled', currency: 'GBP' },
      { table: 'filled', column: 'balance', currency: 'GBP' },
      { table: 'started', column: 'balance', currency: 'GBP' },
    ],
  });
});
after(async () => {
  await bench.close();
  await server.stop();
});

const payments = (): Promise<readonly string[]> =>
  bench.rows(`SELECT tableoid::regclass || pay::text FROM pay ORDER BY id`);

async function takeBack(inverse: PlanRequest): Promise<void> {
  const answer = await bench.plan(inverse);
  assert(answer.kind === 'planned', JSON.stringify(answer));
  const applied = await bench.apply(inverse, answer.plan);
  assert.equal(applied.kind, 'applied', JSON.stringify(applied));
}

test('the table that a statement names is its object, whatever order the catalog has its parts in', async () => {
  for (const statement of ['DELETE FROM pay', 'UPDATE pay SET amount = 1 WHERE id = 70']) {
    assert.equal((await bench.planned(statement)).resource, 'public.pay');
  }
  assert.equal((await bench.planned('DELETE FROM animals')).resource, 'public.animals');
});

test('a plan says of what its resources are parts, those changed by a trigger too', async () => {
  const { partOf } = await bench.planned('UPDATE pay SET amount = 1 WHERE id IN (20, 70)');
  assert.deepEqual(partOf['public.pay_1'], ['public.pay']);
  assert.deepEqual(partOf['public.pay_2_low'], ['public.pay_2', 'public.pay']);
  assert.equal(partOf['public.pay'], undefined);
  const onLeaf = await bench.planned('UPDATE pay_2_low SET amount = 1 WHERE id = 70');
  assert.equal(onLeaf.resource, 'public.pay_2_low');
  assert.deepEqual(onLeaf.partOf, { 'public.pay_2_low': ['public.pay_2', 'public.pay'] });
  // What is mapped for the whole counts in its parts.
  assert.deepEqual(onLeaf.value, [{ currency: 'GBP', amountMinor: '6900' }]);
  const byTrigger = await bench.planned('UPDATE owners SET cat = 2');
  assert.deepEqual(byTrigger.partOf, { 'public.cats': ['public.animals'] });
  assert.deepEqual((await bench.planned('UPDATE wallets SET balance = 1')).partOf, {});
});

test('a delete over two partitions is proved and taken back to the letter', async () => {
  const was = await payments();
  const plan = await bench.planned('DELETE FROM pay WHERE id IN (20, 70)');
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
  await takeBack(await bench.done('DELETE FROM pay WHERE id IN (20, 70)'));
  assert.deepEqual(await payments(), was);
});

test('rows are taken back by the name of the whole too, and after their partition was renamed', async () => {
  const was = await payments();
  const inverse = await bench.done('DELETE FROM pay WHERE id IN (20, 70)');
  assert(inverse.compensated !== null);
  const effects = inverse.compensated.effects.map((each) => ({ ...each, resource: 'public.pay' }));
  await takeBack({ ...inverse, compensated: { ...inverse.compensated, effects } });
  assert.deepEqual(await payments(), was);
  const renamed = await bench.done('UPDATE pay SET amount = 0 WHERE id IN (20, 70)');
  await bench.admin.query('ALTER TABLE pay_1 RENAME TO pay_one');
  await takeBack(renamed);
  await bench.admin.query('ALTER TABLE pay_one RENAME TO pay_1');
  assert.deepEqual(await payments(), was);
});

test('a row that moves to another partition is taken back to the letter', async (context) => {
  if (Number.parseInt(server.version, 10) < 18) return context.skip('needs PostgreSQL 18');
  await bench.admin.query('DELETE FROM pay WHERE id IN (10, 60)');
  const was = await payments();
  const statement = 'UPDATE pay SET id = CASE id WHEN 20 THEN 60 ELSE 10 END WHERE id IN (20, 70)';
  const plan = await bench.planned(statement);
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
  await takeBack(await bench.done(statement));
  return assert.deepEqual(await payments(), was);
});

test('what a trigger fills in some rows hides no value that the statement gives in others', async () => {
  await bench.admin.query(`CREATE TABLE codes (id int PRIMARY KEY, code text, note text);
    CREATE FUNCTION code() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
      IF NEW.code IS NULL THEN NEW.code := clock_timestamp()::text; END IF; RETURN NEW; END$$;
    CREATE TRIGGER code BEFORE INSERT OR UPDATE ON codes FOR EACH ROW EXECUTE FUNCTION code();
    INSERT INTO codes VALUES (50, 'a', ''), (51, 'b', '');
    GRANT ALL ON codes TO PUBLIC`);
  for (const statement of [
    `UPDATE codes SET code = CASE WHEN id = 50 THEN 'gold' END`,
    `INSERT INTO codes (id, code) VALUES (1, 'gold'), (2, NULL)`,
  ]) {
    const { code, reason } = await bench.refused(statement);
    assert.equal(code, 'statement-unsupported', reason);
    assert.match(reason, /`code` gets a value of the statement/);
  }
  const left = await bench.planned('INSERT INTO codes (id) VALUES (3)');
  assert.deepEqual(left.maskedColumns, ['public.codes.code']);
});

test('an amount that only the commit knows is refused, whatever hides it', async () => {
  const hidden: readonly (readonly [statement: string, column: string])[] = [
    ['UPDATE started SET balance = DEFAULT', 'public.started.balance'],
    ['UPDATE filled SET id = 1', 'public.filled.balance'],
    ['INSERT INTO started (id) VALUES (1)', 'public.started.balance'],
  ];
  for (const [statement, column] of hidden) {
    const { code, reason } = await bench.refused(statement);
    assert.equal(code, 'effect-unmeasurable', reason);
    assert.equal(
      reason,
      `the amount in \`${column}\` would only be known at the commit, so no limit could judge it`,
    );
  }
  const stamped = await bench.planned('UPDATE wallets SET at = now(), balance = 150');
  assert.deepEqual(stamped.maskedColumns, ['public.wallets.at']);
  assert.deepEqual(stamped.value, [{ currency: 'GBP', amountMinor: '15000' }]);
});

test('an amount whose table or column does not exist keeps the target shut', async () => {
  const wrong = [
    [{ table: 'walletz', column: 'balance' }, /`public\.walletz`.*is `public\.wallets` meant/],
    [
      { table: 'wallets', column: 'balanc' },
      /`public\.wallets\.balanc`.*is `public\.wallets\.balance`/,
    ],
  ] as const;
  const [database] = await bench.rows('SELECT current_database()');
  const url = server.url(database);
  for (const [value, message] of wrong) {
    const amounts = [{ ...value, currency: 'GBP' }];
    const settings = { url, value: amounts, acceptFindings: ['role-superuser'] };
    await assert.rejects(
      openPostgresTarget('shut', settings, () => undefined),
      (error) => {
        assert(error instanceof Problem && error.code === 'target-misconfigured');
        assert.match(error.message, message);
        return true;
      },
    );
  }
});

test('an amount that could not be looked up at the start is looked up before the first write', async () => {
  const [database] = await bench.rows('SELECT current_database()');
  const wire = createServer((client) => {
    const upstream = connect(server.port, '127.0.0.1');
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve) => wire.listen(port, '127.0.0.1', resolve));
  await listen(0);
  // A listening TCP server has a port.
  const { port } = wire.address() as AddressInfo;
  await new Promise((resolve) => wire.close(resolve));
  const url = new URL(server.url(database));
  url.port = String(port);
  const value = [{ table: 'walletz', column: 'balance', currency: 'GBP' }];
  const target = await openPostgresTarget(
    'late',
    { url: url.href, value, acceptFindings: ['role-superuser'] },
    () => undefined,
  );
  try {
    await listen(port);
    const asked = bench.ask('UPDATE wallets SET balance = 9000000 WHERE id = 1');
    const answer = await target.plan(asked, AbortSignal.timeout(30_000));
    assert(answer.kind === 'refused' && !answer.permanent, JSON.stringify(answer));
    assert.match(answer.reason, /`public\.walletz`.*is `public\.wallets` meant/);
    await bench.admin.query('CREATE TABLE walletz (balance int)');
    assert.equal((await target.plan(asked, AbortSignal.timeout(30_000))).kind, 'planned');
  } finally {
    await target.close();
    wire.close();
  }
});
