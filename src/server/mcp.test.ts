import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { test, type TestContext } from 'node:test';
import {
  Client,
  StreamableHTTPClientTransport,
  type CallToolResult,
  type VersionNegotiationMode,
} from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { Problem } from '../model/problem.ts';
import { recordOf } from '../lib/record.ts';
import type { Result } from '../model/result.ts';
import {
  AGENT,
  appOptions,
  DRAFT,
  fakeGate,
  FREEZE_ID,
  PROPOSAL_ID,
  READS,
  RESULTS,
  SUMMARY,
  TOKENS,
  type FakeGate,
} from '../../test/support/fake-gate.ts';
import { send, serve, type Served } from '../../test/support/serve.ts';
import { TOOLS } from './mcp-tools.ts';

const ERAS = [
  ['auto', '2026-07-28'],
  ['legacy', '2025-11-25'],
] as const;
const TOOL_NAMES = [
  'preview',
  'propose',
  'preview_chain',
  'propose_chain',
  'query',
  'wait',
  'status',
  'list',
  'cancel',
  'update',
];
const GIVEN = {
  ...DRAFT,
  reason: undefined,
  idempotencyKey: undefined,
  run: undefined,
  compensates: undefined,
};

async function overHttp(
  t: TestContext,
  served: Served,
  mode: VersionNegotiationMode = 'auto',
): Promise<Client> {
  const client = new Client({ name: 'agent', version: '1' }, { versionNegotiation: { mode } });
  const transport = new StreamableHTTPClientTransport(new URL(`${served.url}/mcp`), {
    requestInit: { headers: { authorization: `Bearer ${TOKENS.agent}` } },
  });
  await client.connect(transport);
  t.after(() => client.close());
  // The client checks results against the output schemas that it has seen.
  await client.listTools();
  return client;
}

async function overStdio(
  t: TestContext,
  served: Served,
  mode: VersionNegotiationMode,
): Promise<Client> {
  const script = fileURLToPath(new URL('../../test/support/mcp-stdio.ts', import.meta.url));
  const client = new Client({ name: 'agent', version: '1' }, { versionNegotiation: { mode } });
  const args = [script, served.url, TOKENS.agent];
  await client.connect(new StdioClientTransport({ command: process.execPath, args }));
  t.after(() => client.close());
  await client.listTools();
  return client;
}

function methods(gate: FakeGate): readonly string[] {
  return gate.calls.map(({ method }) => method);
}

function assertError(
  result: CallToolResult,
  code: string,
  next: string,
  retryAfterMs?: number,
): void {
  assert.equal(result.isError, true, JSON.stringify(result));
  const { reason, ...rest } = result.structuredContent as Record<string, unknown>;
  const passes = retryAfterMs === undefined ? {} : { retryAfterMs };
  assert.deepEqual(rest, { code, next, ...passes }, String(reason));
  assert.ok(typeof reason === 'string' && reason.length > 10);
  const again = retryAfterMs === undefined ? '' : `, then again in ${retryAfterMs} ms`;
  const text = `${code}: ${reason}; next: ${next}${again}`;
  assert.deepEqual(result.content, [{ type: 'text', text }]);
}

for (const [mode, revision] of ERAS) {
  test(`in revision ${revision} the tools are exactly nine and one for each structured write, and none of them approves`, async (t) => {
    const client = await overHttp(t, await serve(t, appOptions(fakeGate())), mode);
    assert.equal(client.getNegotiatedProtocolVersion(), revision);
    const { tools } = await client.listTools();
    assert.deepEqual(
      tools.map(({ name }) => name),
      TOOL_NAMES,
    );
    for (const tool of tools) {
      assert.equal(tool.inputSchema['additionalProperties'], false, tool.name);
      assert.equal(tool.outputSchema?.['type'], 'object', tool.name);
      assert.ok((tool.description ?? '').length < 700, tool.name);
      const isRead = ['preview', 'preview_chain', 'query', 'wait', 'status', 'list'].includes(
        tool.name,
      );
      assert.equal(tool.annotations?.readOnlyHint, isRead, tool.name);
      assert.equal(
        tool.annotations?.destructiveHint,
        ['propose', 'propose_chain', 'update'].includes(tool.name),
        tool.name,
      );
    }
  });

  test(`in revision ${revision} a proposal is waited for with progress, and settles in the same call`, async (t) => {
    const gate = fakeGate();
    gate.script = [RESULTS.waiting, RESULTS.waiting, RESULTS.applied];
    const client = await overHttp(t, await serve(t, appOptions(gate)), mode);
    const seen: unknown[] = [];
    const result = await client.callTool(
      { name: 'propose', arguments: { ...DRAFT, waitMs: 45_000 } },
      { onprogress: (progress) => seen.push(progress) },
    );
    assert.deepEqual(result.structuredContent, RESULTS.applied);
    assert.deepEqual(seen, [
      { progress: 10_000, total: 45_000, message: 'waiting for a person' },
      { progress: 20_000, total: 45_000, message: 'waiting for a person' },
    ]);
    assert.deepEqual(methods(gate), ['propose', 'wait', 'wait', 'wait']);
    assert.deepEqual(gate.calls[0]?.given, [AGENT, GIVEN]);
  });

  test(`in revision ${revision} every state comes out whole, with its handle, and in one sentence`, async (t) => {
    const gate = fakeGate();
    const client = await overHttp(t, await serve(t, appOptions(gate)), mode);
    const states: readonly Result[] = Object.values(RESULTS).filter(
      ({ state }) => state !== 'previewed',
    );
    for (const state of states) {
      gate.script = [state];
      const result = await client.callTool({
        name: 'status',
        arguments: { proposalId: PROPOSAL_ID },
      });
      assert.deepEqual(result.structuredContent, state);
      const text = `${state.state} (${state.code}): ${state.reason}; next: ${state.next}; proposalId: ${PROPOSAL_ID}`;
      assert.deepEqual(result.content, [{ type: 'text', text }]);
    }
    const structured = { target: 'crm', arguments: { table: 'customers' }, reason: 'because' };
    gate.script = [RESULTS.applied];
    const updated = await client.callTool({ name: 'update', arguments: structured });
    assert.deepEqual(updated.structuredContent, RESULTS.applied);
    const proposed = gate.calls.find(({ method }) => method === 'propose')?.given[1];
    assert.deepEqual(proposed, { ...GIVEN, ...structured, operation: 'update' });
    const step = { target: 'crm', operation: 'sql', arguments: DRAFT.arguments };
    const steps = [step, { ...step, target: 'shop' }];
    await client.callTool({ name: 'propose_chain', arguments: { steps, waitMs: 0 } });
    const chain = recordOf(gate.calls.at(-1)?.given[1]);
    assert.deepEqual([chain['target'], chain['steps']], ['crm + shop', steps]);
    const query = { target: 'crm', arguments: { statement: 'select 1' } };
    const found = await client.callTool({ name: 'query', arguments: query });
    assert.deepEqual(found.structuredContent, READS.read);
    assert.deepEqual(gate.calls.at(-1)?.given.slice(0, 2), [AGENT, query]);
    const preview = await client.callTool({ name: 'preview', arguments: DRAFT });
    assert.deepEqual(preview.structuredContent, RESULTS.previewed);
    const listed = await client.callTool({
      name: 'list',
      arguments: { state: ['waiting'], limit: 3 },
    });
    assert.deepEqual(listed.structuredContent, { items: [SUMMARY], before: PROPOSAL_ID });
    assert.deepEqual(gate.calls.at(-1)?.given, [AGENT, { states: ['waiting'], limit: 3 }]);
    const cancelled = await client.callTool({
      name: 'cancel',
      arguments: { proposalId: PROPOSAL_ID },
    });
    assert.deepEqual(cancelled.structuredContent, RESULTS.cancelled);
  });

  test(
    `in revision ${revision} writegate over stdio is the same tools over the HTTP API`,
    { timeout: 30_000 },
    async (t) => {
      const gate = fakeGate();
      gate.script = [RESULTS.waiting, RESULTS.applied];
      const client = await overStdio(t, await serve(t, appOptions(gate)), mode);
      assert.deepEqual(
        (await client.listTools()).tools.map(({ name }) => name),
        TOOL_NAMES,
      );
      const seen: unknown[] = [];
      const result = await client.callTool(
        { name: 'propose', arguments: DRAFT },
        { onprogress: ({ progress }) => seen.push(progress) },
      );
      assert.deepEqual(result.structuredContent, RESULTS.applied);
      assert.deepEqual(seen, [10_000]);
      assert.deepEqual(gate.calls[0], { method: 'propose', given: [AGENT, GIVEN] });
      assertError(
        await client.callTool({ name: 'status', arguments: { proposalId: 'prop_1' } }),
        'proposal-unknown',
        'fix-arguments',
      );
    },
  );
}

test('without a progress token propose waits once, 25 seconds, and hands out the handle', async (t) => {
  const gate = fakeGate();
  const client = await overHttp(t, await serve(t, appOptions(gate)));
  const result = await client.callTool({ name: 'propose', arguments: DRAFT });
  assert.deepEqual(result.structuredContent, RESULTS.waiting);
  assert.deepEqual(gate.calls[1]?.given.slice(0, 3), [AGENT, PROPOSAL_ID, 25_000]);
});

test('wait holds a call for 50 seconds and no longer, then says waiting', async (t) => {
  const gate = fakeGate();
  const client = await overHttp(t, await serve(t, appOptions(gate)));
  const call = { name: 'wait', arguments: { proposalId: PROPOSAL_ID } };
  assert.deepEqual((await client.callTool(call)).structuredContent, RESULTS.waiting);
  const waits = gate.calls.filter(({ method }) => method === 'wait');
  assert.deepEqual(
    waits.map(({ given }) => given[2]),
    [50_000],
  );

  gate.calls.length = 0;
  await client.callTool(call, { onprogress: () => undefined });
  const parts = gate.calls.filter(({ method }) => method === 'wait').map(({ given }) => given[2]);
  assert.deepEqual(parts, [10_000, 10_000, 10_000, 10_000, 10_000]);
});

test('the id of one call is no idempotency key: a retry of the model has another', async (t) => {
  const gate = fakeGate();
  const client = await overHttp(t, await serve(t, appOptions(gate)));
  const _meta = { 'claudecode/toolUseId': 'toolu_1', callId: 'call_1' };
  await client.callTool({ name: 'propose', arguments: { ...DRAFT, waitMs: 0 }, _meta });
  await client.callTool({
    name: 'propose',
    arguments: { ...DRAFT, waitMs: 0, idempotencyKey: 'mine' },
  });
  assert.deepEqual(
    gate.calls.map(({ given }) => given[1]),
    [GIVEN, { ...GIVEN, idempotencyKey: 'mine' }],
  );
});

test('hostile arguments get their stable code and never reach the gate', async (t) => {
  const gate = fakeGate();
  const client = await overHttp(t, await serve(t, appOptions(gate)));
  const proto: unknown = JSON.parse('{"a":{"__proto__":{"b":1}}}');
  const table: readonly [string, string, Record<string, unknown>][] = [
    ['propose', 'draft-invalid', {}],
    ['propose', 'draft-invalid', { ...DRAFT, tenant: 'other' }],
    ['propose', 'draft-invalid', { ...DRAFT, environment: 'dev' }],
    ['propose', 'draft-invalid', { ...DRAFT, compensates: PROPOSAL_ID }],
    ['propose', 'draft-invalid', { ...DRAFT, approved: true }],
    ['propose', 'draft-invalid', { ...DRAFT, waitMs: 50_001 }],
    ['propose', 'draft-invalid', { ...DRAFT, waitMs: '5' }],
    ['propose', 'draft-invalid', { ...DRAFT, arguments: proto }],
    ['propose', 'draft-invalid', { ...DRAFT, arguments: 'drop table customers' }],
    ['propose', 'draft-invalid', { ...DRAFT, target: 'crm\u202e' }],
    ['preview', 'draft-invalid', { ...DRAFT, waitMs: 1 }],
    ['preview', 'draft-invalid', { ...DRAFT, tenant: 'other' }],
    ['wait', 'request-invalid', {}],
    ['wait', 'request-invalid', { proposalId: PROPOSAL_ID, waitMs: -1 }],
    ['wait', 'proposal-unknown', { proposalId: 'prop_1\0' }],
    ['status', 'request-invalid', { proposalId: 7 }],
    ['status', 'proposal-unknown', { proposalId: FREEZE_ID }],
    ['status', 'proposal-unknown', { proposalId: '../credentials' }],
    ['cancel', 'request-invalid', { proposalId: PROPOSAL_ID, force: true }],
    ['list', 'request-invalid', { state: 'waiting' }],
    ['list', 'request-invalid', { agent: 'other-bot' }],
    ['list', 'proposal-unknown', { before: 'yesterday' }],
  ];
  for (const [name, code, args] of table) {
    const result = await client.callTool({ name, arguments: args });
    assertError(result, code, 'fix-arguments');
    assert.deepEqual(gate.calls, [], JSON.stringify(args));
  }
  for (const name of ['approve', 'stop', 'resume', 'policy', 'toString', '']) {
    await assert.rejects(client.callTool({ name, arguments: {} }), /unknown tool/, name);
  }
  assert.deepEqual(gate.calls, []);
});

test("the gate's problems say whose turn it is; what nobody foresaw says nothing", async (t) => {
  const logged: unknown[] = [];
  const thrown: Error[] = [
    new Problem('idempotency-key-reused', 'the key belongs to other arguments'),
    new Problem('store-unusable', 'the store cannot be written'),
    new Problem('gateway-stopping', 'the gateway is shutting down'),
    new Problem('too-many-requests', 'the target has enough to do', { retryAfterMs: 2_500 }),
    new Problem('state-conflict', 'it was applied a moment ago'),
    new Error('password of the vault'),
  ];
  const gate = fakeGate({
    cancel: async () => {
      throw thrown.shift() ?? new Error('once too often');
    },
  });
  const client = await overHttp(t, await serve(t, appOptions(gate, logged)));
  const cancel = (): Promise<CallToolResult> =>
    client.callTool({ name: 'cancel', arguments: { proposalId: PROPOSAL_ID } });
  assertError(await cancel(), 'idempotency-key-reused', 'fix-arguments');
  assertError(await cancel(), 'store-unusable', 'ask-human');
  assertError(await cancel(), 'gateway-stopping', 'wait', 1_000);
  assertError(await cancel(), 'too-many-requests', 'wait', 2_500);
  assertError(await cancel(), 'state-conflict', 'none');
  assert.deepEqual(logged, []);
  const bug = await cancel();
  assertError(bug, 'bug', 'ask-human');
  assert.doesNotMatch(JSON.stringify(bug), /vault/);
  assert.equal(logged.length, 1);
});

for (const [mode, revision] of ERAS) {
  test(
    `in revision ${revision} an agent that goes away ends its wait and cancels nothing`,
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
      const client = await overHttp(t, served, mode);
      const call = client.callTool({ name: 'propose', arguments: DRAFT });
      await waiting.promise;
      await Promise.all([assert.rejects(call), client.close()]);
      await ended.promise;
      await served.close();
      assert.deepEqual(methods(gate), ['propose', 'wait']);
    },
  );
}

test(
  'when the gateway stops, a call that waits is answered and the server closes',
  { timeout: 10_000 },
  async (t) => {
    const waiting = Promise.withResolvers<void>();
    const gate = fakeGate({
      wait: (_principal, _id, _timeoutMs, signal) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => resolve(RESULTS.waiting));
          waiting.resolve();
        }),
    });
    const served = await serve(t, appOptions(gate));
    const client = await overHttp(t, served);
    const call = client.callTool({ name: 'propose', arguments: DRAFT });
    await waiting.promise;
    await served.close();
    assert.deepEqual((await call).structuredContent, RESULTS.waiting);
  },
);

test('what is said of a second try names its exception', () => {
  const propose = TOOLS.find(({ name }) => name === 'propose');
  assert.match(
    propose?.description ?? '',
    /not written twice.*repeatable: send an `idempotencyKey`/,
  );
});

test('what is no MCP message is refused before any tool', async (t) => {
  const gate = fakeGate();
  const served = await serve(t, appOptions(gate));
  const post = { path: '/mcp', token: TOKENS.agent, method: 'POST' } as const;
  const headers = { accept: 'application/json, text/event-stream' };
  const big = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'ping',
    params: { a: 'x'.repeat(524_288) },
  });
  assert.equal((await send(served, { ...post, headers, body: '{' })).status, 400);
  assert.equal((await send(served, { ...post, headers, body: big })).status, 413);
  const text = { ...headers, 'content-type': 'text/plain' };
  assert.equal((await send(served, { ...post, headers: text, body: '{}' })).status, 415);
  assert.equal((await send(served, { path: '/mcp', token: TOKENS.agent, headers })).status, 405);
  assert.deepEqual(gate.calls, []);
});
