/** Floods of the real server: what is over a bound is told to come again, and nobody keeps others out. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { newCredentialId } from '../model/ids.ts';
import type { Principal } from '../model/principal.ts';
import type { Result } from '../model/result.ts';
import {
  AGENT,
  appOptions,
  DRAFT,
  fakeGate,
  OPERATOR,
  PROPOSAL_ID,
  RESULTS,
  TOKENS,
  VIEW,
} from '../../test/support/fake-gate.ts';
import { need } from '../../test/support/gate.ts';
import { send, serve, serveApp, type Got, type Served } from '../../test/support/serve.ts';
import { openApp, type AppOptions } from './app.ts';

const PROPOSAL = `/v1/proposals/${PROPOSAL_ID}`;
const WAIT = `${PROPOSAL}/result?waitMs=50000`;
const STOP = { scope: { kind: 'all' }, reason: 'stop it' };

/** The token of the n-th agent, or person, beside those of the fake gate. */
function tokenOf(kind: 'agent' | 'person', number: number): string {
  return `wg${kind === 'agent' ? 'a' : 'p'}_${String(number).padStart(32, '0')}`;
}

/** Every such token is somebody's, with a credential of its own. */
function manyCallers(options: AppOptions): AppOptions {
  const authenticate = async (token: string): Promise<Principal | undefined> => {
    const [, letter, digits] = /^wg([ap])_(0+\d+)$/.exec(token) ?? [];
    if (digits === undefined) return options.credentials.authenticate(token);
    const credential = newCredentialId(Number(digits), new Uint8Array(10));
    return letter === 'a' ? { ...AGENT, credential } : { ...OPERATOR, credential };
  };
  return { ...options, credentials: { ...options.credentials, authenticate } };
}

interface Flooded {
  readonly served: Served;
  /** Begins waits until one is refused; returns how many are held, and the refusal. */
  fill(token: string): Promise<{ readonly held: number; readonly refused: Got }>;
  /** Lets every wait end. */
  end(): Promise<void>;
}

async function flooded(t: TestContext, bounds: AppOptions['bounds']): Promise<Flooded> {
  const goOn = Promise.withResolvers<Result>();
  let begun = Promise.withResolvers<undefined>();
  const gate = fakeGate({
    wait: () => {
      begun.resolve(undefined);
      return goOn.promise;
    },
  });
  const served = await serve(t, { ...manyCallers(appOptions(gate)), ...(bounds && { bounds }) });
  const waits: Promise<Got>[] = [];
  return {
    served,
    async fill(token) {
      for (let held = 0; ; held += 1) {
        begun = Promise.withResolvers<undefined>();
        const call = send(served, { path: WAIT, token });
        // One that is held does not answer yet; one that is refused never reaches the gate.
        const refused = await Promise.race([call, begun.promise]);
        if (refused !== undefined) return { held, refused };
        waits.push(call);
      }
    },
    async end() {
      goOn.resolve(RESULTS.applied);
      for (const { status } of await Promise.all(waits)) assert.equal(status, 200);
    },
  };
}

function assertComesAgain(got: Got): void {
  assert.equal(got.status, 429, got.text);
  assert.equal(got.headers['retry-after'], '1');
  const { code, retryAfterMs } = got.json as { code: string; retryAfterMs: number }; // a problem
  assert.deepEqual([code, retryAfterMs], ['too-many-requests', 1_000]);
}

test(
  'a credential holds no more than it leaves free, so that the next one always finds a place',
  { timeout: 60_000 },
  async (t) => {
    const { served, fill, end } = await flooded(t, { agentsMax: 24 });
    const held: number[] = [];
    for (let number = 1; number <= 5; number += 1) {
      const { held: mine, refused } = await fill(tokenOf('agent', number));
      assertComesAgain(refused);
      held.push(mine);
    }
    assert.deepEqual(held, [12, 6, 3, 1, 1]);
    const got = await send(served, { path: PROPOSAL, token: tokenOf('agent', 6) });
    assert.equal(got.status, 200, 'there is a place for one more');
    await end();
    const again = await send(served, { path: PROPOSAL, token: tokenOf('agent', 1) });
    assert.equal(again.status, 200, 'what ended is given back');
  },
);

test(
  'neither agents nor other people nor callers without a name keep a person from a stop',
  { timeout: 60_000 },
  async (t) => {
    const { served, fill, end } = await flooded(t, { agentsMax: 2, peopleMax: 4, publicMax: 1 });
    assertComesAgain((await fill(tokenOf('agent', 1))).refused);
    await fill(tokenOf('agent', 2));
    const { held, refused } = await fill(tokenOf('person', 3));
    assert.equal(held, 2);
    assertComesAgain(refused);
    const token = TOKENS.operator;
    assert.equal((await send(served, { path: '/v1/freezes', token, body: STOP })).status, 201);
    for (const path of ['/v1/status', '/v1/healthz']) {
      assert.equal((await send(served, { path })).status, 200, path);
    }
    await end();
  },
);

test('requests without a credential have a bound of their own', { timeout: 20_000 }, async (t) => {
  const status = Promise.withResolvers<never>();
  const begun = Promise.withResolvers<void>();
  const options = {
    ...appOptions(fakeGate()),
    bounds: { publicMax: 1 },
    status: () => {
      begun.resolve();
      return status.promise;
    },
  };
  const served = await serve(t, options);
  const first = send(served, { path: '/v1/status' });
  await begun.promise;
  for (const path of ['/v1/status', '/v1/openapi.json', '/nothing', '/v1/problems/bug']) {
    assertComesAgain(await send(served, { path }));
  }
  for (const path of ['/v1/healthz', '/v1/readyz']) {
    assert.equal((await send(served, { path })).status, 200);
  }
  assert.equal((await send(served, { path: PROPOSAL, token: TOKENS.agent })).status, 200);
  status.reject(new Error('enough'));
  assert.equal((await first).status, 500);
});

/** A connection that is open on the server's side too. */
async function connected(t: TestContext, served: Served): Promise<Socket> {
  const socket = connect(served.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

function headOf(served: Served, path: string, token: string): string {
  return `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:${served.port}\r\nauthorization: Bearer ${token}\r\n\r\n`;
}

test(
  'the longest idle connection gives way to the next, one with a request in hand does not',
  { timeout: 60_000 },
  async (t) => {
    const begun = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<Result>();
    const gate = fakeGate({
      wait: () => {
        begun.resolve();
        return goOn.promise;
      },
    });
    const served = await serve(t, { ...appOptions(gate), bounds: { connectionsMax: 4 } });
    const busy = await connected(t, served);
    busy.write(headOf(served, WAIT, TOKENS.agent));
    await begun.promise;
    const answered = Promise.withResolvers<string>();
    busy.once('data', (bytes: Buffer) => answered.resolve(bytes.toString()));
    const slow = await connected(t, served);
    const slowClosed = once(slow, 'close');
    slow.write(`GET ${PROPOSAL} HTTP/1.1\r\nhost: 127`);
    const idle = [];
    for (let number = 0; number < 20; number += 1) idle.push(await connected(t, served));
    await slowClosed;
    // Behind twenty connections that say nothing, a person still gets through.
    const sent = { path: '/v1/freezes', token: TOKENS.operator, body: STOP };
    assert.equal((await send(served, sent)).status, 201);
    const closed = idle.filter(({ destroyed, readyState }) => destroyed || readyState !== 'open');
    assert.ok(closed.length >= 15, `${closed.length} of 20 were closed`);
    goOn.resolve(RESULTS.applied);
    assert.match(await answered.promise, /^HTTP\/1\.1 200/);
  },
);

/** A view that is an answer of so many bytes, more or less. */
function largeView(bytes: number): typeof VIEW {
  return { ...VIEW, arguments: { text: 'x'.repeat(bytes) } };
}

test(
  'answers that nobody reads are bounded together; a person still gets one, and a write its result',
  { timeout: 60_000 },
  async (t) => {
    const bytes = 8 * 1024 * 1024;
    const gate = fakeGate({ view: async () => largeView(bytes) });
    const bounds = { unreadBytesMax: 2.5 * bytes };
    const served = await serve(t, { ...appOptions(gate), bounds });
    const readers: Socket[] = [];
    for (let number = 0; number < 2; number += 1) {
      const reader = await connected(t, served);
      reader.pause();
      reader.write(headOf(served, PROPOSAL, TOKENS.agent));
      readers.push(reader);
      await once(reader, 'readable');
    }
    const over = await send(served, { path: PROPOSAL, token: TOKENS.agent });
    assertComesAgain(over);
    assert.match(over.text, /has not been read/);
    const seen = await send(served, { path: PROPOSAL, token: TOKENS.person });
    assert.ok(seen.status === 200 && seen.text.length > bytes);
    const written = await send(served, { path: '/v1/proposals', token: TOKENS.agent, body: DRAFT });
    assert.equal(written.status, 201);
    for (const reader of readers) reader.destroy();
    // Given back once the server has heard that they are gone.
    let again = over;
    while (again.status === 429) {
      again = await send(served, { path: PROPOSAL, token: TOKENS.agent });
    }
    assert.equal(again.status, 200);
  },
);

test(
  'a reader who takes nothing of its answer is given up; one who takes it slowly is not',
  { timeout: 60_000 },
  async (t) => {
    const bytes = 24 * 1024 * 1024;
    const gate = fakeGate({ view: async () => largeView(bytes) });
    const bounds = { agentsMax: 2, unreadMsMax: 1_500 };
    const served = await serve(t, { ...appOptions(gate), bounds });
    const still = await connected(t, served);
    still.pause();
    still.write(headOf(served, PROPOSAL, TOKENS.agent));
    const slow = await connected(t, served);
    slow.write(headOf(served, PROPOSAL, TOKENS.person));
    const whole = Promise.withResolvers<void>();
    slow.once('close', () => whole.reject(new Error(`it was closed with ${left} bytes left`)));
    let left = bytes;
    slow.on('data', (chunk: Buffer) => {
      left -= chunk.length;
      if (left <= 0) whole.resolve();
      // A part, then a rest that is short of what it may be.
      slow.pause();
      setImmediate(() => slow.resume());
    });
    await once(still, 'readable');
    const closed = once(still, 'close');
    await whole.promise;
    // Until it is given up, it is the one request that its credential may have in flight.
    let other = await send(served, { path: '/v1/freezes', token: TOKENS.agent });
    while (other.status === 429) {
      other = await send(served, { path: '/v1/freezes', token: TOKENS.agent });
    }
    // What the kernel holds of it comes first; then the end that the server made.
    still.resume();
    await closed;
    assert.ok(still.bytesRead < bytes, `${still.bytesRead} bytes of ${bytes} were taken`);
  },
);

test(
  'who goes away before it is known who calls, or before there is an answer, leaves nothing behind',
  { timeout: 20_000 },
  async (t) => {
    const bytes = 128 * 1024;
    let met = Promise.withResolvers<void>();
    let goOn = Promise.withResolvers<void>();
    const held = async <Value>(value: Value): Promise<Value> => {
      met.resolve();
      await goOn.promise;
      return value;
    };
    const gate = fakeGate({ view: async () => held(largeView(bytes)) });
    const options = manyCallers(appOptions(gate));
    const { authenticate } = options.credentials;
    const credentials: AppOptions['credentials'] = {
      ...options.credentials,
      authenticate: async (token) => {
        const principal = await authenticate(token);
        return principal?.kind === 'person' ? held(principal) : principal;
      },
    };
    const bounds = { peopleMax: 1, agentsMax: 1, unreadBytesMax: 1.5 * bytes };
    const app = openApp({ ...options, credentials, bounds });
    const served = await serveApp(t, app);
    for (const token of [TOKENS.person, TOKENS.agent]) {
      met = Promise.withResolvers();
      goOn = Promise.withResolvers();
      const socket = await connected(t, served);
      const gone = new Promise<void>((resolve) => {
        app.server.once('request', (_request, response) => response.once('close', resolve));
      });
      socket.write(headOf(served, PROPOSAL, token));
      await met.promise;
      socket.destroy();
      await gone;
      goOn.resolve();
      const got = await send(served, { path: PROPOSAL, token });
      assert.equal(got.status, 200, `${token}: ${got.text.slice(0, 200)}`);
    }
  },
);

test('a gateway that stops has its callers go elsewhere', { timeout: 20_000 }, async (t) => {
  const begun = Promise.withResolvers<void>();
  const stopping = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<Result>();
  const gate = fakeGate({
    preview: (_principal, _draft, signal) => {
      signal.addEventListener('abort', () => stopping.resolve());
      begun.resolve();
      return goOn.promise;
    },
  });
  const served = await serve(t, appOptions(gate));
  const headers = { connection: 'keep-alive' };
  const sent = { path: '/v1/previews', token: TOKENS.agent, body: DRAFT, headers };
  const last = send(served, sent);
  await begun.promise;
  const closed = served.close();
  await stopping.promise;
  const late = await send(served, { ...sent, path: '/v1/proposals' });
  assert.deepEqual([late.status, late.headers['connection']], [503, 'close']);
  assert.equal(late.headers['retry-after'], '1');
  goOn.resolve(RESULTS.previewed);
  const answered = await last;
  assert.deepEqual([answered.status, answered.headers['connection']], [200, 'close']);
  await closed;
  assert.equal(need(gate.calls[0]).method, 'preview');
});
