// `store migrate`: a running installation moves into PostgreSQL, and nothing of it is lost or forked.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, cp, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { run } from '../../src/cli/main.ts';
import { createClient, type Client, type Result } from '../../src/client/index.ts';
import type { ProposalPage } from '../../src/model/api.ts';
import { openGateway, type Gateway } from '../../src/main.ts';
import { openShop, SHOP_TARGET, type Shop } from '../support/shop.ts';
import { captureIo, jsonOf } from './fixture.ts';

const POLICY = `
version: 1
${SHOP_TARGET}people:
  olga: { roles: [operator, approver, policy] }
agents:
  bot: { permissions: [{ target: shop, class: [create, update], tier: autonomous }] }
  clerk: { permissions: [{ target: shop, tier: confirm }] }
rules: [{ id: all, effect: permit, match: { target: shop }, reason: a test }]
budgets: [{ name: day, per: agent, measure: writes, window: day, max: 5 }]
anomaly: { sensitivity: off }
routes: { people: { steps: [{ quorum: 1 }], expiresAfter: 1h } }
defaultRoute: people
`;
const OFF = 'writes: { enabled: false }\n';
const PASSWORD = 'hush';
const LAUNCHER = fileURLToPath(new URL('../../bin/writegate.mjs', import.meta.url));

let shop: Shop;
let home: string;
let gateway: Gateway | undefined;
const tokens = new Map<string, string>();

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'writegate-migrate-'));
  shop = await openShop({
    tables: `CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL, note text);
      INSERT INTO items SELECT id, 0 FROM generate_series(1, 5000) AS id;
      ANALYZE items;
      CREATE ROLE mover LOGIN SUPERUSER PASSWORD '${PASSWORD}'`,
    beside: ['store', 'taken', 'killed', 'begun'],
  });
  await put(POLICY);
});
after(async () => {
  await gateway?.close();
  await shop?.stop();
  await rm(home, { recursive: true, force: true });
});

function put(text: string): Promise<void> {
  return writeFile(join(home, 'writegate.yaml'), text);
}

function storeUrl(name = 'store'): string {
  return `postgres://mover:${PASSWORD}@127.0.0.1:${shop.postgres.port}/${name}`;
}

async function start(store?: string, dataFolder = data()): Promise<Gateway> {
  const urls = new Map(Object.entries(shop.variables));
  gateway = await openGateway({
    configPath: join(home, 'writegate.yaml'),
    dataFolder,
    port: 0,
    environment: (name) => urls.get(name),
    log: () => undefined,
    ...(store !== undefined && { store }),
  });
  return gateway;
}

async function stop(): Promise<void> {
  await gateway?.close();
  gateway = undefined;
}

async function writegate(...line: readonly string[]) {
  const env = {
    ...shop.variables,
    STORE_URL: storeUrl(),
    TAKEN: storeUrl('taken'),
    BEGUN: storeUrl('begun'),
  };
  const io = captureIo({ cwd: home, env });
  const code = await run(line, io);
  for (const text of [io.out(), io.err()]) assert(!text.includes(PASSWORD), text);
  return { code, out: io.out(), err: io.err() };
}

const MIGRATE = ['store', 'migrate', '--from', 'sqlite', '--store', '${env:STORE_URL}'];

function as(who: string): Client {
  return createClient({ url: gateway?.url ?? '', token: tokens.get(who) ?? '' });
}

function draft(statement: string) {
  return { target: 'shop', operation: 'sql', arguments: { statement } };
}

function update(id: number) {
  return draft(`UPDATE items SET n = n + 1 WHERE id = ${id}`);
}

function idOf({ proposalId }: Result): string {
  assert(proposalId !== null);
  return proposalId;
}

/** What people see of the installation. */
async function told(): Promise<unknown> {
  const olga = as('olga');
  const { items }: ProposalPage = await olga.list({ limit: 100 });
  return {
    views: await Promise.all(items.map(({ id }) => olga.view(id))),
    budgets: await olga.budgets(),
    freezes: await olga.freezes(),
    credentials: await olga.credentials(),
    policies: await olga.policies(),
    ledger: (await olga.gatewayStatus()).ledger,
  };
}

const kept: { waiting?: Result; large?: Result; upload?: string; told?: unknown } = {};

describe('before it is moved', () => {
  test('an installation has proposals that wait, budgets in use, evidence, uploads and stops', async () => {
    const { folder } = await start();
    tokens.set('olga', (await readFile(folder.operatorToken, 'utf8')).trim());
    for (const name of ['bot', 'clerk']) {
      tokens.set(name, (await as('olga').issueCredential({ kind: 'agent', name })).secret);
    }
    assert.equal((await as('bot').propose(update(1))).state, 'applied');
    kept.waiting = await as('clerk').propose(update(2));
    assert.equal(kept.waiting.state, 'waiting');
    kept.large = await as('bot').propose(draft("UPDATE items SET note = 'x' WHERE id > 1000"), {
      waitMs: 50_000,
    });
    assert.equal(kept.large.state, 'applied', kept.large.reason);
    kept.upload = (await as('bot').upload('id,n,note\n9001,1,a\n', { format: 'csv' })).id;
    await as('olga').stop({ kind: 'run', name: 'bad' }, 'enough');
    await gateway?.publish();
    await copyFile(join(folder.ledger, 'checkpoint'), join(home, 'checkpoint.before'));
  });

  test('it is not moved while the gateway runs, and goes on then', async () => {
    const running = await writegate(...MIGRATE);
    assert.equal(running.code, 1);
    assert.match(running.err, /^store-locked/);
    assert.equal((await as('bot').propose(update(3))).state, 'applied');
    // The switch in the file, made under the name that the gateway has.
    await put(OFF + POLICY);
    await gateway?.reload();
    kept.told = await told();
    await stop();
    const again = await start();
    await again.close();
    gateway = undefined;
  });

  test('a check says what would be moved, and where that cannot be', async () => {
    const { code, out, err } = await writegate(...MIGRATE, '--check', '--json');
    assert.equal(code, 0, out + err);
    const report = jsonOf(out);
    assert.equal(report['state'], 'ready');
    assert.equal(report['to'], `127.0.0.1:${shop.postgres.port}/store`);
    const { rows } = await admin('store', 'SELECT 1 FROM pg_namespace WHERE nspname ~ $1', [
      '^writegate',
    ]);
    assert.equal(rows.length, 0, 'nothing was made');
    await admin('taken', 'CREATE SCHEMA writegate_store');
    await admin('taken', 'CREATE TABLE writegate_store.entries AS SELECT 1 AS one');
    const taken = await writegate(
      'store',
      'migrate',
      '--from',
      'sqlite',
      '--store',
      '${env:TAKEN}',
      '--check',
    );
    assert.equal(taken.code, 1);
    assert.match(taken.err, /^store-unusable: .*has a log already/);
    const none = await writegate('store', 'migrate', '--from', 'sqlite', '--check');
    assert.match(none.err, /^configuration-invalid: expected a PostgreSQL to move the store to/);
    const wrong = await writegate('store', 'migrate', '--from', 'mysql');
    assert.equal(wrong.code, 64);
  });

  test('an installation that was not moved does not begin a second ledger beside its own', async () => {
    await assert.rejects(start(storeUrl()), { code: 'store-unusable', message: /store migrate/ });
  });
});

async function admin(name: string, text: string, values: readonly unknown[] = []) {
  const client = new pg.Client(shop.postgres.url(name));
  await client.connect();
  try {
    return await client.query(text, [...values]);
  } finally {
    await client.end();
  }
}

function data(...path: readonly string[]): string {
  return join(home, '.writegate', ...path);
}

describe('a move', () => {
  test('that was broken off keeps the old store shut, until it is gone on with or given up', async () => {
    const note = { state: 'moving', to: `127.0.0.1:${shop.postgres.port}/store`, at: 1 };
    await writeFile(data('store.move'), JSON.stringify(note), { mode: 0o600 });
    await assert.rejects(start(), { code: 'store-moved', message: /store migrate` again/ });
    const elsewhere = await writegate(
      'store',
      'migrate',
      '--from',
      'sqlite',
      '--store',
      '${env:TAKEN}',
    );
    assert.match(elsewhere.err, /^store-moved/);
    const given = await writegate(...MIGRATE, '--abandon');
    assert.equal(given.code, 0, given.err);
    await (await start()).close();
    gateway = undefined;
    await writeFile(data('store.move'), JSON.stringify(note), { mode: 0o600 });
  });

  test('is not given up while the server may still commit it, and is where another log is there', async () => {
    const begun = storeUrl('begun').replace(/.*@/, '');
    const note = { state: 'moving', to: begun, at: 1 };
    await rm(data('store.move'));
    await writeFile(data('store.move'), JSON.stringify(note), { mode: 0o600 });
    const line = ['store', 'migrate', '--from', 'sqlite', '--store', '${env:BEGUN}'];
    await admin('begun', 'CREATE SCHEMA writegate_store');
    await admin(
      'begun',
      'CREATE TABLE writegate_store.entries (tenant text, entry_index int, leaf_hash bytea)',
    );
    // As the server has it whose client was killed at the commit, and whose standby is away.
    const killed = new pg.Client(shop.postgres.url('begun'));
    await killed.connect();
    await killed.query('BEGIN');
    await killed.query('LOCK TABLE writegate_store.entries IN SHARE ROW EXCLUSIVE MODE');
    await killed.query("INSERT INTO writegate_store.entries VALUES ('default', 0, 'x')");
    const early = await writegate(...line, '--abandon');
    assert.match(early.err, /^store-locked: somebody is writing/);
    await assert.rejects(start(), { code: 'store-moved' });
    await killed.query('COMMIT');
    await killed.end();
    const check = await writegate(...line, '--check');
    assert.match(check.err, /^store-unusable: .*has a log already, and not\s+this one/s);
    const given = await writegate(...line, '--abandon');
    assert.equal(given.code, 0, given.err);
    await (await start()).close();
    gateway = undefined;
    const back = { ...note, to: `127.0.0.1:${shop.postgres.port}/store` };
    await writeFile(data('store.move'), JSON.stringify(back), { mode: 0o600 });
  });

  test('that cannot reach the new store leaves the old one as it is', async () => {
    await rm(data('store.move'));
    const io = captureIo({ cwd: home, env: { STORE_URL: 'postgres://u:x@127.0.0.1:1/none' } });
    assert.equal(await run(MIGRATE, io), 1);
    assert.match(io.err(), /^store-unreachable/);
    await (await start()).close();
    gateway = undefined;
  });

  test('whose process is killed, again and again, is gone on with by another', async () => {
    const folder = join(home, 'killed');
    await cp(data(), folder, { recursive: true });
    const line = [...MIGRATE, '--dir', folder, '--json'];
    for (const pauseMs of [0, 20, 60, 150, 300]) {
      const child = spawn(process.execPath, [LAUNCHER, ...line], {
        cwd: home,
        env: { ...process.env, STORE_URL: storeUrl('killed') },
        stdio: 'ignore',
      });
      const ended = once(child, 'exit');
      while (child.exitCode === null && !existsSync(join(folder, 'store.move'))) await pause(5);
      await pause(pauseMs);
      child.kill('SIGKILL');
      await ended;
      if (!existsSync(join(folder, 'store.sqlite'))) break;
      // Wherever it was, the old store stays shut: what the new one has is not known here.
      await assert.rejects(start(undefined, folder), { code: 'store-moved' });
    }
    const io = captureIo({ cwd: home, env: { ...shop.variables, STORE_URL: storeUrl('killed') } });
    const code = await run(line, io);
    assert(code === 0 || jsonOf(io.out())['code'] === 'store-moved', io.out());
    await start(storeUrl('killed'), folder);
    assert.deepEqual(sizeless(await told()), sizeless(kept.told));
    await stop();
  });

  test('takes everything along, and says so', async () => {
    const { code, out, err } = await writegate(...MIGRATE);
    assert.equal(code, 0, out + err);
    assert.match(out, /^moved\n/);
    assert.match(out, /1 file of evidence, 1 upload/);
    assert.match(out, /\d records folded from their entries again/);
    assert((await readdir(data())).includes('store.sqlite.moved'));
    await assert.rejects(start(), {
      code: 'store-moved',
      message: new RegExp(`was moved to 127.0.0.1:${shop.postgres.port}/store`),
    });
    const again = await writegate(...MIGRATE);
    assert.match(again.err, /^store-moved/);
    const doctor = await writegate('doctor', '--json');
    assert.match((jsonOf(doctor.out)['store'] as { problem: string }).problem, /was moved/);
  });

  test('leaves an installation that says the same, and goes on', async () => {
    await start(storeUrl());
    const now = await told();
    assert.deepEqual(sizeless(now), sizeless(kept.told));
    // The stop of its file is still its own to lift.
    await put(POLICY);
    await gateway?.reload();
    await gateway?.reload();
    const waiting = kept.waiting ?? assert.fail();
    const approved = await as('olga').approve(idOf(waiting), {
      verdict: 'approve',
      planDigest: waiting.planDigest ?? '',
    });
    assert.equal(approved.state, 'applied', approved.reason);
    const again = await as('bot').propose(update(1));
    assert.equal(again.replayed, true, 'keys are kept');
    // Three of five were spent before.
    assert.equal((await as('bot').propose(update(4))).state, 'applied');
    assert.equal((await as('bot').propose(update(5))).state, 'applied');
    assert.equal((await as('bot').propose(update(6))).code, 'budget-exceeded');
    const back = await as('olga').rollback(idOf(kept.large ?? assert.fail()));
    assert.equal((await as('olga').wait(idOf(back))).state, 'applied');
    const { rows } = await shop.database.query('SELECT 1 FROM items WHERE note IS NOT NULL');
    assert.equal(rows.length, 0, 'from the evidence that was moved');
    const imported = await as('clerk').preview({
      target: 'shop',
      operation: 'import',
      arguments: { table: 'items', upload: kept.upload ?? '', format: 'csv' },
    });
    assert.equal(imported.code, 'upload-unknown', 'still its owner’s alone');
  });

  test('leaves one ledger: it verifies against a checkpoint of before', async () => {
    await gateway?.publish();
    const verified = await writegate(
      'ledger',
      'verify',
      '--against',
      'checkpoint.before',
      '--json',
    );
    assert.equal(verified.code, 0, verified.out);
    assert.deepEqual(jsonOf(verified.out)['findings'], []);
  });

  test('whose last step was lost is found to be whole, though gateways ran on it since', async () => {
    await stop();
    await rename(data('store.sqlite.moved'), data('store.sqlite'));
    const note = { state: 'moving', to: `127.0.0.1:${shop.postgres.port}/store`, at: 1 };
    await writeFile(data('store.move'), JSON.stringify(note), { mode: 0o600 });
    const abandoned = await writegate(...MIGRATE, '--abandon');
    assert.match(
      abandoned.err,
      /^store-unusable: .*has all of it already; run\s+`writegate store migrate` again/s,
    );
    const { code, out, err } = await writegate(...MIGRATE, '--json');
    assert.equal(code, 0, out + err);
    await start(storeUrl());
    assert.equal((await as('clerk').propose(update(7))).state, 'waiting');
  });
});

/** The ledger has grown by what was done to compare. */
function sizeless(value: unknown): unknown {
  const { ledger, ...rest } = value as { ledger: { vkey: string } };
  return { ...rest, vkey: ledger.vkey };
}
