// A flood over real sockets against a real gateway and a real PostgreSQL: what is over a bound is told to
// come again, other agents and people go on, and every write is there as often as it was answered for.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createClient, GatewayProblem, type Client, type Result } from '../src/client/index.ts';
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
  slow: { permissions: [{ target: shop, class: create, tier: autonomous }] }
  flood: { permissions: [{ target: shop, class: create, tier: autonomous }] }
  quiet: { permissions: [{ target: shop, class: create, tier: autonomous }] }
  clerk: { permissions: [{ target: shop, class: create, tier: confirm }] }
rules: [{ id: all, effect: permit, match: { target: shop }, reason: a test }]
anomaly: { sensitivity: off }
routes: { people: { steps: [{ quorum: 1 }], expiresAfter: 1h } }
defaultRoute: people
`;

const HOLDERS = {
  slow: 'agent',
  flood: 'agent',
  quiet: 'agent',
  clerk: 'agent',
  olga: 'person',
  ann: 'person',
} as const;
type Name = keyof typeof HOLDERS;

let folder: string;
let shop: Shop;
let gateway: GatewayProcess;
let tokens: Readonly<Record<Name, string>>;
const sockets = new Set<Socket>();

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writegate-flood-'));
  shop = await openShop({
    tables: 'CREATE TABLE notes (id bigserial PRIMARY KEY, mark text, body text)',
  });
  await writeFile(join(folder, 'writegate.yaml'), POLICY);
  gateway = await startGatewayProcess({ folder, environment: shop.variables });
  tokens = await tokensFor(gateway, folder, HOLDERS);
});

after(async () => {
  for (const socket of sockets) socket.destroy();
  await gateway?.kill();
  await shop?.stop();
  await rm(folder, { recursive: true, force: true });
});

function at(name: Name): Client {
  return createClient({ url: gateway.url, token: tokens[name] });
}

function note(mark: string, body = 'x') {
  const statement = 'INSERT INTO notes (mark, body) VALUES ($1, $2)';
  return {
    target: 'shop',
    operation: 'sql',
    arguments: { statement, parameters: [mark, body] },
    idempotencyKey: mark,
  };
}

async function effectsOf(mark: string): Promise<number> {
  const { rows } = await shop.database.query<{ count: string }>(
    'SELECT count(*) AS count FROM notes WHERE mark = $1',
    [mark],
  );
  return Number(rows[0]?.count);
}

/** What became of a write that was sent: its result, or the code with which it was not taken. */
interface Sent {
  readonly mark: string;
  readonly answer: Result | string;
}

async function sent(mark: string, call: Promise<Result>): Promise<Sent> {
  try {
    return { mark, answer: await call };
  } catch (error) {
    assert.ok(error instanceof GatewayProblem, String(error));
    return { mark, answer: error.code };
  }
}

/** Applied is once, and not begun is never; of a lost reply it is at most once. */
async function assertAsAnswered({ mark, answer }: Sent): Promise<void> {
  const effects = await effectsOf(mark);
  if (typeof answer !== 'string') {
    assert.equal(effects, answer.state === 'applied' ? 1 : 0, `${mark}: ${answer.state}`);
  } else if (answer === 'gateway-unreachable') assert.ok(effects <= 1, mark);
  else assert.equal(effects, 0, `${mark}: ${answer}`);
}

/** One request without the SDK's patience; the status, or null where the connection was cut. */
function ask(token: string, path: string, body?: unknown): Promise<number | null> {
  return new Promise((resolve) => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
    const method = body === undefined ? 'GET' : 'POST';
    const call = request(
      { port: gateway.port, host: '127.0.0.1', method, path, headers, agent: false },
      (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? null));
      },
    );
    call.on('error', () => resolve(null));
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function open(): Promise<Socket> {
  const socket = connect(gateway.port, '127.0.0.1');
  sockets.add(socket);
  socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]);
  return socket;
}

function head(method: string, path: string, token: string, more = ''): string {
  const host = `host: 127.0.0.1:${gateway.port}`;
  return `${method} ${path} HTTP/1.1\r\n${host}\r\nauthorization: Bearer ${token}\r\n${more}\r\n`;
}

const LARGE = 'x'.repeat(60 * 1024);

/** Two thousand connections that only take room: silent, slow to ask, or asked and never read. */
async function holdConnections(view: string): Promise<void> {
  const { slow } = tokens;
  const slowBody = 'content-type: application/json\r\ncontent-length: 65536\r\n';
  const kinds: readonly [count: number, begin: (socket: Socket) => void][] = [
    [700, () => undefined],
    [700, (socket) => socket.write(`GET /v1/status HTTP/1.1\r\nhost: 127.`)],
    [400, (socket) => socket.write(`${head('POST', '/v1/proposals', slow, slowBody)}{`)],
    [200, (socket) => socket.pause().write(head('GET', view, slow).repeat(8))],
  ];
  for (const [count, begin] of kinds) {
    for (let opened = 0; opened < count; opened += 50) {
      const some = await Promise.all(Array.from({ length: 50 }, open));
      for (const socket of some) begin(socket);
    }
  }
}

test(
  'a flood leaves other agents and people their calls, and no write is lost or doubled',
  { timeout: 600_000 },
  async () => {
    const [first, held] = await Promise.all([
      at('slow').propose(note('large', LARGE)),
      at('clerk').propose(note('clerk')),
    ]);
    assert.equal(first.state, 'applied');
    assert.equal(held.state, 'waiting');
    await holdConnections(`/v1/proposals/${first.proposalId}`);

    // Waits by the hundreds, all of one agent: it has its share of them, and the rest are sent away.
    const waiting = `/v1/proposals/${held.proposalId}/result?waitMs=50000`;
    const waits = Array.from({ length: 300 }, () => ask(tokens.clerk, waiting));
    const refusals = Promise.withResolvers<void>();
    let refused = 0;
    for (const wait of waits) {
      void wait.then((status) => {
        if (status === 429) refused += 1;
        if (refused === 300 - 128) refusals.resolve();
      });
    }
    await refusals.promise;

    // Writes of 60 KB from a hundred places at once, without any patience.
    const over = new AbortController();
    const statuses = new Map<number | null, number>();
    const floods = Array.from({ length: 100 }, async (_, lane) => {
      for (let turn = 0; !over.signal.aborted; turn += 1) {
        const body = note(`flood-${lane}-${turn}`, LARGE);
        const status = await ask(tokens.flood, '/v1/proposals', body);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    });

    // The SDK of the flooding agent gives up after its patience; what it was told holds.
    const patient = Array.from({ length: 50 }, (_, number) => {
      const mark = `patient-${number}`;
      return sent(mark, at('flood').propose(note(mark, LARGE)));
    });
    const quiet: Sent[] = [];
    for (let number = 0; number < 10; number += 1) {
      const mark = `quiet-${number}`;
      quiet.push(await sent(mark, at('quiet').propose(note(mark))));
      // People look and decide in between, and a supervisor asks whether it lives.
      const inbox = await at('ann').list({ state: ['waiting'] });
      assert.equal(inbox.items.length, 1);
      assert.equal((await at('ann').gatewayStatus()).name, 'writegate');
    }
    const { planDigest } = await at('ann').view(held.proposalId ?? '');
    const approval = { planDigest: planDigest ?? '', verdict: 'approve' } as const;
    const approved = await at('ann').approve(held.proposalId ?? '', approval);
    assert.equal(approved.state, 'applied');
    await at('olga').stop({ kind: 'agent', name: 'flood' }, 'it floods');
    const stopped = await allEffects();
    over.abort();
    await Promise.all([...floods, ...waits]);
    const all = [...quiet, ...(await Promise.all(patient))];

    assert.deepEqual(
      quiet.filter(({ answer }) => typeof answer === 'string' || answer.state !== 'applied'),
      [],
      'every write of the other agent went through',
    );
    for (const each of all) await assertAsAnswered(each);
    const { rows: doubled } = await shop.database.query(
      'SELECT mark FROM notes GROUP BY mark HAVING count(*) > 1',
    );
    assert.deepEqual(doubled, []);
    const served = statuses.get(201) ?? 0;
    assert.ok(served > 0, `the flooding agent is served too: ${said(statuses)}`);
    // What had its intent before the stop is carried out to its end, and nothing after it.
    assert.ok((await allEffects()) - stopped <= 18);
    assert.match(gateway.said(), /^$/, 'nothing of it is an error of the gateway');
    const peak = gateway.peakMb();
    if (peak !== null) assert.ok(peak < 800, `${peak} MB were resident`);
  },
);

async function allEffects(): Promise<number> {
  const { rows } = await shop.database.query<{ count: string }>(
    'SELECT count(*) AS count FROM notes',
  );
  return Number(rows[0]?.count);
}

function said(counts: ReadonlyMap<number | null, number>): string {
  return [...counts].map(([status, count]) => `${String(status)}: ${count}`).join(', ');
}

test(
  'after the flood the gateway is as before, and ends as it was told',
  { timeout: 120_000 },
  async () => {
    for (const socket of sockets) socket.destroy();
    const last = await sent('last', at('quiet').propose(note('last')));
    await assertAsAnswered(last);
    assert.ok(typeof last.answer !== 'string' && last.answer.state === 'applied');
    assert.equal(await gateway.stop(), 0);
  },
);
