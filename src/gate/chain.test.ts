import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Fault, FakeTarget } from '../../test/support/fake-target.ts';
import {
  agent,
  chainDraft,
  human,
  idOf,
  need,
  setDraft,
  testGate,
  type TestGate,
} from '../../test/support/gate.ts';
import { leafAgrees, openEntry } from '../ledger/entry.ts';
import { Findings } from '../ledger/findings.ts';
import { parseLeaf } from '../ledger/leaf.ts';
import { Meaning } from '../ledger/meaning.ts';
import type { OpenGate } from '../gate.ts';
import type { Plan } from '../model/plan.ts';
import type { Store } from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';
import type { Result } from '../model/result.ts';

const POLICY = `
version: 1
tenant: acme
environment: test
targets: { kv: { kind: fake }, ledger: { kind: fake }, mail: { kind: fake } }
people:
  owner: { roles: [approver, operator] }
  ann: { roles: [approver] }
  ben: { roles: [operator] }
agents:
  bot:
    owner: owner
    permissions:
      - { target: "*", class: [create, update], tier: autonomous }
      - { target: kv, resource: rows, class: delete, tier: confirm }
  clerk:
    owner: owner
    permissions: [{ target: "*", class: [create, update], tier: confirm }]
limits: [{ name: few, recordsMax: 20 }]
budgets:
  - { name: writes, per: [agent], measure: writes, window: minute, max: 6 }
rules:
  - { id: permit-all, effect: permit, match: { target: "*" }, reason: a test }
`;

const bot = agent('bot');
const clerk = agent('clerk');
const ann = human('ann');
const ben = human('ben', ['operator']);
const never = new AbortController().signal;

const THREE = [
  ['kv', 'a', '9'],
  ['ledger', 'x', '8'],
  ['mail', 'b', '7'],
] as const;

/** What the targets of a chain promise; `bare` is a database without a receipt table. */
type Kind = (typeof KINDS)[number];
const KINDS = ['receipts', 'bare', 'at_most_once'] as const;

async function threeTargets(kind: Kind = 'receipts'): Promise<TestGate> {
  const opened = await testGate({ policy: POLICY, beside: ['ledger', 'mail'] });
  for (const target of opened.targets) {
    target.journals = kind === 'bare';
    target.fences = kind !== 'bare';
    if (kind === 'at_most_once') target.guarantee = kind;
  }
  return opened;
}

function nth(targets: readonly FakeTarget[], index: number): FakeTarget {
  return need(targets[index]);
}

/** Has a target say more of what it measures. */
function plansWith(target: FakeTarget, said: Partial<Plan>): void {
  const plan = target.plan.bind(target);
  target.plan = async (request, signal) => {
    const answer = await plan(request, signal);
    return answer.kind === 'planned' ? { ...answer, plan: { ...answer.plan, ...said } } : answer;
  };
}

/** How many of the three steps are in their target now. */
function effects(targets: readonly FakeTarget[]): readonly boolean[] {
  return THREE.map(([name, key, value]) => {
    const target = need(targets.find((each) => each.name === name));
    return target.rows.get(key) === value;
  });
}

/** What was on its way arrives, and the gateway looks again, as it is or as a fresh one. */
async function settle({ targets, clock, store }: TestGate, gate: OpenGate): Promise<void> {
  for (const target of targets) await target.land();
  for (let round = 0; round < 4; round += 1) {
    clock.advance(1_000);
    await gate.tick();
  }
  await assertLawful(store);
}

/** The ledger tells a lawful story; this one has no genesis, since no log was set up. */
async function assertLawful(store: Store): Promise<void> {
  const findings = new Findings();
  const meaning = new Meaning(findings, 'a test');
  for (const stored of await store.entries(bot.tenant, 0, 1_000)) {
    const parsed = parseLeaf(stored.leaf);
    assert.equal(parsed.kind, 'leaf');
    if (parsed.kind !== 'leaf') continue;
    const body = openEntry(stored.leaf, stored.payloads);
    assert.ok(leafAgrees(parsed.leaf, body));
    meaning.check({ index: stored.index, hash: stored.leafHash, leaf: parsed.leaf, body });
  }
  const found = findings.all().filter(({ code }) => code !== 'genesis-misplaced');
  assert.deepEqual(found, []);
}

describe('a chain over several targets', () => {
  test('is one proposal with one plan, and takes effect step by step', async () => {
    const { gate, targets, proposal } = await threeTargets();
    const result = await gate.propose(bot, chainDraft(THREE));
    assert.equal(result.state, 'applied', result.reason);
    assert.deepEqual(effects(targets), [true, true, true]);
    const { assessment, outcome, history } = await proposal(result.proposalId);
    assert.deepEqual(
      assessment?.plan.counts.map(({ resource }) => resource),
      ['kv:rows', 'ledger:rows', 'mail:rows'],
    );
    assert.equal(assessment?.blastRadius.records, 3);
    assert.equal(outcome?.segments?.length, 3);
    // One decision, and an intent before each step.
    assert.deepEqual(
      history.map(({ type }) => type),
      ['proposal', 'preview', 'decision', 'intent', 'intent', 'intent', 'outcome'],
    );
  });

  test('is previewed without a change', async () => {
    const { gate, targets } = await threeTargets();
    const result = await gate.preview(bot, chainDraft(THREE), never);
    assert.equal(result.state === 'previewed' && result.wouldBe, 'allow');
    assert.deepEqual(effects(targets), [false, false, false]);
  });

  test('G2, G9: waits for one approval of the whole, and the digest binds every step', async () => {
    const { gate, targets } = await threeTargets();
    const held = await gate.propose(clerk, chainDraft(THREE));
    assert.equal(held.state, 'waiting');
    nth(targets, 2).rows.set('b', 'moved');
    const planDigest = held.planDigest ?? '';
    const stale = await gate.approve(ann, idOf(held.proposalId), {
      planDigest,
      verdict: 'approve',
    });
    // The last step is met only after the first two: they are taken back.
    assert.equal(stale.state, 'refused');
    assert.equal(stale.code, 'chain-compensated');
    assert.deepEqual(effects(targets), [false, false, false]);
    assert.equal(nth(targets, 0).rows.get('a'), '1');
  });

  test('whose first step moved is stale with a plan of the whole, and waits anew', async () => {
    const { gate, targets, proposal } = await threeTargets();
    const held = await gate.propose(clerk, chainDraft(THREE));
    nth(targets, 0).rows.set('a', 'moved');
    const planDigest = held.planDigest ?? '';
    const stale = await gate.approve(ann, idOf(held.proposalId), {
      planDigest,
      verdict: 'approve',
    });
    assert.equal(stale.state, 'stale');
    const { state, assessment } = await proposal(held.proposalId);
    assert.equal(state, 'waiting');
    assert.equal(assessment?.plan.segments?.length, 3);
    const again = { planDigest: assessment?.planDigest ?? '', verdict: 'approve' } as const;
    assert.equal((await gate.approve(ann, idOf(held.proposalId), again)).state, 'applied');
    assert.deepEqual(effects(targets), [true, true, true]);
  });

  test('waits for people, whatever the tier, where an earlier step might be left standing', async () => {
    const { gate, targets, proposal } = await threeTargets();
    plansWith(nth(targets, 1), { reversibility: { kind: 'conditional', reason: 'a test' } });
    const held = await gate.propose(bot, chainDraft(THREE));
    assert.equal(held.state, 'waiting', held.reason);
    const { decision } = await proposal(held.proposalId);
    assert.equal(decision?.settledBy, 'effect.warnings');
    assert.match(decision.reason, /^the steps together: .* take back step 2 of 3: conditional$/);
    const planDigest = held.planDigest ?? '';
    const yes = { planDigest, verdict: 'approve' } as const;
    assert.equal((await gate.approve(ann, idOf(held.proposalId), yes)).state, 'applied');
    assert.deepEqual(effects(targets), [true, true, true]);
  });

  test('does not wait for how its last step could be taken back: nothing comes after it', async () => {
    const { gate, targets } = await threeTargets();
    plansWith(nth(targets, 2), { reversibility: { kind: 'conditional', reason: 'a test' } });
    assert.equal((await gate.propose(bot, chainDraft(THREE))).state, 'applied');
  });

  test('waits for people where the shadow of a step has another effect than the target', async () => {
    const { gate, targets, proposal } = await threeTargets();
    const kv = nth(targets, 0);
    plansWith(kv, { measuredOn: 'shadow' });
    kv.beforeApply = () => {
      kv.beforeApply = null;
      kv.rows.set('a', 'moved');
    };
    const { proposalId } = await gate.propose(bot, chainDraft(THREE));
    const { state, decision } = await proposal(proposalId);
    assert.equal(state, 'waiting', decision?.reason);
    assert.match(decision?.reason ?? '', /another effect than the target itself/);
    assert.deepEqual(effects(targets), [false, false, false]);
  });

  test('is denied as a whole where one step is not permitted, and nothing is written', async () => {
    const { gate, targets } = await threeTargets();
    const steps = [...THREE.slice(0, 2), ['ledger', 'a', null] as const];
    const result = await gate.propose(bot, chainDraft(steps));
    assert.equal(result.state, 'denied');
    assert.match(result.reason, /^step 3 of 3: /);
    assert.deepEqual(effects(targets), [false, false, false]);
  });

  test('whose step names no configured target is denied', async () => {
    const { gate } = await threeTargets();
    const steps = [...THREE, ['elsewhere', 'a', '1'] as const];
    assert.equal((await gate.propose(bot, chainDraft(steps))).code, 'unknown-target');
  });

  test('G7: counts each step as a write', async () => {
    const { gate } = await threeTargets();
    const steps = Array.from({ length: 7 }, (_, index) => ['kv', `k${index}`, '1'] as const);
    assert.equal((await gate.propose(bot, chainDraft(steps))).code, 'budget-exceeded');
    assert.equal((await gate.propose(bot, chainDraft(steps.slice(0, 6)))).state, 'applied');
    assert.equal((await gate.propose(bot, setDraft('z', '1'))).code, 'budget-exceeded');
  });

  test('is held to a limit by what its steps do together', async () => {
    const { gate, setPolicy } = await threeTargets();
    setPolicy(POLICY.replace('recordsMax: 20', 'recordsMax: 2'));
    const result = await gate.propose(bot, chainDraft(THREE));
    assert.equal(result.code, 'limit-exceeded');
    assert.match(result.reason, /the steps together: 3 records, at most 2/);
  });

  test('is rolled back by one proposal, last step first, and that one can be taken back too', async () => {
    const { gate, targets, proposal } = await threeTargets();
    const applied = await gate.propose(bot, chainDraft(THREE));
    const back = await gate.rollback(ann, idOf(applied.proposalId));
    assert.equal(back.state, 'applied', back.reason);
    assert.deepEqual(effects(targets), [false, false, false]);
    assert.equal((await proposal(applied.proposalId)).compensatedBy, back.proposalId);
    const { draft } = await proposal(back.proposalId);
    assert.deepEqual(
      draft.steps?.map(({ target }) => target),
      ['mail', 'ledger', 'kv'],
    );
    const forth = await gate.rollback(ann, idOf(back.proposalId));
    assert.equal(forth.state, 'applied', forth.reason);
    assert.deepEqual(effects(targets), [true, true, true]);
  });

  test('is the same intent again, and its steps are no single writes any more', async () => {
    const { gate } = await threeTargets();
    const first = await gate.propose(bot, chainDraft(THREE));
    const again = await gate.propose(bot, chainDraft(THREE));
    assert.equal(again.replayed, true);
    assert.equal(again.proposalId, first.proposalId);
    const single = await gate.propose(bot, setDraft('a', '9'));
    assert.equal(single.code, 'duplicate-write');
    assert.equal(single.state === 'denied' && single.duplicateOf, first.proposalId);
  });

  test('with a step that was applied as a single write is a duplicate', async () => {
    const { gate, targets } = await threeTargets();
    const single = await gate.propose(bot, setDraft('a', '9'));
    assert.equal(single.state, 'applied');
    const chain = await gate.propose(bot, chainDraft(THREE));
    assert.equal(chain.code, 'duplicate-write');
    assert.deepEqual(effects(targets), [true, false, false]);
  });

  test('that repeats a step within itself is not taken', async () => {
    const { gate } = await threeTargets();
    const steps = [...THREE, ['kv', 'a', '9'] as const];
    await assert.rejects(
      gate.propose(bot, chainDraft(steps)),
      /step 4 is the same write as step 1/,
    );
  });
});

describe('a chain on one target that carries out several steps at once', () => {
  async function atomic(holds: boolean): Promise<TestGate> {
    const opened = await testGate({ policy: POLICY, holds });
    opened.target.steps = true;
    return opened;
  }

  for (const holds of [true, false]) {
    test(`is one transaction, ${holds ? 'held' : 'planned'}: later steps see earlier ones`, async () => {
      const { gate, target, proposal } = await atomic(holds);
      const steps = [['kv', 'n', '1'] as const, ['kv', 'n', '2'] as const];
      const result = await gate.propose(bot, chainDraft(steps));
      assert.equal(result.state, 'applied', result.reason);
      assert.equal(target.rows.get('n'), '2');
      assert.deepEqual(target.committed, [result.proposalId]);
      const { assessment } = await proposal(result.proposalId);
      assert.equal(assessment?.plan.effects.length, 1);
      assert.equal(assessment?.blastRadius.records, 2);
      const back = await gate.rollback(ann, idOf(result.proposalId));
      assert.equal(back.state, 'applied', back.reason);
      assert.equal(target.rows.has('n'), false);
    });
  }

  test('leaves nothing where a later step is refused', async () => {
    const { gate, target } = await atomic(true);
    const steps = [['kv', 'n', '1'] as const, ['kv', 'm', 'refused'] as const];
    const result = await gate.propose(bot, chainDraft(steps));
    assert.equal(result.state, 'refused');
    assert.match(result.reason, /^step 2 of 2: /);
    assert.equal(target.rows.has('n'), false);
    assert.equal(target.open(), 0);
  });

  test('beside another target is one segment of the chain', async () => {
    const opened = await threeTargets();
    nth(opened.targets, 0).steps = true;
    const steps = [
      ['kv', 'n', '1'],
      ['kv', 'n', '2'],
      ['ledger', 'x', '8'],
    ] as const;
    const result = await opened.gate.propose(bot, chainDraft(steps));
    assert.equal(result.state, 'applied', result.reason);
    const { assessment } = await opened.proposal(result.proposalId);
    assert.deepEqual(
      assessment?.plan.segments?.map(({ target, stepCount }) => [target, stepCount]),
      [
        ['kv', 2],
        ['ledger', 1],
      ],
    );
    assert.deepEqual(nth(opened.targets, 0).committed, [`${result.proposalId}.1`]);
  });
});

// ---- failures

type Back = Fault | 'conflict';

const FAILURES: readonly (Fault | 'drifted')[] = [
  'refused',
  'drifted',
  'busy',
  'request-lost',
  'reply-lost',
  'late',
];
const BACKS: readonly Back[] = [
  'none',
  'refused',
  'busy',
  'request-lost',
  'reply-lost',
  'late',
  'conflict',
];

/** Has step `at` fail, and the taking back of the step before it. */
function arrange(
  targets: readonly FakeTarget[],
  at: number,
  failure: Fault | 'drifted',
  back: Back,
): void {
  const failing = nth(targets, at);
  const before = at > 0 ? nth(targets, at - 1) : undefined;
  if (failure === 'drifted') {
    failing.beforeApply = () => {
      failing.beforeApply = null;
      failing.rows.set(need(THREE[at])[1], 'moved');
    };
  } else failing.faults.apply.push(failure);
  if (before === undefined) return;
  if (back !== 'conflict') before.faults.apply.push('none', back);
  else {
    const { beforeApply } = failing;
    failing.beforeApply = () => {
      failing.beforeApply = null;
      void beforeApply?.();
      before.rows.set(need(THREE[at - 1])[1], 'taken');
    };
  }
}

/** All effects, or none, or in doubt and said so; and never more than one effect for a key. */
function assertWhole(opened: TestGate, { state, outcome }: Proposal): void {
  const { targets } = opened;
  const there = effects(targets).filter(Boolean).length;
  const said = `${state} ${outcome?.code ?? ''}: ${outcome?.reason ?? ''}`;
  if (state === 'applied') assert.equal(there, 3, said);
  else if (state === 'refused' || state === 'waiting') assert.equal(there, 0, said);
  else {
    assert.equal(state, 'in_doubt', said);
    assert.match(said, /could not be taken back|did not answer|stop came between/);
  }
  for (const target of targets) {
    assert.equal(new Set(target.committed).size, target.committed.length, 'one effect for a key');
  }
}

/** What only people can end: what says no, and what cannot be asked a second time. */
function needsPeople(kind: Kind, failure: Fault | 'drifted', back: Back): boolean {
  const isOnce = kind === 'at_most_once';
  const isUnheard = failure === 'request-lost' || failure === 'late';
  const isBack = failure !== 'reply-lost' && (isOnce || !isUnheard);
  // What is late after a first doubt arrives before it is asked about.
  const isLate = back === 'late' && !isUnheard;
  const isSecond = isOnce && (isLate || back === 'request-lost' || back === 'busy');
  return isBack && (back === 'conflict' || back === 'refused' || isSecond);
}

for (const kind of KINDS) {
  describe(`G3, G4, L1: a chain over targets (${kind}) that meets a failure at a step`, () => {
    for (const at of [0, 1, 2]) {
      for (const failure of FAILURES) {
        for (const back of at === 0 ? (['none'] as const) : BACKS) {
          // Only a step that is refused has the earlier ones taken back.
          if (back === 'conflict' && failure !== 'refused' && failure !== 'drifted') continue;
          test(`step ${at + 1} ${failure}, back ${back}`, async () => {
            const opened = await threeTargets(kind);
            arrange(opened.targets, at, failure, back);
            const result = await opened.gate.propose(bot, chainDraft(THREE));
            const said = await opened.proposal(result.proposalId);
            // While it is not known, the answer says so and asks for patience or for people.
            if (said.state === 'in_doubt') assert.ok(['wait', 'ask-human'].includes(result.next));
            await settle(opened, opened.gate);
            const proposal = await opened.proposal(result.proposalId);
            assertWhole(opened, proposal);
            const { state, outcome } = proposal;
            const isOpen = needsPeople(kind, failure, back);
            assert.equal(state === 'in_doubt', isOpen, outcome?.reason);
            if (isOpen) assert.equal(outcome?.code, 'chain-halted', outcome?.reason);
          });
        }
      }
    }
  });
}

describe('G3, G4: a chain that was refused', () => {
  test('a refused step takes the earlier ones back, and says which step and why', async () => {
    const opened = await threeTargets();
    nth(opened.targets, 2).faults.apply.push('refused');
    const result = await opened.gate.propose(bot, chainDraft(THREE));
    assert.equal(result.state, 'refused');
    assert.equal(result.code, 'chain-compensated');
    assert.equal(result.next, 'ask-human');
    assert.match(result.reason, /^step 3 of 3 was refused \(constraint-violated\)/);
    const { references } = await opened.proposal(result.proposalId);
    assert.deepEqual(references, [
      'segment-2',
      'segment-3',
      'back-2:constraint-violated',
      'back-1:constraint-violated',
    ]);
  });

  test('the budget of a chain that was taken back is given back', async () => {
    const opened = await threeTargets();
    nth(opened.targets, 2).faults.apply.push('refused');
    await opened.gate.propose(bot, chainDraft(THREE));
    const steps = Array.from({ length: 6 }, (_, index) => ['kv', `k${index}`, '1'] as const);
    assert.equal((await opened.gate.propose(bot, chainDraft(steps))).state, 'applied');
  });
});

describe('G3, L1: a gateway that dies in a chain', () => {
  const CALLS = ['before', 'after'] as const;
  const hang = (): Promise<never> => new Promise(() => {});

  /** The first gateway never hears from one call of `apply` of a target, made or not. */
  function dieAt(target: FakeTarget, call: number, when: (typeof CALLS)[number]): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const apply = target.apply.bind(target);
    let calls = 0;
    target.apply = async (request, signal) => {
      calls += 1;
      if (calls !== call) return apply(request, signal);
      if (when === 'after') await apply(request, signal);
      resolve();
      return hang();
    };
    return promise;
  }

  for (const at of [0, 1, 2]) {
    for (const when of CALLS) {
      test(`${when} step ${at + 1}: the next one goes on, each step once`, async () => {
        const opened = await threeTargets();
        const died = dieAt(nth(opened.targets, at), 1, when);
        void opened.gate.propose(bot, chainDraft(THREE));
        await died;
        await settle(opened, await opened.restart());
        const [proposal] = await opened.store.proposals(bot.tenant, { limit: 1 });
        assert.equal(proposal?.state, 'applied', proposal?.outcome?.reason);
        assertWhole(opened, need(proposal));
      });

      test(`${when} step ${at + 1}, and it is not allowed any more: nothing is left, or all of it`, async () => {
        const opened = await threeTargets();
        const died = dieAt(nth(opened.targets, at), 1, when);
        void opened.gate.propose(bot, chainDraft(THREE));
        await died;
        opened.setPolicy(POLICY.replace('effect: permit', 'effect: forbid'));
        await settle(opened, await opened.restart());
        const [proposal] = await opened.store.proposals(bot.tenant, { limit: 1 });
        const isDone = at === 2 && when === 'after';
        assert.equal(proposal?.state, isDone ? 'applied' : 'refused', proposal?.outcome?.reason);
        assertWhole(opened, need(proposal));
      });
    }
  }

  async function dyingOnTheWayBack(
    kind: Kind,
    back: number,
    when: (typeof CALLS)[number],
  ): Promise<TestGate> {
    const opened = await threeTargets(kind);
    nth(opened.targets, 2).faults.apply.push('refused');
    const died = dieAt(nth(opened.targets, back), 2, when);
    void opened.gate.propose(bot, chainDraft(THREE));
    await died;
    return opened;
  }

  for (const kind of KINDS) {
    for (const back of [0, 1]) {
      for (const when of CALLS) {
        const rest = kind === 'at_most_once' && when === 'before' ? 'halts' : 'takes back the rest';
        test(`${when} step ${back + 1} (${kind}) is taken back: the next one ${rest}, each once`, async () => {
          const opened = await dyingOnTheWayBack(kind, back, when);
          await settle(opened, await opened.restart());
          const [proposal] = await opened.store.proposals(bot.tenant, { limit: 1 });
          const code = rest === 'halts' ? 'chain-halted' : 'chain-compensated';
          assert.equal(proposal?.outcome?.code, code, proposal?.outcome?.reason);
          // The reason outlives the gateway that heard it.
          assert.match(proposal?.outcome?.reason ?? '', /constraint-violated/);
          assertWhole(opened, need(proposal));
        });
      }
    }
  }

  for (const fenced of [true, false]) {
    test(`and a target that has lost what it knew of a step (fenced: ${fenced}): it is not passed over`, async () => {
      const opened = await dyingOnTheWayBack('receipts', 1, 'before');
      nth(opened.targets, 0).probe = async () => ({ kind: 'absent', fenced });
      await settle(opened, await opened.restart());
      const [proposal] = await opened.store.proposals(bot.tenant, { limit: 1 });
      assert.equal(proposal?.state, 'in_doubt', proposal?.outcome?.reason);
      assert.deepEqual(effects(opened.targets), [true, true, false]);
    });
  }
});

describe('G4: what cannot be taken back', () => {
  async function halted(): Promise<{ opened: TestGate; result: Result }> {
    const opened = await threeTargets();
    const [kv, ledger] = opened.targets;
    ledger?.faults.apply.push('refused');
    kv?.faults.apply.push('none', 'refused');
    const result = await opened.gate.propose(bot, chainDraft(THREE));
    return { opened, result };
  }

  test('halts the chain for people, and is not tried again by itself', async () => {
    const { opened, result } = await halted();
    assert.equal(result.state, 'in_doubt');
    assert.equal(result.code, 'chain-halted');
    assert.equal(result.next, 'ask-human');
    const calls = nth(opened.targets, 0).calls.length;
    await settle(opened, opened.gate);
    await (await opened.restart()).tick();
    assert.equal(nth(opened.targets, 0).calls.length, calls);
    assert.equal((await opened.proposal(result.proposalId)).state, 'in_doubt');
  });

  test('halts the chain also where it was in doubt before, and once', async () => {
    const opened = await threeTargets();
    nth(opened.targets, 1).faults.apply.push('refused');
    nth(opened.targets, 0).faults.apply.push('none', 'request-lost', 'request-lost', 'refused');
    const { proposalId } = await opened.gate.propose(bot, chainDraft(THREE));
    await settle(opened, opened.gate);
    const { outcome, step } = await opened.proposal(proposalId);
    assert.equal(outcome?.code, 'chain-halted', outcome?.reason);
    await settle(opened, await opened.restart());
    assert.equal((await opened.proposal(proposalId)).step, step);
  });

  test('is not tried a second time on a target that would not refuse a second effect', async () => {
    const opened = await threeTargets('at_most_once');
    const kv = nth(opened.targets, 0);
    nth(opened.targets, 1).faults.apply.push('refused');
    kv.faults.apply.push('none', 'late');
    const { proposalId } = await opened.gate.propose(bot, chainDraft(THREE));
    await settle(opened, opened.gate);
    assert.equal((await opened.proposal(proposalId)).outcome?.code, 'chain-halted');
    // There, and back, which arrived late and met its fence.
    assert.equal(kv.calls.filter((call) => call === 'apply').length, 3);
    assert.deepEqual(kv.committed, [`${proposalId}.1`]);
  });

  test('ends by a named person, who is on record; an agent and a mere approver may not', async () => {
    const { opened, result } = await halted();
    const id = idOf(result.proposalId);
    const body = { outcome: 'refused', reason: 'put back by hand' } as const;
    await assert.rejects(opened.gate.resolve(bot, id, body), /person/);
    await assert.rejects(opened.gate.resolve(ann, id, body), /operator/);
    const ended = await opened.gate.resolve(ben, id, body);
    assert.equal(ended.state, 'refused');
    const { outcome } = await opened.proposal(id);
    assert.equal(outcome?.resolved, 'person');
    assert.equal(outcome?.credential, ben.credential);
    await assert.rejects(opened.gate.resolve(ben, id, body), /in doubt/);
  });
});

describe('a stop between the steps', () => {
  async function stopped(): Promise<{ opened: TestGate; id: string | null; freeze: string }> {
    const opened = await threeTargets();
    const kv = nth(opened.targets, 0);
    let freeze = '';
    kv.beforeApply = async () => {
      kv.beforeApply = null;
      const made = await opened.gate.stop(ben, { kind: 'target', name: 'mail' }, 'a test');
      freeze = made.id;
    };
    const result = await opened.gate.propose(bot, chainDraft(THREE));
    return { opened, id: result.proposalId, freeze };
  }

  test('binds: no further step, and nothing is taken back until it is released', async () => {
    const { opened, id } = await stopped();
    await settle(opened, opened.gate);
    const { state, outcome } = await opened.proposal(id);
    assert.equal(state, 'in_doubt');
    assert.equal(outcome?.code, 'chain-stopped');
    assert.match(outcome?.reason ?? '', /1 of 3 steps took effect/);
    assert.deepEqual(effects(opened.targets), [true, false, false]);
  });

  test('once released lets the chain go on where it is still allowed', async () => {
    const { opened, id, freeze } = await stopped();
    const [made] = await opened.gate.freezes(ben);
    assert.equal(made?.id, freeze);
    await opened.gate.release(ben, need(made).id, 'over');
    await settle(opened, opened.gate);
    assert.equal((await opened.proposal(id)).state, 'applied');
    assert.deepEqual(effects(opened.targets), [true, true, true]);
  });

  test('once released takes the chain back where the policy is against it by then', async () => {
    const { opened, id } = await stopped();
    const [made] = await opened.gate.freezes(ben);
    opened.setPolicy(POLICY.replace('effect: permit', 'effect: forbid'));
    await opened.gate.release(ben, need(made).id, 'over');
    await settle(opened, opened.gate);
    assert.equal((await opened.proposal(id)).outcome?.code, 'chain-compensated');
    assert.deepEqual(effects(opened.targets), [false, false, false]);
  });
});
