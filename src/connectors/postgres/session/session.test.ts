import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { Secret } from '../../../lib/secret.ts';
import type { JsonObject } from '../../../lib/json.ts';
import { Problem } from '../../../model/problem.ts';
import { Refused } from '../../connector.ts';
import { openReceipts } from './receipts.ts';
import { asRefusal } from './refusals.ts';
import { openSessions, type Session, type Sessions, type Urls } from './session.ts';
import { parsePostgresSettings, type PostgresSettings } from '../settings.ts';

let server: Postgres;
let admin: pg.Client;

before(async () => {
  server = await startPostgres();
  admin = new pg.Client(server.url());
  await admin.connect();
});
after(async () => {
  await admin.end();
  await server.stop();
});

interface Opened {
  readonly settings: PostgresSettings;
  readonly sessions: Sessions;
}

/** Opens sessions as the superuser or a role, runs `work`, closes them. */
async function opened(
  given: JsonObject & { readonly as?: string },
  work: (opened: Opened) => Promise<void>,
  urls: Urls = {},
): Promise<void> {
  const { as, ...rest } = given;
  const url = as === undefined ? server.url() : urlOf(as);
  const settings = parsePostgresSettings('sessions', { url, ...rest });
  const sessions = openSessions(new Secret(url), settings, urls);
  try {
    await work({ settings, sessions });
  } finally {
    await sessions.close();
  }
}

function urlOf(name: string): string {
  return server.url().replace(/\/\/[^@]+@/, `//${name}:${name}@`);
}

async function role(name: string, ...settings: readonly string[]): Promise<string> {
  await admin.query(`CREATE ROLE ${name} LOGIN PASSWORD '${name}'`);
  for (const each of settings) await admin.query(`ALTER ROLE ${name} SET ${each}`);
  return name;
}

const signal = (): AbortSignal => AbortSignal.timeout(20_000);

async function shown(sessions: Sessions, name: string): Promise<unknown> {
  return sessions.write(signal(), async ({ client }) => {
    const { rows } = await client.query<{ value: string }>('SELECT current_setting($1) AS value', [
      name,
    ]);
    return rows[0]?.value;
  });
}

test('defaults of the role turn nothing that a statement hangs on', async () => {
  const as = await role(
    'poisoned',
    "search_path = 'elsewhere'",
    'standard_conforming_strings = off',
    "TimeZone = 'Asia/Tokyo'",
    "DateStyle = 'German'",
    'default_transaction_read_only = on',
    "default_transaction_isolation = 'serializable'",
    'statement_timeout = 0',
    'lock_timeout = 0',
    'extra_float_digits = -3',
    "bytea_output = 'escape'",
    'synchronous_commit = off',
  );
  await opened({ as, lockTimeoutMs: 250 }, async ({ sessions }) => {
    assert.equal(await shown(sessions, 'search_path'), 'pg_catalog,"public",pg_temp');
    assert.equal(await shown(sessions, 'synchronous_commit'), 'on');
    assert.equal(await shown(sessions, 'lock_timeout'), '250ms');
    assert.equal(await shown(sessions, 'TimeZone'), 'UTC');
    assert.equal(await shown(sessions, 'default_transaction_read_only'), 'off');
  });
});

test('what blinds the counters or the triggers is found when a connection opens', async () => {
  for (const setting of ['session_replication_role = replica', 'track_counts = off']) {
    const as = await role(`blind_${setting.slice(0, 5)}`, setting);
    await opened({ as }, async ({ sessions }) => {
      await assert.rejects(
        shown(sessions, 'TimeZone'),
        (error) => error instanceof Problem && error.code === 'target-misconfigured',
      );
    });
  }
});

test('a read ends where nobody waits for it any more, also after a reset; a write is never given up', async () => {
  const interval = (session: Session): Promise<unknown> =>
    session.client
      .query<{ value: string }>(
        `SELECT current_setting('client_connection_check_interval') AS value`,
      )
      .then(({ rows }) => rows[0]?.value);
  const reader = new Secret(urlOf(await role('hanging')));
  await opened(
    {},
    async ({ sessions }) => {
      const found: unknown[] = [];
      for (let turn = 0; turn < 2; turn += 1) {
        await sessions.write(
          signal(),
          async (session) => {
            await session.reset();
            found.push(await interval(session));
          },
          'reader',
        );
      }
      assert.deepEqual(found, ['1s', '1s']);
      assert.equal(await sessions.write(signal(), interval), '0');
    },
    { reader },
  );
});

test('a temporary table stands for none of the governed ones', async () => {
  await admin.query('CREATE TABLE shadowed (n int)');
  await opened({}, async ({ sessions }) => {
    await sessions.write(signal(), async ({ client }) => {
      await client.query('CREATE TEMPORARY TABLE shadowed (n int)');
      const { rows } = await client.query<{ schema: string }>(
        `SELECT relnamespace::regnamespace::text AS schema FROM pg_class WHERE oid = to_regclass('shadowed')`,
      );
      assert.equal(rows[0]?.schema, 'public');
    });
  });
});

test('a statement that the driver gave up on took too long; the database is not unreachable', async () => {
  const client = new pg.Client({ connectionString: server.url(), query_timeout: 20 });
  await client.connect();
  const error = await client.query('SELECT pg_sleep(0.2)').catch((each: unknown) => each);
  const answer = asRefusal(error);
  assert.deepEqual([answer.code, answer.permanent], ['statement-timeout', false]);
  await client.end();
});

test('a lock time-out that is not below the deadlock time-out is refused', async () => {
  await opened({ lockTimeoutMs: 1_000 }, async ({ sessions }) => {
    await assert.rejects(shown(sessions, 'TimeZone'), /`lockTimeoutMs` is 1000 .* 1000 ms/);
  });
});

test('settings of the operator are in every session, and a reset keeps them', async () => {
  const session = { 'app.tenant': 'north \\ west', 'app.empty': '' };
  await opened({ session }, async ({ sessions }) => {
    for (let turn = 0; turn < 2; turn += 1) {
      await sessions.write(signal(), async (each) => {
        await each.reset();
        const { rows } = await each.client.query<{ tenant: string }>(
          `SELECT current_setting('app.tenant') AS tenant`,
        );
        assert.equal(rows[0]?.tenant, 'north \\ west');
        await each.client.query(`SET app.tenant = 'south'`);
      });
    }
  });
});

test('a session is reset unless nothing but the server’s own code ran', async () => {
  await opened({}, async ({ sessions }) => {
    const first = await sessions.lend(signal());
    assert.equal(first.session.isFresh, true);
    first.session.trust();
    await first.done();
    const second = await sessions.lend(signal());
    assert.equal(second.session.isFresh, true);
    await second.session.client.query(`SET statement_timeout = 0; SET TimeZone = 'Asia/Tokyo'`);
    await second.done();
    const third = await sessions.lend(signal());
    assert.equal(third.session.isFresh, false);
    await third.session.reset();
    const { rows } = await third.session.client.query(
      `SELECT current_setting('TimeZone') AS zone, current_setting('statement_timeout') AS timeout,
        current_setting('transaction_timeout', true) AS whole`,
    );
    const whole = third.session.version >= 170_000 ? '13s' : null;
    assert.deepEqual(rows, [{ zone: 'UTC', timeout: '5s', whole }]);
    await third.done();
    await third.done();
  });
});

test('a refused footprint closes the connection, and with it what outlives a rollback', async () => {
  await opened({}, async ({ sessions }) => {
    let pid = 0;
    const run = sessions.write(signal(), async ({ client }) => {
      const { rows } = await client.query<{ pid: number }>(
        'SELECT pg_backend_pid() AS pid, pg_advisory_lock(4711)',
      );
      pid = rows[0]?.pid ?? 0;
      await client.query('BEGIN');
      throw new Refused('effect-unmeasurable', 'a lock of its own');
    });
    await assert.rejects(run, Refused);
    const { rows } = await admin.query(`SELECT pid FROM pg_locks WHERE locktype = 'advisory'`);
    assert.deepEqual(rows, []);
    await sessions.write(signal(), async ({ client }) => {
      const found = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      assert.notEqual(found.rows[0]?.pid, pid);
    });
  });
});

test('an abort cancels what runs and closes the connection', async () => {
  await opened({}, async ({ sessions }) => {
    const controller = new AbortController();
    const lent = await sessions.lend(controller.signal);
    const running = lent.session.client.query('SELECT pg_sleep(30)');
    const ended = assert.rejects(running, (error) => error instanceof pg.DatabaseError);
    controller.abort();
    await ended;
    await lent.done(new Error('given up'));
  });
});

test('a further role has a pool of its own, and its reads cannot write', async () => {
  const name = await role('reading');
  await opened(
    { limits: { readTimeoutMs: 700 } },
    async ({ sessions }) => {
      assert.equal(sessions.has('reader'), true);
      assert.equal(sessions.has('undo'), false);
      const lent = await sessions.lend(signal(), 'reader');
      const { rows } = await lent.session.client.query(
        `SELECT current_user AS name, current_setting('transaction_read_only') AS read,
          current_setting('statement_timeout') AS timeout`,
      );
      assert.deepEqual(rows, [{ name: 'reading', read: 'on', timeout: '700ms' }]);
      await lent.done();
      await assert.rejects(sessions.lend(signal(), 'undo'), /no role `undo`/);
    },
    { reader: new Secret(urlOf(name)) },
  );
});

test('an older receipt table gets the column that it lacks', async () => {
  await admin.query(`CREATE SCHEMA older; CREATE TABLE older.receipts (key text PRIMARY KEY,
    state text NOT NULL, plan_digest text, reference text NOT NULL DEFAULT pg_current_xact_id()::text,
    effects text, at timestamptz NOT NULL DEFAULT now())`);
  const as = await role('mending');
  const missing = /ADD COLUMN IF NOT EXISTS evidence/;
  await admin.query(`GRANT USAGE ON SCHEMA older TO mending;
    GRANT SELECT, INSERT, UPDATE ON older.receipts TO mending`);
  await opened({ as, receipts: 'older' }, async ({ sessions, settings }) => {
    await assert.rejects(openReceipts(sessions, settings).prepare(), missing);
  });
  await opened({ receipts: 'older' }, async ({ sessions, settings }) => {
    await openReceipts(sessions, settings).prepare();
  });
  await opened({ as, receipts: 'older' }, async ({ sessions, settings }) => {
    await openReceipts(sessions, settings).prepare();
  });
});

test('without a receipt table the transaction’s own id tells, and what is not sure is not fenced', async () => {
  await admin.query('CREATE TABLE plain (n int)');
  await opened({ receipts: null }, async ({ sessions, settings }) => {
    const receipts = openReceipts(sessions, settings);
    await receipts.prepare();
    const key = 'prop_00000000000000000000000001' as Parameters<typeof receipts.settle>[0];
    const attempt = async (end: 'COMMIT' | 'ROLLBACK'): Promise<string> =>
      sessions.write(signal(), async (session) => {
        await session.client.query('BEGIN');
        const reference = await receipts.write(session, key, null);
        await session.client.query('INSERT INTO plain VALUES (1)');
        assert.equal((await receipts.settle(key, true, [reference])).kind, 'unknown');
        await session.client.query(end);
        return reference;
      });
    const committed = await attempt('COMMIT');
    const aborted = await attempt('ROLLBACK');
    const settle = receipts.settle;
    assert.deepEqual(await settle(key, true, [aborted, committed]), {
      kind: 'applied',
      reference: committed,
      effects: null,
      evidence: null,
    });
    assert.deepEqual(await settle(key, true, [aborted]), { kind: 'absent', fenced: true });
    assert.deepEqual(await settle(key, false, [aborted]), { kind: 'absent', fenced: false });
    assert.deepEqual(await settle(key, true, []), { kind: 'absent', fenced: false });
    assert.equal((await settle(key, true, [aborted, '9999999999'])).kind, 'unknown');
    assert.equal((await settle(key, true, ['nonsense'])).kind, 'unknown');
  });
});

test('an abort cancels what runs for a further role, too', async () => {
  const as = await role('patient');
  await opened(
    { statementTimeoutMs: 60_000 },
    async ({ sessions }) => {
      const given = new AbortController();
      const lent = await sessions.lend(given.signal, 'reader');
      const asleep = lent.session.client.query('SELECT pg_sleep(60)');
      given.abort();
      await assert.rejects(asleep, /canceling statement due to user request/);
      await lent.done();
    },
    { reader: new Secret(urlOf(as)) },
  );
});
