// Gateways that are asked to stop and started again under a load, as processes on a real PostgreSQL: no
// write is refused, lost or doubled, as the clients of the SDK see it.
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient, type Client, type Result } from '../src/client/index.ts';
import { startBalancer, type Balancer } from './support/balancer.ts';
import { startGatewayProcess, tokensFor, type GatewayProcess } from './support/gateway-process.ts';
import { openShop, type Shop } from './support/shop.ts';

const POLICY = `
version: 1
tenant: acme
targets: { shop: { kind: postgres, url: '\${env:URL}', reader: '\${env:READER}' } }
people:
  olga: { roles: [operator, approver] }
  ann: { roles: [approver] }
agents:
  bot: { permissions: [{ target: shop, class: create, tier: autonomous }] }
  clerk: { permissions: [{ target: shop, class: create, tier: confirm }] }
rules: [{ id: all, effect: permit, match: { target: shop }, reason: a test }]
anomaly: { sensitivity: off }
routes: { people: { steps: [{ quorum: 1 }], expiresAfter: 1h } }
defaultRoute: people
`;
const HOLDERS = { bot: 'agent', clerk: 'agent', ann: 'person' } as const;
type Tokens = Readonly<Record<keyof typeof HOLDERS, string>>;

const RESTARTS = 3;
const GATEWAYS = 3;
const ROUNDS = 2;
const WRITERS = 4;
const BETWEEN_MS = 30;

let home: string;
let shop: Shop;
const running = new Set<GatewayProcess>();

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'writegate-rolling-'));
  shop = await openShop({
    tables: 'CREATE TABLE notes (id bigserial PRIMARY KEY, mark text)',
    beside: ['store'],
  });
});

after(async () => {
  for (const each of running) await each.kill();
  await shop?.stop();
  await rm(home, { recursive: true, force: true });
});

interface Place {
  readonly folder: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly arguments?: readonly string[];
}

async function start(place: Place, port = 0): Promise<GatewayProcess> {
  const gateway = await startGatewayProcess({ ...place, port });
  running.add(gateway);
  return gateway;
}

/** Asks it to end, and starts it again on its port once it has. */
async function restart(gateway: GatewayProcess, place: Place): Promise<GatewayProcess> {
  assert.equal(await gateway.stop(), 0, gateway.said());
  running.delete(gateway);
  return start(place, gateway.port);
}

/** What came of each write, by its mark; and each pause of a client that had to try again. */
interface Load {
  readonly results: Map<string, Result>;
  readonly tries: string[];
  /** Resolves once so many more writes have ended. */
  more(count: number): Promise<void>;
  /** Ends it, and resolves once every write has ended; rejects with the first call that did not go through. */
  end(): Promise<void>;
}

/** Agents write, one write after the other each; one of them with a person's yes. */
function startLoad(url: string, tokens: Tokens, withPeople: boolean): Load {
  const results = new Map<string, Result>();
  const tries: string[] = [];
  const over = new AbortController();
  const as = (name: keyof Tokens): Client =>
    createClient({ url, token: tokens[name], onRetry: ({ code }) => void tries.push(code) });
  const [bot, clerk, ann] = [as('bot'), as('clerk'), as('ann')];

  async function write(client: Client, mark: string): Promise<Result> {
    const statement = 'INSERT INTO notes (mark) VALUES ($1)';
    const draft = {
      target: 'shop',
      operation: 'sql',
      arguments: { statement, parameters: [mark] },
      idempotencyKey: mark,
    };
    let known = await client.propose(draft, { waitMs: 10_000 });
    while (['executing', 'in_doubt', 'stale'].includes(known.state)) {
      known = await client.wait(known.proposalId ?? '');
    }
    return known;
  }

  async function approved(mark: string): Promise<Result> {
    const waiting = await write(clerk, mark);
    assert.equal(waiting.state, 'waiting', waiting.reason);
    const id = waiting.proposalId ?? '';
    const settled = clerk.wait(id);
    // Both may end in an error: neither is to be without somebody who hears of it.
    const [said, heard] = await Promise.all([
      ann.approve(id, { planDigest: waiting.planDigest ?? '', verdict: 'approve' }),
      settled,
    ]);
    return said.state === 'applied' ? said : heard;
  }

  const lanes = Array.from({ length: WRITERS }, async (_, lane) => {
    for (let number = 0; !over.signal.aborted; number += 1) {
      const mark = `${url}-${lane}-${number}`;
      const isOfPeople = withPeople && lane === 0;
      results.set(mark, isOfPeople ? await approved(mark) : await write(bot, mark));
      // What restarts is to have its share of the processor too.
      await pause(BETWEEN_MS);
    }
  });
  const all = Promise.all(lanes);
  all.catch(() => undefined);
  return {
    results,
    tries,
    more: async (count) => {
      const least = results.size + count;
      while (results.size < least) await Promise.race([all, pause(10)]);
    },
    end: async () => {
      over.abort();
      await all;
    },
  };
}

/** Every write of the load was applied, and its effect is there once. */
async function assertApplied({ results }: Load, url: string): Promise<void> {
  for (const [mark, { state, reason }] of results) assert.equal(state, 'applied', mark + reason);
  const { rows } = await shop.database.query<{ mark: string; count: string }>(
    'SELECT mark, count(*) AS count FROM notes WHERE starts_with(mark, $1) GROUP BY mark',
    [url],
  );
  assert.deepEqual(
    rows.filter(({ count }) => count !== '1'),
    [],
  );
  assert.deepEqual(rows.map(({ mark }) => mark).toSorted(), [...results.keys()].toSorted());
}

async function folderOf(name: string): Promise<string> {
  const folder = join(home, name);
  await mkdir(join(folder, 'data'), { recursive: true, mode: 0o700 });
  await writeFile(join(folder, 'writegate.yaml'), POLICY);
  return folder;
}

test('one gateway with its own store restarts again and again: clients of the SDK lose nothing', async (t) => {
  const place = { folder: await folderOf('lone'), environment: shop.variables };
  let gateway = await start(place);
  const { url } = gateway;
  const load = startLoad(url, await tokensFor(gateway, place.folder, HOLDERS), false);
  for (let times = 0; times < RESTARTS; times += 1) {
    await load.more(20);
    gateway = await restart(gateway, place);
  }
  await load.end();
  await assertApplied(load, url);
  assert(load.tries.length > 0, 'the restarts came in the midst of it');
  t.diagnostic(`${load.results.size} writes over ${RESTARTS} restarts, ${load.tries.length} tries`);
  await gateway.stop();
});

test('gateways behind a load balancer restart one after the other: no call is refused', async (t) => {
  const gateways: { process: GatewayProcess; readonly place: Place }[] = [];
  for (let number = 0; number < GATEWAYS; number += 1) {
    const folder = await folderOf(`gateway-${number}`);
    for (const file of number === 0 ? [] : ['ledger.key', 'evidence.key']) {
      await copyFile(join(home, 'gateway-0', 'data', file), join(folder, 'data', file));
    }
    const place = {
      folder,
      environment: {
        ...shop.variables,
        WRITEGATE_STORE: shop.postgres.url('store'),
        WRITEGATE_SHUTDOWN_DELAY: '1',
      },
      arguments: ['--name', `gateway-${number}`],
    };
    gateways.push({ process: await start(place), place });
  }
  const [first] = gateways;
  assert(first !== undefined);
  const tokens = await tokensFor(first.process, first.place.folder, HOLDERS);
  const balancer = await startBalancer(gateways.map(({ process: { port } }) => port));
  try {
    await Promise.all(gateways.map((each) => balancer.until(each.process.port, 'in')));
    const load = startLoad(balancer.url, tokens, true);
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const each of gateways) {
        each.process = await restart(each.process, each.place);
        await balancer.until(each.process.port, 'in');
        await load.more(20);
      }
    }
    await load.end();
    assertNothingRefused(balancer, load);
    await assertApplied(load, balancer.url);
    const shares = [...balancer.answered.values()];
    assert.equal(shares.length, GATEWAYS);
    t.diagnostic(`${load.results.size} writes, calls by gateway: ${shares.join(', ')}`);
  } finally {
    await balancer.close();
  }
});

function assertNothingRefused(balancer: Balancer, load: Load): void {
  assert.deepEqual(balancer.refused, []);
  assert.deepEqual(load.tries, [], 'no client had to try again');
}
