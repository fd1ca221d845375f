// Two gateways over one PostgreSQL store, end to end over HTTP: what one does binds the other.
import assert from 'node:assert/strict';
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createClient, type Client, type Result } from '../src/client/index.ts';
import { folderReader } from '../src/ledger/folder.ts';
import { verifyLedger } from '../src/ledger/verify.ts';
import { openGateway, type Gateway } from '../src/main.ts';
import { examineStore } from '../src/main/store-report.ts';
import { openShop, SHOP_TARGET, type Shop } from './support/shop.ts';

const POLICY = `
version: 1
tenant: acme
${SHOP_TARGET}people:
  olga: { roles: [operator, approver, policy] }
  omar: { roles: [operator] }
agents:
  bot: { permissions: [{ target: shop, class: [create, update], tier: autonomous }] }
  clerk: { permissions: [{ target: shop, tier: confirm }] }
rules: [{ id: all, effect: permit, match: { target: shop }, reason: a test }]
budgets: [{ name: minute, match: { agent: clerk }, per: agent, measure: writes, window: day, max: 3 }]
anomaly: { sensitivity: off }
routes: { people: { steps: [{ quorum: 1 }], expiresAfter: 1h } }
defaultRoute: people
`;
const OFF = 'writes: { enabled: false }\n';

let shop: Shop;
let home: string;
const running = new Map<string, Gateway>();
const tokens = new Map<string, string>();
const logged: string[] = [];

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'writegate-several-'));
  shop = await openShop({
    tables: `CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL, note text);
      INSERT INTO items SELECT id, 0 FROM generate_series(1, 5000) AS id;
      ANALYZE items`,
    beside: ['store'],
  });
});

after(async () => {
  for (const each of running.values()) await each.close();
  await shop?.stop();
  await rm(home, { recursive: true, force: true });
});

/** The file and the data folder of a gateway are its own. */
function place(name: string): { readonly configPath: string; readonly dataFolder: string } {
  return { configPath: join(home, `${name}.yaml`), dataFolder: join(home, name) };
}

function put(name: string, text: string): Promise<void> {
  return writeFile(place(name).configPath, text);
}

async function start(name: string, store = shop.postgres.url('store')): Promise<Gateway> {
  const urls = new Map(Object.entries({ ...shop.variables, STORE: store }));
  const started = await openGateway({
    ...place(name),
    store: '${env:STORE}',
    port: 0,
    environment: (variable) => urls.get(variable),
    log: (line) => void logged.push(`${name}: ${line}`),
  });
  running.set(name, started);
  return started;
}

async function stop(name: string): Promise<void> {
  await running.get(name)?.close();
  running.delete(name);
}

function gateway(name: string): Gateway {
  const found = running.get(name);
  assert(found !== undefined, `${name} runs`);
  return found;
}

/** Somebody at one of the gateways. */
function at(name: string, who: string): Client {
  return createClient({ url: gateway(name).url, token: tokens.get(who) ?? '' });
}

function draft(statement: string) {
  return { target: 'shop', operation: 'sql', arguments: { statement } };
}

let rows = 0;

/** A row that no write has changed yet, so that each effect is one of its own. */
function nextRow(): number {
  rows += 1;
  return rows;
}

async function write(name: string, who: string, id = nextRow()): Promise<Result> {
  return at(name, who).propose(draft(`UPDATE items SET n = n + 1 WHERE id = ${id}`));
}

async function changedRow(id: number): Promise<number> {
  const { rows: found } = await shop.database.query<{ n: number }>(
    'SELECT n FROM items WHERE id = $1',
    [id],
  );
  return found[0]?.n ?? -1;
}

function idOf({ proposalId }: Result): string {
  assert(proposalId !== null);
  return proposalId;
}

describe('a second gateway', () => {
  before(async () => {
    for (const name of ['a', 'b']) await put(name, POLICY);
    const first = await start('a');
    tokens.set('olga', (await readFile(first.folder.operatorToken, 'utf8')).trim());
    const olga = at('a', 'olga');
    for (const name of ['bot', 'clerk']) {
      tokens.set(name, (await olga.issueCredential({ kind: 'agent', name })).secret);
    }
  });

  test('without the keys of the first is told which file to copy, and leaves none of its own', async () => {
    const [a, b] = [place('a').dataFolder, place('b').dataFolder];
    for (const file of ['ledger.key', 'evidence.key']) {
      await assert.rejects(start('b'), (error: unknown) => {
        assert(error instanceof Error && 'code' in error, String(error));
        assert.equal(error.code, 'key-differs');
        assert(error.message.includes(join(b, file)), error.message);
        assert.match(error.message, /copy (?:it|`\S+`) from the data folder of a gateway/);
        assert(!error.message.includes('postgres:'), 'no address with a password');
        return true;
      });
      assert(!(await readdir(b)).includes(file));
      await copyFile(join(a, file), join(b, file));
    }
    await start('b');
    assert(!(await readdir(b)).includes('operator.token'), 'the first operator has one');
  });

  test('with another key is refused, and so is one of an older store', async () => {
    await put('c', POLICY);
    const c = place('c').dataFolder;
    // A gateway of its own, by now with a log under its own key.
    await shop.postgres.createDatabase('other');
    await start('c', shop.postgres.url('other'));
    await stop('c');
    await assert.rejects(start('c'), { code: 'key-differs' });
    const kept = await readFile(join(c, 'ledger.key'), 'utf8');
    assert.match(kept, /^PRIVATE/, 'a key that something was signed with stays');
    // The same key over a store that has lost its log.
    await shop.postgres.createDatabase('lost');
    await assert.rejects(start('c', shop.postgres.url('lost')), { code: 'ledger-inconsistent' });
  });

  test('is there for all to see, under a name of its own', async () => {
    const { store, gateway: name } = await at('a', 'olga').gatewayStatus();
    assert.equal(store, 'postgres');
    const other = await at('b', 'olga').gatewayStatus();
    assert.notEqual(other.gateway, name);
    assert.deepEqual(
      other.gateways.map((each) => each.name).toSorted(),
      [name, other.gateway].toSorted(),
    );
    assert.equal(gateway('a').store.where, `127.0.0.1:${shop.postgres.port}/store`);
  });

  test('of the name of one that is there does not start', async () => {
    const twin = join(home, 'twin');
    await cp(place('a').dataFolder, twin, { recursive: true });
    await put('twin', POLICY);
    await assert.rejects(start('twin'), { code: 'store-locked' });
  });
});

describe('over two gateways', () => {
  test('a write that one applied is the other’s first result, and is not done again', async () => {
    const id = nextRow();
    const first = await write('a', 'bot', id);
    assert.equal(first.state, 'applied', first.reason);
    const again = await write('b', 'bot', id);
    assert.deepEqual([again.proposalId, again.replayed], [first.proposalId, true]);
    assert.equal(await changedRow(id), 1);
    assert.equal((await at('b', 'olga').view(idOf(first))).state, 'applied');
  });

  test('of equal writes at once on both one takes effect', async () => {
    const id = nextRow();
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, index) => write(index % 2 === 0 ? 'a' : 'b', 'bot', id)),
    );
    assert.equal(new Set(all.map(({ proposalId }) => proposalId)).size, 1);
    assert.equal(await changedRow(id), 1);
  });

  test('people decide on one what was proposed on the other, and who waits there hears of it', async () => {
    const id = nextRow();
    const waiting = await write('a', 'clerk', id);
    assert.equal(waiting.state, 'waiting', waiting.reason);
    const settled = at('a', 'clerk').wait(idOf(waiting));
    const planDigest = waiting.planDigest ?? '';
    const approved = await at('b', 'olga').approve(idOf(waiting), {
      verdict: 'approve',
      planDigest,
    });
    assert.equal(approved.state, 'applied', approved.reason);
    assert.equal((await settled).state, 'applied');
    assert.equal(await changedRow(id), 1);
  });

  test('a budget is one budget', async () => {
    // One of three was spent above.
    const results: Result[] = [];
    for (const name of ['a', 'b', 'a', 'b']) {
      const waiting = await write(name, 'clerk');
      if (waiting.state !== 'waiting') {
        results.push(waiting);
        continue;
      }
      const decision = { verdict: 'approve', planDigest: waiting.planDigest ?? '' } as const;
      results.push(await at(name, 'olga').approve(idOf(waiting), decision));
    }
    const applied = results.filter(({ state }) => state === 'applied');
    assert.equal(applied.length, 2);
    assert(results.slice(2).every(({ code }) => code === 'budget-exceeded'));
    const [use] = (await at('b', 'olga').budgets()).items;
    assert.deepEqual([use?.spent, use?.inFlight], [3, 0]);
  });

  test('a stop on one binds the other at once, and its release too', async () => {
    const freeze = await at('a', 'olga').stop({ kind: 'tenant' }, 'enough');
    const id = nextRow();
    assert.equal((await write('b', 'bot', id)).code, 'frozen');
    assert.equal(await changedRow(id), 0);
    await at('b', 'olga').release(freeze.id, 'over');
    assert.equal((await write('a', 'bot')).state, 'applied');
  });

  test('of many writes on both none begins after a stop on one', async () => {
    const writes = Array.from({ length: 30 }, (_, index) => write(index % 2 ? 'a' : 'b', 'bot'));
    const freeze = await at('b', 'olga').stop({ kind: 'agent', name: 'bot' }, 'enough');
    const results = await Promise.all(writes);
    assert(results.every(({ state, code }) => state === 'applied' || code === 'frozen'));
    await at('a', 'olga').release(freeze.id, 'over');
    // The order of intents and stops is checked by the verifier, below.
  });

  test('the switch in the file of one stops both; people lift it when that file says so', async () => {
    await put('a', OFF + POLICY);
    await gateway('a').reload();
    assert.equal((await write('b', 'bot')).code, 'frozen');
    const freeze = (await at('b', 'olga').freezes()).items.find((each) => !each.releasedAt);
    assert(freeze?.source === 'file');
    await assert.rejects(at('b', 'olga').release(freeze.id, 'in a hurry'), {
      code: 'state-conflict',
      message: /configuration file of `gateway-\w+`/,
    });
    await gateway('b').reload();
    assert.equal((await write('b', 'bot')).code, 'frozen', 'the other file has no say in it');
    await put('a', POLICY);
    await gateway('a').reload();
    await gateway('a').reload();
    assert.equal((await write('b', 'bot')).state, 'applied');
  });

  test('a credential that was made on one is good on the other, until it is revoked there', async () => {
    const { id, secret } = await at('a', 'olga').issueCredential({ kind: 'agent', name: 'bot' });
    tokens.set('spare', secret);
    assert.equal((await write('b', 'spare')).state, 'applied');
    await at('b', 'olga').revokeCredential(id);
    await assert.rejects(write('a', 'spare'), { code: 'credential-unknown' });
  });

  test('a policy that one file brings in binds the next write on the other, and its callers', async () => {
    const tight = `${POLICY}never: [{ name: items, match: { resource: public.items }, reason: no }]\n`;
    await put('a', tight);
    await gateway('a').reload();
    const denied = await write('b', 'bot');
    assert.deepEqual([denied.state, denied.code], ['denied', 'never']);
    const { policyDigest } = await at('a', 'olga').gatewayStatus();
    const other = await at('b', 'olga').gatewayStatus();
    assert.equal(other.policyDigest, policyDigest);
    assert.match(other.policyProblem ?? '', /another policy came into force/);
    // Back again is weaker: let in on the one, in force on both.
    await put('b', POLICY);
    await gateway('b').reload();
    assert.equal((await write('b', 'bot')).code, 'never');
    await at('b', 'olga').applyPolicy(POLICY);
    assert.equal((await write('a', 'bot')).state, 'applied');
    await put('a', POLICY);
    await gateway('a').reload();
    assert.equal((await at('a', 'olga').gatewayStatus()).policyProblem, null);
  });

  test('restarts, one after the other, leave one policy and lose no write', async () => {
    const policies = async (): Promise<number> =>
      (await at('a', 'olga').policies({ limit: 200 })).items.length;
    const known = await policies();
    for (const name of ['a', 'b', 'a']) {
      await stop(name);
      await start(name);
      assert.equal((await write('a', 'bot')).state, 'applied');
      assert.equal((await write('b', 'bot')).state, 'applied');
    }
    assert.equal(await policies(), known);
  });

  test('who runs with settings that another has restarted out of is named, until it is restarted too', async () => {
    const slower = POLICY.replace('schemas: [public]', '$&\n    statementTimeoutMs: 4000');
    const differing = async (name: string): Promise<readonly string[]> =>
      (await at(name, 'olga').gatewayStatus()).gateways.flatMap(({ differs }) => differs);
    const doctor = async (): Promise<readonly string[]> => {
      const { gateways } = await examineStore(
        { store: shop.postgres.url('store'), environment: () => undefined },
        gateway('a').configuration.current(),
        gateway('a').folder,
      );
      return gateways.flatMap(({ differs }) => differs);
    };
    assert.deepEqual([await differing('a'), await doctor()], [[], []]);
    for (const name of ['a', 'b']) await put(name, slower);
    assert.equal((await at('a', 'olga').applyPolicy(slower)).inForce, 'at-start');
    await stop('a');
    logged.length = 0;
    await start('a');
    assert.deepEqual(await differing('a'), ['targets.shop']);
    assert.deepEqual(await doctor(), ['targets.shop']);
    const other = (await at('b', 'olga').gatewayStatus()).gateway;
    const warnings = logged.filter((line) => line.includes('other settings'));
    assert.equal(warnings.length, 1);
    assert(warnings[0]?.startsWith(`a: warning: gateway \`${other}\` runs with other settings`));
    assert.match(warnings[0] ?? '', /`targets\.shop` differ/);
    await stop('b');
    await start('b');
    assert.deepEqual([await differing('b'), await doctor()], [[], []]);
    // As it was, for what follows.
    for (const name of ['a', 'b']) await put(name, POLICY);
    await at('a', 'olga').applyPolicy(POLICY);
    for (const name of ['a', 'b']) {
      await stop(name);
      await start(name);
    }
  });

  test('the rows of a large write are looked at, and taken back, where it was not made', async () => {
    const statement = "UPDATE items SET note = 'x' WHERE id > 1000";
    const applied = await at('a', 'bot').propose(draft(statement), { waitMs: 50_000 });
    assert.equal(applied.state, 'applied', applied.reason);
    const page = await at('b', 'olga').rows(idOf(applied), { from: 3_000, limit: 10 });
    assert.equal(page.items.length, 10);
    const back = await at('b', 'olga').rollback(idOf(applied));
    const done = await at('a', 'olga').wait(idOf(back));
    assert.equal(done.state, 'applied', done.reason);
    const { rows: left } = await shop.database.query('SELECT 1 FROM items WHERE note IS NOT NULL');
    assert.equal(left.length, 0);
  });

  test('a file that was sent to one is imported by the other', async () => {
    const { id } = await at('a', 'bot').upload('id,n,note\n9001,1,a\n9002,2,b\n', {
      format: 'csv',
    });
    const result = await at('b', 'bot').propose(
      {
        target: 'shop',
        operation: 'import',
        arguments: { table: 'items', upload: id, format: 'csv' },
      },
      { waitMs: 50_000 },
    );
    assert.equal(result.state, 'applied', result.reason);
    assert.deepEqual([await changedRow(9_001), await changedRow(9_002)], [1, 2]);
  });
});

test('both publish the same log, byte for byte, and it verifies', async () => {
  for (const name of ['a', 'b']) await gateway(name).publish();
  const [a, b] = [gateway('a').folder.ledger, gateway('b').folder.ledger];
  const files = async (folder: string): Promise<readonly string[]> =>
    (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((each) => each.isFile())
      .map((each) => join(each.parentPath, each.name).slice(folder.length + 1))
      // Which sizes were signed is each gateway's own, and with it the partial tiles.
      .filter((path) => !/^checkpoints\/|\.p\/|^payloads\//.test(path));
  const names = (await files(a)).toSorted();
  assert.deepEqual((await files(b)).toSorted(), names);
  for (const path of names) {
    assert.deepEqual(await readFile(join(a, path)), await readFile(join(b, path)), path);
  }
  for (const folder of [a, b]) {
    const { vkey } = gateway('a');
    const against = [await readFile(join(folder === a ? b : a, 'checkpoint'), 'utf8')];
    const report = await verifyLedger({ reader: folderReader(folder), vkey, against });
    assert.deepEqual(report.findings, []);
  }
});

test('a gateway that leaves is seen no more, and one on a new folder joins with the keys alone', async () => {
  await stop('b');
  const fresh = place('d').dataFolder;
  await mkdir(fresh, { mode: 0o700 });
  for (const file of ['ledger.key', 'evidence.key']) {
    await copyFile(join(place('a').dataFolder, file), join(fresh, file));
  }
  await put('d', POLICY);
  await start('d');
  const { gateways } = await at('d', 'olga').gatewayStatus();
  assert.equal(gateways.length, 2);
  assert.equal((await write('d', 'bot')).state, 'applied');
});
