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

const bot = agent('bot');
const ann = human('ann');
const MINUTE = 60_000;

const WITHOUT_BUDGET = POLICY.replace(/budgets:\n.*\n/, '');

let turn = 0;
function nextDraft() {
  turn += 1;
  return setDraft('a', `value ${turn}`);
}

/** A gate on which `bot` wrote twice in each of 20 minutes. */
async function busyGate(holds: boolean): Promise<TestGate> {
  const opened = await testGate({ policy: WITHOUT_BUDGET, holds });
  for (let minute = 0; minute < 20; minute += 1) {
    for (let each = 0; each < 2; each += 1) {
      const result = await opened.gate.propose(bot, nextDraft());
      assert.equal(result.state, 'applied');
    }
    opened.clock.advance(MINUTE);
  }
  return opened;
}

for (const holds of [true, false]) {
  const how = holds ? 'that holds' : 'that does not hold';

  test(`a loop waits for people after a few writes, with the figures, on a target ${how}`, async () => {
    const { gate, target, waitingShown } = await busyGate(holds);
    const before = target.committed.length;
    const states: string[] = [];
    for (let each = 0; each < 40; each += 1) {
      const { state } = await gate.propose(bot, nextDraft());
      states.push(state);
    }
    assert.equal(states.filter((state) => state === 'applied').length, 10);
    assert.equal(states.lastIndexOf('applied'), 9);
    assert.equal(target.committed.length - before, 10);
    assert.equal(waitingShown.length, 30);
    const stopped = await gate.propose(bot, nextDraft());
    assert.equal(stopped.state, 'waiting');
    assert.equal(stopped.code, 'anomalous');
    assert.equal(stopped.reason, 'unusual for `bot`: 41 writes in the last minute; usual 2');
    const preview = await gate.preview(bot, nextDraft(), new AbortController().signal);
    assert.match(preview.reason, /would wait for people: unusual for `bot`: 42 writes/);
  });

  test(`no more get through by coming all at once, on a target ${how}`, async () => {
    const { gate, target } = await busyGate(holds);
    const before = target.committed.length;
    // Each to a row of its own: none waits for another's lock.
    const drafts = Array.from({ length: 40 }, (_, row) => setDraft(`row ${row}`, 'x'));
    const results = await Promise.all(
      drafts.map((draft) => gate.propose(bot, draft).catch(() => null)),
    );
    const applied = results.filter((result) => result?.state === 'applied').length;
    assert.equal(target.committed.length - before, applied);
    assert.ok(applied > 0 && applied <= 10, String(applied));
  });
}

test('a loop goes on waiting as long as it goes on, and after a restart', async () => {
  const { gate, clock, restart } = await busyGate(true);
  for (let each = 0; each < 15; each += 1) await gate.propose(bot, nextDraft());
  clock.advance(MINUTE);
  const [next, again] = [gate, await restart()];
  for (const opened of [next, again]) {
    const result = await opened.propose(bot, nextDraft());
    assert.equal(result.state, 'waiting');
    assert.match(result.reason, /15 writes in the minute before/);
  }
  clock.advance(2 * MINUTE);
  assert.equal((await again.propose(bot, nextDraft())).state, 'applied');
});

test('a yes carries out what was unusual, once, though the pace still is', async () => {
  const { gate, target, proposal } = await busyGate(true);
  for (let each = 0; each < 10; each += 1) await gate.propose(bot, nextDraft());
  const waiting = await gate.propose(bot, setDraft('b', 'agreed'));
  assert.equal(waiting.state, 'waiting');
  const applied = await gate.approve(ann, idOf(waiting.proposalId), {
    verdict: 'approve',
    planDigest: need(waiting.planDigest),
  });
  assert.equal(applied.state, 'applied');
  assert.equal(target.rows.get('b'), 'agreed');
  const { decision } = await proposal(waiting.proposalId);
  const said = decision?.findings.filter(({ stage }) => stage === 'anomaly') ?? [];
  assert.deepEqual(
    said.map(({ verdict, code }) => [verdict, code]),
    [['allow', 'anomalous']],
  );
});

test('a section that forbids denies, and one that is off lets through', async () => {
  const { gate, setPolicy } = await busyGate(true);
  for (let each = 0; each < 10; each += 1) await gate.propose(bot, nextDraft());
  setPolicy(`${WITHOUT_BUDGET}\nanomaly: { verdict: forbid }\n`);
  const denied = await gate.propose(bot, nextDraft());
  assert.equal(denied.state, 'denied');
  assert.equal(denied.code, 'anomalous');
  setPolicy(`${WITHOUT_BUDGET}\nanomaly: { sensitivity: off }\n`);
  assert.equal((await gate.propose(bot, nextDraft())).state, 'applied');
});

test('another agent, and taking back, are not held up by it', async () => {
  const { gate } = await busyGate(true);
  const results = [];
  for (let each = 0; each < 12; each += 1) results.push(await gate.propose(bot, nextDraft()));
  assert.equal(results.at(-1)?.state, 'waiting');
  const other = await gate.propose(agent('clerk'), nextDraft());
  assert.equal(other.code, 'approval-required');
  const last = results.findLast(({ state }) => state === 'applied');
  assert.equal((await gate.rollback(bot, idOf(need(last).proposalId))).state, 'applied');
});

const REPEATABLE = `${WITHOUT_BUDGET.replaceAll('target: kv, class', 'target: "*", class')
  .replace('match: { target: kv }', 'match: { target: "*" }')
  .replace('{ kv: { kind: fake } }', '{ kv: { kind: fake }, ledger: { kind: fake } }')}
duplicates: { repeatable: [{ target: "*" }] }
`;

/** A gate on which `bot` wrote to two targets once in each of 40 quarters of a day. */
async function quietGate(): Promise<TestGate> {
  const opened = await testGate({ policy: REPEATABLE, beside: ['ledger'] });
  for (let each = 0; each < 40; each += 1) {
    for (const target of ['kv', 'ledger']) {
      const draft = { ...nextDraft(), target, idempotencyKey: `${target}-${each}` };
      assert.equal((await opened.gate.propose(bot, draft)).state, 'applied');
    }
    opened.clock.advance(6 * 60 * MINUTE);
  }
  return opened;
}

const SAME = [
  ['kv', 'a', 'same'],
  ['ledger', 'a', 'same'],
] as const;

for (const [what, draftOf] of [
  ['the same chain', () => chainDraft(SAME)],
  [
    'the same steps in turn',
    (each: number) => chainDraft(each % 2 === 0 ? SAME : [SAME[1], SAME[0]]),
  ],
  [
    'a step of ever other chains',
    (each: number) => chainDraft([SAME[0], ['ledger', 'b', `other ${each}`]]),
  ],
  [
    'a step as a chain and by itself',
    (each: number) => (each % 2 === 0 ? chainDraft(SAME) : setDraft('a', 'same')),
  ],
] as const) {
  test(`a loop over ${what} waits like one over a single write`, async () => {
    const { gate, clock } = await quietGate();
    const codes: (string | null)[] = [];
    for (let each = 0; each < 10; each += 1) {
      const result = await gate.propose(bot, { ...draftOf(each), idempotencyKey: `loop-${each}` });
      codes.push(result.state === 'applied' ? 'applied' : result.code);
      clock.advance(4 * MINUTE);
    }
    assert.deepEqual(
      codes.slice(0, 6),
      Array.from({ length: 6 }, () => 'applied'),
    );
    assert.deepEqual(
      codes.slice(6),
      Array.from({ length: 4 }, () => 'loop-detected'),
    );
  });
}

test('one chain of the same write over and over is a loop by itself', async () => {
  const { gate } = await quietGate();
  const same = Array.from({ length: 7 }, () => SAME[0]);
  const result = await gate.propose(bot, chainDraft(same));
  assert.equal(result.code, 'loop-detected');
  assert.match(result.reason, /the same arguments 7 times within an hour/);
  assert.equal((await gate.propose(bot, chainDraft(same.slice(1)))).code, 'loop-detected');
});

test('chains make no baselines beside those of their steps, in whatever order', async () => {
  const { gate, store } = await quietGate();
  const steps = [SAME[0], SAME[1]] as const;
  await gate.propose(bot, chainDraft(steps, { idempotencyKey: 'there' }));
  await gate.propose(bot, chainDraft(steps.toReversed(), { idempotencyKey: 'back' }));
  const names = (await store.baselines(bot.tenant, 'bot')).map(({ target }) => target);
  assert.deepEqual(names, ['kv', 'ledger']);
});
