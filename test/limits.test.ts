// Limits on the measured effect, attacked by an agent on a real database through the gate.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { openPostgresTarget } from '../src/connectors/postgres.ts';
import type { JsonObject } from '../src/lib/json.ts';
import type { Draft } from '../src/model/draft.ts';
import type { Result } from '../src/model/result.ts';
import { agent, human, idOf, testGate, type TestGate } from './support/gate.ts';
import { openTargetBench, type TargetBench } from './support/postgres-target.ts';

const SCHEMA = `
CREATE TABLE customers (id int PRIMARY KEY, name text, tier text DEFAULT 'basic');
CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers ON DELETE CASCADE ON UPDATE CASCADE,
  total numeric(12,2) NOT NULL DEFAULT 0, fee numeric(12,2) NOT NULL DEFAULT 0);
CREATE TABLE payments (id int PRIMARY KEY, amount numeric, currency text, pence int NOT NULL DEFAULT 0);
CREATE TABLE outbox (id serial PRIMARY KEY, email text, copy_to text);
CREATE TABLE notes (id int PRIMARY KEY, body text);
CREATE TABLE shipments (id int PRIMARY KEY, order_id int);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO outbox (email) VALUES (NEW.id || '@x.example'); RETURN NULL; END$$;
CREATE TRIGGER tell AFTER INSERT ON shipments FOR EACH ROW EXECUTE FUNCTION tell();
INSERT INTO customers SELECT i, 'c' || i FROM generate_series(1, 30) i;
INSERT INTO orders SELECT i, (i + 1) / 2, 100, 1 FROM generate_series(1, 60) i;
INSERT INTO payments SELECT i, 100, 'GBP', 100 FROM generate_series(1, 20) i;
INSERT INTO notes SELECT i, '' FROM generate_series(1, 20) i;
`;

const SETTINGS: JsonObject = {
  value: [
    { table: 'orders', column: 'total', currency: 'GBP' },
    { table: 'orders', column: 'fee', currency: 'GBP' },
    { table: 'payments', column: 'amount', currencyColumn: 'currency' },
    { table: 'payments', column: 'pence', currency: 'GBP', unit: 'minor' },
    { operation: 'insert', argument: '/rows/*/total', currency: 'GBP' },
  ],
  recipients: [
    { table: 'outbox', column: 'email' },
    { table: 'outbox', column: 'copy_to' },
  ],
};

/** `bot` writes on its own, `clerk` with a person's yes; `limits` are the lines of that section. */
function policyWith(limits: string): string {
  return `
version: 1
tenant: acme
environment: test
targets: { bench: { kind: postgres, url: '\${env:NONE}' } }
people: { owner: { roles: [approver, operator] }, ann: { roles: [approver] } }
agents:
  bot:
    permissions:
      - { target: bench, tier: autonomous }
      - { target: bench, resource: public.customers, class: delete, tier: confirm }
  clerk: { permissions: [{ target: bench, tier: confirm }] }
rules: [{ id: all, effect: permit, match: { target: bench }, reason: a test }]
limits:
${limits}
`;
}

const bot = agent('bot');
const clerk = agent('clerk');
const ann = human('ann');

let server: Postgres;
let bench: TargetBench;
before(async () => {
  server = await startPostgres();
  bench = await openTargetBench(server, SCHEMA, SETTINGS);
});
after(async () => {
  await bench.close();
  await server.stop();
});

const TABLES = ['customers', 'orders', 'payments', 'outbox', 'notes', 'shipments'];

/** Every row of every table. */
async function snapshot(): Promise<readonly string[]> {
  const parts = TABLES.map((name) => `SELECT '${name}' || t::text FROM ${name} t`);
  return bench.rows(`${parts.join(' UNION ALL ')} ORDER BY 1`);
}

function gated(limits: string): Promise<TestGate> {
  return testGate({ policy: policyWith(limits), others: [bench.target] });
}

function draft(operation: string, args: JsonObject): Draft {
  const none = { reason: undefined, idempotencyKey: undefined, run: undefined };
  return { target: 'bench', operation, arguments: args, ...none, compensates: undefined };
}

const sql = (statement: string, ...parameters: readonly (string | number)[]): Draft =>
  draft('sql', { statement, parameters });

/** Proposed by `bot` under these limits: refused with this figure, and nothing is changed. */
async function refused(limits: string, asked: Draft, figure: RegExp): Promise<Result> {
  const { gate } = await gated(limits);
  const unchanged = await snapshot();
  const result = await gate.propose(bot, asked);
  assert.equal(result.state, 'denied', `${JSON.stringify(asked.arguments)}: ${result.reason}`);
  assert.match(` ${result.reason} `, figure);
  assert.deepEqual(await snapshot(), unchanged);
  return result;
}

/** The same under a limit that it is within: measured, and taken back again. */
async function within(limits: string, asked: Draft): Promise<void> {
  const { gate } = await gated(limits);
  const result = await gate.preview(bot, asked, new AbortController().signal);
  const limited = ['limit-exceeded', 'value-unmeasured', 'effect-incomplete'].includes(result.code);
  assert.ok(!limited, `${JSON.stringify(asked.arguments)}: ${result.reason}`);
}

describe('a limit on records', () => {
  const at = (max: number): string => `  - { name: rows, recordsMax: ${max} }`;

  const TEN: readonly (readonly [what: string, Draft])[] = [
    ['an UPDATE', sql(`UPDATE notes SET body = 'x' WHERE id <= 10`)],
    [
      'an UPDATE through a join',
      sql(`UPDATE notes SET body = c.name FROM customers c WHERE c.id = notes.id AND c.id <= 10`),
    ],
    [
      'an INSERT from a query',
      sql(`INSERT INTO notes SELECT id + 100, name FROM customers WHERE id <= 10`),
    ],
    [
      'an upsert',
      sql(
        `INSERT INTO notes SELECT id + 15, name FROM customers WHERE id <= 10 ON CONFLICT (id) DO UPDATE SET body = excluded.body`,
      ),
    ],
    [
      'a MERGE',
      sql(
        `MERGE INTO notes USING customers c ON notes.id = c.id + 14 AND c.id <= 10 WHEN MATCHED THEN UPDATE SET body = 'm' WHEN NOT MATCHED AND c.id <= 10 THEN INSERT VALUES (c.id + 14, 'm')`,
      ),
    ],
    [
      'writes in WITH',
      sql(
        `WITH a AS (UPDATE notes SET body = 'w' WHERE id <= 5 RETURNING id) UPDATE customers SET tier = 'w' WHERE id <= 5`,
      ),
    ],
    ['a trigger', sql(`INSERT INTO shipments SELECT i, i FROM generate_series(1, 5) i`)],
    ['a cascade of a key', sql(`UPDATE customers SET id = 100 WHERE id = 1`)],
    ['a cascade of a DELETE', sql(`DELETE FROM customers WHERE id = 1`)],
    [
      'a structured write',
      draft('update', { table: 'notes', set: { body: 'x' }, filter: { id: { lte: 10 } } }),
    ],
  ];
  for (const [what, asked] of TEN) {
    const records = what.startsWith('a cascade') ? 3 : 10;
    test(`holds ${what} to it: at the bound, and one over`, async () => {
      await within(at(records), asked);
      const figure = new RegExp(`\\D${records} records?.* at most ${records - 1}\\D`);
      const { code } = await refused(at(records - 1), asked, figure);
      assert.equal(code, 'limit-exceeded');
    });
  }

  test('is of each resource, of what comes along for each direct record, and of bytes', async () => {
    const cascade = sql(`UPDATE customers SET id = 100 WHERE id = 1`);
    await within('  - { name: one, recordsPerResourceMax: 2, amplificationMax: 2 }', cascade);
    const one = '  - { name: one, recordsPerResourceMax: 1 }';
    await refused(one, cascade, /2 records in `public\.orders`, at most 1/);
    const spread = '  - { name: spread, amplificationMax: 1.5 }';
    await refused(spread, cascade, /2 indirect records for each direct one, at most 1\.5/);
    // `1` and nothing before, `1` and five characters after.
    const note = sql(`UPDATE notes SET body = 'héé' WHERE id = 1`);
    await within('  - { name: size, bytesMax: 7 }', note);
    await refused('  - { name: size, bytesMax: 6 }', note, /7 bytes, at most 6/);
  });
});

describe('a limit on value', () => {
  const at = (pounds: string): string => `  - { name: money, valueMax: { GBP: '${pounds}' } }`;

  /** What each comes to in pounds. */
  const WORTH: readonly (readonly [what: string, pounds: string, Draft])[] = [
    ['an amount', '50.00', sql(`UPDATE orders SET total = 150 WHERE id = 1`)],
    ['a negative amount', '150.00', sql(`UPDATE orders SET total = -50 WHERE id = 1`)],
    [
      'amounts that cancel out',
      '100.00',
      sql(`UPDATE orders SET total = CASE id WHEN 1 THEN 50 ELSE 150 END WHERE id IN (1, 2)`),
    ],
    ['another column', '49.00', sql(`UPDATE orders SET fee = 50 WHERE id = 1`)],
    [
      'money moved from one column to another',
      '198.00',
      sql(`UPDATE orders SET fee = total, total = fee WHERE id = 1`),
    ],
    ['minor units', '9.00', sql(`UPDATE payments SET pence = 1000 WHERE id = 1`)],
    ['a cascade', '202.00', sql(`DELETE FROM customers WHERE id = 1`)],
    [
      'a join',
      '6000.00',
      sql(`UPDATE orders o SET total = total + 100 FROM customers c WHERE c.id = o.customer_id`),
    ],
    [
      'a statement in WITH',
      '60.00',
      sql(
        `WITH a AS (UPDATE orders SET total = 160 WHERE id = 1 RETURNING id) UPDATE notes SET body = 'x' WHERE id = 1`,
      ),
    ],
    [
      'what the arguments state',
      '70.00',
      draft('insert', { table: 'orders', rows: [{ id: 100, total: 70 }] }),
    ],
    [
      'the arguments where less is written',
      '90.00',
      draft('insert', {
        table: 'orders',
        rows: [{ id: 1, total: '90' }],
        onConflict: { columns: ['id'], do: 'nothing' },
      }),
    ],
  ];
  for (const [what, pounds, asked] of WORTH) {
    test(`counts ${what}: at the bound, and a penny over`, async () => {
      await within(at(pounds), asked);
      const penny = (Number(pounds) - 0.01).toFixed(2);
      const grouped = pounds.replace(/^(\d)(\d{3})/, '$1,$2');
      const { code } = await refused(at(penny), asked, new RegExp(`GBP ${grouped}, at most`));
      assert.equal(code, 'limit-exceeded');
    });
  }

  test('denies what is not surely measured: another currency’s name, none, and no number', async () => {
    const unmeasured = /not all of the value could be measured/;
    for (const statement of [
      `UPDATE payments SET currency = 'gbp', amount = 1000000 WHERE id = 1`,
      `UPDATE payments SET currency = 'POUNDS', amount = 1000000 WHERE id = 1`,
      `UPDATE payments SET currency = NULL, amount = 1000000 WHERE id = 1`,
      `UPDATE payments SET amount = 'NaN' WHERE id = 1`,
      `UPDATE payments SET amount = 'Infinity' WHERE id = 1`,
    ]) {
      const { code } = await refused(at('9000000.00'), sql(statement), unmeasured);
      assert.equal(code, 'value-unmeasured');
    }
    const row = { id: 101, total: '1e6' };
    await refused(at('9000000.00'), draft('insert', { table: 'orders', rows: [row] }), unmeasured);
    const left = draft('insert', { table: 'orders', rows: [{ id: 101, fee: 5 }] });
    await refused(at('9000000.00'), left, unmeasured);
  });

  test('counts both amounts where the currency changes, and one that no line names waits', async () => {
    const moved = sql(`UPDATE payments SET currency = 'JPY', amount = 1 WHERE id = 1`);
    await refused(at('99.99'), moved, /GBP 100\.00, at most GBP 99\.99/);
    const { gate } = await gated(at('100.00'));
    const result = await gate.propose(bot, moved);
    assert.equal(result.state, 'waiting');
    assert.match(result.reason, /JPY 1 would move/);
  });
});

describe('a limit on recipients', () => {
  const at = (max: number): string => `  - { name: mail, recipientsMax: ${max} }`;
  const VALUES = `('a@x.example', NULL), ('b@x.example', 'a@x.example'), ('a@x.example', NULL)`;

  test('counts distinct ones in every mapped column, by trigger too: at the bound, and one over', async () => {
    const insert = sql(`INSERT INTO outbox (email, copy_to) VALUES ${VALUES}`);
    await within(at(3), insert);
    await refused(at(2), insert, /3 recipients, at most 2/);
    const trigger = sql(`INSERT INTO shipments SELECT i, i FROM generate_series(1, 4) i`);
    await within(at(4), trigger);
    await refused(at(3), trigger, /4 recipients, at most 3/);
  });

  test('counts who is taken out of a row beside who comes into it', async () => {
    await bench.admin.query(`INSERT INTO outbox VALUES (1000, 'old@x.example', NULL)`);
    const moved = sql(`UPDATE outbox SET email = 'new@x.example' WHERE id = 1000`);
    await within(at(2), moved);
    await refused(at(1), moved, /2 recipients, at most 1/);
    await bench.admin.query('DELETE FROM outbox');
  });

  test('denies a recipient that only the commit knows', async () => {
    const masked = sql(`INSERT INTO outbox (email) VALUES (gen_random_uuid()::text)`);
    const { code } = await refused(at(9), masked, /not all of the recipients could be measured/);
    assert.equal(code, 'effect-incomplete');
  });
});

describe('no approval', () => {
  test('lifts a limit: what is over it is denied and not put before people', async () => {
    const { gate } = await gated('  - { name: rows, recordsMax: 9 }');
    const unchanged = await snapshot();
    const result = await gate.propose(clerk, sql(`UPDATE notes SET body = 'y' WHERE id <= 10`));
    assert.equal(result.code, 'limit-exceeded');
    assert.equal((await gate.list(ann, { states: ['waiting'], limit: 9 })).items.length, 0);
    assert.deepEqual(await snapshot(), unchanged);
  });

  test('outlives a limit that was tightened meanwhile', async () => {
    const { gate, setPolicy } = await gated(`  - { name: money, valueMax: { GBP: '50.00' } }`);
    const waiting = await gate.propose(clerk, sql(`UPDATE orders SET total = 150 WHERE id = 1`));
    assert.equal(waiting.state, 'waiting');
    const unchanged = await snapshot();
    setPolicy(policyWith(`  - { name: money, valueMax: { GBP: '49.99' } }`));
    const body = { planDigest: waiting.planDigest ?? '', verdict: 'approve' } as const;
    const result = await gate.approve(ann, idOf(waiting.proposalId), body);
    assert.equal(result.code, 'limit-exceeded');
    assert.match(result.reason, /GBP 50\.00, at most GBP 49\.99/);
    assert.deepEqual(await snapshot(), unchanged);
  });
});

test('a target whose recipients name nothing does not open', async () => {
  const settings = {
    url: server.url('postgres'),
    acceptFindings: ['role-superuser'],
    recipients: [{ table: 'outbox', column: 'email' }],
  };
  await assert.rejects(
    openPostgresTarget('wrong', settings, () => undefined),
    { code: 'target-misconfigured', message: /`recipients` names the table `public\.outbox`/ },
  );
});

test('what is taken back is held to the value that it was let by with', async () => {
  const { gate, setPolicy, proposal } = await gated(
    `  - { name: money, valueMax: { GBP: '90.00' } }`,
  );
  const args = { table: 'orders', rows: [{ id: 200, total: '90', fee: '0' }] };
  const done = await gate.propose(bot, draft('insert', args));
  assert.equal(done.state, 'applied', done.reason);
  setPolicy(policyWith(`  - { name: money, valueMax: { GBP: '89.99' } }`));
  const back = await gate.rollback(human('owner', ['operator']), idOf(done.proposalId));
  assert.equal(back.code, 'limit-exceeded');
  const { assessment } = await proposal(back.proposalId);
  assert.deepEqual(assessment?.plan.value, [{ currency: 'GBP', amountMinor: '9000' }]);
});
