import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../test/support/postgres-target.ts';

const SCHEMA = `
CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL CHECK (balance >= 0), email text UNIQUE);
INSERT INTO accounts SELECT i, 100, 'private' || i || '@example.com' FROM generate_series(1, 10) i;
CREATE TABLE orders (id int PRIMARY KEY, account int NOT NULL REFERENCES accounts);
INSERT INTO orders VALUES (1, 1);
CREATE TABLE slow (id int PRIMARY KEY, n int);
INSERT INTO slow VALUES (1, 1);
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  PERFORM pg_sleep(30); RETURN NEW; END$$;
CREATE TRIGGER slow AFTER UPDATE ON slow FOR EACH ROW EXECUTE FUNCTION slow();
CREATE SCHEMA hidden;
CREATE TABLE hidden.log (n int);
`;

/** A table whose trigger does something that no counter may hide; the body is run for each update. */
function trap(name: string, body: string, options = ''): string {
  return `CREATE TABLE ${name} (id int PRIMARY KEY, n int); INSERT INTO ${name} VALUES (1, 1);
    CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql ${options} AS $f$BEGIN
      ${body}; RETURN NEW; END$f$;
    CREATE TRIGGER ${name} AFTER UPDATE ON ${name} FOR EACH ROW EXECUTE FUNCTION ${name}();`;
}

let server: Postgres;
let bench: TargetBench;

before(async () => {
  server = await startPostgres();
  bench = await openTargetBench(server, SCHEMA, { statementTimeoutMs: 700, lockTimeoutMs: 100 });
});
after(async () => {
  await bench.close();
  await server.stop();
});

const balances = (): Promise<readonly string[]> =>
  bench.rows('SELECT balance FROM accounts ORDER BY id');

test('a row that another session holds makes the target busy, for plan and apply', async () => {
  const asked = bench.ask('UPDATE accounts SET balance = 1 WHERE id = 1');
  const answer = await bench.plan(asked);
  assert(answer.kind === 'planned');
  await bench.admin.query('BEGIN; UPDATE accounts SET balance = 5 WHERE id = 1');
  try {
    const { code, permanent } = await bench.refused('DELETE FROM accounts WHERE id = 1');
    assert.deepEqual([code, permanent], ['target-busy', false]);
    const applied = await bench.apply(asked, answer.plan);
    assert(applied.kind === 'refused' && applied.code === 'target-busy', JSON.stringify(applied));
  } finally {
    await bench.admin.query('ROLLBACK');
  }
  const applied = await bench.apply(asked, answer.plan);
  assert.equal(applied.kind, 'applied', 'a busy target is no reason to refuse the next try');
  await bench.admin.query('UPDATE accounts SET balance = 100');
});

test('a statement that takes too long is cut off', async () => {
  const { code } = await bench.refused('UPDATE slow SET n = 2');
  assert.equal(code, 'statement-timeout');
});

test('an abort cancels what runs, and the next call works', async () => {
  const controller = new AbortController();
  const running = bench.target.plan(bench.ask('UPDATE slow SET n = 2'), controller.signal);
  await waitForSleeper();
  controller.abort();
  const answer = await running;
  assert(answer.kind === 'refused' && answer.code === 'statement-timeout', JSON.stringify(answer));
  await bench.planned('UPDATE accounts SET balance = 1');
});

test('a server that ends the session in mid-plan makes the target unavailable', async () => {
  const running = bench.plan(bench.ask('UPDATE slow SET n = 2'));
  await waitForSleeper();
  await bench.admin.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE application_name = 'writegate' AND wait_event = 'PgSleep'`,
  );
  const answer = await running;
  assert(answer.kind === 'refused' && answer.code === 'target-unavailable', JSON.stringify(answer));
  assert.equal(answer.permanent, false);
  await bench.planned('UPDATE accounts SET balance = 1');
});

test('the loss of every idle connection is not noticed', async () => {
  await bench.planned('UPDATE accounts SET balance = 1');
  await bench.admin.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'writegate'`,
  );
  // The first call may still be handed a connection whose end has not arrived.
  await bench.plan(bench.ask('UPDATE accounts SET balance = 1'));
  await bench.planned('UPDATE accounts SET balance = 1');
});

test('rules of the database refuse for good, without the values of any row', async () => {
  const broken = [
    `UPDATE accounts SET balance = -1 WHERE id = 1`,
    `UPDATE accounts SET email = 'private2@example.com' WHERE id = 1`,
    `DELETE FROM accounts WHERE id = 1`,
    `INSERT INTO accounts VALUES (77, NULL)`,
  ];
  for (const statement of broken) {
    const { code, permanent, reason } = await bench.refused(statement);
    assert.deepEqual([code, permanent], ['constraint-violated', true], statement);
    assert(!reason.includes('private2'), reason);
  }
  const { code, reason } = await bench.refused(`DELETE FROM accounts WHERE email::int = 1`);
  assert.equal(code, 'statement-invalid');
  assert(!reason.includes('private'), reason);
});

test('a row too large to be looked at is refused before it fills the gateway', async () => {
  const patient = await openTargetBench(
    server,
    'CREATE TABLE wide (id int PRIMARY KEY, body text)',
    {
      statementTimeoutMs: 20_000,
    },
  );
  try {
    const { code } = await patient.refused(`INSERT INTO wide SELECT 1, repeat('x', 36000000)`);
    assert.equal(code, 'effect-unmeasurable');
    assert.deepEqual(await patient.rows('SELECT count(*) FROM wide'), ['0']);
  } finally {
    await patient.close();
  }
});

test('what the server does not know is refused as invalid', async () => {
  const { code, reason } = await bench.refused('UPDATE accounts SET nosuch = 1');
  assert.equal(code, 'statement-invalid');
  assert.match(reason, /nosuch/);
});

const TRAPS: readonly (readonly [name: string, schema: string, code: string])[] = [
  [
    'blinds',
    trap('blinds', 'UPDATE accounts SET balance = 0', 'SET track_counts = off'),
    'effect-unmeasurable',
  ],
  [
    'replica',
    trap('replica', 'DELETE FROM orders', 'SET session_replication_role = replica'),
    'effect-unmeasurable',
  ],
  ['truncates', trap('truncates', 'TRUNCATE orders'), 'effect-unmeasurable'],
  ['locks', trap('locks', 'PERFORM pg_advisory_lock(7)'), 'effect-unmeasurable'],
  ['creates', trap('creates', `CREATE TABLE public.made (n int)`), 'effect-unmeasurable'],
  ['grants', trap('grants', 'GRANT ALL ON accounts TO PUBLIC'), 'effect-unmeasurable'],
  ['escapes', trap('escapes', 'INSERT INTO hidden.log VALUES (1)'), 'statement-relation'],
  ['peeks', trap('peeks', 'PERFORM count(*) FROM hidden.log'), 'statement-relation'],
  [
    'forges',
    trap('forges', `INSERT INTO writegate.receipts (key, state) VALUES ('x', 'void')`),
    'effect-unmeasurable',
  ],
];

for (const [name, schema, code] of TRAPS) {
  test(`a trigger that ${name} is refused and leaves nothing, not even on the connection`, async () => {
    await bench.admin.query(schema);
    const was = await balances();
    const refusal = await bench.refused(`UPDATE ${name} SET n = 2 WHERE id = 1`);
    assert.equal(refusal.code, code, refusal.reason);
    assert.deepEqual(await balances(), was);
    assert.deepEqual(await bench.rows('SELECT count(*) FROM orders'), ['1']);
    assert.deepEqual(
      await bench.rows(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'`),
      ['0'],
    );
    await bench.admin.query(`DROP TABLE ${name} CASCADE; DROP FUNCTION ${name}`);
  });
}

test('a user-defined function or operator behind a built-in name refuses the statement', async () => {
  await bench.admin.query(`
    CREATE FUNCTION lower(int) RETURNS text LANGUAGE sql AS 'SELECT $1::text';
    CREATE FUNCTION wipe(accounts) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE DOMAIN account AS accounts;
    CREATE FUNCTION scan(account) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION spread(VARIADIC anyarray) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION eq(text, int) RETURNS bool LANGUAGE sql AS 'SELECT true';
    CREATE OPERATOR = (LEFTARG = text, RIGHTARG = int, FUNCTION = eq)`);
  const hidden = [
    'DELETE FROM accounts WHERE lower(id) IS NULL',
    'DELETE FROM accounts a WHERE a.wipe > 0',
    'DELETE FROM accounts a WHERE a.scan > 0',
    'DELETE FROM accounts a WHERE a.spread > 0',
    'DELETE FROM accounts WHERE email = 1',
  ];
  for (const statement of hidden) {
    assert.equal((await bench.refused(statement)).code, 'statement-function', statement);
  }
  await bench.admin
    .query(`DROP OPERATOR = (text, int); DROP FUNCTION eq; DROP FUNCTION wipe; DROP FUNCTION spread;
    DROP DOMAIN account CASCADE;
    DROP FUNCTION lower(int)`);
  await bench.planned('DELETE FROM accounts WHERE id = 10');
});

test('a function of the server itself is no column of a row', async () => {
  const called = ['pg_typeof', 'pg_column_size', 'record_out'];
  if (Number.parseInt(server.version, 10) >= 17) called.push('pg_column_toast_chunk_id');
  if (Number.parseInt(server.version, 10) >= 18) called.push('pg_restore_relation_stats');
  for (const name of called) {
    const statement = `UPDATE accounts a SET email = a.${name}::text WHERE id = 1`;
    assert.equal((await bench.refused(statement)).code, 'statement-function', statement);
  }
  await bench.admin.query('CREATE TABLE shifts (id int PRIMARY KEY, time_in int, cash_in int)');
  await bench.planned(
    'UPDATE shifts SET cash_in = 1 WHERE shifts.time_in = 1 AND shifts.cash_in > 1',
  );
  await bench.planned(
    'UPDATE accounts a SET balance = s.count FROM (SELECT count(*) FROM orders) s WHERE a.id = s.count',
  );
});

test('settings that a trigger turned for good are set back before the next write', async () => {
  const settings = [
    'search_path',
    'hidden',
    'default_transaction_read_only',
    'on',
    'role',
    'nobody',
  ];
  const body = [0, 2, 4].map(
    (at) => `PERFORM set_config('${settings[at]}', '${settings[at + 1]}', false)`,
  );
  await bench.admin.query(`CREATE ROLE nobody; ${trap('wanders', body.join('; '))}`);
  await bench.done('UPDATE wanders SET n = 2 WHERE id = 1');
  for (let write = 0; write < 3; write += 1) {
    await bench.done('UPDATE accounts SET balance = 100 WHERE id = 1');
    await bench.done('UPDATE wanders SET n = n + 1 WHERE id = 1');
  }
  await bench.admin.query('DROP TABLE wanders CASCADE; DROP FUNCTION wanders; DROP ROLE nobody');
});

test('nothing is carried out on a table that the proposer holds no permission on', async () => {
  await bench.admin
    .query(`CREATE TABLE secrets (id serial PRIMARY KEY, body text) PARTITION BY RANGE (id);
    CREATE TABLE secrets_1 PARTITION OF secrets FOR VALUES FROM (0) TO (100)`);
  const asked: string[] = [];
  const request = (statement: string, permitted: string) => ({
    ...bench.ask(statement),
    permits: (resource: string) => {
      asked.push(resource);
      return resource === permitted;
    },
  });
  const insert = `INSERT INTO secrets (body) VALUES ('x')`;
  for (const permitted of ['public.secrets_1', 'public.accounts']) {
    const answer = await bench.plan(request(insert, permitted));
    assert(answer.kind === 'refused', JSON.stringify(answer));
    assert.deepEqual([answer.code, answer.permanent], ['not-permitted', true]);
    assert.equal(
      answer.reason,
      'the agent holds no permission on `public.secrets`, so its rows are not shown; ' +
        'ask the operator for one',
    );
  }
  assert.deepEqual(asked, ['public.secrets', 'public.secrets']);
  assert.deepEqual(await bench.rows('SELECT is_called FROM secrets_id_seq'), ['false']);
  const onPart = 'DELETE FROM secrets_1';
  assert.equal((await bench.plan(request(onPart, 'public.secrets'))).kind, 'planned');
  assert.equal((await bench.plan(request(insert, 'public.secrets'))).kind, 'planned');
});

test('no message of the server quotes what a row holds', async () => {
  await bench.admin.query(`CREATE TABLE vault (id int PRIMARY KEY, v text);
    INSERT INTO vault VALUES (1, 'sk_live_abc123 x'); GRANT SELECT ON vault TO PUBLIC`);
  for (const condition of [
    `(v || ' y')::tsquery IS NULL`,
    `to_tsquery('simple', v) IS NULL`,
    `('''' || v)::tsvector IS NULL`,
    'to_ascii(v, v) IS NULL',
    'v::int IS NULL',
    `(v || '[')::jsonpath IS NULL`,
  ]) {
    const { reason } = await bench.refused(
      `UPDATE accounts SET balance = (SELECT count(*) FROM vault WHERE ${condition}) WHERE id = 1`,
    );
    assert.doesNotMatch(reason, /sk_live|abc123/, condition);
  }
});

test('a write does not read from a table that the proposer holds no permission on', async () => {
  await bench.admin.query(
    'CREATE TABLE hidden (id int PRIMARY KEY, body text); GRANT SELECT ON hidden TO PUBLIC; INSERT INTO hidden VALUES (77, $$x$$)',
  );
  for (const statement of [
    'UPDATE accounts SET balance = (SELECT length(max(body)) FROM hidden) WHERE id = 1',
    'DELETE FROM accounts USING hidden WHERE hidden.id = accounts.id',
    'INSERT INTO accounts (id, balance) SELECT 900 + id, 1 FROM hidden',
  ]) {
    const permits = (resource: string): boolean => resource === 'public.accounts';
    const answer = await bench.plan({ ...bench.ask(statement), permits });
    assert(answer.kind === 'refused', JSON.stringify(answer));
    assert.equal(answer.code, 'not-permitted', answer.reason);
    assert.match(answer.reason, /no permission on `public\.hidden`/);
    const both = (resource: string): boolean => permits(resource) || resource === 'public.hidden';
    const open = await bench.plan({ ...bench.ask(statement), permits: both });
    assert.equal(open.kind, 'planned', JSON.stringify(open));
  }
});

test('fifty writes of ten at a time apply once each', async () => {
  await bench.admin.query('UPDATE accounts SET balance = 0');
  const one = async (place: number): Promise<void> => {
    const statement = `UPDATE accounts SET balance = balance + 1 WHERE id = ${1 + (place % 10)}`;
    const asked = bench.ask(statement);
    for (let attempt = 0; attempt < 40; attempt += 1) {
      const answer = await bench.plan(asked);
      if (answer.kind === 'refused') {
        assert.equal(answer.code, 'target-busy', JSON.stringify(answer));
        continue;
      }
      const applied = await bench.apply(asked, answer.plan);
      if (applied.kind === 'applied') return;
      assert(applied.kind === 'drifted' || applied.code === 'target-busy', JSON.stringify(applied));
    }
    assert.fail('no end in forty tries');
  };
  await Promise.all(Array.from({ length: 50 }, (_, place) => one(place)));
  assert.deepEqual(new Set(await balances()), new Set(['5']));
});

/** Waits until a session of the target is inside `pg_sleep`. */
async function waitForSleeper(): Promise<void> {
  for (let look = 0; look < 2_000; look += 1) {
    const [count] = await bench.rows(
      `SELECT count(*) FROM pg_stat_activity
       WHERE application_name = 'writegate' AND wait_event = 'PgSleep'`,
    );
    if (count !== '0') return;
  }
  assert.fail('no session came to sleep');
}
