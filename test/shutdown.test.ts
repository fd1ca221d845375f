// A gateway that ends while a write of it is under way, over a real store and target: another finishes it.
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient, type Client } from '../src/client/index.ts';
import { openGateway, type Gateway } from '../src/main.ts';
import { LEASE_MS } from '../src/model/lease.ts';
import { openShop, type Shop } from './support/shop.ts';

const POLICY = `
version: 1
tenant: acme
targets:
  shop:
    kind: postgres
    url: \${env:URL}
    reader: \${env:READER}
    lockTimeoutMs: 50000
    statementTimeoutMs: 60000
people: { olga: { roles: [operator, approver] } }
agents: { clerk: { permissions: [{ target: shop, tier: confirm }] } }
rules: [{ id: all, effect: permit, match: { target: shop }, reason: a test }]
anomaly: { sensitivity: off }
routes: { people: { steps: [{ quorum: 1 }], expiresAfter: 1h } }
defaultRoute: people
`;

let home: string;
let shop: Shop;
const running: Gateway[] = [];

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'writegate-shutdown-'));
  // A lock is waited for as long as the test takes.
  shop = await openShop({
    tables: `CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL);
      INSERT INTO items VALUES (1, 0)`,
    beside: ['store'],
    settings: { deadlock_timeout: '60s' },
  });
  await writeFile(join(home, 'writegate.yaml'), POLICY);
});
after(async () => {
  for (const each of running) await each.close();
  await shop?.stop();
  await rm(home, { recursive: true, force: true });
});

async function start(name: string): Promise<Gateway> {
  const urls = new Map(Object.entries({ ...shop.variables, STORE: shop.postgres.url('store') }));
  const started = await openGateway({
    configPath: join(home, 'writegate.yaml'),
    dataFolder: join(home, name),
    store: '${env:STORE}',
    port: 0,
    environment: (variable) => urls.get(variable),
    log: () => undefined,
    finishMs: 200,
  });
  running.push(started);
  return started;
}

/** Resolves once so many attempts of a proposal were begun. */
async function attempted(client: Client, id: string, times: number): Promise<void> {
  for (;;) {
    const { history, state } = await client.view(id);
    assert(['waiting', 'executing', 'in_doubt'].includes(state), state);
    if (history.filter(({ type }) => type === 'intent').length >= times) return;
    await pause(20);
  }
}

test('what it could not finish another takes up before the lease would have run out', async () => {
  const one = await start('one');
  await mkdir(join(home, 'two'), { mode: 0o700 });
  for (const file of ['ledger.key', 'evidence.key']) {
    await copyFile(join(home, 'one', file), join(home, 'two', file));
  }
  const two = await start('two');
  const token = (await readFile(one.folder.operatorToken, 'utf8')).trim();
  const olga = createClient({ url: one.url, token });
  const { secret } = await olga.issueCredential({ kind: 'agent', name: 'clerk' });
  const statement = 'UPDATE items SET n = n + 1 WHERE id = 1';
  const draft = { target: 'shop', operation: 'sql', arguments: { statement } };
  const { proposalId, planDigest } = await createClient({ url: one.url, token: secret }).propose(
    draft,
  );
  const id = proposalId ?? '';

  await shop.database.query('BEGIN');
  await shop.database.query('SELECT FROM items FOR UPDATE');
  const beganAt = Date.now();
  // Its caller is cut off: the SDK makes no second approval of it.
  const approved = olga
    .approve(id, { planDigest: planDigest ?? '', verdict: 'approve' })
    .catch(() => undefined);
  const beside = createClient({ url: two.url, token });
  await attempted(beside, id, 1);
  const closed = one.close();
  await attempted(beside, id, 2);
  const tookMs = Date.now() - beganAt;
  assert(tookMs < LEASE_MS, `${tookMs} ms`);
  // Both are at it now; the target takes one.
  await shop.database.query('ROLLBACK');
  await Promise.all([closed, approved]);
  assert.equal((await beside.wait(id)).state, 'applied');
  const { rows } = await shop.database.query('SELECT n FROM items');
  assert.deepEqual(rows, [{ n: 1 }]);
});
