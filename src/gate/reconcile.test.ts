// A second attempt that met a moved world, while the first may still be under way.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Guarantee } from '../model/ports.ts';
import type { Result } from '../model/result.ts';
import {
  agent,
  chainDraft,
  POLICY,
  setDraft,
  testGate,
  type TestGate,
} from '../../test/support/gate.ts';

const BOT = agent('bot');

/** The same, for a second target too. */
const CHAINS = POLICY.replaceAll(/target: kv(?!, resource)/g, "target: '*'").replace(
  'kv: { kind: fake }',
  'kv: { kind: fake }, other: { kind: fake }',
);

/** The first attempt is late; the world has moved when the second arrives, and is back when the first does. */
async function overtaken(
  { gate, target }: TestGate,
  guarantee: Guarantee,
  isChain = false,
): Promise<Result> {
  target.guarantee = guarantee;
  target.faults.apply.push('late');
  target.beforeApply = () => void target.rows.set('a', '5');
  const draft = isChain
    ? chainDraft([
        ['kv', 'a', '9'],
        ['other', 'a', '9'],
      ])
    : setDraft('a', '9');
  const result = await gate.propose(BOT, draft);
  target.beforeApply = () => void target.rows.set('a', '1');
  await target.land();
  return result;
}

test('G3: a write that met a moved world in doubt is fenced, so that a late attempt has no effect', async () => {
  const world = await testGate();
  const result = await overtaken(world, 'idempotent');
  assert.equal(result.state, 'refused');
  assert.equal(result.code, 'plan-drifted');
  assert.match(result.reason, /told to refuse it for good; propose it again/);
  assert.deepEqual(world.target.committed, []);
  assert.equal(world.target.rows.get('a'), '1');
});

test('G4: where the target cannot fence it stays in doubt, and the late attempt is found', async () => {
  const world = await testGate();
  world.target.fences = false;
  const result = await overtaken(world, 'idempotent');
  assert.equal(result.state, 'in_doubt');
});

test('what a transaction says that has the key is proof, and the plan is made anew', async () => {
  const world = await testGate();
  const { gate, target, proposal } = world;
  target.guarantee = 'transactional';
  target.faults.apply.push('request-lost');
  target.beforeApply = () => {
    target.beforeApply = null;
    target.rows.set('a', '5');
  };
  const result = await gate.propose(BOT, setDraft('a', '9'));
  assert.equal(result.state, 'applied');
  const { history, assessment } = await proposal(result.proposalId);
  assert.ok(history.some(({ type }) => type === 'preview'));
  assert.deepEqual(assessment?.plan.effects[0]?.before, { value: '5' });
});

test('G3: so it is of the first segment of a chain', async () => {
  const world = await testGate({ policy: CHAINS, beside: ['other'] });
  const result = await overtaken(world, 'idempotent', true);
  assert.equal(result.state, 'refused');
  assert.equal(result.code, 'interrupted');
  for (const each of world.targets) assert.deepEqual(each.committed, []);
});
