// Stops, the switch in the file and budgets, attacked over HTTP on a running gateway.
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient, type Client, type Result } from '../src/client/index.ts';
import { GatewayProblem } from '../src/client/problem.ts';
import { folderReader } from '../src/ledger/folder.ts';
import { verifyLedger } from '../src/ledger/verify.ts';
import { openGateway, type Gateway } from '../src/main.ts';
import { openShop, SHOP_TARGET, type Shop } from './support/shop.ts';

const POLICY = `
version: 1
tenant: acme
${SHOP_TARGET}people:
  olga: { roles: [operator] }
  omar: { roles: [operator] }
agents:
  one: { permissions: [{ target: shop, tier: autonomous }] }
  two: { permissions: [{ target: shop, tier: autonomous }] }
  three: { permissions: [{ target: shop, tier: autonomous }] }
rules: [{ id: all, effect: permit, match: { target: shop }, reason: a test }]
stop: { release: { quorum: 2 } }
`;
const BUDGET = 'budgets: [{ name: day, per: tenant, measure: writes, window: day, max: 10 }]\n';
const OFF = 'writes: { enabled: false }\n';
const AGENTS = ['one', 'two', 'three'];
const POLLS_MAX = 600;

let shop: Shop;
let folder: string;
let gateway: Gateway;
const tokens = new Map<string, string>();

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writegate-stops-'));
  await chmod(folder, 0o700);
  shop = await openShop({
    tables: `CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL);
      INSERT INTO items SELECT id, 0 FROM generate_series(1, 500) AS id;
      ANALYZE items`,
  });
  await write(POLICY);
  await start();
  const operator = (await readFile(gateway.folder.operatorToken, 'utf8')).trim();
  tokens.set('olga', operator);
  const olga = caller('olga');
  for (const name of AGENTS) {
    tokens.set(name, (await olga.issueCredential({ kind: 'agent', name })).secret);
  }
  tokens.set('omar', (await olga.issueCredential({ kind: 'person', name: 'omar' })).secret);
});

after(async () => {
  await gateway?.close();
  await shop?.stop();
  await rm(folder, { recursive: true, force: true });
});

function write(text: string): Promise<void> {
  return writeFile(join(folder, 'writegate.yaml'), text);
}

async function start(): Promise<void> {
  const urls = new Map(Object.entries(shop.variables));
  gateway = await openGateway({
    configPath: join(folder, 'writegate.yaml'),
    dataFolder: folder,
    port: 0,
    environment: (name) => urls.get(name),
    log: () => undefined,
  });
}

async function restart(): Promise<void> {
  await gateway.close();
  await start();
}

function caller(name: string): Client {
  return createClient({ url: gateway.url, token: tokens.get(name) ?? '' });
}

/** Each row is written to once, so that `changed` counts the effects. */
function draft(id: number, run?: string) {
  const statement = `UPDATE items SET n = n + 1 WHERE id = ${id}`;
  const common = { target: 'shop', operation: 'sql', arguments: { statement } };
  return run === undefined ? common : { ...common, run };
}

async function changed(): Promise<number> {
  const { rows } = await shop.database.query<{ sum: string }>('SELECT sum(n) FROM items');
  return Number(rows[0]?.sum);
}

/** Many at once, each with a connection of its own, by all agents and in as many runs. */
function burst(from: number, count: number): Promise<Result[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const client = caller(AGENTS[n % AGENTS.length] ?? '');
      const result = await client.propose(draft(from + n, `run-${n}`));
      return result.state === 'executing' || result.state === 'in_doubt'
        ? client.wait(result.proposalId ?? '')
        : result;
    }),
  );
}

test('of many writes over HTTP none begins after a stop, and the ledger says so', async () => {
  const first = burst(1, 30);
  await pause(50);
  const second = burst(31, 30);
  const freeze = await caller('olga').stop({ kind: 'all' }, 'enough');
  const results = [...(await first), ...(await second)];
  const applied = results.filter(({ state }) => state === 'applied').length;
  assert.equal(await changed(), applied);
  assert.equal((await caller('one').propose(draft(90))).code, 'frozen');
  assert.ok(results.some(({ code }) => code === 'frozen'));
  const open = await caller('olga').release(freeze.id, 'over');
  assert.deepEqual([open.releasedAt, open.release.missing], [null, 1]);
  await assert.rejects(
    caller('olga').release(freeze.id, 'over'),
    (error) => error instanceof GatewayProblem && error.code === 'release-spoken',
  );
  assert.equal((await caller('one').propose(draft(91))).code, 'frozen');
  assert.ok((await caller('omar').release(freeze.id, 'over')).releasedAt);
  assert.equal((await caller('one').propose(draft(92))).state, 'applied');
  await gateway.publish();
  const report = await verifyLedger({
    reader: folderReader(gateway.folder.ledger),
    vkey: gateway.vkey,
    against: [],
    payloads: true,
  });
  assert.deepEqual(report.findings, []);
});

test('the switch in a broken file stops a running gateway by itself, and a start with it is stopped', async () => {
  const effects = await changed();
  await write(`${OFF}no-such-key: 1\nlimits: [\n`);
  let polls = 0;
  for (; polls < POLLS_MAX && !gateway.isStoppedByFile(); polls += 1) await pause(50);
  assert.ok(gateway.isStoppedByFile());
  assert.equal((await caller('one').propose(draft(100))).code, 'frozen');
  const question = { target: 'shop', arguments: { statement: 'SELECT n FROM items WHERE id = 1' } };
  assert.equal((await caller('one').read(question)).state, 'read', 'reads go on');
  await write(`${OFF}${POLICY}`);
  await restart();
  assert.ok(gateway.isStoppedByFile());
  assert.equal((await caller('one').propose(draft(101))).code, 'frozen');
  const { items: stops } = await caller('olga').freezes();
  const freeze = stops.find(({ releasedAt }) => releasedAt === null);
  assert.deepEqual([freeze?.source, freeze?.scope.kind], ['file', 'tenant']);
  const id = freeze?.id ?? '';
  await assert.rejects(
    caller('olga').release(id, 'over'),
    (error) => error instanceof GatewayProblem && error.code === 'state-conflict',
  );
  await write(POLICY);
  for (let look = 0; look < 2; look += 1) await gateway.reload();
  assert.ok(!gateway.isStoppedByFile());
  assert.equal((await caller('one').propose(draft(102))).code, 'frozen', 'the file is one voice');
  assert.ok((await caller('omar').release(id, 'over')).releasedAt);
  assert.equal(await changed(), effects);
  assert.equal((await caller('one').propose(draft(103))).state, 'applied');
});

test('64 connections, three agents, as many runs and a restart do not pass a budget of the tenant', async () => {
  await write(`${POLICY}${BUDGET}`);
  await gateway.reload();
  const effects = await changed();
  const results = await burst(200, 64);
  assert.equal(results.filter(({ state }) => state === 'applied').length, 10);
  assert.ok(results.every(({ state, code }) => state === 'applied' || code === 'budget-exceeded'));
  await restart();
  const again = await burst(300, 12);
  assert.deepEqual(new Set(again.map(({ code }) => code)), new Set(['budget-exceeded']));
  for (const { next, retryAfterMs } of again) {
    assert.equal(next, 'wait');
    assert.ok(retryAfterMs !== null && retryAfterMs > 0 && retryAfterMs <= 86_400_000);
  }
  const keyed = { ...draft(200), idempotencyKey: 'a-new-one' };
  assert.notEqual((await caller('two').propose(keyed)).state, 'applied');
  assert.equal(await changed(), effects + 10);
  const { items } = await caller('olga').budgets();
  assert.deepEqual(
    items.map(({ budget, scope, spent, inFlight, left }) => [budget, scope, spent, inFlight, left]),
    [['day', 'tenant', 10, 0, 0]],
  );
  assert.deepEqual((await caller('one').budgets()).items, [], 'an agent sees its own alone');
});
