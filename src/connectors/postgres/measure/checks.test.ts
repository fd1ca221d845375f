import { strict as assert } from 'node:assert';
import { after, before, describe, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';
import { planDigest, type CheckResult, type Plan } from '../../../model/plan.ts';
import type { HoldRequest, PlanRequest } from '../../../model/ports.ts';

const SCHEMA = `
CREATE TABLE accounts(id int PRIMARY KEY, owner text, balance numeric NOT NULL);
INSERT INTO accounts VALUES (1, 'a', 100), (2, 'b', 100), (3, 'c', 100);
CREATE TABLE logged(id int PRIMARY KEY, balance numeric NOT NULL);
INSERT INTO logged VALUES (1, 100), (2, 100);
CREATE TABLE log(at int GENERATED ALWAYS AS IDENTITY, id int);
CREATE FUNCTION log_it() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log(id) VALUES (NEW.id); RETURN NEW; END$$;
CREATE TRIGGER log_it AFTER UPDATE ON logged FOR EACH ROW EXECUTE FUNCTION log_it();
CREATE FUNCTION meddle() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN DELETE FROM accounts; PERFORM set_config('app.x', 'y', false); RETURN true; END$$;
CREATE VIEW meddling AS SELECT meddle() AS fine;
CREATE VIEW slow AS SELECT pg_sleep(5) IS NOT NULL AS fine;
`;

const TOTAL = 'SELECT sum(balance) = 300 FROM accounts';
const MOVE = `UPDATE accounts SET balance = balance - 10 WHERE id = 1`;

let server: Postgres;
let bench: TargetBench;

before(async () => {
  server = await startPostgres();
  bench = await openTargetBench(server, SCHEMA);
});
after(async () => {
  await bench.close();
  await server.stop();
});

function asked(statement: string, ...queries: readonly string[]): PlanRequest {
  const checks = queries.map((query, at) => ({ name: `q${at}`, query }));
  return { ...bench.ask(statement), checks };
}

async function planned(request: PlanRequest): Promise<Plan> {
  const answer = await bench.plan(request);
  assert(answer.kind === 'planned', JSON.stringify(answer));
  return answer.plan;
}

async function said(query: string, statement = MOVE): Promise<CheckResult> {
  const { checks } = await planned(asked(statement, query));
  assert(checks?.length === 1 && checks[0] !== undefined);
  return checks[0];
}

describe('a check', () => {
  test('sees the database as the write leaves it, in either lane', async () => {
    for (const [statement, table] of [
      [MOVE, 'accounts'],
      [`UPDATE logged SET balance = 90 WHERE id = 1`, 'logged'],
    ] as const) {
      const left = `SELECT balance = 90 FROM ${table} WHERE id = 1`;
      assert.deepEqual(await said(left, statement), { name: 'q0', holds: true, message: null });
      const found = `SELECT balance = 100 FROM ${table} WHERE id = 1`;
      assert.deepEqual(await said(found, statement), { name: 'q0', holds: false, message: null });
    }
    assert.equal(
      (await said('SELECT count(*) = 1 FROM log', 'UPDATE logged SET balance = 1 WHERE id = 1'))
        .holds,
      true,
    );
    assert.deepEqual(await bench.rows('SELECT count(*) FROM log'), ['0']);
  });

  test('may say in a second column why it does not hold', async () => {
    const query = `SELECT sum(balance) = 300, 'the total is ' || sum(balance) FROM accounts;`;
    assert.deepEqual(await said(query), { name: 'q0', holds: false, message: 'the total is 290' });
    const { message } = await said(`SELECT false, E'a\\u202e\\x1b[31m' || repeat('b', 1000)`);
    assert.match(message ?? '', /^a  \[31mb+…$/);
    assert.equal(message?.length, 301);
  });

  test('does not hold where it answers anything but one true', async () => {
    const cases: Readonly<Record<string, RegExp>> = {
      'SELECT true FROM accounts WHERE false': /answered no row/,
      'SELECT true FROM accounts': /answered several rows/,
      'SELECT null::boolean': /answered null, not true/,
      'SELECT 1': /must answer one boolean/,
      "SELECT 'true'": /must answer one boolean/,
      "SELECT true, 'a', 'b'": /must answer one boolean/,
      'SELECT true, 1': /must answer one boolean/,
      'SELECT 1 / (balance - balance) > 0 FROM accounts WHERE id = 1': /SQLSTATE 22012/,
      'SELECT missing FROM accounts': /SQLSTATE 42703/,
      'SELECT fine FROM slow': /took longer than it may/,
      'SELECT fine FROM meddling': /tried to write/,
    };
    for (const [query, why] of Object.entries(cases)) {
      const { holds, message } = await said(query);
      assert.equal(holds, false, query);
      assert.match(message ?? '', why, query);
    }
    assert.deepEqual(await bench.rows('SELECT count(*) FROM accounts'), ['3']);
  });

  test('is one SELECT that says the same each time, and nothing else', async () => {
    const cases: Readonly<Record<string, RegExp>> = {
      'DELETE FROM accounts': /refused: found delete statement/,
      'SELECT true; SELECT true': /refused: 2 statements/,
      'WITH gone AS (DELETE FROM accounts RETURNING true) SELECT true': /refused/,
      'SELECT true FROM accounts FOR UPDATE': /refused/,
      'SELECT pg_sleep(9) IS NULL': /refused/,
      'SELECT meddle()': /refused/,
      'SELECT true INTO stolen': /refused/,
      'SELECT random() < 2': /calls `random`/,
      'SELECT count(*) > 0 FROM accounts TABLESAMPLE bernoulli (50)': /takes a random sample/,
      'SELECT $1': /has parameters/,
      'SELECT true) AS x; DELETE FROM accounts; --': /refused/,
      'SELECT true FROM pg_catalog.pg_authid': /refused/,
    };
    for (const [query, why] of Object.entries(cases)) {
      const { holds, message } = await said(query);
      assert.equal(holds, false, query);
      assert.match(message ?? '', why, query);
    }
    assert.deepEqual(await bench.rows('SELECT count(*) FROM accounts'), ['3']);
  });

  test('changes nothing of what is measured', async () => {
    for (const statement of [MOVE, 'UPDATE logged SET balance = 90 WHERE id = 1']) {
      const bare = await planned(bench.ask(statement));
      const { checks, ...rest } = await planned(
        asked(statement, TOTAL, 'SELECT fine FROM meddling'),
      );
      assert.equal(checks?.length, 2);
      assert.deepEqual(rest, bare);
      // And nothing of what comes next on the connection.
      assert.deepEqual(await planned(bench.ask(statement)), bare);
    }
  });

  test('is part of what is agreed to, and a plan without any has the digest that it had', async () => {
    const bare = await planned(bench.ask(MOVE));
    const digest = (plan: Plan) => planDigest('bench', 'sql', plan);
    const holding = await planned(asked(MOVE, 'SELECT true'));
    const failing = await planned(asked(MOVE, 'SELECT false'));
    assert.equal(digest({ ...bare, checks: [] }), digest(bare));
    assert.equal(new Set([bare, holding, failing].map(digest)).size, 3);
  });
});

describe('a check at the commit', () => {
  test('that turned false is drift, and nothing is written', async () => {
    const request = asked(MOVE, `SELECT balance = 100 FROM accounts WHERE id = 2`);
    const shown = await planned(request);
    assert.equal(shown.checks?.[0]?.holds, true);
    await bench.admin.query('UPDATE accounts SET balance = 7 WHERE id = 2');
    const answer = await bench.apply(request, shown);
    assert(answer.kind === 'drifted', answer.kind);
    assert.equal(answer.plan.checks?.[0]?.holds, false);
    assert.deepEqual(await bench.rows('SELECT balance FROM accounts WHERE id = 1'), ['100']);
    await bench.admin.query('UPDATE accounts SET balance = 100 WHERE id = 2');
    assert.equal((await bench.apply(request, shown)).kind, 'applied');
    assert.deepEqual(await bench.rows('SELECT balance FROM accounts WHERE id = 1'), ['90']);
  });

  test('does not see what others have not committed', async () => {
    await bench.admin.query('BEGIN; UPDATE accounts SET balance = 0 WHERE id = 2');
    try {
      const { holds } = await said('SELECT balance = 100 FROM accounts WHERE id = 2');
      assert.equal(holds, true);
    } finally {
      await bench.admin.query('ROLLBACK');
    }
  });

  test('is asked in the transaction that is held and kept', async () => {
    const request: HoldRequest = {
      ...asked(
        'UPDATE accounts SET balance = 80 WHERE id = 1',
        'SELECT balance = 80 FROM accounts WHERE id = 1',
      ),
      key: bench.ask('').proposalId,
    };
    const held = await bench.target.hold?.(request, AbortSignal.timeout(60_000));
    assert(held?.kind === 'held', JSON.stringify(held));
    assert.equal(held.plan.checks?.[0]?.holds, true);
    assert.equal((await held.commit()).kind, 'applied');
    assert.deepEqual(await bench.rows('SELECT balance FROM accounts WHERE id = 1'), ['80']);
    assert.equal(
      (await bench.target.probe({ key: request.key, fence: false }, AbortSignal.timeout(60_000)))
        .kind,
      'applied',
    );
  });

  test('is asked of a compensation too', async () => {
    const back = await bench.done('UPDATE accounts SET balance = 5 WHERE id = 3');
    const request = {
      ...back,
      checks: [{ name: 'back', query: 'SELECT balance = 100 FROM accounts WHERE id = 3' }],
    };
    assert.deepEqual((await planned(request)).checks, [
      { name: 'back', holds: true, message: null },
    ]);
  });
});
