// Two gateways over one store and one target: who holds a proposal carries on with it, and nobody else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  agent,
  human,
  idOf,
  POLICY,
  setDraft,
  testGate,
  type TestGate,
} from '../../test/support/gate.ts';
import type { FakeTarget } from '../../test/support/fake-target.ts';
import type { OpenGate } from '../gate.ts';
import { LEASE_MS } from '../model/lease.ts';
import { Problem } from '../model/problem.ts';
import type { Result } from '../model/result.ts';
import {
  ACME,
  beginChange,
  goOn,
  outcomeEntry,
  proposalOf,
} from '../store/conformance/fixtures.ts';
import { openLeases } from './leases.ts';

const bot = agent('bot');
const operator = human('ben', ['operator']);

/** A call of the target that does not come back before it may. */
interface Stalled {
  /** Resolves once the call has come there. */
  readonly reached: Promise<void>;
  letGo(): void;
}

/** The next write comes to the target, and stays there. */
function stallApply(target: FakeTarget): Stalled {
  const reached = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  target.beforeApply = async () => {
    target.beforeApply = null;
    reached.resolve();
    await gone.promise;
  };
  return { reached: reached.promise, letGo: gone.resolve };
}

/** The next question comes to the target, and stays there. */
function stallProbe(target: FakeTarget): Stalled {
  const reached = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const { probe } = target;
  target.probe = async (request, signal) => {
    target.probe = probe;
    reached.resolve();
    await gone.promise;
    return probe.call(target, request, signal);
  };
  return { reached: reached.promise, letGo: gone.resolve };
}

/** The keys that the target is asked after from now on, in order. */
function probesOf(target: FakeTarget): readonly string[] {
  const asked: string[] = [];
  const { probe } = target;
  target.probe = (request, signal) => {
    asked.push(request.key);
    return probe.call(target, request, signal);
  };
  return asked;
}

interface Two extends TestGate {
  readonly other: OpenGate;
}

async function twoGates(options: Parameters<typeof testGate>[0] = {}): Promise<Two> {
  const first = await testGate(options);
  return { ...first, other: first.another() };
}

interface UnderWay {
  readonly id: string;
  readonly call: Stalled;
  readonly result: Promise<Result>;
}

/** A write that has come to the target and stays there; of the first gateway, unless it is said. */
async function underWay(two: Two, gate: OpenGate = two.gate, key = 'a'): Promise<UnderWay> {
  const call = stallApply(two.target);
  const result = gate.propose(bot, setDraft(key, '9'));
  await call.reached;
  const { id } = (await two.store.proposals(bot.tenant, { limit: 1 }))[0] ?? assert.fail();
  return { result, call, id };
}

/** A write of the first gateway that nobody knows the end of, and that nobody is at. */
async function inDoubt({ gate, target }: Two, key = 'a'): Promise<string> {
  target.faults.apply.push('request-lost');
  target.faults.probe.push('request-lost');
  const result = await gate.propose(bot, setDraft(key, '9'));
  assert.equal(result.state, 'in_doubt');
  return result.proposalId ?? assert.fail();
}

function outcomes({ history }: Awaited<ReturnType<TestGate['proposal']>>): number {
  return history.filter(({ type }) => type === 'outcome').length;
}

function conflict(words: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof Problem && error.code === 'state-conflict' && words.test(error.message);
}

for (const holds of [false, true]) {
  test(`G3, G8: what a gateway died in is taken over once its lease is over, and has one effect${holds ? ', held' : ''}`, async () => {
    const two = await twoGates({ holds });
    const { result, id, call } = await underWay(two);
    two.clock.advance(LEASE_MS - 1);
    await two.other.tick();
    assert.equal((await two.proposal(id)).attempt, 1, 'the lease is not over');
    two.clock.advance(1);
    await two.other.tick();
    const taken = await two.proposal(id);
    assert.deepEqual([taken.state, taken.attempt], ['applied', 2]);

    // It was only slow.
    call.letGo();
    assert.equal((await result).state, 'applied');
    assert.deepEqual(two.target.committed, [id]);
    assert.deepEqual(await two.proposal(id), taken);
  });
}

test('G8: a gateway that was taken over from may not settle while the other is at it', async () => {
  const two = await twoGates();
  two.target.faults.apply.push('refused');
  const { result, id, call } = await underWay(two);
  two.clock.advance(LEASE_MS);
  const question = stallProbe(two.target);
  const tick = two.other.tick();
  await question.reached;

  call.letGo();
  assert.equal((await result).state, 'executing', 'its refusal says nothing about the other');
  assert.equal(outcomes(await two.proposal(id)), 0);
  question.letGo();
  await tick;
  assert.equal((await two.proposal(id)).state, 'applied');
  assert.deepEqual(two.target.committed, [id]);
});

test('G8: nor once the other is done with it, and it neither tries, nor fences, nor asks again', async () => {
  const two = await twoGates();
  const id = await inDoubt(two);
  const question = stallProbe(two.target);
  const tick = two.gate.tick();
  await question.reached;
  two.clock.advance(LEASE_MS);
  two.target.faults.probe.push('request-lost');
  await two.other.tick();
  const before = await two.proposal(id);
  const asked = probesOf(two.target);
  const calls = two.target.calls.length;

  question.letGo();
  await tick;
  assert.deepEqual([asked.length, two.target.calls.length - calls], [0, 0]);
  assert.deepEqual(await two.proposal(id), before);
  await two.other.tick();
  assert.equal((await two.proposal(id)).state, 'applied');
});

test('G8: doubt of one that was taken over from is the other’s to look into', async () => {
  const two = await twoGates();
  two.target.faults.apply.push('reply-lost');
  const { result, call } = await underWay(two);
  two.clock.advance(LEASE_MS);
  const question = stallProbe(two.target);
  const tick = two.other.tick();
  await question.reached;
  const asked = probesOf(two.target);
  call.letGo();
  assert.equal((await result).state, 'executing');
  assert.deepEqual(asked, []);
  question.letGo();
  await tick;
  assert.equal(two.target.committed.length, 1);
});

test('a lease that is renewed is not taken over, however long the write takes', async () => {
  const two = await twoGates();
  const asked = probesOf(two.target);
  const { result, id, call } = await underWay(two);
  for (let third = 0; third < 9; third += 1) {
    two.clock.advance(LEASE_MS / 3);
    await two.gate.renew();
    await two.other.tick();
  }
  assert.deepEqual(asked, []);
  call.letGo();
  assert.equal((await result).state, 'applied');
  assert.equal((await two.proposal(id)).attempt, 1);
});

/** The next commit is carried out, and its reply lost once that is let go of. */
function loseReply({ store }: TestGate): Stalled {
  const reached = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const { commit } = store;
  store.commit = async (change) => {
    store.commit = commit;
    await commit.call(store, change);
    reached.resolve();
    await gone.promise;
    throw new Problem('store-unusable', 'the store did not answer');
  };
  return { reached: reached.promise, letGo: gone.resolve };
}

test('G8: what a look claimed and a call let go of meanwhile is not this gateway’s to look into', async () => {
  const two = await twoGates();
  const older = await inDoubt(two);
  const reply = loseReply(two);
  const result = two.gate.propose(bot, setDraft('b', '9'));
  await reply.reached;
  const { id } = (await two.store.proposals(bot.tenant, { limit: 1 }))[0] ?? assert.fail();
  two.clock.advance(LEASE_MS);
  const asked = probesOf(two.target);
  const ofOlder = stallProbe(two.target);
  const look = two.gate.tick();
  await ofOlder.reached;
  assert.deepEqual(asked, []);
  reply.letGo();
  await assert.rejects(result, /did not answer/);
  const ofOther = stallProbe(two.target);
  const others = two.other.tick();
  await ofOther.reached;
  ofOlder.letGo();
  await look;
  assert.deepEqual(asked, [older], 'it is the other that asks');
  ofOther.letGo();
  await others;
  assert.equal((await two.proposal(id)).state, 'applied');
  assert.deepEqual(two.target.committed.toSorted(), [older, id].toSorted());
});

test('what a gateway that ends leaves is taken up at once, and has one effect whoever is last', async () => {
  const two = await twoGates();
  const { result, id, call } = await underWay(two);
  await two.other.tick();
  assert.equal((await two.proposal(id)).state, 'executing');
  await two.gate.leaveAll();
  await two.other.tick();
  assert.equal((await two.proposal(id)).state, 'applied');
  call.letGo();
  assert.equal((await result).state, 'applied');
  assert.deepEqual(two.target.committed, [id]);
  assert.equal(outcomes(await two.proposal(id)), 1);
});

test('what it left and nobody took up settles where it still comes to its end', async () => {
  const two = await twoGates();
  const { result, id, call } = await underWay(two);
  await two.gate.leaveAll();
  call.letGo();
  assert.equal((await result).state, 'applied');
  assert.equal((await two.proposal(id)).attempt, 1);
});

test('a write slower than its lease that nobody took over goes on', async () => {
  const two = await twoGates();
  const { result, id, call } = await underWay(two);
  two.clock.advance(10 * LEASE_MS);
  call.letGo();
  assert.equal((await result).state, 'applied');
  assert.equal((await two.proposal(id)).attempt, 1);
});

test('a gateway does not take over from itself, and holds on to what ran out under it', async () => {
  const two = await twoGates();
  const asked = probesOf(two.target);
  const { result, id, call } = await underWay(two);
  two.clock.advance(LEASE_MS);
  await two.gate.tick();
  await two.other.tick();
  assert.deepEqual(asked, []);
  call.letGo();
  assert.equal((await result).state, 'applied');
  assert.equal((await two.proposal(id)).attempt, 1);
});

test('what a call left in doubt is anybody’s at once', async () => {
  const two = await twoGates();
  const id = await inDoubt(two);
  await two.other.tick();
  assert.equal((await two.proposal(id)).state, 'applied');
});

test('what one gateway could not find out another asks after at its next tick, and it itself too', async () => {
  const two = await twoGates();
  const id = await inDoubt(two);
  const asked = probesOf(two.target);
  two.target.faults.probe.push('request-lost', 'request-lost');
  await two.other.tick();
  await two.gate.tick();
  await two.other.tick();
  assert.deepEqual(asked, [id, id, id]);
  assert.equal((await two.proposal(id)).state, 'applied');
});

test('the ticks of two gateways at once work on nothing twice', async () => {
  const two = await twoGates({ policy: POLICY.replace('max: 5', 'max: 50') });
  const ids: string[] = [];
  for (let each = 0; each < 20; each += 1) ids.push(await inDoubt(two, `row-${each}`));
  const asked = probesOf(two.target);
  await Promise.all([two.gate.tick(), two.other.tick(), two.other.tick()]);
  assert.deepEqual(asked.toSorted(), ids);
  assert.deepEqual(two.target.committed.toSorted(), ids);
});

test('a person who says how it ended while a gateway looks into it is told to try again', async () => {
  const two = await twoGates();
  const id = idOf(await inDoubt(two));
  const body = { outcome: 'refused', reason: 'I looked, it is not there' } as const;
  two.target.faults.probe.push('request-lost');
  const question = stallProbe(two.target);
  const tick = two.other.tick();
  await question.reached;
  for (const gate of [two.gate, two.other]) {
    await assert.rejects(gate.resolve(operator, id, body), conflict(/looked into right now/));
  }
  question.letGo();
  await tick;
  assert.equal((await two.gate.resolve(operator, id, body)).state, 'refused');
});

test('what a person ended before the tick came to it stays as it is', async () => {
  const two = await twoGates();
  const [slow, second] = [await inDoubt(two, 'a'), idOf(await inDoubt(two, 'b'))];
  const question = stallProbe(two.target);
  const tick = two.gate.tick();
  await question.reached;
  const body = { outcome: 'refused', reason: 'I looked, it is not there' } as const;
  assert.equal((await two.gate.resolve(operator, second, body)).state, 'refused');
  question.letGo();
  await tick;
  assert.equal((await two.proposal(slow)).state, 'applied');
  assert.equal((await two.proposal(second)).outcome?.resolved, 'person');
});

test('a restart takes up at once what the run before it held, and not what another gateway holds', async () => {
  const two = await twoGates();
  const { id: own } = await underWay(two);
  const { id: others } = await underWay(two, two.other, 'b');
  await (await two.restart()).tick();
  assert.equal((await two.proposal(own)).state, 'applied');
  assert.equal((await two.proposal(others)).state, 'executing');
});

test('who lost a proposal does not take it again while at work on it, and does once it has let go', async () => {
  const { store, clock } = await testGate();
  const [slow, quick] = ['slow/1', 'quick/1'].map((holder) => openLeases(store, holder));
  assert.ok(slow !== undefined && quick !== undefined);
  const id = proposalOf(1);
  assert.equal((await slow.store.commit(beginChange(id, 'in_doubt'))).kind, 'committed');
  clock.advance(LEASE_MS);
  assert.deepEqual(await quick.next(8), [{ tenant: ACME, id, epoch: 2 }]);
  const settling = goOn(id, 5, [outcomeEntry('applied')]);
  const lost = { kind: 'leased', proposalId: id, epoch: 2 };
  assert.deepEqual(await slow.store.commit(settling), { kind: 'conflict', conflict: lost });
  assert.equal(slow.isHeld(id), false);
  await quick.leave(id);
  assert.deepEqual(await slow.store.commit(settling), { kind: 'conflict', conflict: lost });
  await slow.leave(id);
  assert.equal((await slow.store.commit(settling)).kind, 'committed');
});
