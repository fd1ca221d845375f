// Attacks on budgets, through the gate, on the real store (G7).
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Fault } from '../../test/support/fake-target.ts';
import {
  agent,
  chainDraft,
  human,
  need,
  setDraft,
  testGate,
  type TestGate,
} from '../../test/support/gate.ts';
import type { Result } from '../model/result.ts';

const bot = agent('bot');
const writers = [bot, agent('bot2'), agent('bot3')];
const ann = human('ann', ['auditor']);
const never = new AbortController().signal;
const MINUTE = 60_000;
const MAX = 5;

/** Three agents on their own, and the budgets given. */
function policyWith(...budgets: readonly string[]): string {
  return `
version: 1
tenant: acme
environment: test
targets: { kv: { kind: fake } }
people: { ann: { roles: [auditor] } }
agents:
  bot: { permissions: [{ target: kv, tier: autonomous }] }
  bot2: { permissions: [{ target: kv, tier: autonomous }] }
  bot3: { permissions: [{ target: kv, tier: autonomous }] }
rules: [{ id: all, effect: permit, match: { target: kv }, reason: a test }]
never: [{ name: secret, match: { resource: secret }, reason: a test }]
duplicates: { repeatable: [{ target: kv }] }
budgets: [${budgets.join(', ')}]
`;
}

function budget(name: string, per: string, max = MAX, measure = 'writes'): string {
  return `{ name: ${name}, per: [${per}], measure: ${measure}, window: minute, max: ${max} }`;
}

function applied(results: readonly Result[]): number {
  assert.ok(
    results.every(({ state, code }) => state === 'applied' || code === 'budget-exceeded'),
    results.map(({ code }) => code).join(),
  );
  return results.filter(({ state }) => state === 'applied').length;
}

/** Proposes one write of its own for each number, all at once. */
function burst(
  { gate }: Pick<TestGate, 'gate'>,
  count: number,
  how: (n: number) => { readonly who?: typeof bot; readonly run?: string } = () => ({}),
): Promise<Result[]> {
  return Promise.all(
    Array.from({ length: count }, (_, n) => {
      const { who = bot, run } = how(n);
      return gate.propose(who, setDraft(`k${n}`, 'x', run === undefined ? {} : { run }));
    }),
  );
}

test('64 writes at once by one agent, over many runs and two gates, do not pass its budget', async () => {
  const world = await testGate({ policy: policyWith(budget('pace', 'agent')) });
  const other = world.another();
  const results = await Promise.all(
    Array.from({ length: 64 }, (_, n) =>
      (n % 2 === 0 ? world.gate : other).propose(bot, setDraft(`k${n}`, 'x', { run: `run-${n}` })),
    ),
  );
  assert.equal(applied(results), MAX);
  assert.equal(world.target.committed.length, MAX);
});

for (const per of ['', 'tenant', 'target', 'resource']) {
  test(`a budget per ${per || 'nothing'} is one for all agents and runs`, async () => {
    const world = await testGate({ policy: policyWith(budget('pace', per)) });
    const spread = (n: number) => ({ who: need(writers[n % 3]), run: `run-${n}` });
    assert.equal(applied(await burst(world, 40, spread)), MAX);
  });
}

test('many writes in one chain, and many chains at once, spend step by step', async () => {
  const { gate, target } = await testGate({ policy: policyWith(budget('pace', 'tenant')) });
  const chain = (n: number, steps: number) =>
    chainDraft(Array.from({ length: steps }, (_, step) => ['kv', `c${n}-${step}`, 'x'] as const));
  assert.equal((await gate.propose(bot, chain(0, MAX + 1))).code, 'budget-exceeded');
  assert.equal(target.committed.length, 0);
  const results = await Promise.all(
    Array.from({ length: 9 }, (_, n) => gate.propose(need(writers[n % 3]), chain(n + 1, 2))),
  );
  assert.equal(applied(results), 2, 'four writes of five, and no half chain');
  assert.deepEqual((await gate.budgets(ann)).items[0]?.left, 1);
  assert.equal((await gate.propose(bot, setDraft('a', 'x'))).state, 'applied');
  assert.equal((await gate.propose(bot, setDraft('b', 'x'))).code, 'budget-exceeded');
});

test('a budget per agent and one of the tenant both hold', async () => {
  const policy = policyWith(budget('own', 'agent', 2), budget('all', 'tenant', 5));
  const world = await testGate({ policy });
  const results = await burst(world, 30, (n) => ({ who: need(writers[n % 3]) }));
  assert.equal(applied(results), 5);
  for (const { tenant, name } of writers) {
    const own = await world.store.proposals(tenant, {
      states: ['applied'],
      agent: name,
      limit: 50,
    });
    assert.ok(own.length <= 2);
  }
});

test('the same write again and again under new keys spends each time', async () => {
  const { gate, target } = await testGate({ policy: policyWith(budget('pace', 'agent')) });
  const results: Result[] = [];
  for (let n = 0; n < 12; n += 1) {
    results.push(await gate.propose(bot, setDraft('a', 'x', { idempotencyKey: `key-${n}` })));
  }
  assert.equal(applied(results), MAX);
  assert.equal(target.committed.length, MAX);
});

test('previews, denials and refusals spend nothing', async () => {
  const policy = policyWith(budget('pace', 'agent'));
  const world = await testGate({ policy });
  const { gate, target, setPolicy } = world;
  for (let n = 0; n < 8; n += 1) {
    const shown = await gate.preview(bot, setDraft(`p${n}`, 'x'), never);
    assert.equal(shown.state === 'previewed' && shown.wouldBe, 'allow');
  }
  setPolicy(policy.replace('effect: permit', 'effect: forbid'));
  for (const result of await burst(world, 8)) assert.equal(result.code, 'rule-forbids');
  setPolicy(policy);
  for (let n = 0; n < 8; n += 1) {
    target.faults.apply.push('busy');
    assert.equal((await gate.propose(bot, setDraft(`r${n}`, 'x'))).state, 'refused');
  }
  assert.deepEqual((await gate.budgets(ann)).items, []);
  assert.equal(applied(await burst(world, 12)), MAX);
});

/** Runs in a folder with a store that can be closed and opened; each world shares clock and target. */
async function onDisk(
  policy: string,
  run: (open: () => Promise<TestGate>) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'budgets-'));
  let world: TestGate | undefined;
  try {
    await run(async () => {
      await world?.store.close();
      world?.clock.advance(1);
      world = await testGate({
        policy,
        path: join(folder, 'store.sqlite'),
        ...(world === undefined ? {} : { clock: world.clock, target: world.target }),
      });
      return world;
    });
  } finally {
    await world?.store.close();
    rmSync(folder, { recursive: true });
  }
}

test('a gateway that is opened anew for each write does not forget what was spent', async () => {
  await onDisk(policyWith(budget('pace', 'agent')), async (open) => {
    const results: Result[] = [];
    for (let n = 0; n < 9; n += 1) {
      const { gate } = await open();
      results.push(await gate.propose(bot, setDraft(`k${n}`, 'x')));
    }
    assert.equal(applied(results), MAX);
  });
});

test('a clock that is set back, also over a restart, frees nothing', async () => {
  await onDisk(policyWith(budget('pace', 'agent')), async (open) => {
    const first = await open();
    assert.equal(applied(await burst(first, 8)), MAX);
    first.clock.advance(-24 * 60 * MINUTE);
    const again = (n: number) => setDraft(`b${n}`, 'x');
    assert.equal((await first.gate.propose(bot, again(1))).code, 'budget-exceeded');
    const second = await open();
    assert.equal((await second.gate.propose(bot, again(2))).code, 'budget-exceeded');
    second.clock.advance(24 * 60 * MINUTE + MINUTE - 2);
    assert.equal((await second.gate.propose(bot, again(3))).code, 'budget-exceeded');
    second.clock.advance(2);
    assert.equal((await second.gate.propose(bot, again(4))).state, 'applied');
  });
});

test('a clock that jumps forward and back gives no window twice', async () => {
  await onDisk(policyWith(budget('pace', 'agent')), async (open) => {
    const { gate, clock } = await open();
    assert.equal(applied(await burst({ gate }, 8)), MAX);
    clock.advance(24 * 60 * MINUTE);
    const later = (n: number) => setDraft(`later${n}`, 'x');
    for (let n = 0; n < MAX; n += 1) {
      assert.equal((await gate.propose(bot, later(n))).state, 'applied');
    }
    // Back again, and forth by less than a window, as often as one likes: nothing is free.
    for (let n = 0; n < 6; n += 1) {
      clock.advance(n % 2 === 0 ? -24 * 60 * MINUTE : 24 * 60 * MINUTE + 1_000);
      const { gate: reopened } = await open();
      assert.equal((await reopened.propose(bot, later(10 + n))).code, 'budget-exceeded');
    }
  });
});

test('what a crash leaves in flight counts until it is settled, however long', async () => {
  await onDisk(policyWith(budget('pace', 'agent')), async (open) => {
    const dying = await open();
    const commit = dying.store.commit.bind(dying.store);
    dying.store.commit = async (change) => {
      const isOutcome = change.acts.some(({ entries }) =>
        entries.some((e) => e.type === 'outcome'),
      );
      if (isOutcome) throw new Error('the process ends here');
      return commit(change);
    };
    for (const key of ['a', 'b']) {
      dying.target.faults.apply.push(key === 'a' ? 'request-lost' : 'reply-lost');
      await assert.rejects(dying.gate.propose(bot, setDraft(key, 'x')), /could not|ends here/);
    }
    dying.clock.advance(600 * MINUTE);
    const { gate, clock } = await open();
    const [left] = (await gate.budgets(ann)).items;
    assert.deepEqual([left?.inFlight, left?.spent, left?.left], [2, 0, 3]);
    assert.equal(applied(await burst({ gate }, 8)), 3);
    await gate.tick();
    const [settled] = (await gate.budgets(ann)).items;
    assert.deepEqual([settled?.inFlight, settled?.spent], [0, MAX], 'both took effect, once');
    assert.equal((await gate.propose(bot, setDraft('c', 'x'))).code, 'budget-exceeded');
    clock.advance(MINUTE);
    assert.equal((await gate.propose(bot, setDraft('d', 'x'))).state, 'applied');
  });
});

test('what a dead gateway reserved and never wrote is given back once the target says so', async () => {
  const policy = policyWith(budget('pace', 'agent'));
  const { gate, target, setPolicy } = await testGate({ policy });
  for (let n = 0; n < MAX; n += 1) {
    target.faults.apply.push('request-lost');
    target.faults.probe.push('request-lost');
    const result = await gate.propose(bot, setDraft(`k${n}`, 'x'));
    assert.equal(result.state, 'in_doubt');
  }
  assert.equal((await gate.propose(bot, setDraft('a', 'x'))).code, 'budget-exceeded');
  setPolicy(policy.replace('effect: permit', 'effect: forbid'));
  await gate.tick();
  setPolicy(policy);
  assert.equal(target.committed.length, 0);
  assert.equal(applied(await burst({ gate }, 8)), MAX);
});

test('doubt stays reserved, and is spent once when it turns out to have been applied', async () => {
  const { gate, target, clock } = await testGate({
    policy: policyWith(budget('pace', 'agent', 1)),
  });
  target.faults.apply.push('reply-lost');
  target.faults.probe.push('request-lost');
  assert.equal((await gate.propose(bot, setDraft('a', 'x'))).state, 'in_doubt');
  clock.advance(10 * MINUTE);
  const held = await gate.propose(bot, setDraft('b', 'x'));
  assert.deepEqual([held.code, held.next], ['budget-exceeded', 'wait']);
  assert.match(held.reason, /under way hold it/);
  await gate.tick();
  clock.advance(MINUTE - 1);
  assert.equal((await gate.propose(bot, setDraft('c', 'x'))).code, 'budget-exceeded');
  clock.advance(1);
  assert.equal((await gate.propose(bot, setDraft('d', 'x'))).state, 'applied');
});

test('a plan that went stale gives back what it reserved, and reserves for what it would do now', async () => {
  const { gate, target } = await testGate({ policy: policyWith(budget('pace', 'agent', 2)) });
  let moves = 1;
  target.beforeApply = () => {
    if (moves > 0) target.rows.set('a', 'moved');
    moves -= 1;
  };
  assert.equal((await gate.propose(bot, setDraft('a', 'x'))).state, 'applied');
  const [view] = (await gate.budgets(ann)).items;
  assert.deepEqual([view?.inFlight, view?.spent], [0, 1]);
});

test('a denial says to the millisecond when enough is free', async () => {
  const { gate, clock } = await testGate({ policy: policyWith(budget('pace', 'agent')) });
  for (let n = 0; n < MAX; n += 1) {
    assert.equal((await gate.propose(bot, setDraft(`k${n}`, 'x'))).state, 'applied');
    clock.advance(10_000);
  }
  const denied = await gate.propose(bot, setDraft('a', 'x'));
  assert.deepEqual([denied.next, denied.retryAfterMs], ['wait', 10_000]);
  assert.match(denied.reason, /5 used and 1 asked for, at most 5; enough of it is free in 10 s/);
  clock.advance(need(denied.retryAfterMs) - 1);
  assert.equal((await gate.propose(bot, setDraft('b', 'x'))).retryAfterMs, 1);
  clock.advance(1);
  assert.equal((await gate.propose(bot, setDraft('c', 'x'))).state, 'applied');
});

test('people see every budget, an agent its own alone', async () => {
  const policy = policyWith(
    budget('own', 'agent'),
    budget('all', 'tenant'),
    budget('kv', 'target'),
  );
  const { gate, clock } = await testGate({ policy });
  await gate.propose(bot, setDraft('a', 'x'));
  await gate.propose(need(writers[1]), setDraft('b', 'x'));
  const shown = async (who: typeof bot | typeof ann, name?: string) =>
    (await gate.budgets(who, name)).items.map(({ budget: of, scope, left }) => [of, scope, left]);
  assert.deepEqual(await shown(ann), [
    ['own', 'agent=bot', 4],
    ['own', 'agent=bot2', 4],
    ['all', 'tenant', 3],
    ['kv', 'target=kv', 3],
  ]);
  assert.deepEqual(await shown(ann, 'bot2'), [['own', 'agent=bot2', 4]]);
  const unknown = { code: 'request-invalid', message: /found `bt2`; write `bot2`$/ };
  await assert.rejects(gate.budgets(ann, 'bt2'), unknown);
  await assert.rejects(gate.baselines(ann, 'bt2'), unknown);
  assert.deepEqual(await shown(bot, 'bot2'), [['own', 'agent=bot', 4]]);
  assert.deepEqual(await shown(need(writers[2])), [['own', 'agent=bot3', 5]]);
  assert.equal((await gate.budgets(ann)).items[0]?.freesAt, clock.now() + MINUTE);
});

test('G7: at whatever times it writes, in no window is more than the budget spent or in flight', async () => {
  const step = fc.record({
    who: fc.nat({ max: 2 }),
    count: fc.integer({ min: 1, max: 4 }),
    faults: fc.array(fc.constantFrom<Fault>('busy', 'reply-lost', 'request-lost'), {
      maxLength: 2,
    }),
    lost: fc.boolean(),
    tick: fc.boolean(),
    // Around the edges of the window, and sometimes back.
    ms: fc.oneof(
      fc.nat({ max: 70_000 }),
      fc.constantFrom(0, 1, 29_999, 30_000, 59_999, 60_000, -15_000, -90_000),
    ),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
      const world = await testGate({ policy: policyWith(budget('pace', 'tenant')) });
      const { gate, target, store, clock } = world;
      let key = 0;
      for (const { who, count, faults, lost, tick, ms } of steps) {
        clock.advance(ms);
        target.faults.apply.push(...faults);
        if (lost) target.faults.probe.push('request-lost');
        await Promise.all(
          Array.from({ length: count }, () =>
            gate.propose(need(writers[who]), setDraft(`k${key++}`, 'x')),
          ),
        );
        Object.assign(target.faults, { apply: [], probe: [] });
        if (tick) await gate.tick();
        await assertWithin(world);
      }
      await store.close();
    }),
    { numRuns: 40 },
  );
});

/** The store's own time of a proposal's settling: never earlier than that of the entry before it. */
async function assertWithin({ store }: TestGate): Promise<void> {
  const latestAt: number[] = [];
  for (const { at } of await store.entries(bot.tenant, 0, 10_000)) {
    latestAt.push(Math.max(at, latestAt.at(-1) ?? 0));
  }
  const proposals = await store.proposals(bot.tenant, { limit: 200 });
  const spent = proposals
    .filter(({ state }) => state === 'applied')
    .map(({ history }) => {
      const outcome = need(history.findLast(({ type }) => type === 'outcome'));
      return need(latestAt[outcome.index]);
    });
  const open = proposals.filter(({ state }) => ['executing', 'in_doubt'].includes(state)).length;
  for (const end of [...spent, need(latestAt.at(-1) ?? 0)]) {
    const within = spent.filter((at) => at <= end && at > end - MINUTE).length;
    const isNow = end === latestAt.at(-1);
    assert.ok(within + (isNow ? open : 0) <= MAX, `${within} spent, ${open} in flight at ${end}`);
  }
}
