import { strict as assert } from 'node:assert';
import { hash } from 'node:crypto';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';
import { canonicalJson } from '../../../lib/canonical.ts';
import type { Plan } from '../../../model/plan.ts';

const SCHEMA = `
CREATE TABLE customers (id int PRIMARY KEY, email text, status text NOT NULL DEFAULT 'active');
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers ON DELETE CASCADE
  ON UPDATE CASCADE, total numeric(12,2) NOT NULL, currency text NOT NULL DEFAULT 'GBP');
CREATE TABLE items (id int PRIMARY KEY, order_id int NOT NULL REFERENCES orders ON DELETE CASCADE);
CREATE TABLE coupons (id int PRIMARY KEY, order_id int REFERENCES orders ON DELETE SET NULL);
INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 20) i;
INSERT INTO orders SELECT i, 1 + i % 20, i FROM generate_series(1, 100) i;
INSERT INTO items SELECT i, 1 + i % 100 FROM generate_series(1, 300) i;
INSERT INTO coupons SELECT i, i FROM generate_series(1, 100) i;

CREATE TABLE accounts (id int PRIMARY KEY, balance numeric(12,2) NOT NULL, updated_at timestamptz);
CREATE TABLE audit (id bigserial PRIMARY KEY, account int, at timestamptz DEFAULT clock_timestamp());
INSERT INTO accounts SELECT i, 100, '2020-01-01' FROM generate_series(1, 10) i;
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO audit (account) VALUES (NEW.id); NEW.updated_at := now(); RETURN NEW; END$$;
CREATE TRIGGER audit BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION audit();

CREATE TABLE stamped (id int PRIMARY KEY, name text, changed_at timestamptz);
INSERT INTO stamped SELECT i, 's', '2020-01-01' FROM generate_series(1, 3000) i;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  NEW.changed_at := clock_timestamp(); RETURN NEW; END$$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();

CREATE TABLE planned (id int PRIMARY KEY, how text);
INSERT INTO planned VALUES (1, '');
CREATE FUNCTION how() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  NEW.how := current_setting('plan_cache_mode'); RETURN NEW; END$$;
CREATE TRIGGER how BEFORE UPDATE ON planned FOR EACH ROW EXECUTE FUNCTION how();

CREATE TABLE jobs (id int PRIMARY KEY, state text);
CREATE TABLE job_log (job int, n int);
INSERT INTO jobs SELECT i, 'idle' FROM generate_series(1, 5) i;
CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO job_log SELECT NEW.id, n FROM generate_series(1, 40) n; RETURN NULL; END$$;
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON jobs DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION late();

CREATE TABLE events (id int, day int, kind text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_a PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_b PARTITION OF events FOR VALUES FROM (10) TO (20);
INSERT INTO events SELECT i, i % 20, 'k' FROM generate_series(1, 40) i;

CREATE TABLE tickets (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text,
  opened_at timestamptz NOT NULL DEFAULT now(), title_length int GENERATED ALWAYS AS (length(title)) STORED);
CREATE TABLE loose (a int, b text);
INSERT INTO loose VALUES (1, 'x'), (1, 'x'), (2, 'y');
CREATE TABLE mixed (id int PRIMARY KEY, j json, b bytea, f float8, n numeric, ts timestamptz, c char(5),
  a text[], i interval, u uuid, flag boolean, m money, r int4range);
INSERT INTO mixed VALUES (1, '{"b":1,  "a":[1.0]}', '\\x00ff', 'NaN', '1.500', '2020-01-01 01:02:03.5+02',
  'ab', '{"a,b",NULL,"q\\"uote"}', '1 mon 2 days', '00000000-0000-0000-0000-000000000001', true, '12.34', '[1,5)'),
  (2, NULL, NULL, '-0', 'Infinity', 'infinity', '', '{}', NULL, NULL, NULL, NULL, 'empty');
CREATE TABLE big (id int PRIMARY KEY, email text NOT NULL, name text NOT NULL);
INSERT INTO big SELECT i, 'person' || i || '@example.com', 'Person ' || i FROM generate_series(1, 47000) i;
ANALYZE big;
`;

let server: Postgres;
let bench: TargetBench;

before(async () => {
  server = await startPostgres();
  bench = await openTargetBench(server, SCHEMA, {
    rowsMax: 10_000,
    value: [
      { table: 'orders', column: 'total', currencyColumn: 'currency' },
      { table: 'public.accounts', column: 'balance', currency: 'GBP' },
    ],
  });
});
after(async () => {
  await bench.close();
  await server.stop();
});

function counts(plan: Plan): string[] {
  return plan.counts.map(
    (each) =>
      `${each.resource} ${each.attribution} ${each.created}/${each.updated}/${each.deleted}` +
      (each.via === null ? '' : ` via ${each.via}`),
  );
}

test('a delete is counted through two levels of cascade, each with its constraint', async () => {
  const plan = await bench.planned('DELETE FROM customers WHERE id = 2');
  assert.deepEqual(counts(plan), [
    'public.customers direct 0/0/1',
    'public.coupons cascade 0/5/0 via coupons_order_id_fkey',
    'public.items cascade 0/0/15 via items_order_id_fkey',
    'public.orders cascade 0/0/5 via orders_customer_id_fkey',
  ]);
  assert.equal(
    plan.headline,
    '1 delete from public.customers, 20 deletes by cascade in 2 tables, ' +
      '5 updates by cascade in public.coupons',
  );
  assert.equal(plan.class, 'delete');
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
  // The orders that go carry amounts, and their images tell them: 1, 21, 41, 61 and 81 pounds.
  assert.deepEqual(plan.value, [{ currency: 'GBP', amountMinor: '20500' }]);
  assert.equal(plan.valueComplete, true);
  const by = new Map(plan.effects.map((effect) => [effect.resource, effect.by]));
  assert.equal(plan.effects.length, 26);
  assert.equal(by.get('public.customers'), undefined);
  assert.deepEqual(by.get('public.items'), {
    attribution: 'cascade',
    via: 'items_order_id_fkey',
  });
  assert.deepEqual(await bench.rows('SELECT count(*) FROM customers'), ['20']);
});

test('a trigger’s rows are counted, and the column that it stamps is masked', async () => {
  const plan = await bench.planned('UPDATE accounts SET balance = balance - 30 WHERE id <= 2');
  assert.deepEqual(counts(plan), [
    'public.accounts direct 0/2/0',
    'public.audit trigger 2/0/0 via audit',
  ]);
  assert.deepEqual(plan.maskedColumns, [
    'public.accounts.updated_at',
    'public.audit.at',
    'public.audit.id',
  ]);
  assert.deepEqual(plan.value, [{ currency: 'GBP', amountMinor: '6000' }]);
  assert.deepEqual(plan.warnings, []);
  const again = await bench.planned('UPDATE accounts SET balance = balance - 30 WHERE id <= 2');
  assert.equal(again.effectsDigest, plan.effectsDigest);
});

test('the applied values of masked columns come with the answer and fill the inverse', async () => {
  const inverse = await bench.done(`UPDATE stamped SET name = 'new' WHERE id = 7`);
  const [effect] = inverse.compensated?.effects ?? [];
  assert.match(effect?.after?.['changed_at'] ?? '', /^2\d{3}-/);
  const answer = await bench.plan(inverse);
  assert(answer.kind === 'planned', JSON.stringify(answer));
  assert.equal((await bench.apply(inverse, answer.plan)).kind, 'applied');
  assert.deepEqual(await bench.rows('SELECT name FROM stamped WHERE id = 7'), ['s']);
});

test('more rows than are compared between two runs are masked all the same', async () => {
  const plan = await bench.planned(`UPDATE stamped SET name = name || '!'`);
  assert.deepEqual(counts(plan), ['public.stamped direct 0/3000/0']);
  assert.deepEqual(plan.maskedColumns, ['public.stamped.changed_at']);
  assert(plan.effects.every((effect) => effect.after?.['changed_at'] === null));
  assert.deepEqual(
    [plan.reversibility.kind, plan.reversibility.except],
    ['conditional', ['public.stamped.changed_at']],
  );
});

test('the write and its triggers are not planned as our own look-ups are', async () => {
  const { effects } = await bench.planned('UPDATE planned SET how = $1 WHERE id = 1', ['x']);
  assert.deepEqual(effects[0]?.after, { id: '1', how: 'auto' });
});

test('a deferred trigger is counted although it writes at the commit', async () => {
  const plan = await bench.planned(`UPDATE jobs SET state = 'run' WHERE id = 2`);
  assert.deepEqual(counts(plan), [
    'public.jobs direct 0/1/0',
    'public.job_log trigger 40/0/0 via late',
  ]);
});

test('a changed key cascades and is taken back as an update of the key', async () => {
  const plan = await bench.planned('UPDATE customers SET id = 1000 WHERE id = 20');
  assert.deepEqual(counts(plan), [
    'public.customers direct 0/1/0',
    'public.orders cascade 0/5/0 via orders_customer_id_fkey',
  ]);
  const inverse = await bench.done('UPDATE items SET id = id + 10000 WHERE id <= 3');
  const answer = await bench.plan(inverse);
  assert(answer.kind === 'planned', JSON.stringify(answer));
  assert.equal((await bench.apply(inverse, answer.plan)).kind, 'applied');
  assert.deepEqual(await bench.rows('SELECT id FROM items WHERE id <= 3 ORDER BY id'), [
    '1',
    '2',
    '3',
  ]);
});

test('rows of partitions are counted where they lie, and a move is a delete and an insert', async () => {
  const plan = await bench.planned('DELETE FROM events WHERE id IN (2, 12)');
  assert.deepEqual(counts(plan), ['public.events_a direct 0/0/1', 'public.events_b direct 0/0/1']);
  assert.equal(plan.reversibility.kind, 'proved');
  const moved = await bench.planned('UPDATE events SET day = 15 WHERE id = 3');
  assert.deepEqual(counts(moved), ['public.events_a direct 0/0/1', 'public.events_b direct 1/0/0']);
  assert.equal(moved.reversibility.kind, 'proved');
});

test('an upsert tells inserts from updates', async () => {
  const plan = await bench.planned(
    `INSERT INTO customers (id, email) VALUES (1, 'new'), (500, 'other')
     ON CONFLICT (id) DO UPDATE SET email = excluded.email`,
  );
  assert.deepEqual(counts(plan), ['public.customers direct 1/1/0']);
  assert.equal(plan.reversibility.kind, 'proved');
  assert.deepEqual(plan.maskedColumns, []);
  const nothing = await bench.planned(
    `INSERT INTO customers (id) VALUES (1) ON CONFLICT DO NOTHING`,
  );
  assert.deepEqual([counts(nothing), nothing.class], [[], 'create']);
});

test('what a sequence, an identity or a clock gives is masked, and two plans agree', async () => {
  const statement = `INSERT INTO tickets (title) VALUES ('printer'), ('lamp')`;
  const plan = await bench.planned(statement);
  assert.deepEqual(plan.maskedColumns, ['public.tickets.id', 'public.tickets.opened_at']);
  assert.deepEqual(plan.effects[0]?.key, [null]);
  assert.equal((await bench.planned(statement)).effectsDigest, plan.effectsDigest);
  const inverse = await bench.done(statement);
  const answer = await bench.plan(inverse);
  assert(answer.kind === 'planned', JSON.stringify(answer));
  assert.equal((await bench.apply(inverse, answer.plan)).kind, 'applied');
  assert.deepEqual(await bench.rows('SELECT count(*) FROM tickets'), ['0']);
});

test('a clock in an assigned value masks its column; drift in the others still counts', async () => {
  const plan = await bench.planned(
    `UPDATE stamped SET name = 'n', changed_at = CURRENT_TIMESTAMP WHERE id = 1`,
  );
  assert.deepEqual(plan.maskedColumns, ['public.stamped.changed_at']);
});

test('a value that only the commit knows hides no plain one of the same column', async () => {
  const mixed = [
    `INSERT INTO stamped VALUES (9001, 'gold', NULL), (9002, now()::text, NULL)`,
    `INSERT INTO tickets (opened_at) VALUES ('2020-01-01'), (DEFAULT)`,
    `INSERT INTO stamped VALUES (1, now()::text) ON CONFLICT (id) DO UPDATE SET name = 'gold'`,
  ];
  for (const statement of mixed) {
    const { code, reason } = await bench.refused(statement);
    assert.equal(code, 'statement-unsupported', reason);
    assert.match(reason, /propose them as two writes/);
  }
  const plan = await bench.planned(
    `INSERT INTO planned VALUES (7, now()::text) ON CONFLICT (id) DO UPDATE SET how = excluded.how`,
  );
  assert.deepEqual(plan.maskedColumns, ['public.planned.how']);
});

test('a table without a key is counted exactly, and its rows come back by all they hold', async () => {
  const plan = await bench.planned(`DELETE FROM loose WHERE a = 1`);
  assert.deepEqual(counts(plan), ['public.loose direct 0/0/2']);
  const updated = await bench.planned(`UPDATE loose SET b = 'z'`);
  assert.deepEqual(counts(updated), ['public.loose direct 0/3/0']);
  const was = await bench.rows('SELECT loose::text FROM loose ORDER BY 1');
  const inverse = await bench.done(`DELETE FROM loose WHERE a = 1`);
  const answer = await bench.plan(inverse);
  assert(answer.kind === 'planned', JSON.stringify(answer));
  assert.equal((await bench.apply(inverse, answer.plan)).kind, 'applied');
  assert.deepEqual(await bench.rows('SELECT loose::text FROM loose ORDER BY 1'), was);
});

test('every type goes there and back: deleted rows return to the letter', async () => {
  const was = await bench.rows('SELECT mixed::text FROM mixed ORDER BY id');
  const plan = await bench.planned('DELETE FROM mixed');
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
  const inverse = await bench.done('DELETE FROM mixed');
  const answer = await bench.plan(inverse);
  assert(answer.kind === 'planned', JSON.stringify(answer));
  assert.equal((await bench.apply(inverse, answer.plan)).kind, 'applied');
  assert.deepEqual(await bench.rows('SELECT mixed::text FROM mixed ORDER BY id'), was);
});

test('value adds up magnitudes by currency, exactly', async () => {
  const plan = await bench.planned(
    `UPDATE orders SET total = total + CASE WHEN id = 1 THEN 0.10 ELSE -0.20 END,
     currency = CASE WHEN id = 3 THEN 'JPY' ELSE currency END WHERE id <= 3`,
  );
  // 0.10 + 0.20 within pounds; 3.00 pounds became 2.80 yen, of which there is no fraction.
  assert.deepEqual(plan.value, [
    { currency: 'GBP', amountMinor: '330' },
    { currency: 'JPY', amountMinor: '3' },
  ]);
  assert.equal(plan.valueComplete, true);
  const odd = await bench.planned(`UPDATE orders SET currency = 'pounds' WHERE id = 1`);
  assert.equal(odd.valueComplete, false);
});

test('what changed as a consequence is taken back with the rest', async () => {
  const state = `SELECT x::text FROM (TABLE items) x UNION ALL SELECT x::text FROM (TABLE coupons) x
    UNION ALL SELECT x::text FROM (TABLE orders) x ORDER BY 1`;
  const was = await bench.rows(state);
  const inverse = await bench.done('DELETE FROM orders WHERE id = 50');
  const answer = await bench.plan(inverse);
  assert(answer.kind === 'planned', JSON.stringify(answer));
  assert.equal(answer.plan.headline, '1 update in public.coupons, 4 inserts into 2 tables');
  assert.equal((await bench.apply(inverse, answer.plan)).kind, 'applied');
  assert.deepEqual(await bench.rows(state), was);
});

test('conflicts name the rows, the columns, and what was found', async () => {
  const inverse = await bench.done(`UPDATE customers SET email = 'moved' WHERE id IN (3, 4, 5)`);
  await bench.admin.query(`UPDATE customers SET status = 'gone' WHERE id = 3`);
  await bench.admin.query(`DELETE FROM customers WHERE id = 4`);
  const answer = await bench.plan(inverse);
  assert(answer.kind === 'refused' && answer.code === 'rollback-conflict', JSON.stringify(answer));
  assert.deepEqual(answer.conflicts, [
    {
      resource: 'public.customers',
      key: ['3'],
      problem: 'row-changed',
      columns: [{ column: 'status', before: 'active', expected: 'active', found: 'gone' }],
    },
    { resource: 'public.customers', key: ['4'], problem: 'row-missing', columns: [] },
  ]);
  assert.deepEqual(await bench.rows('SELECT email FROM customers WHERE id = 5'), ['moved']);
});

test('the digest of the effects is that of the forms of the rows, as the specification has them', async () => {
  const odd = String.raw`E'é\t\\\n' || id`;
  const plan = await bench.planned(`UPDATE customers SET email = ${odd} WHERE id > 10`);
  assert(plan.effects.length > 1);
  const digests = plan.effects.map(({ resource, kind, ...images }) => {
    const columns = Object.keys(images.before ?? {}).toSorted();
    const making = canonicalJson([resource, kind, columns, ['id']]);
    const values = [images.before, images.after].flatMap((image) =>
      columns.map((name) => image?.[name] ?? null),
    );
    const fields = values.map((value) =>
      value === null
        ? String.raw`\N`
        : value.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n'),
    );
    return hash('sha256', [hash('sha256', making, 'base64'), ...fields].join('\t'), 'hex');
  });
  const sorted = Buffer.from(digests.toSorted().join(''), 'hex');
  assert.equal(plan.effectsDigest, `sha256:${hash('sha256', sorted, 'hex')}`);
});

test('47,000 rows are counted and digested exactly, and ten thousand images are kept', async () => {
  const statement = `UPDATE big SET email = 'all@example.com'`;
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  const plan = await bench.planned(statement);
  const heapMb = (process.memoryUsage().heapUsed - heapBefore) / 2 ** 20;
  assert.equal(plan.headline, '47,000 updates in public.big');
  assert.deepEqual([plan.effects.length, plan.effectsOmitted], [10_000, 37_000]);
  assert.equal(plan.reversibility.kind, 'one-way');
  assert.equal(plan.resourceSize, 47_000);
  assert(heapMb < 256, `${heapMb} MB`);
  await bench.admin.query(`UPDATE big SET name = 'Moved' WHERE id = 46999`);
  const moved = await bench.planned(statement);
  assert.notEqual(moved.effectsDigest, plan.effectsDigest);
});

test('random updates are taken back to the letter', async () => {
  const amount = fc.integer({ min: -50_000, max: 50_000 }).map((each) => (each / 100).toFixed(2));
  await fc.assert(
    fc.asyncProperty(amount, fc.string(), fc.integer({ min: 1, max: 9 }), async (by, email, id) => {
      const text = email.replaceAll('\0', '').toWellFormed();
      const was = await bench.rows('SELECT orders::text FROM orders ORDER BY id');
      const inverse = await bench.done(
        'UPDATE orders SET total = total + $1::numeric, currency = $2 WHERE id % 10 = $3::int',
        [by, text, id],
      );
      const answer = await bench.plan(inverse);
      assert(answer.kind === 'planned', JSON.stringify(answer));
      assert.equal((await bench.apply(inverse, answer.plan)).kind, 'applied');
      assert.deepEqual(await bench.rows('SELECT orders::text FROM orders ORDER BY id'), was);
    }),
    { numRuns: 12 },
  );
});
