// A gateway is killed with SIGKILL between any two steps, and inside the target's commit; after a
// restart every proposal has ended rightly or waits for a person, and a retry has one effect.
import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { isTerminal, STATES } from '../src/model/lifecycle.ts';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { openCommitProxy } from './support/commit-proxy.ts';
import type { Order } from './support/crash-child.ts';

const CHILD = fileURLToPath(new URL('./support/crash-child.ts', import.meta.url));

const STEPS: Readonly<Record<Order['scenario'], readonly string[]>> = {
  autonomous: [
    'before plan 1',
    'after plan 1',
    'before commit 1',
    'after commit 1',
    'before apply 1',
    'after apply 1',
    'before commit 2',
    'after commit 2',
  ],
  held: [
    'before hold 1',
    'after hold 1',
    'before commit 1',
    'after commit 1',
    'before keep 1',
    'after keep 1',
    'before commit 2',
    'after commit 2',
  ],
  approved: [
    'after commit 1',
    'before commit 2',
    'after commit 2',
    'after apply 1',
    'after commit 3',
  ],
  rollback: ['after plan 2', 'after commit 3', 'after apply 2', 'after commit 4'],
  // Commit 1 has the first intent, 2 that of the second step, 3 the outcome.
  chain: [
    'after plan 2',
    'after commit 1',
    'before apply 1',
    'after apply 1',
    'before commit 2',
    'after commit 2',
    'before apply 2',
    'after apply 2',
    'before commit 3',
    'after commit 3',
  ],
  // As before up to the second step, which refuses; commit 3 says that the first is taken back.
  back: [
    'after apply 1',
    'after commit 2',
    'after apply 2',
    'before commit 3',
    'after commit 3',
    'after plan 3',
    'before apply 3',
    'after apply 3',
    'before commit 4',
    'after commit 4',
  ],
};

let postgres: Postgres;
let database: Client;
let books: Client;
let folder: string;

before(async () => {
  postgres = await startPostgres();
  await postgres.createDatabase('shop');
  await postgres.createDatabase('books');
  database = new Client({ connectionString: postgres.url('shop') });
  await database.connect();
  await database.query('CREATE TABLE counters (id integer PRIMARY KEY, value integer NOT NULL)');
  books = new Client({ connectionString: postgres.url('books') });
  await books.connect();
  await books.query('CREATE TABLE postings (id integer PRIMARY KEY)');
  folder = await mkdtemp(join(tmpdir(), 'writegate-crash-'));
});

after(async () => {
  await database?.end();
  await books?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Report {
  readonly recovered: readonly string[];
  readonly ended: string;
  readonly states: readonly string[];
}

function start(order: Order): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [CHILD, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Waits for the child's end; null where it died by SIGKILL. */
async function endOf(child: ChildProcessByStdio<null, Readable, Readable>): Promise<Report | null> {
  let output = '';
  let complaint = '';
  child.stdout.on('data', (bytes) => (output += String(bytes)));
  child.stderr.on('data', (bytes) => (complaint += String(bytes)));
  await once(child, 'close');
  if (child.signalCode === 'SIGKILL') return null;
  assert.equal(child.exitCode, 0, complaint);
  return JSON.parse(output) as Report;
}

async function value(): Promise<number> {
  const { rows } = await database.query<{ value: number }>(
    'SELECT value FROM counters WHERE id = 1',
  );
  return Number(rows[0]?.value);
}

let round = 0;

/** A row with 0 in it, and a store of its own. */
async function freshOrder(scenario: Order['scenario'], killAt: string | null): Promise<Order> {
  round += 1;
  await database.query('DELETE FROM counters');
  await database.query('INSERT INTO counters VALUES (1, 0)');
  await books.query('DELETE FROM postings');
  return {
    storePath: join(folder, `store-${round}.sqlite`),
    databaseUrl: postgres.url('shop'),
    booksUrl: postgres.url('books'),
    statement: 'UPDATE counters SET value = value + 1 WHERE id = 1',
    scenario,
    killAt,
    recover: false,
  };
}

function assertSettled(states: readonly string[]): void {
  for (const text of states) {
    const state = STATES.find((each) => each === text);
    assert.ok(state !== undefined && (isTerminal(state) || state === 'waiting'), text);
  }
}

for (const scenario of ['autonomous', 'held', 'approved', 'rollback', 'chain', 'back'] as const) {
  describe(`G1, G3, L1: killed in the ${scenario} journey`, () => {
    for (const killAt of STEPS[scenario]) {
      test(`${killAt}: every proposal ends rightly, and the retry has one effect`, async () => {
        const order = await freshOrder(scenario, killAt);
        assert.equal(await endOf(start(order)), null, 'the step was reached');
        await assertRecovers(order);
      });
    }
  });
}

describe("G3, L1: killed while the target's commit is under way", () => {
  for (const lost of ['request', 'reply'] as const) {
    test(`the ${lost} of COMMIT is lost with the gateway: one effect after the restart`, async () => {
      const order = await freshOrder('autonomous', null);
      const proxied = new URL(order.databaseUrl);
      const gateways: ReturnType<typeof start>[] = [];
      const proxy = await openCommitProxy(postgres.port, lost, () => {
        for (const gateway of gateways) gateway.kill('SIGKILL');
      });
      proxied.port = String(proxy.port);
      const child = start({ ...order, databaseUrl: proxied.href });
      gateways.push(child);
      assert.equal(await endOf(child), null, 'the commit was reached');
      assert.equal(await settledValue(), lost === 'reply' ? 1 : 0);
      await assertRecovers(order);
      await proxy.close();
    });

    test(`the ${lost} of COMMIT is lost and the gateway lives: it finds out by itself`, async () => {
      const order = await freshOrder('autonomous', null);
      const proxied = new URL(order.databaseUrl);
      const cut = Promise.withResolvers<void>();
      const proxy = await openCommitProxy(postgres.port, lost, () => {
        cut.resolve();
        void database.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'writegate'`,
        );
      });
      proxied.port = String(proxy.port);
      const report = await endOf(start({ ...order, databaseUrl: proxied.href }));
      await cut.promise;
      assert.equal(report?.ended, 'applied');
      assert.equal(await value(), 1);
      await proxy.close();
    });
  }
});

/** The database's own view once no backend of the killed gateway is left. */
async function settledValue(): Promise<number> {
  const gone = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'writegate'";
  while ((await database.query(gone)).rows.length > 0) await setTimeout(20);
  return value();
}

async function assertRecovers(order: Order): Promise<void> {
  const report = await endOf(start({ ...order, killAt: null, recover: true }));
  assert.ok(report !== null);
  assertSettled(report.recovered);
  assertSettled(report.states);
  const { scenario } = order;
  assert.equal(report.ended, scenario === 'back' ? 'refused' : 'applied');
  assert.equal(await value(), scenario === 'rollback' || scenario === 'back' ? 0 : 1);
  const { rows } = await books.query('SELECT id FROM postings');
  assert.equal(rows.length, scenario === 'chain' ? 1 : 0);
}
