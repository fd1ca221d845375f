import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  agent,
  human,
  idOf,
  need,
  POLICY,
  setDraft,
  stopBefore,
  testGate,
} from '../test/support/gate.ts';
import type { Fault } from '../test/support/fake-target.ts';
import { isTerminal } from './model/lifecycle.ts';
import { Problem } from './model/problem.ts';

const bot = agent('bot');
const clerk = agent('clerk');
const ann = human('ann');
const never = new AbortController().signal;

function problem(code: string): (error: unknown) => boolean {
  return (error) => error instanceof Problem && error.code === code;
}

test('an autonomous write within the limits is applied at once, with a receipt', async () => {
  const { gate, target } = await testGate();
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'applied');
  assert.equal(target.rows.get('a'), '9');
  if (result.state !== 'applied') return;
  assert.equal(result.receipt.reference, `ref-${result.proposalId}`);
  assert.match(result.receipt.leafHash, /^[0-9a-f]{64}$/);
});

test('a preview measures, says what would be decided, and leaves nothing', async () => {
  const { gate, target, store } = await testGate();
  const result = await gate.preview(bot, setDraft('a', '9'), never);
  assert.equal(result.state, 'previewed');
  assert.equal(result.state === 'previewed' && result.wouldBe, 'allow');
  assert.equal(target.rows.get('a'), '1');
  assert.equal((await store.proposals(bot.tenant, { limit: 10 })).length, 0);
});

test('G1: when the target is called the intent is durable already', async () => {
  const { gate, target, store } = await testGate();
  const seen: string[] = [];
  target.beforeApply = async () => {
    const [proposal] = await store.proposals(bot.tenant, { limit: 1 });
    seen.push(proposal?.state ?? 'nothing', need(proposal?.history.at(-1)).type);
  };
  await gate.propose(bot, setDraft('a', '9'));
  assert.deepEqual(seen, ['executing', 'intent']);
});

test('G2: an approved plan is not carried out once the world moved; the new plan waits anew', async () => {
  const { gate, target, proposal } = await testGate();
  const held = await gate.propose(clerk, setDraft('a', '9'));
  assert.equal(held.state, 'waiting');
  target.rows.set('a', '5');
  const body = { planDigest: held.planDigest ?? '', verdict: 'approve' } as const;
  const stale = await gate.approve(ann, idOf(held.proposalId), body);
  assert.equal(stale.state, 'stale');
  assert.equal(target.rows.get('a'), '5');
  assert.deepEqual(stale.state === 'stale' && stale.difference.rowsMoved[0]?.columns, [
    { column: 'value', image: 'before', shown: '1', now: '5' },
  ]);
  assert.equal((await proposal(held.proposalId)).state, 'waiting');

  await assert.rejects(gate.approve(ann, idOf(held.proposalId), body), problem('digest-mismatch'));
  const fresh = { ...body, planDigest: stale.planDigest ?? '' };
  const applied = await gate.approve(ann, idOf(held.proposalId), fresh);
  assert.equal(applied.state, 'applied');
  assert.equal(target.rows.get('a'), '9');
});

test('G3: a lost reply is found by asking the target; the effect happened once', async () => {
  const { gate, target } = await testGate();
  target.faults.apply.push('reply-lost');
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'applied');
  assert.equal(target.committed.length, 1);
});

test('G3: a lost request is tried again under the same key', async () => {
  const { gate, target } = await testGate();
  target.faults.apply.push('request-lost');
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'applied');
  assert.deepEqual(target.committed, [result.proposalId]);
});

test('G4: doubt stays until the target answers, and ends by its answer', async () => {
  const { gate, target, proposal } = await testGate();
  target.faults.apply.push('reply-lost');
  target.faults.probe.push('request-lost');
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'in_doubt');
  assert.equal(result.next, 'wait');
  await gate.tick();
  assert.equal((await proposal(result.proposalId)).state, 'applied');
  assert.equal(target.committed.length, 1);
});

test('G4: what was interrupted and is no longer allowed is fenced in the target and refused', async () => {
  const { gate, target, proposal, setPolicy } = await testGate();
  target.faults.apply.push('request-lost');
  target.faults.probe.push('request-lost');
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'in_doubt');
  setPolicy('version: 1\ntenant: acme\ntargets: { kv: { kind: fake } }');
  await gate.tick();
  const settled = await proposal(result.proposalId);
  assert.equal(settled.state, 'refused');
  assert.equal(settled.outcome?.code, 'interrupted');
  assert.deepEqual(await target.probe({ key: settled.id, fence: false }, never), {
    kind: 'absent',
    fenced: true,
  });
});

test('G4: a refused second attempt says nothing about the first, which may still be on its way', async () => {
  const { gate, target, proposal } = await testGate();
  target.faults.apply.push('late', 'busy');
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'refused');
  await target.land();
  assert.equal(target.rows.get('a'), '1', 'the key was fenced before it was called refused');
  assert.equal((await proposal(result.proposalId)).state, 'refused');
});

test('G6: after a terminal state nothing but the link to a compensation follows', async () => {
  const { gate, proposal } = await testGate();
  const result = await gate.propose(bot, setDraft('a', '9'));
  const id = idOf(result.proposalId);
  await assert.rejects(gate.cancel(bot, id), problem('state-conflict'));
  const body = { planDigest: result.planDigest ?? '', verdict: 'approve' } as const;
  await assert.rejects(gate.approve(ann, id, body), problem('state-conflict'));
  const back = await gate.rollback(bot, id);
  assert.equal(back.state, 'applied');
  const settled = await proposal(result.proposalId);
  assert.equal(settled.compensatedBy, back.proposalId);
  assert.deepEqual(
    settled.history.map((entry) => entry.type),
    ['proposal', 'preview', 'decision', 'intent', 'outcome', 'rollback'],
  );
});

test('G9: an approval names a human who is routed to it, not the owner, once, and the digest shown', async () => {
  const { gate, target } = await testGate();
  const held = await gate.propose(clerk, setDraft('a', '9'));
  const id = idOf(held.proposalId);
  const body = { planDigest: held.planDigest ?? '', verdict: 'approve' } as const;
  await assert.rejects(gate.approve(clerk, id, body), problem('credential-kind'));
  await assert.rejects(gate.approve(human('owner'), id, body), problem('approver-is-proposer'));
  await assert.rejects(gate.approve(human('ben', ['operator']), id, body), problem('role-missing'));
  const other = { ...body, planDigest: `sha256:${'0'.repeat(64)}` };
  await assert.rejects(gate.approve(ann, id, other), problem('digest-mismatch'));
  assert.equal(target.rows.get('a'), '1');
  assert.equal((await gate.approve(ann, id, body)).state, 'applied');
  await assert.rejects(gate.approve(ann, id, body), problem('state-conflict'));
});

test('a person who says no ends it, and nothing is written', async () => {
  const { gate, target } = await testGate();
  const held = await gate.propose(clerk, setDraft('a', '9'));
  const body = { planDigest: held.planDigest ?? '', verdict: 'deny', reason: 'no' } as const;
  const denied = await gate.approve(ann, idOf(held.proposalId), body);
  assert.equal(denied.state, 'denied');
  assert.equal(denied.code, 'denied-by-person');
  assert.equal(target.rows.get('a'), '1');
});

test('a wait that no person can end says so, who may not, and what to add', async () => {
  const alone = POLICY.replace('  ann: { roles: [approver] }\n', '');
  const { gate, setPolicy, proposal } = await testGate({ policy: alone });
  const held = await gate.propose(clerk, setDraft('a', '9'));
  assert.equal(held.state, 'waiting');
  const said =
    /`owner` may not, as who proposed it or owns .*; name 1 more person .* under `people`/;
  assert.match(held.reason, said);
  assert.match(
    (await proposal(held.proposalId)).decision?.reason ?? '',
    said,
    'what `show` prints',
  );
  // Who is added can decide on it, without another proposal.
  setPolicy(POLICY);
  const body = { planDigest: held.planDigest ?? '', verdict: 'approve' } as const;
  const applied = await gate.approve(ann, idOf(held.proposalId), body);
  assert.deepEqual(
    [applied.state, applied.reason],
    ['applied', 'the effect that was decided on was committed, once'],
  );
  const other = await gate.propose(clerk, setDraft('b', '9'));
  assert.doesNotMatch(other.reason, /may approve/);
});

test('nobody decides in time: discarded, never carried out', async () => {
  const { gate, clock, target, proposal } = await testGate();
  const held = await gate.propose(clerk, setDraft('a', '9'));
  clock.advance(30 * 60_000);
  const body = { planDigest: held.planDigest ?? '', verdict: 'approve' } as const;
  await assert.rejects(gate.approve(ann, idOf(held.proposalId), body), problem('state-conflict'));
  assert.equal((await proposal(held.proposalId)).state, 'expired');
  assert.equal(target.rows.get('a'), '1');
});

test('a stop denies what comes, holds what waits, and moves its deadline', async () => {
  const { gate, clock, target, proposal } = await testGate();
  const ben = human('ben', ['operator']);
  const held = await gate.propose(clerk, setDraft('a', '9'));
  const freeze = await gate.stop(ben, { kind: 'all' }, 'test');
  const denied = await gate.propose(bot, setDraft('b', '9'));
  assert.equal(denied.code, 'frozen');
  assert.equal(denied.next, 'stop-run');
  const body = { planDigest: held.planDigest ?? '', verdict: 'approve' } as const;
  await assert.rejects(gate.approve(ann, idOf(held.proposalId), body), problem('state-conflict'));
  clock.advance(60 * 60_000);
  await gate.tick();
  assert.equal((await proposal(held.proposalId)).state, 'waiting');
  await gate.release(ben, freeze.id, 'test');
  assert.equal((await gate.approve(ann, idOf(held.proposalId), body)).state, 'applied');
  assert.equal(target.rows.get('a'), '9');
  assert.equal((await gate.propose(bot, setDraft('b', '9'))).state, 'applied');
});

test('a stop of what nobody knows is refused with what was meant, and changes nothing', async () => {
  const { gate, setPolicy } = await testGate();
  const ben = human('ben', ['operator']);
  const stop = (kind: 'agent' | 'target', name: string) => gate.stop(ben, { kind, name }, 'test');
  const refused = (hint: RegExp) => (error: unknown) =>
    error instanceof Problem &&
    error.code === 'request-invalid' &&
    error.at === '/scope/name' &&
    error.message.startsWith('nothing was stopped: ') &&
    hint.test(error.message);
  await assert.rejects(stop('agent', 'clerc'), refused(/no agent `clerc`.*did you mean `clerk`/));
  await assert.rejects(stop('target', 'kw'), refused(/no target `kw`.*did you mean `kv`/));
  await assert.rejects(stop('target', 'warehouse'), refused(/it names `kv`/));
  assert.deepEqual(await gate.freezes(ben), []);
  // What left the file while its proposals wait can be stopped; what has nothing there cannot.
  await gate.propose(clerk, setDraft('a', '9'));
  setPolicy(POLICY.replace('  clerk:', '  keeper:').replace('  bot:', '  bots:'));
  assert.equal((await stop('agent', 'clerk')).scope.kind, 'agent');
  await assert.rejects(stop('agent', 'bot'), refused(/did you mean `bots`/));
});

test('a stop that comes between decision and intent wins', async () => {
  const world = await testGate();
  const { gate, target, clock } = world;
  stopBefore(world, { kind: 'target', name: 'kv' }, 'intent');
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.code, 'frozen');
  assert.equal(target.rows.get('a'), '1');
  assert.ok(clock.now() > 0);
});

test('a proposal that cannot be taken up keeps no other waiting', async () => {
  const { gate, target, store, proposal } = await testGate();
  const ids: (string | null)[] = [];
  for (const key of ['a', 'b']) {
    target.faults.apply.push('reply-lost');
    target.faults.probe.push('request-lost');
    ids.push((await gate.propose(bot, setDraft(key, '9'))).proposalId);
  }
  const commit = store.commit.bind(store);
  store.commit = async (change) => {
    if (change.acts.some((act) => act.act === ids[0])) throw new Error('broken for one');
    return commit(change);
  };
  await assert.rejects(gate.tick(), AggregateError);
  assert.equal((await proposal(ids[0] ?? null)).state, 'in_doubt');
  assert.equal((await proposal(ids[1] ?? null)).state, 'applied');
});

test('the reconciler leaves alone what this process is at work on, from its first commit on', async () => {
  const { gate, store, proposal } = await testGate();
  const commit = store.commit.bind(store);
  store.commit = async (change) => {
    const committed = await commit(change);
    await gate.tick();
    return committed;
  };
  const result = await gate.propose(bot, setDraft('a', '9'));
  assert.equal((await proposal(result.proposalId)).attempt, 1);
});

test('a person cannot propose or preview a write; taking back is the only one', async () => {
  const { gate, target } = await testGate();
  for (const role of ['approver', 'operator', 'auditor'] as const) {
    const someone = human('ann', [role]);
    const draft = setDraft('a', '9');
    await assert.rejects(gate.propose(someone, draft), problem('credential-kind'));
    await assert.rejects(gate.preview(someone, draft, never), problem('credential-kind'));
  }
  assert.equal(target.rows.get('a'), '1');
});

test('what an agent holds no permission on is not carried out, not even to measure it', async () => {
  const { gate, target } = await testGate({
    policy: POLICY.replace(
      'kv, class: [create, update], tier: autonomous',
      'kv, resource: other, class: update, tier: autonomous',
    ).replace('      - { target: kv, resource: rows, class: delete, tier: confirm }\n', ''),
  });
  const denied = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(denied.state, 'denied');
  assert.equal(denied.code, 'not-permitted');
  assert.equal(denied.headline, null);
  assert.equal(target.rows.get('a'), '1');
});

test('an agent cannot stop, resume or see what another proposed', async () => {
  const { gate } = await testGate();
  const held = await gate.propose(clerk, setDraft('a', '9'));
  await assert.rejects(gate.stop(bot, { kind: 'all' }, 'x'), problem('credential-kind'));
  await assert.rejects(gate.status(bot, idOf(held.proposalId)), problem('proposal-unknown'));
  await assert.rejects(gate.cancel(bot, idOf(held.proposalId)), problem('proposal-unknown'));
  assert.equal((await gate.list(bot, { limit: 10 })).items.length, 0);
  assert.equal((await gate.cancel(clerk, idOf(held.proposalId))).state, 'cancelled');
});

test('the same intent again is the first result again', async () => {
  const { gate, target } = await testGate();
  const first = await gate.propose(bot, setDraft('a', '9'));
  const again = await gate.propose(bot, setDraft('a', '9'));
  assert.equal(again.proposalId, first.proposalId);
  assert.equal(again.replayed, true);
  assert.equal(target.committed.length, 1);
});

test('a hundred equal drafts at once have one effect', async () => {
  const { gate, target } = await testGate();
  const results = await Promise.all(
    Array.from({ length: 100 }, () => gate.propose(bot, setDraft('a', '9'))),
  );
  assert.equal(new Set(results.map((result) => result.proposalId)).size, 1);
  assert.equal(target.committed.length, 1);
});

test('the same arguments under a fresh key, or by another agent, are a duplicate', async () => {
  const { gate, clock } = await testGate();
  const first = await gate.propose(bot, setDraft('a', '9', { idempotencyKey: 'one' }));
  const second = await gate.propose(bot, setDraft('a', '9', { idempotencyKey: 'two' }));
  assert.equal(second.code, 'duplicate-write');
  assert.equal(second.state === 'denied' && second.duplicateOf, first.proposalId);
  const other = await gate.propose(clerk, setDraft('a', '9'));
  assert.equal(other.code, 'duplicate-write');
  clock.advance(24 * 3_600_000 + 1);
  const later = await gate.propose(bot, setDraft('a', '9', { idempotencyKey: 'three' }));
  assert.equal(later.state, 'applied');
});

test('a key with other arguments is a problem and changes nothing', async () => {
  const { gate, target } = await testGate();
  await gate.propose(bot, setDraft('a', '9', { idempotencyKey: 'one' }));
  await assert.rejects(
    gate.propose(bot, setDraft('a', '8', { idempotencyKey: 'one' })),
    problem('idempotency-key-reused'),
  );
  assert.equal(target.rows.get('a'), '9');
});

test('G7: a burst of writes at once does not pass the budget', async () => {
  const { gate, target, clock } = await testGate();
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, n) => gate.propose(bot, setDraft(`k${n}`, 'x'))),
  );
  assert.equal(results.filter((result) => result.state === 'applied').length, 5);
  assert.ok(
    results.every((result) => result.state === 'applied' || result.code === 'budget-exceeded'),
  );
  const denied = results.filter((result) => result.state === 'denied');
  assert.ok(denied.every((result) => result.next === 'wait' && result.retryAfterMs === 60_000));
  assert.equal(target.committed.length, 5);
  clock.advance(60_000);
  assert.equal((await gate.propose(bot, setDraft('later', 'x'))).state, 'applied');
});

test('what the target refuses gives its budget back', async () => {
  const { gate, target } = await testGate();
  for (let n = 0; n < 8; n += 1) {
    target.faults.apply.push('busy');
    const result = await gate.propose(bot, setDraft(`k${n}`, 'x'));
    assert.equal(result.state, 'refused');
  }
  assert.equal((await gate.propose(bot, setDraft('k', 'x'))).state, 'applied');
});

test('a rollback restores, reports a conflict, and happens once', async () => {
  const { gate, target } = await testGate();
  const first = await gate.propose(bot, setDraft('a', '9'));
  target.rows.set('a', '10');
  const conflict = await gate.rollback(human('ben', ['operator']), idOf(first.proposalId));
  assert.equal(conflict.state, 'refused');
  assert.equal(conflict.code, 'rollback-conflict');
  target.rows.set('a', '9');
  const back = await gate.rollback(human('ben', ['operator']), idOf(first.proposalId));
  assert.equal(back.state, 'applied');
  assert.equal(target.rows.get('a'), '1');
  await assert.rejects(gate.rollback(bot, idOf(first.proposalId)), problem('not-compensable'));
});

test('observe evaluates and records, writes nothing and leaves nothing to approve', async () => {
  const { gate, target } = await testGate({ policy: `mode: observe\n${POLICY}` });
  const result = await gate.propose(clerk, setDraft('a', '9'));
  assert.equal(result.state, 'denied');
  assert.equal(result.code, 'observed');
  assert.match(result.reason, /would wait for people/);
  const inbox = await gate.list(ann, { states: ['waiting'], limit: 10 });
  assert.equal(inbox.items.length, 0);
  assert.equal(target.rows.get('a'), '1');
});

test('what the configuration does not name is denied before anything is measured', async () => {
  const { gate } = await testGate();
  const target = await gate.propose(bot, setDraft('a', '9', { target: 'other' }));
  assert.equal(target.code, 'unknown-target');
  const operation = await gate.propose(bot, { ...setDraft('a', '9'), operation: 'drop' });
  assert.equal(operation.code, 'unknown-operation');
  const stranger = await gate.propose(agent('stranger'), setDraft('a', '9'));
  assert.equal(stranger.code, 'unknown-agent');
});

test('a waiting call wakes when people decide', async () => {
  const { gate } = await testGate();
  const held = await gate.propose(clerk, setDraft('a', '9'));
  const id = idOf(held.proposalId);
  const waiting = gate.wait(clerk, id, 50_000, never);
  const body = { planDigest: held.planDigest ?? '', verdict: 'approve' } as const;
  await gate.approve(ann, id, body);
  assert.equal((await waiting).state, 'applied');
});

test('L1: when faults stop, every proposal has ended or waits for a person, with at most one effect', async () => {
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
    moves: fc.boolean(),
    approves: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
      const { gate, target, store, clock } = await testGate();
      for (const { key, value, who, plan, apply, probe, moves, approves } of steps) {
        target.faults.plan.push(...plan);
        target.faults.apply.push(...apply);
        target.faults.probe.push(...probe);
        target.beforeApply = moves ? () => void target.rows.set('a', String(clock.now())) : null;
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
      for (const proposal of await store.proposals(bot.tenant, { limit: 100 })) {
        assert.ok(isTerminal(proposal.state) || proposal.state === 'waiting', proposal.state);
        const effects = target.committed.filter((key) => key === proposal.id).length;
        assert.equal(effects, proposal.state === 'applied' ? 1 : 0);
      }
    }),
    { numRuns: 150 },
  );
});
