import { strict as assert } from 'node:assert';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { after, test } from 'node:test';
import { inspect } from 'node:util';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import { Problem } from '../model/problem.ts';
import type { Target } from '../model/ports.ts';
import { testConnector, type Break, type Stage } from './conformance.ts';
import { openPostgresTarget } from './postgres.ts';

let server: Promise<Postgres> | undefined;
const closers: (() => Promise<void> | void)[] = [];

after(async () => {
  for (const close of closers.toReversed()) await close();
});

function postgres(): Promise<Postgres> {
  server ??= startPostgres().then((started) => {
    closers.push(() => started.stop());
    return started;
  });
  return server;
}

const WRITE = `UPDATE accounts SET balance = balance + 10, note = $1 WHERE balance < 300`;

async function openStage(name: string): Promise<Stage> {
  const started = await postgres();
  await started.createDatabase(name);
  const admin = new pg.Client(started.url(name));
  await admin.connect();
  await admin.query(`CREATE TABLE accounts (
    id int PRIMARY KEY, owner text NOT NULL, balance numeric(12,2) NOT NULL, note text,
    doubled numeric GENERATED ALWAYS AS (balance * 2) STORED, tags text[], at timestamptz)`);
  const proxy = await startProxy(started.port);
  const url = new URL(started.url(name));
  const secrets = [url.password];
  url.port = String(proxy.port);
  const target = await openPostgresTarget(
    'bank',
    { url: url.href, acceptFindings: ['role-superuser'] },
    () => undefined,
  );
  closers.push(
    () => admin.end(),
    () => proxy.close(),
    () => target.close(),
  );
  return {
    target,
    write: { operation: 'sql', arguments: { statement: WRITE, parameters: ['raised'] } },
    records: 2,
    refused: [
      {},
      { statement: 1 },
      { statement: 'DELETE FROM accounts', hint: 'x' },
      { statement: 'DROP TABLE accounts' },
      { statement: WRITE },
      { statement: WRITE, parameters: ['a', 'b'] },
      { statement: WRITE, parameters: ['a\0b'] },
      { statement: `DELETE FROM accounts WHERE owner = '${'x'.repeat(70_000)}'` },
    ],
    reset: async () => {
      await admin.query(`TRUNCATE accounts; INSERT INTO accounts (id, owner, balance, note, tags, at)
        SELECT i, 'owner ' || i, i * 100, NULL, ARRAY['a"b', NULL], '2020-01-01' FROM generate_series(1, 5) i`);
    },
    state: async () => {
      const { rows } = await admin.query('SELECT accounts::text FROM accounts ORDER BY id');
      return JSON.stringify(rows);
    },
    drift: async () => {
      await admin.query('UPDATE accounts SET balance = balance + 1 WHERE id = 2');
    },
    interfere: async () => {
      await admin.query(`UPDATE accounts SET note = 'mine' WHERE id = 1`);
    },
    break: (where) => proxy.breakNext(where),
    secrets,
  };
}

testConnector('postgres', () => openStage('stage'));

/** Of a row that two steps change, one that a step creates and a later one changes, and one that goes. */
testConnector('postgres in steps', async (): Promise<Stage> => {
  const stage = await openStage('steps');
  const sql = (statement: string, parameters: readonly string[] = []) => ({
    operation: 'sql',
    arguments: { statement, parameters },
    permits: () => true,
  });
  return {
    ...stage,
    steps: [
      sql(`INSERT INTO accounts (id, owner, balance, at) VALUES (9, 'new', 5, '2020-01-01')`),
      sql('UPDATE accounts SET balance = balance * 2 WHERE id IN (1, 9)'),
      sql('DELETE FROM accounts WHERE id = 5'),
      sql(WRITE, ['raised']),
    ],
    records: 1 + 2 + 1 + 3,
  };
});

test('settings that are wrong name the place, and never the credential', async () => {
  const url = 'postgres://writer:swordfish@127.0.0.1:1/none';
  const environment = (name: string): string | undefined => (name === 'DB' ? url : undefined);
  const wrong: [object, string][] = [
    [{ url, ulr: 1 }, '/ulr'],
    [{ url, schemas: 'public' }, '/schemas'],
    [{ url, schemas: ['writegate'] }, '/schemas'],
    [{ url, value: [{ table: 't', column: 'c' }] }, '/value/0'],
    [{ url, value: [{ table: 't', column: 'c', currency: 'pounds' }] }, '/value/0/currency'],
    [{ url: '${env:OTHER}' }, '/url'],
    [{ url: '${file:/nowhere/at/all}' }, '/url'],
    [{ url: 'mysql://x' }, '/url'],
    [{}, '/url'],
  ];
  for (const [settings, at] of wrong) {
    await assert.rejects(
      openPostgresTarget('t', { ...settings }, environment),
      (error) => {
        assert(error instanceof Problem);
        assert.deepEqual([error.code, error.at], ['configuration-invalid', at]);
        assert(!inspect(error, { depth: 9 }).includes('swordfish'));
        return true;
      },
      JSON.stringify(settings),
    );
  }
});

test('a database that is down refuses every call, without its credential', async () => {
  const environment = (): string => 'postgres://writer:swordfish@127.0.0.1:1/none';
  const target = await openPostgresTarget('t', { url: '${env:DB}' }, environment);
  closers.push(() => target.close());
  const answers = await askEverything(target);
  assert.deepEqual(
    answers.map((answer) => ('code' in answer ? [answer.code, answer.permanent] : answer.kind)),
    [['target-unavailable', false], ['target-unavailable', false], 'unknown'],
  );
  assert(!JSON.stringify(answers).includes('swordfish'));
  assert(!inspect(target, { depth: 9, showHidden: true }).includes('swordfish'));
});

test('a role that may not make the receipt table gets the SQL for its owner', async () => {
  const started = await postgres();
  await started.createDatabase('narrow');
  const admin = new pg.Client(started.url('narrow'));
  await admin.connect();
  await admin.query(`CREATE ROLE narrow LOGIN PASSWORD 'narrow'`);
  await admin.end();
  const url = new URL(started.url('narrow'));
  url.username = 'narrow';
  url.password = 'narrow';
  await assert.rejects(
    openPostgresTarget('t', { url: url.href }, () => undefined),
    (error) => {
      assert(error instanceof Problem && error.code === 'target-misconfigured');
      assert.match(error.message, /CREATE SCHEMA .* CREATE TABLE .* GRANT/);
      return true;
    },
  );
});

async function askEverything(target: Target) {
  const request = {
    proposalId: 'prop_00000000000000000000000001' as never,
    operation: 'sql',
    arguments: { statement: 'DELETE FROM accounts' },
    permits: () => true,
    compensated: null,
  };
  const signal = AbortSignal.timeout(30_000);
  const key = request.proposalId;
  return [
    await target.plan(request, signal),
    await target.apply({ ...request, key, planDigest: 'sha256:', digest: () => 'sha256:' }, signal),
    await target.probe({ key, fence: true }, signal),
  ];
}

interface Proxy {
  readonly port: number;
  breakNext(where: Break): void;
  close(): void;
}

/** A wire between connector and server that breaks where it is told, once. */
async function startProxy(port: number): Promise<Proxy> {
  let next: Break | null = null;
  const proxy: Server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    let isDeaf = false;
    const end = (): void => {
      client.destroy();
      upstream.destroy();
    };
    client.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      const isCommit = text.includes('COMMIT');
      // The statement may be prepared by then; its parameter is sent each time.
      if (next === 'before-the-effect' && text.includes('raised')) {
        next = null;
        return end();
      }
      if (next === 'request-lost' && isCommit) {
        next = null;
        return end();
      }
      if (next === 'reply-lost' && isCommit) {
        next = null;
        isDeaf = true;
      }
      upstream.write(chunk);
      return undefined;
    });
    upstream.on('data', (chunk) => (isDeaf ? end() : client.write(chunk)));
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  // A listening TCP server has a port.
  const address = proxy.address() as AddressInfo;
  return {
    port: address.port,
    breakNext: (where) => (next = where),
    close: () => proxy.close(),
  };
}
