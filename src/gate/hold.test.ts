import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Fault } from '../../test/support/fake-target.ts';
import {
  agent,
  human,
  idOf,
  need,
  POLICY,
  setDraft,
  stopBefore,
  testGate,
  type TestGate,
  type TestGateOptions,
} from '../../test/support/gate.ts';
import { isTerminal } from '../model/lifecycle.ts';

const bot = agent('bot');
const clerk = agent('clerk');
const ann = human('ann');
const ben = human('ben', ['operator']);
const never = new AbortController().signal;

/**
 * A gate whose target holds what it measured. Each time that an effect is to be kept, the target
 * looks into the store for the intent: an effect before it fails whatever test runs.
 */
async function holdingGate(options: TestGateOptions = {}): Promise<TestGate> {
  const opened = await testGate({ holds: true, ...options });
  const { target, store } = opened;
  target.beforeApply = async () => {
    const executing = await store.inStates(['executing'], 100);
    assert.ok(executing.length > 0, 'G1: an effect is kept and no intent is durable');
  };
  return opened;
}

/** Writes `commit` among the target's calls whenever the store is asked to make something durable. */
function noteCommits({ store, target }: TestGate): void {
  const commit = store.commit.bind(store);
  store.commit = (change) => {
    target.calls.push('commit');
    return commit(change);
  };
}

test('an allowed write is done once: held, intended, kept, settled', async () => {
  const opened = await holdingGate();
  const { gate, target, proposal } = opened;
  noteCommits(opened);
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'applied');
  assert.equal(target.rows.get('a'), '9');
  assert.deepEqual(target.calls, ['hold', 'commit', 'keep', 'commit']);
  const applied = await proposal(result.proposalId);
  assert.deepEqual(
    applied.history.map((entry) => entry.type),
    ['proposal', 'preview', 'decision', 'intent', 'outcome'],
  );
  assert.equal(applied.outcome?.planDigest, applied.assessment?.planDigest);
});

test('G1: when what is held is kept, exactly its intent is durable', async () => {
  const { gate, target, store } = await holdingGate();
  const seen: (string | number | null)[] = [];
  target.beforeApply = async () => {
    const [found] = await store.proposals(bot.tenant, { limit: 1 });
    const { state, attempt, history, decision } = need(found);
    seen.push(state, attempt, need(history.at(-1)).type, decision?.planDigest ?? null);
  };
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.deepEqual(seen, ['executing', 1, 'intent', result.planDigest]);
});

test('what must wait is let go before it is written down, and applied once a person agrees', async () => {
  const opened = await holdingGate();
  const { gate, target } = opened;
  noteCommits(opened);
  const held = await gate.propose(clerk, setDraft('a', '9'));
  assert.equal(held.state, 'waiting');
  assert.deepEqual(target.calls, ['hold', 'release', 'commit']);
  assert.equal(target.rows.get('a'), '1');
  const body = { planDigest: held.planDigest ?? '', verdict: 'approve' } as const;
  assert.equal((await gate.approve(ann, idOf(held.proposalId), body)).state, 'applied');
  assert.deepEqual(target.calls.slice(3), ['commit', 'apply', 'commit']);
});

test('what the policy denies is let go before it is written down', async () => {
  const policy = POLICY.replace('effect: permit', 'effect: forbid');
  const opened = await holdingGate({ policy });
  noteCommits(opened);
  const denied = await opened.gate.propose(bot, setDraft('a', '9'));
  assert.equal(denied.code, 'rule-forbids');
  assert.deepEqual(opened.target.calls, ['hold', 'release', 'commit']);
  assert.equal(opened.target.rows.get('a'), '1');
});

test('a stop that comes while it is held wins, and nothing stays open', async () => {
  const world = await holdingGate();
  const { gate, target } = world;
  stopBefore(world, { kind: 'target', name: 'kv' }, 'intent');
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.code, 'frozen');
  assert.equal(target.rows.get('a'), '1');
  assert.deepEqual(target.calls, ['hold', 'release']);
});

test('facts that never hold still end it after bounded rounds, with nothing written', async () => {
  const { gate, target, store } = await holdingGate();
  let commits = 0;
  const freeze = { id: `frz_${'0'.repeat(26)}`, scope: { kind: 'all' }, reason: '', by: 'ben' };
  store.commit = async () => {
    commits += 1;
    const found = { ...freeze, at: 0, releasedAt: null } as never;
    return { kind: 'conflict', conflict: { kind: 'frozen', freeze: found } };
  };
  await assert.rejects(gate.propose(bot, setDraft('a', '9')), { code: 'too-many-requests' });
  assert.equal(commits, 16, 'four rounds over the admission, four over the decision');
  assert.equal(target.open(), 0);
  assert.equal(target.rows.get('a'), '1');
});

test('a store that cannot write lets go of what is held', async () => {
  const { gate, target, store } = await holdingGate();
  store.commit = () => Promise.reject(new Error('the disk is gone'));
  await assert.rejects(gate.propose(bot, setDraft('a', '9')), /the disk is gone/);
  assert.deepEqual(target.calls, ['hold', 'release']);
  assert.equal(target.rows.get('a'), '1');
});

test('facts that cannot be read let go of what is held', async () => {
  const { gate, target, store } = await holdingGate();
  store.budgetUsed = () => Promise.reject(new Error('not now'));
  await assert.rejects(gate.propose(bot, setDraft('a', '9')), /not now/);
  assert.deepEqual(target.calls, ['hold', 'release']);
});

test('G3: a lost reply of what was kept is found by asking; the effect happened once', async () => {
  const { gate, target } = await holdingGate();
  target.faults.apply.push('reply-lost');
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'applied');
  assert.deepEqual(target.committed, [result.proposalId]);
});

test('G3: what was not kept for a lost request is applied again under the same key', async () => {
  const { gate, target } = await holdingGate();
  target.faults.apply.push('request-lost');
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'applied');
  assert.deepEqual(target.calls, ['hold', 'keep', 'apply']);
  assert.deepEqual(target.committed, [result.proposalId]);
});

test('G4: a commit that is still on its way is fenced before it is called refused', async () => {
  const { gate, target, proposal } = await holdingGate();
  target.faults.apply.push('late', 'busy');
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'refused');
  await target.land();
  assert.equal(target.rows.get('a'), '1');
  assert.equal((await proposal(result.proposalId)).state, 'refused');
});

test('a gateway that dies between intent and commit takes it up again under the same key', async () => {
  const { gate, target, store, restart, proposal } = await holdingGate();
  const died = Promise.withResolvers<void>();
  target.beforeApply = () => {
    died.resolve();
    return new Promise(() => {});
  };
  void gate.propose(bot, setDraft('a', '9'));
  await died.promise;
  target.beforeApply = null;
  target.drop();
  const [open] = await store.proposals(bot.tenant, { limit: 1 });
  assert.equal(open?.state, 'executing');
  await (await restart()).tick();
  assert.equal((await proposal(need(open).id)).state, 'applied');
  assert.deepEqual(target.committed, [need(open).id]);
});

test('a hundred equal drafts at once have one effect, and nothing stays open', async () => {
  const { gate, target } = await holdingGate();
  const results = await Promise.all(
    Array.from({ length: 100 }, () => gate.propose(bot, setDraft('a', '9'))),
  );
  assert.equal(new Set(results.map((result) => result.proposalId)).size, 1);
  assert.equal(target.committed.length, 1);
  assert.equal(target.open(), 0);
});

test('G7: a burst of held writes does not pass the budget', async () => {
  const { gate, target } = await holdingGate();
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, n) => gate.propose(bot, setDraft(`k${n}`, 'x'))),
  );
  assert.equal(results.filter((result) => result.state === 'applied').length, 5);
  assert.equal(target.committed.length, 5);
  assert.equal(target.open(), 0);
});

test('a preview holds nothing, and neither does a target that cannot', async () => {
  const { gate, target } = await holdingGate();
  await gate.preview(bot, setDraft('a', '9'), never);
  assert.deepEqual(target.calls, ['plan']);
  target.holds = false;
  assert.equal((await gate.propose(bot, setDraft('a', '9'))).state, 'applied');
  assert.deepEqual(target.calls, ['plan', 'plan', 'apply']);
});

test('what a target without receipts is asked by is in the intent before anything is kept', async () => {
  const { gate, target, store, proposal } = await holdingGate({ journals: true });
  const seen: (readonly string[])[] = [];
  target.beforeApply = async () => {
    const [found] = await store.proposals(bot.tenant, { limit: 1 });
    seen.push(need(found).references);
  };
  target.faults.apply.push('reply-lost');
  const result = await gate.propose(bot, setDraft('a', '9'));
  const reference = `ref-${result.proposalId}`;
  assert.deepEqual(seen, [[reference]]);
  assert.equal(result.state, 'applied', 'the probe was given the reference');
  assert.equal((await proposal(result.proposalId)).attempt, 1);
});

test('a target without receipts journals its reference as one more intent, before the effect', async () => {
  const { gate, target, proposal } = await holdingGate({ journals: true, holds: false });
  target.faults.apply.push('reply-lost');
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'applied', 'the probe was given the reference');
  const applied = await proposal(result.proposalId);
  assert.deepEqual(applied.references, [`ref-${result.proposalId}`]);
  assert.equal(applied.attempt, 2);
  assert.deepEqual(applied.history.map((entry) => entry.type).slice(3), [
    'intent',
    'intent',
    'outcome',
    'outcome',
  ]);
});

test('a stop that comes before the reference is durable ends the attempt without effect', async () => {
  const { gate, target, proposal } = await holdingGate({ journals: true, holds: false });
  target.beforeApply = async () => void (await gate.stop(ben, { kind: 'all' }, 'just in time'));
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'refused');
  assert.equal(target.rows.get('a'), '1');
  assert.deepEqual((await proposal(result.proposalId)).references, []);
});

test('the target is told the least hard limit that surely applies', async () => {
  const limits = `
limits:
  - { name: all, recordsMax: 50 }
  - { name: bots, match: { agent: bot }, recordsMax: 40 }
  - { name: others, match: { agent: clerk }, recordsMax: 30 }
  - { name: rows, match: { resource: rows }, recordsMax: 2 }
  - { name: deletes, match: { class: delete }, recordsMax: 3 }
`;
  const { gate, target } = await holdingGate({ policy: `${POLICY}${limits}` });
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(target.asked?.recordsMax, 40);
  await gate.rollback(ben, idOf(result.proposalId));
  assert.equal(target.asked.recordsMax, 50, 'no line that names an agent speaks of a person');
  const free = await holdingGate();
  await free.gate.propose(bot, setDraft('a', '9'));
  assert.equal(free.target.asked?.recordsMax, undefined);
});

test('L1: held or not, with receipts or without, every proposal ends with at most one effect', async () => {
  const faults = fc.array(fc.constantFrom<Fault>('request-lost', 'reply-lost', 'busy', 'late'), {
    maxLength: 3,
  });
  const step = fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    value: fc.constantFrom('1', '2', '3', null),
    who: fc.constantFrom(bot, clerk),
    plan: faults,
    apply: faults,
    probe: faults,
    holds: fc.boolean(),
    approves: fc.boolean(),
  });
  const steps = fc.array(step, { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(steps, fc.boolean(), async (each, journals) => {
      const { gate, target, store, clock } = await holdingGate({ journals });
      for (const { key, value, who, plan, apply, probe, holds, approves } of each) {
        target.holds = holds;
        target.faults.plan.push(...plan);
        target.faults.apply.push(...apply);
        target.faults.probe.push(...probe);
        const result = await gate.propose(who, setDraft(key, value));
        if (approves && result.state === 'waiting') {
          const body = { planDigest: result.planDigest ?? '', verdict: 'approve' } as const;
          await gate.approve(ann, idOf(result.proposalId), body);
        }
        clock.advance(61_000);
      }
      Object.assign(target.faults, { plan: [], apply: [], probe: [] });
      target.beforeApply = null;
      await target.land();
      for (let round = 0; round < 3; round += 1) await gate.tick();
      assert.equal(target.open(), 0);
      for (const proposal of await store.proposals(bot.tenant, { limit: 100 })) {
        assert.ok(isTerminal(proposal.state) || proposal.state === 'waiting', proposal.state);
        const effects = target.committed.filter((key) => key === proposal.id).length;
        assert.equal(effects, proposal.state === 'applied' ? 1 : 0);
      }
    }),
    { numRuns: 150 },
  );
});
