/** What comes in malformed, oversized, unknown or hostile: a stable code, and the gate saw nothing. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Problem, PROBLEMS, type ProblemCode } from '../model/problem.ts';
import {
  appOptions,
  CREDENTIAL_ID,
  DIGEST,
  DRAFT,
  fakeGate,
  FREEZE_ID,
  PROPOSAL_ID,
  TOKENS,
  VIEW,
} from '../../test/support/fake-gate.ts';
import { need } from '../../test/support/gate.ts';
import { send, serve, type Got, type Sent } from '../../test/support/serve.ts';
import { PROBLEM_DOCUMENT } from './shapes/gateway-answers.ts';

const isProblem = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(PROBLEM_DOCUMENT);

function assertProblem(got: Got, code: ProblemCode, name: string): void {
  assert.equal(got.headers['content-type'], 'application/problem+json', `${name}: ${got.text}`);
  assert.ok(isProblem(got.json), `${name}: ${JSON.stringify(isProblem.errors)}`);
  const { type, status } = got.json as { type: string; status: number }; // as just checked
  assert.equal(type, `/v1/problems/${code}`, `${name}: ${got.text}`);
  assert.equal(got.status, PROBLEMS[code].status, name);
  assert.equal(status, got.status, name);
}

const { agent, person, operator } = TOKENS;
const DRAFTS = { path: '/v1/proposals', token: agent } as const;
const PROPOSAL = `/v1/proposals/${PROPOSAL_ID}`;
const APPROVAL = { planDigest: DIGEST, verdict: 'approve' };

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = { a: value };
  return value;
}

/** The body as text, because JavaScript would not write it so. */
function draftText(args: string): string {
  return `{"target":"crm","operation":"sql","arguments":${args}}`;
}

const TABLE: readonly [name: string, code: ProblemCode, sent: Sent][] = [
  ['JSON that breaks off', 'request-invalid', { ...DRAFTS, body: '{"target":' }],
  [
    'bytes that are no UTF-8',
    'request-invalid',
    { ...DRAFTS, body: Buffer.from('{"a":"\xff"}', 'latin1') },
  ],
  ['no body', 'draft-invalid', { ...DRAFTS, method: 'POST' }],
  ['an array', 'draft-invalid', { ...DRAFTS, body: [DRAFT] }],
  ['null', 'draft-invalid', { ...DRAFTS, body: 'null' }],
  [
    'another content type',
    'request-invalid',
    { ...DRAFTS, body: DRAFT, headers: { 'content-type': 'text/plain' } },
  ],
  [
    'a form',
    'request-invalid',
    { ...DRAFTS, body: 'a=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
  ],
  ['an unknown member', 'draft-invalid', { ...DRAFTS, body: { ...DRAFT, urgent: true } }],
  [
    'a tenant of its own choice',
    'draft-invalid',
    { ...DRAFTS, body: { ...DRAFT, tenant: 'other' } },
  ],
  [
    'an environment of its own choice',
    'draft-invalid',
    { ...DRAFTS, body: { ...DRAFT, environment: 'dev' } },
  ],
  [
    'a claim to be a compensation',
    'draft-invalid',
    { ...DRAFTS, body: { ...DRAFT, compensates: PROPOSAL_ID } },
  ],
  ['a claim to be approved', 'draft-invalid', { ...DRAFTS, body: { ...DRAFT, approved: true } }],
  [
    '__proto__ as a member',
    'draft-invalid',
    { ...DRAFTS, body: `{"__proto__":{"tenant":"x"},${draftText('{}').slice(1)}` },
  ],
  [
    '__proto__ in the arguments',
    'draft-invalid',
    { ...DRAFTS, body: draftText('{"a":{"__proto__":{"b":1}}}') },
  ],
  [
    'nesting over the bound',
    'draft-invalid',
    { ...DRAFTS, body: { ...DRAFT, arguments: nested(33) } },
  ],
  [
    'nesting without end',
    'draft-invalid',
    { ...DRAFTS, body: draftText(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`) },
  ],
  [
    'arguments over 256 KiB',
    'draft-invalid',
    { ...DRAFTS, body: { ...DRAFT, arguments: { a: 'x'.repeat(262_144) } } },
  ],
  [
    'a body over 512 KiB',
    'request-too-large',
    { ...DRAFTS, body: { ...DRAFT, arguments: { a: 'x'.repeat(524_288) } } },
  ],
  ['half a surrogate pair', 'draft-invalid', { ...DRAFTS, body: draftText('{"a":"\\ud800"}') }],
  [
    'half a surrogate pair as a name',
    'draft-invalid',
    { ...DRAFTS, body: draftText('{"\\ud800":1}') },
  ],
  ['a number that is infinite', 'draft-invalid', { ...DRAFTS, body: draftText('{"a":1e999}') }],
  [
    'an integer that would be rounded',
    'draft-invalid',
    { ...DRAFTS, body: draftText('{"a":[9007199254740993]}') },
  ],
  ['arguments that are a list', 'draft-invalid', { ...DRAFTS, body: { ...DRAFT, arguments: [] } }],
  ['a target that is a number', 'draft-invalid', { ...DRAFTS, body: { ...DRAFT, target: 7 } }],
  ['a target with a NUL', 'draft-invalid', { ...DRAFTS, body: { ...DRAFT, target: 'crm\0' } }],
  [
    'a target with a bidi override',
    'draft-invalid',
    { ...DRAFTS, body: { ...DRAFT, target: 'crm\u202e' } },
  ],
  ['an empty target', 'draft-invalid', { ...DRAFTS, body: { ...DRAFT, target: '' } }],
  [
    'a name over its length',
    'draft-invalid',
    { ...DRAFTS, body: { ...DRAFT, operation: 'x'.repeat(129) } },
  ],
  [
    'a reason over its length',
    'draft-invalid',
    { ...DRAFTS, body: { ...DRAFT, reason: 'x'.repeat(2_001) } },
  ],
  [
    'an idempotency key over its length',
    'draft-invalid',
    { ...DRAFTS, body: { ...DRAFT, idempotencyKey: 'x'.repeat(256) } },
  ],
  [
    'an idempotency key with a line break',
    'draft-invalid',
    { ...DRAFTS, body: { ...DRAFT, idempotencyKey: 'a\nb' } },
  ],
  [
    'an empty idempotency header',
    'draft-invalid',
    { ...DRAFTS, body: DRAFT, headers: { 'idempotency-key': '' } },
  ],
  [
    'a preview with a tenant',
    'draft-invalid',
    { ...DRAFTS, path: '/v1/previews', body: { ...DRAFT, tenant: 'x' } },
  ],

  [
    'a wait over the bound',
    'request-invalid',
    { ...DRAFTS, path: '/v1/proposals?waitMs=50001', body: DRAFT },
  ],
  [
    'a wait that is no number',
    'request-invalid',
    { ...DRAFTS, path: '/v1/proposals?waitMs=soon', body: DRAFT },
  ],
  [
    'a wait in hexadecimal',
    'request-invalid',
    { ...DRAFTS, path: '/v1/proposals?waitMs=0x10', body: DRAFT },
  ],
  [
    'a wait as a power of ten',
    'request-invalid',
    { ...DRAFTS, path: '/v1/proposals?waitMs=1e3', body: DRAFT },
  ],
  [
    'a wait of no digits',
    'request-invalid',
    { ...DRAFTS, path: '/v1/proposals?waitMs=', body: DRAFT },
  ],
  ['a page of 0x10', 'request-invalid', { path: '/v1/proposals?limit=0x10', token: agent }],
  [
    'two waits',
    'request-invalid',
    { ...DRAFTS, path: '/v1/proposals?waitMs=1&waitMs=2', body: DRAFT },
  ],
  [
    'an unknown query parameter',
    'request-invalid',
    { path: '/v1/proposals?tenant=other', token: agent },
  ],
  [
    '__proto__ as a query parameter',
    'request-invalid',
    { path: '/v1/proposals?__proto__=1', token: agent },
  ],
  [
    'a query where none is taken',
    'request-invalid',
    { path: `${PROPOSAL}?as=admin`, token: agent },
  ],
  ['an unknown state', 'request-invalid', { path: '/v1/proposals?state=done', token: agent }],
  ['a page over the bound', 'request-invalid', { path: '/v1/proposals?limit=201', token: agent }],
  [
    'a page before nothing',
    'proposal-unknown',
    { path: '/v1/proposals?before=prop_x', token: agent },
  ],
  [
    'a body where none is taken',
    'request-invalid',
    { path: `${PROPOSAL}/cancel`, token: agent, body: { force: true } },
  ],

  ['an id with a NUL', 'proposal-unknown', { path: `${PROPOSAL}%00`, token: agent }],
  [
    'an id with an encoded path',
    'proposal-unknown',
    { path: '/v1/proposals/..%2F..%2Fetc%2Fpasswd', token: agent },
  ],
  [
    'a freeze id in place of a proposal id',
    'proposal-unknown',
    { path: `/v1/proposals/${FREEZE_ID}`, token: agent },
  ],
  ['a path that is not well formed', 'route-unknown', { path: '/v1/proposals/%zz', token: agent }],
  [
    'an id without end',
    'route-unknown',
    { path: `/v1/proposals/${'x'.repeat(5_000)}`, token: agent },
  ],
  ['a route that is not there', 'route-unknown', { path: '/v1/policy', token: operator }],
  [
    'a method that is not there',
    'route-unknown',
    { path: PROPOSAL, method: 'DELETE', token: operator },
  ],
  ['a problem code that is none', 'route-unknown', { path: '/v1/problems/unknown-code' }],
  [
    'a freeze id that is none',
    'freeze-unknown',
    { path: '/v1/freezes/1/release', token: operator, body: { reason: 'x' } },
  ],
  [
    'a credential id that is none',
    'route-unknown',
    { path: '/v1/credentials/1/revoke', method: 'POST', token: operator },
  ],

  ['no token', 'credential-missing', { path: '/v1/proposals', body: DRAFT }],
  ['no token and no JSON', 'credential-missing', { path: '/v1/proposals', body: '{' }],
  [
    'an unknown token',
    'credential-unknown',
    { ...DRAFTS, token: `wga_${'x'.repeat(32)}`, body: DRAFT },
  ],
  [
    'a token with a path in it',
    'credential-unknown',
    { ...DRAFTS, token: '../../etc/passwd', body: DRAFT },
  ],
  [
    'a token that is too long',
    'credential-unknown',
    { ...DRAFTS, token: `wga_${'x'.repeat(5_000)}`, body: DRAFT },
  ],
  [
    'basic authentication',
    'credential-unknown',
    { path: '/v1/proposals', body: DRAFT, headers: { authorization: 'Basic YTpi' } },
  ],
  ['the token in the query', 'credential-missing', { path: `/v1/proposals?access_token=${agent}` }],
  [
    'an agent that approves',
    'credential-kind',
    { path: `${PROPOSAL}/approvals`, token: agent, body: APPROVAL },
  ],
  [
    'an agent that approves, malformed',
    'credential-kind',
    { path: `${PROPOSAL}/approvals`, token: agent, body: '{' },
  ],
  [
    'an agent that stops',
    'credential-kind',
    { path: '/v1/freezes', token: agent, body: { scope: { kind: 'all' }, reason: 'x' } },
  ],
  [
    'an agent that lifts a stop',
    'credential-kind',
    { path: `/v1/freezes/${FREEZE_ID}/release`, token: agent, body: { reason: 'x' } },
  ],
  [
    'an agent that makes a credential',
    'credential-kind',
    { path: '/v1/credentials', token: agent, body: { holder: { kind: 'person', name: 'me' } } },
  ],
  [
    'an approver that makes a credential',
    'role-missing',
    { path: '/v1/credentials', token: person, body: { holder: { kind: 'person', name: 'me' } } },
  ],
  ['an agent that lists them', 'credential-kind', { path: '/v1/credentials', token: agent }],
  ['an approver that lists them', 'role-missing', { path: '/v1/credentials', token: person }],
  [
    'an approver that revokes one',
    'role-missing',
    { path: `/v1/credentials/${CREDENTIAL_ID}/revoke`, method: 'POST', token: person },
  ],
  [
    'an agent that reads the ledger',
    'credential-kind',
    { path: '/v1/ledger/checkpoint', token: agent },
  ],
  ['a person at the door for agents', 'credential-kind', { path: '/mcp', token: person, body: {} }],
  ['nobody at the door for agents', 'credential-missing', { path: '/mcp', body: {} }],

  [
    'an approval without a digest',
    'request-invalid',
    { path: `${PROPOSAL}/approvals`, token: person, body: { verdict: 'approve' } },
  ],
  [
    'an approval of a prefix',
    'request-invalid',
    { path: `${PROPOSAL}/approvals`, token: person, body: { ...APPROVAL, planDigest: 'sha256:a' } },
  ],
  [
    'an approval for somebody else',
    'request-invalid',
    { path: `${PROPOSAL}/approvals`, token: person, body: { ...APPROVAL, person: 'carol' } },
  ],
  [
    'a verdict that is none',
    'request-invalid',
    { path: `${PROPOSAL}/approvals`, token: person, body: { ...APPROVAL, verdict: 'maybe' } },
  ],
  [
    'a stop without a reason',
    'request-invalid',
    { path: '/v1/freezes', token: operator, body: { scope: { kind: 'all' } } },
  ],
  [
    'a stop of nothing',
    'request-invalid',
    { path: '/v1/freezes', token: operator, body: { scope: { kind: 'agent' }, reason: 'x' } },
  ],
  [
    'a stop of another tenant',
    'request-invalid',
    {
      path: '/v1/freezes',
      token: operator,
      body: { scope: { kind: 'tenant', name: 'other' }, reason: 'x' },
    },
  ],
  [
    'a credential with a role',
    'request-invalid',
    {
      path: '/v1/credentials',
      token: operator,
      body: { holder: { kind: 'person', name: 'x', roles: ['operator'] } },
    },
  ],

  [
    'up and out of the ledger',
    'route-unknown',
    { path: '/v1/ledger/../../../etc/passwd', token: person },
  ],
  [
    'up and out, encoded',
    'route-unknown',
    { path: '/v1/ledger/..%2f..%2f..%2fetc%2fpasswd', token: person },
  ],
  [
    'up and out, encoded twice',
    'route-unknown',
    { path: '/v1/ledger/%252e%252e%252fetc%252fpasswd', token: person },
  ],
  [
    'up and out from a tile',
    'route-unknown',
    { path: '/v1/ledger/tile/..%2f..%2fcheckpoint', token: person },
  ],
  ['an absolute path', 'route-unknown', { path: '/v1/ledger//etc/passwd', token: person }],
  ['a backslash', 'route-unknown', { path: '/v1/ledger/..%5c..%5cstore.db', token: person }],
  ['a NUL in the ledger', 'route-unknown', { path: '/v1/ledger/checkpoint%00.txt', token: person }],
  ['a payload', 'route-unknown', { path: '/v1/ledger/payloads/000', token: person }],
];

test('hostile input gets its stable code, a valid problem, and never the gate', async (t) => {
  const gate = fakeGate();
  const logged: unknown[] = [];
  // A folder that is there, so that a path that escaped from it would find something.
  const served = await serve(t, { ...appOptions(gate, logged), ledgerFolder: '/tmp' });
  for (const [name, code, sent] of TABLE) {
    const got = await send(served, sent);
    assertProblem(got, code, name);
    assert.deepEqual(gate.calls, [], name);
  }
  assert.deepEqual(logged, [], 'what a caller did wrong is not a bug');
});

test('a request that believes to speak with another host is refused before anything', async (t) => {
  const gate = fakeGate();
  const served = await serve(t, appOptions(gate));
  const refused = [
    'evil.example',
    `evil.example:${served.port}`,
    'localhost',
    `localhost:${served.port + 1}`,
    `localhost.evil.example:${served.port}`,
    `user@localhost:${served.port}`,
    `127.0.0.2:${served.port}`,
    'gateway.example.com.evil.example',
    'gateway.example.com:8080',
  ];
  for (const host of refused) {
    for (const path of ['/v1/proposals', '/v1/status', '/mcp', '/v1/nothing']) {
      assertProblem(await send(served, { path, headers: { host } }), 'origin-refused', host);
    }
  }
  const taken = [
    `localhost:${served.port}`,
    `LOCALHOST:${served.port}`,
    `127.0.0.1:${served.port}`,
    `[::1]:${served.port}`,
    'gateway.example.com',
  ];
  for (const host of taken) {
    assert.equal((await send(served, { path: '/v1/status', headers: { host } })).status, 200, host);
  }
  assert.deepEqual(gate.calls, []);
});

test('a page of another origin is refused, also where the browser hides which', async (t) => {
  const gate = fakeGate();
  const served = await serve(t, appOptions(gate));
  const refused = [
    'http://evil.example',
    'null',
    '',
    'file://',
    `http://localhost:${served.port + 1}`,
    'http://localhost',
    `http://localhost:${served.port}/path`,
    `ftp://localhost:${served.port}`,
    `http://u@localhost:${served.port}`,
  ];
  for (const origin of refused) {
    for (const path of ['/v1/proposals', '/mcp']) {
      const got = await send(served, { path, token: agent, body: DRAFT, headers: { origin } });
      assertProblem(got, 'origin-refused', origin);
    }
  }
  assert.deepEqual(gate.calls, []);
  for (const origin of [`http://localhost:${served.port}`, 'https://gateway.example.com']) {
    const got = await send(served, { path: '/v1/status', headers: { origin } });
    assert.equal(got.status, 200, origin);
    assert.equal(got.headers['access-control-allow-origin'], undefined, 'no page may read across');
  }
});

test('a 401 says where to learn what is protected here', async (t) => {
  const served = await serve(t, appOptions(fakeGate()));
  for (const [path, resource] of [
    ['/v1/proposals', ''],
    ['/mcp', '/mcp'],
  ] as const) {
    const missing = await send(served, { path, body: {} });
    const document = `${served.url}/.well-known/oauth-protected-resource${resource}`;
    const challenge = `Bearer realm="writegate", resource_metadata="${document}"`;
    assert.equal(missing.headers['www-authenticate'], challenge);
    const unknown = await send(served, { path, body: {}, token: `wga_${'x'.repeat(32)}` });
    assert.match(String(unknown.headers['www-authenticate']), /error="invalid_token"/);
    const metadata = await send(served, { path: new URL(document).pathname });
    assert.deepEqual(metadata.json, {
      resource: `${served.url}${resource}`,
      resource_name: 'Writegate',
      bearer_methods_supported: ['header'],
    });
  }
});

test("the gate's problems come out with their code, and what nobody foresaw without its internals", async (t) => {
  const logged: unknown[] = [];
  const gate = fakeGate({
    view: async () => {
      throw new Problem('proposal-unknown', 'there is no such proposal', { at: '/id' });
    },
    list: async () => {
      throw new Error('SELECT secret FROM vault at /srv/writegate/store.ts');
    },
  });
  const served = await serve(t, appOptions(gate, logged));
  assertProblem(await send(served, { path: PROPOSAL, token: agent }), 'proposal-unknown', 'view');
  assert.deepEqual(logged, []);
  const bug = await send(served, { path: '/v1/proposals', token: agent });
  assertProblem(bug, 'bug', 'list');
  assert.doesNotMatch(bug.text, /secret|vault|store\.ts/);
  assert.equal(logged.length, 1);
});

test('the columns of an answer may be called what objects have already', async (t) => {
  const text = '{"__proto__":"a","constructor":"b","toString":"c"}';
  const image = JSON.parse(text) as Record<string, string>; // as just written
  const effect = { resource: 'crm', kind: 'create', key: [], before: null, after: image } as const;
  const gate = fakeGate({
    view: async () => ({ ...VIEW, outcome: { ...need(VIEW.outcome), effects: [effect] } }),
  });
  const served = await serve(t, appOptions(gate));
  const got = await send(served, { path: PROPOSAL, token: agent });
  assert.ok(got.text.includes(`"after":${text}`), got.text);
});

async function sendBytes(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const closed = new Promise((resolve) => socket.on('close', resolve));
  let text = '';
  socket.on('data', (chunk) => (text += String(chunk)));
  socket.end(bytes);
  await closed;
  return text;
}

/** An answer that was written where no request had come to be. */
function assertRawProblem(answer: string, code: ProblemCode): void {
  const [head = '', body = ''] = answer.split('\r\n\r\n');
  assert.match(head, /content-type: application\/problem\+json/);
  const json: unknown = JSON.parse(body);
  assert.ok(isProblem(json), body);
  assert.ok(body.includes(`"code":"${code}"`), body);
}

test(
  'a request whose body does not come is given up, and told why',
  { timeout: 10_000 },
  async (t) => {
    const gate = fakeGate();
    const served = await serve(t, { ...appOptions(gate), receiveTimeoutMs: 200 });
    const socket = connect(served.port, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.write(`${headOf(served.port, agent)}content-length: 100\r\n\r\n{`);
    await once(socket, 'close');
    assertRawProblem(text, 'request-invalid');
    assert.match(text, /took too long/);
    assert.deepEqual(gate.calls, []);
  },
);

for (const path of ['/v1/proposals', '/mcp']) {
  test(`a caller of ${path} that breaks off is no bug, and nothing is logged`, async (t) => {
    const logged: unknown[] = [];
    const reading = Promise.withResolvers<void>();
    const options = appOptions(fakeGate(), logged);
    const served = await serve(t, {
      ...options,
      credentials: {
        ...options.credentials,
        authenticate: (token) => {
          reading.resolve();
          return options.credentials.authenticate(token);
        },
      },
    });
    const socket = connect(served.port, '127.0.0.1');
    socket.write(`${headOf(served.port, agent, path)}content-length: 100\r\n\r\n{`);
    await reading.promise;
    assert.equal((await send(served, { path: '/v1/healthz' })).status, 200);
    socket.destroy();
    // Resolves once no answer is owed any more.
    await served.close();
    assert.deepEqual(logged, []);
  });
}

function headOf(port: number, token: string, path = '/v1/proposals'): string {
  const accept = 'accept: application/json, text/event-stream\r\n';
  const type = 'content-type: application/json\r\n';
  return `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\nauthorization: Bearer ${token}\r\n${accept}${type}`;
}

test(
  'bytes that are no HTTP get a refusal and the server lives on',
  { timeout: 10_000 },
  async (t) => {
    const served = await serve(t, appOptions(fakeGate()));
    const bytes = await sendBytes(served.port, '\x16\x03\x01 hello\r\n\r\n');
    assert.match(bytes, /^HTTP\/1\.1 400 Bad Request\r\n/);
    assertRawProblem(bytes, 'request-invalid');
    const long = `GET /v1/status HTTP/1.1\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`;
    assertRawProblem(await sendBytes(served.port, long), 'request-too-large');
    const noHost = await sendBytes(served.port, 'GET /v1/status HTTP/1.0\r\n\r\n');
    assert.match(noHost, /^HTTP\/1\.1 403[^]*origin-refused/);
    assert.equal((await send(served, { path: '/v1/status' })).status, 200);
  },
);
