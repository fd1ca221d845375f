import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { test, type TestContext } from 'node:test';
import { Problem, type ProblemCode } from '../model/problem.ts';
import {
  AGENT,
  appOptions,
  CREDENTIAL_ID,
  CREDENTIAL_LINE,
  DEPENDENTS,
  DIGEST,
  DRAFT,
  fakeGate,
  BASELINES,
  BUDGETS,
  FREEZE,
  FREEZE_ID,
  OPERATIONS,
  RESOURCES,
  REPLAY_REPORT,
  OPERATOR,
  PERSON,
  PROPOSAL_ID,
  READS,
  RESULTS,
  ROWS,
  STATUS,
  SUMMARY,
  TOKENS,
  VIEW,
  type FakeGate,
} from '../../test/support/fake-gate.ts';
import { serve } from '../../test/support/serve.ts';
import { createClient, GatewayProblem, type Client } from './index.ts';

interface Faulty {
  readonly client: Client;
  /** How long it slept between tries. */
  readonly slept: number[];
  readonly gate: FakeGate;
}

/** A client of the real server; the first `lost` replies are dropped after the gateway answered. */
async function losing(
  t: TestContext,
  lost: number,
  gate = fakeGate(),
  token: string = TOKENS.agent,
): Promise<Faulty> {
  const { url } = await serve(t, appOptions(gate));
  const slept: number[] = [];
  let left = lost;
  const client = createClient({
    url,
    token,
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      if (left <= 0) return response;
      await response.text();
      left -= 1;
      throw new TypeError('fetch failed');
    },
    sleep: async (ms) => void slept.push(ms),
    random: () => 0,
  });
  return { client, slept, gate };
}

async function connected(t: TestContext, token: string, gate = fakeGate()): Promise<Faulty> {
  const { url } = await serve(t, appOptions(gate));
  const slept: number[] = [];
  const sleep = async (ms: number): Promise<void> => void slept.push(ms);
  const client = createClient({ url: `${url}/`, token, sleep, random: () => 0 });
  return { client, slept, gate };
}

test('each call of an agent reaches the gate and brings its answer back', async (t) => {
  const { client, gate } = await connected(t, TOKENS.agent);
  const given = (): readonly unknown[] | undefined => gate.calls.at(-1)?.given.slice(0, 3);
  assert.deepEqual(await client.preview(DRAFT), RESULTS.previewed);
  assert.deepEqual(await client.propose({ ...DRAFT, idempotencyKey: 'k' }), RESULTS.waiting);
  assert.deepEqual(await client.propose(DRAFT, { waitMs: 9 }), RESULTS.waiting);
  assert.deepEqual(given(), [AGENT, PROPOSAL_ID, 9]);
  assert.deepEqual(await client.wait(PROPOSAL_ID), RESULTS.waiting);
  assert.deepEqual(given(), [AGENT, PROPOSAL_ID, 50_000]);
  assert.deepEqual(await client.wait(PROPOSAL_ID, { waitMs: 3 }), RESULTS.waiting);
  assert.deepEqual(given(), [AGENT, PROPOSAL_ID, 3]);
  assert.deepEqual(await client.status(PROPOSAL_ID), RESULTS.waiting);
  assert.deepEqual(await client.view(PROPOSAL_ID), VIEW);
  const page = { items: [SUMMARY], before: PROPOSAL_ID };
  assert.deepEqual(await client.list(), page);
  assert.deepEqual(
    await client.list({ state: ['waiting', 'stale'], limit: 2, before: PROPOSAL_ID }),
    page,
  );
  assert.deepEqual(given(), [
    AGENT,
    { states: ['waiting', 'stale'], limit: 2, before: PROPOSAL_ID },
  ]);
  assert.deepEqual(await client.rows(PROPOSAL_ID), ROWS);
  assert.deepEqual(await client.rows(PROPOSAL_ID, { from: 100, limit: 50, kind: 'delete' }), ROWS);
  assert.deepEqual(given(), [AGENT, PROPOSAL_ID, { from: 100, limit: 50, kind: 'delete' }]);
  const question = { target: 'crm', arguments: { statement: 'select 1' } };
  assert.deepEqual(await client.read(question), READS.read);
  assert.deepEqual(given()?.slice(0, 2), [AGENT, question]);
  assert.deepEqual(await client.cancel(PROPOSAL_ID), RESULTS.cancelled);
  assert.deepEqual(await client.rollback(PROPOSAL_ID), RESULTS.waiting);
  assert.deepEqual(await client.freezes(), { items: [FREEZE] });
  assert.deepEqual(await client.budgets({ agent: 'ledger-bot' }), BUDGETS);
  assert.deepEqual(given(), [AGENT, 'ledger-bot']);
  assert.deepEqual(await client.operations(), { items: OPERATIONS });
  assert.deepEqual(await client.gatewayStatus(), STATUS);
});

test('each call of a person does so too', async (t) => {
  const { client, gate } = await connected(t, TOKENS.operator);
  const approval = { planDigest: DIGEST, verdict: 'approve', reason: 'seen' } as const;
  assert.deepEqual(await client.approve(PROPOSAL_ID, approval), RESULTS.applied);
  assert.deepEqual(gate.calls.at(-1)?.given, [OPERATOR, PROPOSAL_ID, approval]);
  assert.deepEqual(await client.stop({ kind: 'all' }, 'enough'), FREEZE);
  assert.deepEqual(gate.calls.at(-1)?.given, [OPERATOR, { kind: 'all' }, 'enough']);
  assert.deepEqual(await client.baselines('ledger-bot'), BASELINES);
  assert.deepEqual(gate.calls.at(-1)?.given, [OPERATOR, 'ledger-bot']);
  assert.equal((await client.release(FREEZE_ID, 'checked')).id, FREEZE_ID);
  const holder = { kind: 'agent', name: 'bot' } as const;
  assert.equal((await client.issueCredential(holder)).secret, TOKENS.agent);
  assert.deepEqual(await client.credentials(), { items: [CREDENTIAL_LINE] });
  assert.equal((await client.trace('run/7')).items[0]?.run_id, 'run/7');
  assert.deepEqual(await client.dependents({ resource: 'public.invoices' }), DEPENDENTS);
  assert.equal(await client.revokeCredential(CREDENTIAL_ID), undefined);
  assert.deepEqual(gate.calls.at(-1)?.given, [OPERATOR, CREDENTIAL_ID]);
  assert.deepEqual(await client.resources(), { items: RESOURCES });
});

test('a long answer says how far it is, and then is there', async (t) => {
  const { client, gate } = await connected(t, TOKENS.operator);
  const told: string[] = [];
  const onProgress = (done: number, of: number) => void told.push(`${done} of ${of}`);
  const body = { since: 5, text: 'version: 1' };
  assert.deepEqual(await client.replayPolicy(body, { onProgress }), REPLAY_REPORT);
  assert.deepEqual(told, ['1 of 2']);
  const draft = await client.suggestPolicy({ since: 5, agent: 'bot' });
  assert.deepEqual(draft.replay, REPLAY_REPORT);
  assert.deepEqual(gate.calls.at(-1)?.given.slice(0, 2), [OPERATOR, { since: 5, agent: 'bot' }]);
  await client.replayPolicy(body);
  assert.deepEqual(gate.calls.at(-1)?.given.slice(0, 2), [OPERATOR, body]);
  const { client: agent } = await connected(t, TOKENS.agent);
  await assert.rejects(agent.replayPolicy(body), { code: 'credential-kind', status: 403 });
});

test('a lost reply to a proposal is asked for again, with the same draft and the same key', async (t) => {
  const { client, slept, gate } = await losing(t, 2);
  const draft = { ...DRAFT, idempotencyKey: 'key-1' };
  assert.deepEqual(await client.propose(draft), RESULTS.waiting);
  assert.deepEqual(slept, [250, 500]);
  const given = { ...draft, reason: undefined, run: undefined, compensates: undefined };
  assert.equal(gate.calls.length, 3);
  for (const call of gate.calls)
    assert.deepEqual(call, { method: 'propose', given: [AGENT, given] });
});

test('after three tries it says that no gateway answers; a proposal outlasts a restart', async (t) => {
  const away = { name: 'GatewayProblem', code: 'gateway-unreachable', status: 503 };
  const { client, slept } = await losing(t, 100);
  await assert.rejects(client.gatewayStatus(), away);
  assert.deepEqual(slept.splice(0), [250, 500]);
  for (const call of [() => client.propose(DRAFT), () => client.wait(PROPOSAL_ID)]) {
    await assert.rejects(call(), away);
    assert.deepEqual(slept.splice(0, 5), [250, 500, 1_000, 2_000, 2_000]);
    assert.ok(slept.every((ms) => ms === 2_000));
    assert.equal(slept.splice(0).length + 5, 12, 'about 20 s in all');
  }
});

test('a gateway that says when to call again is called then, and not when that is too late', async (t) => {
  const asked: string[] = [];
  const answers = [
    new Problem('too-many-requests', 'full', { retryAfterMs: 3_000 }),
    new Problem('gateway-stopping', 'stopping'),
  ];
  const gate = fakeGate({
    propose: async () => {
      const problem = answers.shift();
      if (problem !== undefined) throw problem;
      return RESULTS.applied;
    },
    approve: async () => {
      throw new Problem('too-many-requests', 'full', { retryAfterMs: 6_000 });
    },
  });
  const { url } = await serve(t, appOptions(gate));
  const slept: number[] = [];
  const options = {
    url,
    sleep: async (ms: number) => void slept.push(ms),
    onRetry: ({ code }: GatewayProblem, waitMs: number) => void asked.push(`${code} ${waitMs}`),
  };
  const client = createClient({ ...options, token: TOKENS.agent, random: () => 0 });
  assert.deepEqual(await client.propose(DRAFT), RESULTS.applied);
  assert.deepEqual(asked, ['too-many-requests 3000', 'gateway-stopping 1000']);
  const person = createClient({ ...options, token: TOKENS.person });
  const approval = { planDigest: DIGEST, verdict: 'approve' } as const;
  const refused = { code: 'too-many-requests', retryAfterMs: 6_000 };
  await assert.rejects(person.approve(PROPOSAL_ID, approval), refused);
  assert.deepEqual(slept, [3_000, 1_000], 'it was not waited for longer than such a call may take');
});

test('pauses differ from caller to caller, by half of themselves', async (t) => {
  const { url } = await serve(t, appOptions(fakeGate()));
  const slept: number[] = [];
  const client = createClient({
    url,
    token: TOKENS.agent,
    fetch: () => Promise.reject(new TypeError('fetch failed')),
    sleep: async (ms) => void slept.push(ms),
    random: () => 0.999,
  });
  await assert.rejects(client.gatewayStatus());
  assert.deepEqual(slept, [374, 749]);
});

test('where nothing listens, nothing was begun: what may have two effects is tried again too', async (t) => {
  const gate = fakeGate();
  const { url } = await serve(t, appOptions(gate));
  const down = new URL(url);
  await new Promise<void>((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      down.port = String((server.address() as AddressInfo).port); // a TCP server has no other kind
      server.close(() => resolve());
    });
  });
  let tries = 0;
  const client = createClient({
    url: down.href,
    token: TOKENS.operator,
    fetch: (input, init) => {
      tries += 1;
      // A restart: the first call finds nobody, the second the gateway.
      const { pathname } = new URL(input instanceof Request ? input.url : input);
      return tries === 1 ? fetch(input, init) : fetch(`${url}${pathname}`, init);
    },
    sleep: () => Promise.resolve(),
  });
  assert.deepEqual(await client.stop({ kind: 'all' }, 'enough'), FREEZE);
  assert.equal(tries, 2);
});

test('what stands before a gateway may say that it is away; what is no gateway is asked once', async (t) => {
  const statuses = [502, 503, 504, 200];
  const asked: number[] = [];
  const url = await listening(t, (_request, response) => {
    const status = statuses.shift() ?? 200;
    asked.push(status);
    response.writeHead(status, { 'retry-after': '4' }).end('<h1>no gateway</h1>');
  });
  const slept: number[] = [];
  const client = createClient({
    url,
    token: TOKENS.agent,
    sleep: async (ms) => void slept.push(ms),
    random: () => 0,
  });
  await assert.rejects(client.propose(DRAFT), { code: 'gateway-unreachable', status: 502 });
  assert.deepEqual(asked, [502, 503, 504, 200]);
  assert.deepEqual(slept, [4_000, 4_000, 4_000]);
});

test('a lost reply to what may have two effects is not asked for again', async (t) => {
  const calls: readonly ((client: Client) => Promise<unknown>)[] = [
    (client) => client.cancel(PROPOSAL_ID),
    (client) => client.rollback(PROPOSAL_ID),
    (client) => client.approve(PROPOSAL_ID, { planDigest: DIGEST, verdict: 'approve' }),
    (client) => client.stop({ kind: 'all' }, 'enough'),
    (client) => client.issueCredential({ kind: 'agent', name: 'bot' }),
  ];
  for (const call of calls) {
    const { client, slept, gate } = await losing(t, 1, fakeGate(), TOKENS.operator);
    await assert.rejects(call(client), { code: 'gateway-unreachable' });
    assert.deepEqual(slept, []);
    assert.equal(gate.calls.length, 1);
  }
});

test('what was surely not begun is tried again, whatever it is; what was refused is not', async (t) => {
  const table: readonly [ProblemCode, tries: number][] = [
    ['gateway-stopping', 3],
    ['too-many-requests', 3],
    ['store-unusable', 1],
    ['state-conflict', 1],
    ['bug', 1],
  ];
  for (const [code, tries] of table) {
    const gate = fakeGate({
      approve: async () => {
        throw new Problem(code, 'not now', { at: '/planDigest' });
      },
    });
    const { client } = await connected(t, TOKENS.person, gate);
    await assert.rejects(client.approve(PROPOSAL_ID, { planDigest: DIGEST, verdict: 'deny' }), {
      code,
      at: '/planDigest',
    });
    assert.equal(gate.calls.length, tries, code);
    assert.deepEqual(gate.calls[0]?.given[0], PERSON);
  }
});

test('a store that is away for a moment does not lose a proposal', async (t) => {
  let left = 2;
  const gate = fakeGate({
    propose: async () => {
      if (left-- > 0) throw new Problem('store-unusable', 'the store cannot be written');
      return RESULTS.applied;
    },
  });
  const { client, slept } = await connected(t, TOKENS.agent, gate);
  assert.deepEqual(await client.propose(DRAFT), RESULTS.applied);
  assert.deepEqual(slept, [250, 500]);
});

test('a problem comes out as an error with code, status and place', async (t) => {
  const { client } = await connected(t, TOKENS.agent);
  const invalid = { ...DRAFT, arguments: { a: '\ud800' } };
  const error = await client.propose(invalid).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof GatewayProblem);
  assert.deepEqual([error.code, error.status, error.at], ['draft-invalid', 400, '/arguments/a']);
  assert.match(error.message, /surrogate/);
  await assert.rejects(client.view('../credentials'), { code: 'proposal-unknown', status: 404 });
});

test('a caller that gives up gets its own reason, and nothing is tried again', async (t) => {
  const waiting = Promise.withResolvers<void>();
  const gate = fakeGate({
    wait: (_principal, _id, _timeoutMs, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve(RESULTS.waiting));
        waiting.resolve();
      }),
  });
  const { client, slept } = await connected(t, TOKENS.agent, gate);
  const givenUp = new AbortController();
  const call = client.propose(DRAFT, { waitMs: 50_000, signal: givenUp.signal });
  await waiting.promise;
  givenUp.abort(new Error('enough'));
  await assert.rejects(call, /enough/);
  assert.deepEqual(slept, []);
});

test('a caller that gives up between two tries is not kept until the next', async () => {
  const givenUp = new AbortController();
  let tries = 0;
  const client = createClient({
    url: 'http://127.0.0.1:1',
    token: TOKENS.agent,
    fetch: async () => {
      tries += 1;
      setImmediate(() => givenUp.abort(new Error('enough')));
      throw new TypeError('fetch failed');
    },
  });
  await assert.rejects(client.propose(DRAFT, { signal: givenUp.signal }), /enough/);
  assert.equal(tries, 1);
});

test('between two tries it really pauses', async () => {
  let tries = 0;
  const client = createClient({
    url: 'http://127.0.0.1:1',
    token: TOKENS.agent,
    fetch: async () => {
      tries += 1;
      if (tries === 2) return new Response(JSON.stringify(STATUS));
      throw new TypeError('fetch failed');
    },
  });
  const begun = performance.now();
  assert.deepEqual(await client.gatewayStatus(), STATUS);
  assert.ok(performance.now() - begun >= 240);
});

async function listening(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo; // a TCP server has no other kind
  return `http://127.0.0.1:${port}`;
}

test('what is no gateway is not taken for one, and a redirect does not carry the token away', async (t) => {
  const carried: unknown[] = [];
  const other = await listening(t, (request, response) => {
    carried.push(request.headers.authorization);
    response.end('{}');
  });
  const listeners: readonly RequestListener[] = [
    (_request, response) =>
      response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad</h1>'),
    (_request, response) => response.writeHead(200).end('hello'),
    (_request, response) => response.writeHead(500).end('{"error":"x"}'),
    (_request, response) => response.writeHead(302, { location: other }).end(),
  ];
  for (const listener of listeners) {
    const url = await listening(t, listener);
    const client = createClient({ url, token: TOKENS.agent, sleep: async () => undefined });
    await assert.rejects(client.gatewayStatus(), { code: 'gateway-unreachable' });
  }
  assert.deepEqual(carried, []);
});

test('a gateway behind a path is spoken to below that path', async (t) => {
  const paths: unknown[] = [];
  const url = await listening(t, (request, response) => {
    paths.push(request.url);
    response.end(JSON.stringify(STATUS));
  });
  await createClient({ url: `${url}/writegate/`, token: TOKENS.agent }).gatewayStatus();
  assert.deepEqual(paths, ['/writegate/v1/status']);
});

test('a client does not show its token', () => {
  const client = createClient({ url: 'http://127.0.0.1:1', token: TOKENS.agent });
  assert.doesNotMatch(
    inspect(client, { depth: 9, showHidden: true }) + JSON.stringify(client),
    /wga_/,
  );
});
