// A person who says how a proposal ended, and the gateway's own look into it at the same moment.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  agent,
  chainDraft,
  human,
  idOf,
  POLICY,
  setDraft,
  testGate,
  type TestGate,
} from '../../test/support/gate.ts';
import type { Commit } from '../model/ports.ts';

const bot = agent('bot');
const operator = human('ben', ['operator']);
const REASON = 'I looked';

/** The same, for a second target too. */
const CHAINS = POLICY.replaceAll(/target: kv(?!, resource)/g, "target: '*'").replace(
  'kv: { kind: fake }',
  'kv: { kind: fake }, other: { kind: fake }',
);

interface Held {
  /** Resolves once the commit has come to the store. */
  readonly reached: Promise<void>;
  letGo(): void;
}

/** The next commit comes to the store, and waits there before it is carried out. */
function stallCommit({ store }: TestGate): Held {
  const reached = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const { commit } = store;
  store.commit = async (change): Promise<Commit> => {
    store.commit = commit;
    reached.resolve();
    await gone.promise;
    return commit.call(store, change);
  };
  return { reached: reached.promise, letGo: gone.resolve };
}

test('G3, G4: what a person says stands applied is not taken back by a look that began meanwhile', async () => {
  const world = await testGate({ policy: CHAINS, beside: ['other'] });
  const [kv, other] = world.targets;
  assert(kv !== undefined && other !== undefined);
  // The second step is refused, and nobody knows whether the first was taken back.
  other.faults.apply.push('refused');
  kv.faults.apply.push('none', 'request-lost', 'request-lost');
  const draft = chainDraft([
    ['kv', 'a', '9'],
    ['other', 'a', '9'],
  ]);
  const { state, proposalId } = await world.gate.propose(bot, draft);
  assert.equal(state, 'in_doubt');
  assert.equal(kv.rows.get('a'), '9');

  const commit = stallCommit(world);
  const body = { outcome: 'applied', reason: REASON } as const;
  const said = world.gate.resolve(operator, idOf(proposalId), body);
  await commit.reached;
  const writing = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  kv.beforeApply = async () => {
    writing.resolve();
    await goOn.promise;
  };
  const tick = world.gate.tick();
  await Promise.race([tick, writing.promise]);
  commit.letGo();
  assert.equal((await said).state, 'applied');
  goOn.resolve();
  await tick;
  assert.equal(kv.rows.get('a'), '9');
  assert.equal((await world.proposal(proposalId)).outcome?.resolved, 'person');
});

test('what a look left to a person who was refused is looked into at the next tick', async () => {
  const world = await testGate();
  const { gate, target } = world;
  target.faults.apply.push('request-lost');
  target.faults.probe.push('request-lost');
  const { proposalId } = await gate.propose(bot, setDraft('a', '9'));
  const commit = stallCommit(world);
  const body = { outcome: 'refused', reason: REASON } as const;
  const said = gate.resolve(operator, idOf(proposalId), body);
  await commit.reached;
  await gate.tick();
  assert.equal((await world.proposal(proposalId)).state, 'in_doubt');
  // Another gateway comes first.
  const other = world.another();
  await world.store.endLeases('test');
  await other.tick();
  commit.letGo();
  await assert.rejects(said, { code: 'state-conflict' });
  await gate.tick();
  assert.equal((await world.proposal(proposalId)).state, 'applied');
});
