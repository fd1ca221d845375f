import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  agent,
  human,
  idOf,
  need,
  setDraft,
  stopBefore,
  testGate,
  type TestGate,
} from '../../test/support/gate.ts';
import { openEntry } from '../ledger/entry.ts';
import type { Freeze, FreezeScope } from '../model/freeze.ts';
import { covers } from '../model/freeze.ts';
import { Problem } from '../model/problem.ts';
import { subjectOf } from '../model/proposal.ts';
import type { Result } from '../model/result.ts';

const bot = agent('bot');
const clerk = agent('clerk');
const ann = human('ann');
const ben = human('ben', ['operator']);
const olga = human('olga', ['operator']);
const TENANT = bot.tenant;
const never = new AbortController().signal;

const POLICY = `
version: 1
tenant: acme
environment: test
targets: { kv: { kind: fake } }
people:
  ann: { roles: [approver], groups: [platform] }
  ben: { roles: [operator], groups: [platform] }
  olga: { roles: [operator], groups: [platform] }
  ida: { roles: [operator] }
agents:
  bot: { permissions: [{ target: kv, tier: autonomous }] }
  Bot: { permissions: [{ target: kv, tier: autonomous }] }
  bot2: { permissions: [{ target: kv, tier: autonomous }] }
  clerk: { permissions: [{ target: kv, tier: confirm }] }
rules: [{ id: all, effect: permit, match: { target: kv }, reason: a test }]
`;
const QUORUM = `${POLICY}stop: { release: { quorum: 2, groups: platform } }\n`;

/** Every scope that covers what `bot` writes in `run-1` on `kv`. */
const COVERING: readonly FreezeScope[] = [
  { kind: 'all' },
  { kind: 'tenant' },
  { kind: 'agent', name: 'bot' },
  { kind: 'target', name: 'kv' },
  { kind: 'run', name: 'run-1' },
];
const RUN = { run: 'run-1' };

function problem(code: string): (error: unknown) => boolean {
  return (error) => error instanceof Problem && error.code === code;
}

function yes(result: Result): { readonly planDigest: string; readonly verdict: 'approve' } {
  return { planDigest: result.planDigest ?? '', verdict: 'approve' };
}

for (const scope of COVERING) {
  const name = scope.kind;

  test(`a stop of scope \`${name}\` denies a proposal and a preview, and reads nothing from the target`, async () => {
    const { gate, target } = await testGate({ policy: POLICY });
    await gate.stop(ben, scope, 'a test');
    const denied = await gate.propose(bot, setDraft('a', '9', RUN));
    assert.deepEqual([denied.code, denied.next], ['frozen', 'stop-run']);
    const shown = await gate.preview(bot, setDraft('a', '9', RUN), never);
    assert.deepEqual([shown.state, shown.code], ['previewed', 'frozen']);
    assert.deepEqual(target.calls, []);
  });

  test(`a stop of scope \`${name}\` takes back what is held, measured and about to be kept`, async () => {
    const world = await testGate({ policy: POLICY, holds: true });
    stopBefore(world, scope, 'intent');
    const result = await world.gate.propose(bot, setDraft('a', '9', RUN));
    assert.equal(result.code, 'frozen');
    assert.equal(world.target.rows.get('a'), '1');
    assert.equal(world.target.open(), 0);
    assert.deepEqual(world.target.calls, ['hold', 'release']);
  });

  test(`a stop of scope \`${name}\` that comes upon an approval leaves it waiting`, async () => {
    const world = await testGate({ policy: POLICY.replace('tier: autonomous', 'tier: confirm') });
    const { gate, target, proposal } = world;
    const held = await gate.propose(bot, setDraft('a', '9', RUN));
    const id = idOf(held.proposalId);
    stopBefore(world, scope, 'approval');
    await assert.rejects(gate.approve(ann, id, yes(held)), problem('state-conflict'));
    await assert.rejects(gate.approve(ann, id, yes(held)), problem('state-conflict'));
    assert.equal((await proposal(id)).state, 'waiting');
    assert.deepEqual((await proposal(id)).approvals, []);
    assert.equal(target.rows.get('a'), '1');
    const [freeze] = await gate.freezes(ben);
    await gate.release(ben, need(freeze).id, 'over');
    assert.equal((await gate.approve(ann, id, yes(held))).state, 'applied');
  });

  test(`a stop of scope \`${name}\` forbids the second attempt of what a lost request left open`, async () => {
    const { gate, target, proposal } = await testGate({ policy: POLICY });
    target.faults.apply.push('request-lost');
    target.faults.probe.push('request-lost');
    const result = await gate.propose(bot, setDraft('a', '9', RUN));
    assert.equal(result.state, 'in_doubt');
    await gate.stop(ben, scope, 'a test');
    await gate.tick();
    const settled = await proposal(result.proposalId);
    assert.deepEqual([settled.state, settled.outcome?.code], ['refused', 'interrupted']);
    assert.equal(settled.attempt, 1);
    assert.equal(target.rows.get('a'), '1');
  });

  test(`a stop of scope \`${name}\` meets a target that journals before it writes`, async () => {
    const world = await testGate({ policy: POLICY, journals: true });
    const { gate, target } = world;
    stopBefore(world, scope, 'intent', 2);
    const result = await gate.propose(bot, setDraft('a', '9', RUN));
    assert.deepEqual([result.state, result.code], ['refused', 'interrupted']);
    assert.equal(target.rows.get('a'), '1');
  });

  test(`a stop of scope \`${name}\` holds up the agent that would take its own write back`, async () => {
    const { gate, target } = await testGate({ policy: POLICY });
    const first = await gate.propose(bot, setDraft('a', '9', RUN));
    await gate.stop(ben, scope, 'a test');
    const back = await gate.rollback(bot, idOf(first.proposalId));
    assert.equal(back.code, 'frozen');
    assert.equal(target.rows.get('a'), '9');
  });

  test(`a stop of scope \`${name}\` and of people who take back: only an agent's or a run's lets them`, async () => {
    const { gate, target } = await testGate({ policy: POLICY });
    const first = await gate.propose(bot, setDraft('a', '9', RUN));
    await gate.stop(ben, scope, 'a test');
    const back = await gate.rollback(ben, idOf(first.proposalId));
    const mends = name === 'agent' || name === 'run';
    assert.equal(back.code, mends ? 'applied' : 'frozen');
    assert.equal(target.rows.get('a'), mends ? '1' : '9');
  });

  test(`a stop of scope \`${name}\` holds deadlines, over a restart and a tick`, async () => {
    const { gate, clock, proposal, restart } = await testGate({
      policy: POLICY.replace('tier: autonomous', 'tier: confirm'),
    });
    const held = await gate.propose(bot, setDraft('a', '9', RUN));
    const minute = 60_000;
    clock.advance(29 * minute);
    const freeze = await gate.stop(ben, scope, 'a test');
    clock.advance(600 * minute);
    const again = await restart();
    await again.tick();
    assert.equal((await proposal(held.proposalId)).state, 'waiting');
    await again.release(ben, freeze.id, 'over');
    clock.advance(minute - 1);
    await again.tick();
    assert.equal((await proposal(held.proposalId)).state, 'waiting', 'its last minute');
    clock.advance(1);
    await again.tick();
    assert.equal((await proposal(held.proposalId)).state, 'expired');
  });

  test(`of many writes at once nothing begins after a stop of scope \`${name}\` is in the ledger`, async () => {
    const world = await testGate({ policy: POLICY });
    const { gate } = world;
    const writers = [bot, agent('bot2'), agent('Bot')];
    const results: Promise<Result>[] = [];
    let stop: Promise<Freeze> | undefined;
    for (let n = 0; n < 90; n += 1) {
      const writer = need(writers[n % 3]);
      results.push(gate.propose(writer, setDraft(`k${n}`, 'x', { run: `run-${n % 2}` })));
      if (n === 29) await results[0];
      // Among those that begin in the same turn: they decide before it is durable, and commit after.
      if (n === 60) stop = gate.stop(ben, scope, 'enough');
    }
    await stop;
    const settled = await Promise.all(results);
    const applied = settled.filter(({ state }) => state === 'applied').length;
    assert.ok(applied > 0 && applied < 90, `${applied} of 90 were applied`);
    const { under, all } = await intentsOf(world, scope);
    assert.deepEqual(under, [], 'no intent of what the stop covers after it');
    assert.equal(all, applied);
  });
}

/** Ledger indexes of the intents, and of those that a freeze of the scope, entered before, covers. */
async function intentsOf(
  { store }: TestGate,
  scope: FreezeScope,
): Promise<{ readonly under: readonly number[]; readonly all: number }> {
  const entries = await store.entries(TENANT, 0, 10_000);
  const stoppedAt = entries.find(({ act }) => act.startsWith('frz_'))?.index ?? Infinity;
  const intents = entries.filter(
    ({ leaf, payloads }) => openEntry(leaf, payloads).type === 'intent',
  );
  const under: number[] = [];
  for (const { index, act } of intents) {
    const proposal = need(await store.proposal(TENANT, idOf(act)));
    if (index > stoppedAt && covers(scope, subjectOf(proposal))) under.push(index);
  }
  return { under, all: intents.length };
}

test('an agent, run or target under another name is another one', async () => {
  const { gate } = await testGate({ policy: POLICY });
  await gate.stop(ben, { kind: 'agent', name: 'bot' }, 'a test');
  await gate.stop(ben, { kind: 'run', name: 'run-1' }, 'a test');
  for (const [position, name] of ['Bot', 'bot2'].entries()) {
    const draft = setDraft(`k${position}`, '9', { run: `run-1${position}` });
    assert.equal((await gate.propose(agent(name), draft)).state, 'applied', name);
  }
  assert.equal((await gate.propose(agent('bot2'), setDraft('b', '9', RUN))).code, 'frozen');
});

test('a person who says no under a stop ends what waits', async () => {
  const { gate, target } = await testGate({ policy: POLICY });
  const held = await gate.propose(clerk, setDraft('a', '9'));
  await gate.stop(ben, { kind: 'all' }, 'a test');
  const denied = await gate.approve(ann, idOf(held.proposalId), { ...yes(held), verdict: 'deny' });
  assert.equal(denied.state, 'denied');
  assert.equal(target.rows.get('a'), '1');
});

test('time that several stops cover counts once', async () => {
  const { gate, clock, proposal } = await testGate({ policy: POLICY });
  const minute = 60_000;
  const held = await gate.propose(clerk, setDraft('a', '9', RUN));
  const freezes: Freeze[] = [];
  for (const scope of [{ kind: 'tenant' }, { kind: 'agent', name: 'clerk' }, COVERING[4]]) {
    freezes.push(await gate.stop(ben, need(scope) as FreezeScope, 'a test'));
    clock.advance(10 * minute);
  }
  for (const { id } of freezes) {
    await gate.release(ben, id, 'over');
    clock.advance(10 * minute);
  }
  // Stopped from 0 to 50 in all, and then 30 minutes of its own: 10 of them are gone.
  clock.advance(20 * minute - 1);
  await gate.tick();
  assert.equal((await proposal(held.proposalId)).state, 'waiting');
  clock.advance(1);
  await gate.tick();
  assert.equal((await proposal(held.proposalId)).state, 'expired');
});

test('with a quorum each person counts once, and the last voice releases', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'stop-'));
  try {
    const path = join(folder, 'store.sqlite');
    const first = await testGate({ policy: QUORUM, path });
    const { clock, target } = first;
    const freeze = await first.gate.stop(ben, { kind: 'tenant' }, 'a test');
    assert.deepEqual(freeze.release, { quorum: 2, spoken: 0, missing: 2 });
    const refused = (person: typeof ben, code: string) =>
      assert.rejects(first.gate.release(person, freeze.id, 'over'), problem(code));
    await refused(human('ida', ['operator']), 'release-not-named');
    await refused(ann, 'role-missing');
    const open = await first.gate.release({ ...ben, groups: ['platform'] }, freeze.id, 'over');
    assert.deepEqual([open.releasedAt, open.release.spoken], [null, 1]);
    await refused({ ...ben, groups: ['platform'] }, 'release-spoken');
    assert.equal((await first.gate.propose(bot, setDraft('a', '9'))).code, 'frozen');
    await first.store.close();

    clock.advance(1);
    const second = await testGate({ policy: QUORUM, path, clock, target });
    const [kept] = await second.gate.freezes(ben);
    assert.deepEqual(need(kept).release, { quorum: 2, spoken: 1, missing: 1 });
    assert.deepEqual(
      need(kept).voices.map(({ by }) => by),
      ['ben'],
    );
    const done = await second.gate.release({ ...olga, groups: ['platform'] }, freeze.id, 'over');
    assert.equal(done.releasedAt, clock.now());
    assert.equal((await second.gate.propose(bot, setDraft('b', '9'))).state, 'applied');
    await second.store.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('of two voices at once both count', async () => {
  const { gate, store } = await testGate({ policy: QUORUM });
  const freeze = await gate.stop(ben, { kind: 'all' }, 'a test');
  const groups = ['platform'];
  const spoken = await Promise.all(
    [ben, olga].map((person) => gate.release({ ...person, groups }, freeze.id, 'over')),
  );
  assert.equal(spoken.filter(({ releasedAt }) => releasedAt !== null).length, 1);
  const [released] = await store.freezes(TENANT, 0);
  assert.equal(released?.voices?.length, 2);
});

test('a voice of who may not release any more does not count, and a quorum can be lowered', async () => {
  const { gate, setPolicy } = await testGate({ policy: QUORUM });
  const groups = ['platform'];
  const first = await gate.stop(ben, { kind: 'all' }, 'a test');
  await gate.release({ ...ben, groups }, first.id, 'over');
  setPolicy(
    QUORUM.replace('ben: { roles: [operator]', 'ben: { roles: [auditor]').replace(
      'quorum: 2',
      'quorum: 1',
    ),
  );
  assert.deepEqual((await gate.freezes(ben))[0]?.release, { quorum: 1, spoken: 0, missing: 1 });
  setPolicy(QUORUM);
  assert.equal((await gate.freezes(ben))[0]?.release.spoken, 1);
  setPolicy(POLICY);
  assert.ok((await gate.release(ben, first.id, 'again')).releasedAt, 'one is enough now');
});

const FILE = { tenant: TENANT, gateway: 'gateway-1' };

test('the file stops the tenant once, and its release is one voice', async () => {
  let isStoppedByFile = true;
  const world = await testGate({ policy: POLICY, isStoppedByFile: () => isStoppedByFile });
  const { gate, setPolicy } = world;
  for (let look = 0; look < 3; look += 1) await gate.obeySwitch({ ...FILE, isOff: true });
  const [freeze, ...more] = await gate.freezes(ben);
  assert.deepEqual(more, []);
  const { id, scope, source, by } = need(freeze);
  assert.deepEqual([scope.kind, source, by], ['tenant', 'file', 'gateway-1']);
  assert.equal((await gate.propose(bot, setDraft('a', '9'))).code, 'frozen');
  await assert.rejects(gate.release(ben, id, 'over'), problem('state-conflict'));
  isStoppedByFile = false;
  await gate.obeySwitch({ tenant: TENANT, gateway: 'gateway-2', isOff: false });
  assert.equal(
    (await gate.freezes(ben))[0]?.releasedAt,
    null,
    'not by the file of another gateway',
  );
  setPolicy(QUORUM);
  for (let look = 0; look < 3; look += 1) await gate.obeySwitch({ ...FILE, isOff: false });
  assert.deepEqual((await gate.freezes(ben))[0]?.release, { quorum: 2, spoken: 1, missing: 1 });
  assert.equal((await gate.propose(bot, setDraft('b', '9'))).code, 'frozen');
  const released = await gate.release({ ...ben, groups: ['platform'] }, id, 'over');
  assert.ok(released.releasedAt);
  assert.equal((await gate.propose(bot, setDraft('c', '9'))).state, 'applied');
});

test('without a quorum the file alone releases what it stopped, and nothing else', async () => {
  const { gate } = await testGate({ policy: POLICY });
  await gate.stop(ben, { kind: 'agent', name: 'bot' }, 'a test');
  await gate.obeySwitch({ ...FILE, isOff: true });
  await gate.obeySwitch({ ...FILE, isOff: false });
  const on = (await gate.freezes(ben)).filter(({ releasedAt }) => releasedAt === null);
  assert.deepEqual(
    on.map(({ scope }) => scope.kind),
    ['agent'],
  );
});

test('a file that stops again after it had spoken is not released by people meanwhile', async () => {
  const { gate } = await testGate({ policy: QUORUM });
  await gate.obeySwitch({ ...FILE, isOff: true });
  await gate.obeySwitch({ ...FILE, isOff: false });
  await gate.obeySwitch({ ...FILE, isOff: true });
  const [first, second] = await gate.freezes(ben);
  await gate.release({ ...ben, groups: ['platform'] }, need(first).id, 'over');
  assert.equal((await gate.propose(bot, setDraft('a', '9'))).code, 'frozen');
  assert.equal(need(second).voices.length, 0);
});
