import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agent, human, idOf, setDraft, testGate, type TestGate } from '../../test/support/gate.ts';
import { Problem, type ProblemCode } from '../model/problem.ts';

const bot = agent('bot');
const clerk = agent('clerk');
const ann = human('ann');

function away(code: ProblemCode): Promise<never> {
  return Promise.reject(new Problem(code, 'it does not answer; nothing was written'));
}

/** From now on the store takes no outcome. */
function failAtOutcome({ store }: TestGate, code: ProblemCode): void {
  const commit = store.commit.bind(store);
  store.commit = async (change) => {
    const types = change.acts.flatMap(({ entries }) => entries.map(({ type }) => type));
    return types.includes('outcome') ? away(code) : commit(change);
  };
}

async function assertNotKnown(call: Promise<unknown>, code: ProblemCode): Promise<void> {
  await assert.rejects(call, (error) => {
    assert(error instanceof Problem && error.code === code);
    assert.match(error.message, /prop_\w+ .*not known/);
    assert.doesNotMatch(error.message, /nothing was written/);
    return true;
  });
}

for (const holds of [true, false]) {
  test(`who wrote hears that it is not known where the outcome is not taken (holds: ${holds})`, async () => {
    for (const code of ['store-unreachable', 'store-unusable'] as const) {
      const opened = await testGate({ holds });
      failAtOutcome(opened, code);
      await assertNotKnown(opened.gate.propose(bot, setDraft('a', '9')), code);
      assert.equal(opened.target.rows.get('a'), '9');
    }
  });
}

test('so does who agrees to a write', async () => {
  const opened = await testGate();
  const { gate, target } = opened;
  const { proposalId, planDigest } = await gate.propose(clerk, setDraft('a', '9'));
  failAtOutcome(opened, 'store-unreachable');
  const body = { planDigest: planDigest ?? '', verdict: 'approve' } as const;
  await assertNotKnown(gate.approve(ann, idOf(proposalId), body), 'store-unreachable');
  assert.equal(target.rows.get('a'), '9');
});

test('so does who is owed a receipt that cannot be read', async () => {
  const { gate, store, target } = await testGate();
  store.leafHash = () => away('store-unreachable');
  await assertNotKnown(gate.propose(bot, setDraft('a', '9')), 'store-unreachable');
  assert.equal(target.rows.get('a'), '9');
});

test('before there is an entry the store itself says what is so', async () => {
  const { gate, store, target } = await testGate();
  store.commit = () => away('store-unreachable');
  await assert.rejects(gate.propose(bot, setDraft('a', '9')), /nothing was written/);
  assert.equal(target.rows.get('a'), '1');
});
