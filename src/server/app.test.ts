import assert from 'node:assert/strict';
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { newCredentialId } from '../model/ids.ts';
import { PROBLEMS } from '../model/problem.ts';
import type { Result } from '../model/result.ts';
import {
  AGENT,
  appOptions,
  CREDENTIAL_ID,
  DIGEST,
  DRAFT,
  fakeGate,
  FREEZE_ID,
  MUTATING,
  OPERATOR,
  PERSON,
  PROPOSAL_ID,
  RESULTS,
  STATUS,
  SUMMARY,
  TOKENS,
  VIEW,
} from '../../test/support/fake-gate.ts';
import { send, serve, type Sent } from '../../test/support/serve.ts';

const PROPOSAL = `/v1/proposals/${PROPOSAL_ID}`;

test('a draft reaches the gate whole, with the principal of the credential, and 201 says where it is', async (t) => {
  const gate = fakeGate();
  const served = await serve(t, appOptions(gate));
  const body = { ...DRAFT, reason: 'a typo', run: 'run-7', idempotencyKey: 'key-1' };
  const got = await send(served, { path: '/v1/proposals', token: TOKENS.agent, body });
  assert.equal(got.status, 201);
  assert.equal(got.headers['location'], PROPOSAL);
  assert.deepEqual(got.json, RESULTS.waiting);
  assert.deepEqual(gate.calls, [
    { method: 'propose', given: [AGENT, { ...body, compensates: undefined }] },
  ]);
});

test('the header Idempotency-Key is the key, also beside the same member', async (t) => {
  const gate = fakeGate();
  const served = await serve(t, appOptions(gate));
  const sent = { path: '/v1/proposals', token: TOKENS.agent, headers: { 'idempotency-key': 'k' } };
  await send(served, { ...sent, body: DRAFT });
  await send(served, { ...sent, body: { ...DRAFT, idempotencyKey: 'k' } });
  const draft = {
    ...DRAFT,
    idempotencyKey: 'k',
    reason: undefined,
    run: undefined,
    compensates: undefined,
  };
  assert.deepEqual(
    gate.calls.map(({ given }) => given[1]),
    [draft, draft],
  );
  const differs = await send(served, { ...sent, body: { ...DRAFT, idempotencyKey: 'other' } });
  assert.equal(differs.status, 400);
  assert.match(differs.text, /draft-invalid/);
  assert.equal(gate.calls.length, 2);
});

test('a proposal that waits is waited for as long as the caller says, and stays marked as replayed', async (t) => {
  const gate = fakeGate({ propose: async () => ({ ...RESULTS.waiting, replayed: true }) });
  gate.script = [RESULTS.applied];
  const served = await serve(t, appOptions(gate));
  const got = await send(served, {
    path: '/v1/proposals?waitMs=1500',
    token: TOKENS.agent,
    body: DRAFT,
  });
  assert.equal(got.status, 201);
  assert.deepEqual(got.json, { ...RESULTS.applied, replayed: true });
  const wait = gate.calls.find(({ method }) => method === 'wait');
  assert.deepEqual(wait?.given.slice(0, 3), [AGENT, PROPOSAL_ID, 1500]);
});

test('a proposal that settled at once is not waited for', async (t) => {
  const gate = fakeGate({ propose: async () => RESULTS.denied });
  const served = await serve(t, appOptions(gate));
  const got = await send(served, {
    path: '/v1/proposals?waitMs=50000',
    token: TOKENS.agent,
    body: DRAFT,
  });
  assert.equal(got.status, 201);
  assert.deepEqual(got.json, RESULTS.denied);
  assert.deepEqual(
    gate.calls.map(({ method }) => method),
    ['propose'],
  );
});

test('each route hands the gate what was asked, and answers what it said', async (t) => {
  const gate = fakeGate();
  const served = await serve(t, appOptions(gate));
  const { agent, person, operator } = TOKENS;
  const approval = { planDigest: DIGEST, verdict: 'approve' };
  const question = { target: 'crm', arguments: { statement: 'select 1' }, run: 'r1' };
  const freeze = { scope: { kind: 'agent', name: 'ledger-bot' }, reason: 'looks wrong' };
  const holder = { kind: 'agent', name: 'ledger-bot' };
  const table: readonly [Sent, number, string, readonly unknown[]][] = [
    [{ path: '/v1/previews', token: agent, body: DRAFT }, 200, 'preview', [AGENT]],
    [{ path: PROPOSAL, token: person }, 200, 'view', [PERSON, PROPOSAL_ID]],
    [{ path: `${PROPOSAL}/rows`, token: agent }, 200, 'rows', [AGENT, PROPOSAL_ID, {}]],
    [
      {
        path: `${PROPOSAL}/rows?from=25&limit=1000&resource=public.customers&kind=delete`,
        token: person,
      },
      200,
      'rows',
      [
        PERSON,
        PROPOSAL_ID,
        { from: 25, limit: 1000, resource: 'public.customers', kind: 'delete' },
      ],
    ],
    [{ path: '/v1/reads', token: agent, body: question }, 200, 'read', [AGENT, question]],
    [{ path: `${PROPOSAL}/result`, token: agent }, 200, 'status', [AGENT, PROPOSAL_ID]],
    [{ path: `${PROPOSAL}/result?waitMs=7`, token: agent }, 200, 'wait', [AGENT, PROPOSAL_ID, 7]],
    [
      { path: `${PROPOSAL}/cancel`, method: 'POST', token: agent },
      200,
      'cancel',
      [AGENT, PROPOSAL_ID],
    ],
    [
      { path: `${PROPOSAL}/rollback`, method: 'POST', token: person },
      201,
      'rollback',
      [PERSON, PROPOSAL_ID],
    ],
    [
      { path: `${PROPOSAL}/approvals`, token: person, body: approval },
      200,
      'approve',
      [PERSON, PROPOSAL_ID, approval],
    ],
    [
      {
        path: `/v1/proposals?state=waiting&state=stale&limit=2&before=${PROPOSAL_ID}`,
        token: agent,
      },
      200,
      'list',
      [AGENT, { states: ['waiting', 'stale'], limit: 2, before: PROPOSAL_ID }],
    ],
    [
      { path: '/v1/proposals?state=waiting', token: agent },
      200,
      'list',
      [AGENT, { states: ['waiting'], limit: 50 }],
    ],
    [{ path: '/v1/freezes', token: agent }, 200, 'freezes', [AGENT]],
    [{ path: '/v1/budgets?agent=x', token: agent }, 200, 'budgets', [AGENT, 'x']],
    [{ path: '/v1/baselines?agent=x', token: operator }, 200, 'baselines', [OPERATOR, 'x']],
    [
      { path: '/v1/freezes', token: operator, body: freeze },
      201,
      'stop',
      [OPERATOR, freeze.scope, freeze.reason],
    ],
    [
      { path: `/v1/freezes/${FREEZE_ID}/release`, token: operator, body: { reason: 'checked' } },
      200,
      'release',
      [OPERATOR, FREEZE_ID, 'checked'],
    ],
    [
      { path: '/v1/credentials', token: operator, body: { holder } },
      201,
      'issue',
      [OPERATOR, holder],
    ],
    [{ path: '/v1/credentials', token: operator }, 200, 'list', []],
    [
      { path: `/v1/credentials/${CREDENTIAL_ID}/revoke`, method: 'POST', token: operator },
      204,
      'revoke',
      [OPERATOR, CREDENTIAL_ID],
    ],
    [{ path: '/v1/policies', token: person }, 200, 'history', [{ limit: 50 }]],
    [
      { path: '/v1/policies?limit=2&before=9', token: person },
      200,
      'history',
      [{ limit: 2, before: 9 }],
    ],
    [{ path: '/v1/policies/current', token: person }, 200, 'current', []],
    [
      { path: '/v1/policies', token: operator, body: { text: 'version: 1' } },
      200,
      'apply',
      [OPERATOR, 'version: 1'],
    ],
  ];
  for (const [sent, status, method, given] of table) {
    gate.calls.length = 0;
    const got = await send(served, sent);
    assert.equal(got.status, status, `${sent.path}: ${got.text}`);
    assert.deepEqual(
      gate.calls.map((call) => call.method),
      [method],
      sent.path,
    );
    assert.deepEqual(gate.calls[0]?.given.slice(0, given.length), given, sent.path);
  }
});

test('a GET changes nothing, whoever asks', async (t) => {
  const gate = fakeGate();
  const served = await serve(t, appOptions(gate));
  const document = (await send(served, { path: '/v1/openapi.json' })).json;
  const paths = Object.keys((document as { paths: object }).paths); // its form is tested elsewhere
  assert.ok(paths.length > 10);
  for (const token of [undefined, ...Object.values(TOKENS)]) {
    for (const path of paths) {
      const filled = path
        .replace('{id}', PROPOSAL_ID)
        .replace('{code}', 'bug')
        .replace('{path}', 'checkpoint');
      await send(served, { path: filled, token });
    }
  }
  const changed = gate.calls.filter(({ method }) => MUTATING.some((each) => each === method));
  assert.deepEqual(changed, []);
  assert.ok(gate.calls.length > 0, 'some of them reached the gate');
});

test('status, health and problems need no credential and say nothing secret', async (t) => {
  const served = await serve(t, appOptions(fakeGate()));
  assert.deepEqual((await send(served, { path: '/v1/status' })).json, STATUS);
  assert.deepEqual((await send(served, { path: '/v1/healthz' })).json, { ok: true });
  for (const [code, row] of Object.entries(PROBLEMS)) {
    const got = await send(served, { path: `/v1/problems/${code}` });
    assert.deepEqual(got.json, { code, ...row });
  }
  assert.equal((await send(served, { path: '/v1/problems/toString' })).status, 404);
});

test('a gateway that is to stop says so to load balancers first, and takes calls on connections that end', async (t) => {
  const leaving = new AbortController();
  const served = await serve(t, { ...appOptions(fakeGate()), leaving: leaving.signal });
  assert.deepEqual((await send(served, { path: '/v1/readyz' })).json, { ok: true });
  leaving.abort();
  const refused = await send(served, { path: '/v1/readyz' });
  assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '1']);
  assert.match(refused.text, /gateway-stopping/);
  assert.equal((await send(served, { path: '/v1/healthz' })).status, 200);
  const headers = { connection: 'keep-alive' };
  const taken = await send(served, { path: PROPOSAL, token: TOKENS.person, headers });
  assert.deepEqual([taken.status, taken.headers['connection']], [200, 'close']);
  const mcp = await send(served, {
    method: 'POST',
    path: '/mcp',
    token: TOKENS.agent,
    headers,
    body: {},
  });
  assert.equal(mcp.headers['connection'], 'close');
});

test('a list is a page and a view is whole', async (t) => {
  const served = await serve(t, appOptions(fakeGate()));
  const page = await send(served, { path: '/v1/proposals', token: TOKENS.person });
  assert.deepEqual(page.json, { items: [SUMMARY], before: PROPOSAL_ID });
  assert.deepEqual((await send(served, { path: PROPOSAL, token: TOKENS.person })).json, VIEW);
});

test('every answer forbids sniffing, storing and embedding', async (t) => {
  const served = await serve(t, appOptions(fakeGate()));
  for (const path of ['/v1/status', '/v1/nothing', '/v1/proposals', '/mcp', '/v1/%zz']) {
    const { headers } = await send(served, { path });
    assert.equal(headers['x-content-type-options'], 'nosniff', path);
    assert.equal(headers['cache-control'], 'no-store', path);
    assert.match(String(headers['content-security-policy']), /^default-src 'none'/, path);
  }
});

test('the published ledger is served to people, and only its files', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-ledger-'));
  t.after(() => rm(folder, { recursive: true }));
  await mkdir(join(folder, 'tile/entries'), { recursive: true });
  await mkdir(join(folder, 'payloads'));
  await writeFile(join(folder, 'checkpoint'), 'writegate.example/acme\n7\n');
  await writeFile(join(folder, 'tile/entries/000.p'), 'not a folder');
  await writeFile(join(folder, 'tile/entries/001'), 'bundle');
  await writeFile(join(folder, 'payloads/000'), 'a payload');
  const served = await serve(t, { ...appOptions(fakeGate()), ledgerFolder: folder });
  const read = (path: string, token: string = TOKENS.person) =>
    send(served, { path: `/v1/ledger/${path}`, token });

  assert.equal((await read('checkpoint')).text, 'writegate.example/acme\n7\n');
  assert.equal((await read('tile/entries/001')).text, 'bundle');
  assert.equal((await read('checkpoint', TOKENS.agent)).status, 403);
  for (const path of [
    'payloads/000',
    'tile/0/000',
    'tile/entries/000.p',
    '',
    'tile',
    'checkpoint/',
  ]) {
    assert.equal((await read(path)).status, 404, path);
  }
});

test(
  'a caller that goes away ends its wait and cancels nothing',
  { timeout: 10_000 },
  async (t) => {
    const waiting = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    const gate = fakeGate({
      wait: (_principal, _id, _timeoutMs, signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            resolve(RESULTS.waiting);
            ended.resolve();
          });
          waiting.resolve();
        }),
    });
    const served = await serve(t, appOptions(gate));
    const call = request({
      host: '127.0.0.1',
      port: served.port,
      method: 'POST',
      path: '/v1/proposals?waitMs=50000',
      headers: { authorization: `Bearer ${TOKENS.agent}`, 'content-type': 'application/json' },
    });
    call.on('error', () => undefined);
    call.end(JSON.stringify(DRAFT));
    await waiting.promise;
    call.destroy();
    await ended.promise;
    await served.close();
    assert.deepEqual(
      gate.calls.map(({ method }) => method),
      ['propose', 'wait'],
    );
  },
);

test('closing ends a wait with the present state', { timeout: 10_000 }, async (t) => {
  const waiting = Promise.withResolvers<void>();
  const gate = fakeGate({
    wait: (_principal, _id, _timeoutMs, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve(RESULTS.waiting));
        waiting.resolve();
      }),
  });
  const served = await serve(t, appOptions(gate));
  const path = `${PROPOSAL}/result?waitMs=50000`;
  const answer = send(served, { path, token: TOKENS.agent });
  await waiting.promise;
  await served.close();
  assert.deepEqual((await answer).json, RESULTS.waiting);
});

test(
  'requests over the bound are told to come again; a person still gets through',
  { timeout: 10_000 },
  async (t) => {
    const full = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<Result>();
    const gate = fakeGate({
      wait: () => {
        full.resolve();
        return goOn.promise;
      },
    });
    const served = await serve(t, { ...appOptions(gate), bounds: { agentsMax: 1 } });
    const held = send(served, { path: `${PROPOSAL}/result?waitMs=50000`, token: TOKENS.agent });
    await full.promise;
    const over = await send(served, { path: PROPOSAL, token: TOKENS.agent });
    assert.equal(over.status, 429);
    assert.equal(over.headers['retry-after'], '1');
    assert.match(over.text, /too-many-requests/);
    const body = { scope: { kind: 'all' }, reason: 'stop it' };
    assert.equal(
      (await send(served, { path: '/v1/freezes', token: TOKENS.operator, body })).status,
      201,
    );
    goOn.resolve(RESULTS.applied);
    assert.equal((await held).status, 200);
    assert.equal((await send(served, { path: PROPOSAL, token: TOKENS.agent })).status, 200);
  },
);

test(
  "one credential's waits leave half of the bound to others, and status and health are no one's",
  { timeout: 10_000 },
  async (t) => {
    const other = `wga_${'b'.repeat(32)}`;
    const goOn = Promise.withResolvers<Result>();
    const waits = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let waiting = 0;
    const gate = fakeGate({
      wait: () => {
        waits[waiting]?.resolve();
        waiting += 1;
        return goOn.promise;
      },
    });
    const options = appOptions(gate);
    const credential = newCredentialId(1, new Uint8Array(10).fill(1));
    const served = await serve(t, {
      ...options,
      bounds: { agentsMax: 2 },
      credentials: {
        ...options.credentials,
        authenticate: async (token) =>
          token === other ? { ...AGENT, credential } : options.credentials.authenticate(token),
      },
    });
    const wait = `${PROPOSAL}/result?waitMs=50000`;
    const first = send(served, { path: wait, token: TOKENS.agent });
    await waits[0]?.promise;
    const again = await send(served, { path: PROPOSAL, token: TOKENS.agent });
    assert.equal(again.status, 429);
    assert.match(again.text, /of one credential/);
    const mcp = await send(served, { path: '/mcp', token: TOKENS.agent, body: {} });
    assert.equal(mcp.status, 429);
    const second = send(served, { path: wait, token: other });
    await waits[1]?.promise;
    assert.equal((await send(served, { path: '/v1/status' })).status, 200);
    assert.equal((await send(served, { path: '/v1/healthz' })).status, 200);
    goOn.resolve(RESULTS.applied);
    assert.deepEqual([(await first).status, (await second).status], [200, 200]);
    assert.equal((await send(served, { path: PROPOSAL, token: TOKENS.agent })).status, 200);
  },
);

test(
  'while the last calls are let finish, new ones are told to come again',
  { timeout: 10_000 },
  async (t) => {
    const stopping = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<Result>();
    const gate = fakeGate({
      preview: (_principal, _draft, signal) => {
        signal.addEventListener('abort', () => stopping.resolve());
        begun.resolve();
        return goOn.promise;
      },
    });
    const served = await serve(t, appOptions(gate));
    const last = send(served, { path: '/v1/previews', token: TOKENS.agent, body: DRAFT });
    await begun.promise;
    const closed = served.close();
    await stopping.promise;
    const late = await send(served, { path: '/v1/proposals', token: TOKENS.agent, body: DRAFT });
    assert.equal(late.status, 503);
    assert.match(late.text, /gateway-stopping/);
    goOn.resolve(RESULTS.previewed);
    assert.deepEqual((await last).json, RESULTS.previewed);
    await closed;
    assert.deepEqual(
      gate.calls.map(({ method }) => method),
      ['preview'],
    );
  },
);

test('an agent neither reads nor applies a policy, and a file of the largest size fits a call', async (t) => {
  const gate = fakeGate();
  const served = await serve(t, appOptions(gate));
  const body = { text: `# ${'\u0007'.repeat(1024 * 1024 - 2)}` };
  for (const sent of [
    { path: '/v1/policies' },
    { path: '/v1/policies/current' },
    { path: '/v1/policies', body: { text: 'version: 1' } },
  ]) {
    const got = await send(served, { ...sent, token: TOKENS.agent });
    assert.equal(got.status, 403, got.text);
    assert.match(got.text, /credential-kind/);
  }
  assert.deepEqual(gate.calls, []);
  const got = await send(served, { path: '/v1/policies', token: TOKENS.operator, body });
  assert.equal(got.status, 200, got.text);
  const more = { text: `${body.text}${'x'.repeat(200)}` };
  const refused = await send(served, { path: '/v1/policies', token: TOKENS.operator, body: more });
  assert.equal(refused.status, 413, refused.text);
});
