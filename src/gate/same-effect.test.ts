import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  agent,
  chainDraft,
  human,
  idOf,
  need,
  POLICY,
  setDraft,
  testGate,
  type TestGate,
} from '../../test/support/gate.ts';
import { chained, type Draft } from '../model/draft.ts';
import type { Result } from '../model/result.ts';

const bot = agent('bot');
const other = agent('other');
const clerk = agent('clerk');
const ann = human('ann');
const ben = human('ben', ['operator']);

const DAY_MS = 24 * 3_600_000;
const TWO = POLICY.replace('  clerk:', () =>
  [
    '  other:',
    '    owner: owner',
    '    permissions: [{ target: kv, class: [create, update], tier: autonomous }]',
    '  clerk:',
  ].join('\n'),
);

/** The same effect in other words: the target does not look at `spelt`. */
function spelt(how: string, key = 'a', value = '9'): Draft {
  const draft = setDraft(key, value);
  return { ...draft, arguments: { ...draft.arguments, spelt: how } };
}

function assertDuplicate(result: Result, first: Result): void {
  assert.equal(result.state, 'denied');
  assert.equal(result.code, 'duplicate-write');
  assert.equal(result.duplicateOf, first.proposalId);
  assert.match(result.reason, /the same measured effect/);
}

function yes(result: Result) {
  return { planDigest: result.planDigest ?? '', verdict: 'approve' } as const;
}

test('the same measured effect in other words is a duplicate, whoever proposes it', async () => {
  const { gate, target, proposal } = await testGate({ policy: TWO });
  const first = await gate.propose(bot, spelt('one'));
  assert.equal(first.state, 'applied');
  target.rows.set('a', '1');
  assertDuplicate(await gate.propose(bot, spelt('two')), first);
  const denied = await gate.propose(other, spelt('three'));
  assertDuplicate(denied, first);
  assert.equal(target.committed.length, 1);
  const { decision } = await proposal(denied.proposalId);
  assert.equal(decision?.settledBy, 'duplicates.window');
  assert.equal(decision.findings.find((each) => each.stage === 'duplicate')?.verdict, 'deny');
});

test('another effect of the same target is none: another row, value or state before', async () => {
  const { gate, target } = await testGate();
  await gate.propose(bot, spelt('one'));
  for (const draft of [spelt('two', 'b'), spelt('two', 'a', '10')]) {
    assert.equal((await gate.propose(bot, draft)).state, 'applied');
  }
  target.rows.set('a', '2');
  assert.equal((await gate.propose(bot, spelt('four'))).state, 'applied');
});

test('a preview says of an effect that it was had', async () => {
  const { gate, target } = await testGate();
  await gate.propose(bot, spelt('one'));
  target.rows.set('a', '1');
  const preview = await gate.preview(bot, spelt('two'), new AbortController().signal);
  assert.equal(preview.code, 'duplicate-write');
});

test('the effect is free after the window, and where the first was refused', async () => {
  const { gate, target, clock } = await testGate();
  target.faults.apply.push('busy');
  assert.equal((await gate.propose(bot, spelt('one'))).state, 'refused');
  assert.equal((await gate.propose(bot, spelt('two'))).state, 'applied');
  target.rows.set('a', '1');
  clock.advance(DAY_MS);
  assert.equal((await gate.propose(bot, spelt('three'))).code, 'duplicate-write');
  clock.advance(1);
  assert.equal((await gate.propose(bot, spelt('three'))).state, 'applied');
});

test('the effect is held after a restart', async () => {
  const { gate, restart, target } = await testGate();
  const first = await gate.propose(bot, spelt('one'));
  target.rows.set('a', '1');
  assertDuplicate(await (await restart()).propose(bot, spelt('two')), first);
});

test('the effect is held while the first waits or is in doubt, and free where people say no', async () => {
  const { gate, target } = await testGate();
  const waiting = await gate.propose(clerk, spelt('one'));
  assert.equal(waiting.state, 'waiting');
  assertDuplicate(await gate.propose(bot, spelt('two')), waiting);
  await gate.approve(ann, idOf(waiting.proposalId), { ...yes(waiting), verdict: 'deny' });
  target.faults.apply.push('late');
  target.faults.probe.push('busy');
  const doubt = await gate.propose(bot, spelt('three'));
  assert.equal(doubt.state, 'in_doubt');
  assertDuplicate(await gate.propose(bot, spelt('four')), doubt);
});

test('what was taken back stays a duplicate: it is had again by taking the taking back back', async () => {
  const { gate, target } = await testGate();
  const first = await gate.propose(bot, spelt('one'));
  const back = await gate.rollback(ben, idOf(first.proposalId));
  assert.equal(back.state, 'applied');
  assert.equal(target.rows.get('a'), '1');
  assertDuplicate(await gate.propose(bot, spelt('two')), first);
  assert.equal((await gate.rollback(ben, idOf(back.proposalId))).state, 'applied');
  assert.equal(target.rows.get('a'), '9');
});

test('a write that may lawfully repeat has its effect again', async () => {
  const policy = `${POLICY}duplicates: { repeatable: [{ target: kv, operation: set }] }\n`;
  const { gate, target } = await testGate({ policy });
  await gate.propose(bot, spelt('one'));
  target.rows.set('a', '1');
  assert.equal((await gate.propose(bot, spelt('two'))).state, 'applied');
});

test('a write without an effect is none that another could repeat', async () => {
  const { gate, target } = await testGate();
  for (const how of ['one', 'two']) {
    const draft = { ...spelt(how), arguments: { key: 'none', value: null, spelt: how } };
    assert.equal((await gate.propose(bot, draft)).state, 'applied');
  }
  assert.equal(target.committed.length, 2);
});

for (const holds of [false, true]) {
  test(`of twenty that race with one effect in other words one has it${holds ? ', held' : ''}`, async () => {
    const { gate, another, target } = await testGate({ policy: TWO, holds });
    const gates = [gate, another()];
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        need(gates[n % 2]).propose(n % 3 === 0 ? other : bot, spelt(`way ${n}`, 'new')),
      ),
    );
    const applied = results.filter((result) => result.state === 'applied');
    assert.equal(target.committed.length, applied.length);
    // Once it is there, the others find it: what they would do is another effect, or the same one.
    const created = applied.filter(({ headline }) => headline?.startsWith('1 inserts') === true);
    assert.equal(created.length, 1);
    assert.equal(target.open(), 0);
  });
}

/** Two proposals at the store at once, both measured before either commits. */
async function raced({ gate, store }: TestGate, left: Draft, right: Draft) {
  const commit = store.commit.bind(store);
  const { promise, resolve } = Promise.withResolvers<void>();
  let arrived = 0;
  store.commit = async (change) => {
    arrived += 1;
    if (arrived === 2) resolve();
    await promise;
    return commit(change);
  };
  return Promise.all([gate.propose(clerk, left), gate.propose(clerk, right)]);
}

test('the commit settles a race of two that were both measured before: one waits, the other is told', async () => {
  const opened = await testGate();
  const results = await raced(opened, spelt('one'), spelt('two'));
  const first = results.find(({ state }) => state === 'waiting');
  const second = results.find(({ state }) => state === 'denied');
  assertDuplicate(need(second), need(first));
  const inbox = await opened.gate.list(ann, { states: ['waiting'], limit: 10 });
  assert.equal(inbox.items.length, 1);
});

test('a plan that drifted gives its effect back, claims the new one, and is denied where that was had', async () => {
  const { gate, target } = await testGate();
  const waiting = await gate.propose(clerk, spelt('one'));
  target.rows.set('a', '5');
  const second = await gate.propose(bot, spelt('two'));
  assert.equal(second.state, 'applied', 'from 5 to 9 is another effect than from 1 to 9');
  target.rows.set('a', '5');
  await gate.approve(ann, idOf(waiting.proposalId), yes(waiting));
  const drifted = await gate.status(clerk, idOf(waiting.proposalId));
  assertDuplicate(drifted, second);
  target.rows.set('a', '1');
  assert.equal(
    (await gate.propose(bot, spelt('three'))).state,
    'applied',
    'the first plan is free',
  );
});

/** Steps that set `a` of `kv` to each of the values, each spelt in its own way. */
function settingInTurn(values: readonly string[]): Draft {
  const steps = values.map((value, place) => {
    const { target, operation, arguments: given } = spelt(`way ${place}`, 'a', value);
    return { target, operation, arguments: given };
  });
  return { ...chainDraft([]), ...chained(steps) };
}

test('a chain does not have one effect twice, in one transaction or several', async () => {
  for (const isOne of [true, false]) {
    const { gate, target } = await testGate();
    if (isOne) target.steps = true;
    const denied = await gate.propose(bot, settingInTurn(['9', '1', '9']));
    assert.equal(denied.state, 'denied');
    assert.equal(denied.code, 'duplicate-write');
    assert.match(denied.reason, /^step 3 has the same measured effect as step 1;/);
    assert.equal(target.rows.get('a'), '1');
  }
});

test('a chain has different effects on one row, and one effect as often as it may repeat', async () => {
  const different = await testGate();
  different.target.steps = true;
  const applied = await different.gate.propose(bot, settingInTurn(['9', '1', '8']));
  assert.equal(applied.state, 'applied', applied.reason);
  const policy = `${POLICY}duplicates: { repeatable: [{ target: kv, operation: set }] }\n`;
  const repeating = await testGate({ policy });
  repeating.target.steps = true;
  const again = await repeating.gate.propose(bot, settingInTurn(['9', '1', '9']));
  assert.equal(again.state, 'applied', again.reason);
});
