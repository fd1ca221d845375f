import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeTarget } from '../../test/support/fake-target.ts';
import { fakeClock } from '../../test/support/fakes.ts';
import { agent, human, POLICY } from '../../test/support/gate.ts';
import type { ReadAnswer, ReadRequest } from '../model/ports.ts';
import type { ReadBody, ReadRecord } from '../model/read.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { read, type ReadPorts } from './read.ts';

const BODY: ReadBody = {
  target: 'kv',
  arguments: { statement: 'SELECT secret', parameters: [17] },
};
const FOUND: ReadAnswer = {
  kind: 'read',
  columns: [
    { name: 'key', isMasked: false },
    { name: 'value', isMasked: true },
  ],
  rows: [['a', null]],
  resources: ['rows'],
  bytes: 1,
};

interface World {
  readonly ports: ReadPorts;
  readonly asked: ReadRequest[];
  readonly written: ReadRecord[];
}

function world(answer: () => ReadAnswer, policy = POLICY): World {
  const asked: ReadRequest[] = [];
  const written: ReadRecord[] = [];
  const target = {
    ...fakeTarget('kv'),
    read: async (request: ReadRequest) => {
      asked.push(request);
      return answer();
    },
  };
  const ports: ReadPorts = {
    targets: { find: (name) => (name === 'kv' ? target : undefined) },
    clock: fakeClock(),
    store: { actStep: async () => 1 },
    policy: () => parseConfiguration(policy, 'test.yaml').policy,
    reads: { record: async (each) => void written.push(each) },
  };
  return { ports, asked, written };
}

function refusal(code: Extract<ReadAnswer, { kind: 'refused' }>['code']): () => ReadAnswer {
  return () => ({
    kind: 'refused',
    code,
    reason: 'because',
    permanent: true,
    span: { from: 7, to: 13 },
    conflicts: [],
  });
}

const signal = new AbortController().signal;

test('a read is answered, and written down without a value', async () => {
  const { ports, written, asked } = world(() => FOUND);
  const result = await read(ports, agent('bot'), { ...BODY, run: 'r1' }, signal);
  assert.equal(result.state, 'read');
  assert.equal(result.reason, '1 row, all there are; 1 of 2 columns are masked');
  assert.deepEqual(asked[0]?.arguments, BODY.arguments);
  const [line] = written;
  assert.ok(line !== undefined && written.length === 1);
  assert.deepEqual(
    [line.agent, line.run, line.target, line.code, line.resources, line.rows, line.bytes],
    ['bot', 'r1', 'kv', 'read', ['rows'], 1, 1],
  );
  assert.match(line.argumentsDigest, /^sha256:/);
  assert.doesNotMatch(JSON.stringify(written), /SELECT|secret|"a"/);
});

test('a permission of any tier is enough, and only where a line of the agent names the resource', async () => {
  const policy = POLICY.replace('{ target: kv, class: [create, update], tier: confirm }', () => {
    return '{ target: kv, resource: rows, environment: test, tier: read-only }';
  });
  const { ports, asked } = world(() => FOUND, policy);
  await read(ports, agent('clerk'), BODY, signal);
  const [request] = asked;
  assert.deepEqual([request?.permits('rows'), request?.permits('salaries')], [true, false]);
  await read(ports, { ...agent('clerk'), environment: 'production' }, BODY, signal);
  assert.equal(asked[1]?.permits('rows'), false, 'a line for another environment is none here');
});

test('who is unknown, what is unknown and what has no reads is refused and written down', async () => {
  const { ports, asked, written } = world(() => FOUND);
  const codes: string[] = [];
  for (const [who, body] of [
    [agent('stranger'), BODY],
    [agent('bot'), { ...BODY, target: 'nowhere' }],
  ] as const) {
    codes.push((await read(ports, who, body, signal)).code);
  }
  const mute = { ...ports, targets: { find: () => fakeTarget('kv') } };
  codes.push((await read(mute, agent('bot'), BODY, signal)).code);
  assert.deepEqual(codes, ['unknown-agent', 'unknown-target', 'unknown-operation']);
  assert.deepEqual(
    written.map(({ code }) => code),
    codes,
  );
  assert.deepEqual(asked, [], 'the target was not asked');
});

test('a refusal of the target is a result with code, span and what to do next', async () => {
  const next = async (answer: () => ReadAnswer): Promise<unknown> => {
    const result = await read(world(answer).ports, agent('bot'), BODY, signal);
    assert.equal(result.state, 'refused');
    return [result.code, result.next, result.retryAfterMs];
  };
  assert.deepEqual(await next(refusal('not-permitted')), ['not-permitted', 'ask-human', null]);
  assert.deepEqual(await next(refusal('limit-exceeded')), ['limit-exceeded', 'narrow', null]);
  assert.deepEqual(await next(refusal('target-busy')), ['target-busy', 'wait', 5_000]);
  assert.deepEqual(await next(refusal('statement-kind')), [
    'statement-kind',
    'fix-arguments',
    null,
  ]);
  const thrown = await next(() => {
    throw new Error('password x');
  });
  assert.deepEqual(thrown, ['target-unavailable', 'wait', 5_000]);
  const { ports } = world(refusal('statement-kind'));
  const result = await read(ports, agent('bot'), BODY, signal);
  assert.deepEqual(result.state === 'refused' && result.span, { from: 7, to: 13 });
});

test('no rows are given where the read cannot be written down', async () => {
  const { ports } = world(() => FOUND);
  const full = { ...ports, reads: { record: () => Promise.reject(new Error('disk full')) } };
  await assert.rejects(read(full, agent('bot'), BODY, signal), /disk full/);
  const none = { ...ports, reads: undefined };
  await assert.rejects(read(none, agent('bot'), BODY, signal), { code: 'store-unusable' });
});

test('people hold no permissions and do not read through the gateway', async () => {
  const { ports, asked } = world(() => FOUND);
  const problem = { code: 'credential-kind' };
  await assert.rejects(read(ports, human('ann'), BODY, signal), problem);
  assert.deepEqual(asked, []);
});
