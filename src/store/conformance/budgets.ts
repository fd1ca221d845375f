import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import type { BudgetLine } from '../../model/budget.ts';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import type { Change, Store } from '../../model/ports.ts';
import { ACME, GLOBEX, NOW, beginChange, goOn, lineOf, proposalOf, tenantOf } from './fixtures.ts';
import { committed, conflicting, stateOf, type StoreTest } from './setting.ts';

const HOUR = 3_600_000;

export function testBudgets(test: StoreTest): void {
  function reserving(number: number, lines: readonly BudgetLine[], rest: Partial<Change> = {}) {
    const proposalId = proposalOf(number);
    return beginChange(proposalId, 'allowed', { ...rest, reserve: { proposalId, lines } });
  }
  function ending(number: number, end: 'settle' | 'release', at = NOW): Change {
    return { tenant: ACME, at, acts: [], [end]: proposalOf(number) };
  }
  async function used(store: Store, now: number, line = lineOf()): Promise<number | undefined> {
    return (await store.budgetUsed(ACME, [line], now))[0];
  }

  test('G7: a reservation that would pass the max conflicts and changes nothing', async ({
    store,
  }) => {
    await committed(store, reserving(1, [lineOf({ amount: 4 })]));
    const before = await stateOf(store, ACME);
    const over = lineOf({ amount: 7 });
    assert.deepEqual(await conflicting(store, reserving(2, [over])), {
      kind: 'budget',
      line: over,
      used: 4,
    });
    assert.deepEqual(await stateOf(store, ACME), before);
    await committed(store, reserving(2, [lineOf({ amount: 6 })]));
    assert.equal(await used(store, NOW), 10);
  });

  test('G7: lines are reserved all or none', async ({ store }) => {
    const writes = lineOf({ budget: 'budgets.writes', measure: 'writes', amount: 1, max: 0 });
    assert.equal((await conflicting(store, reserving(1, [lineOf(), writes]))).kind, 'budget');
    assert.deepEqual(await store.budgetUsed(ACME, [lineOf(), writes], NOW), [0, 0]);
  });

  test('budgets are apart by name, scope, measure, window and tenant', async ({ store }) => {
    const lines = [
      lineOf(),
      lineOf({ budget: 'budgets.other' }),
      lineOf({ scope: 'agent=other' }),
      lineOf({ measure: 'value:GBP' }),
      lineOf({ window: 'day', windowMs: 24 * HOUR }),
    ];
    await committed(store, reserving(1, [lineOf({ amount: 10 })]));
    assert.deepEqual(await store.budgetUsed(ACME, lines, NOW), [10, 0, 0, 0, 0]);
    assert.deepEqual(await store.budgetUsed(GLOBEX, lines, NOW), [0, 0, 0, 0, 0]);
    await committed(store, reserving(2, lines.slice(1)));
    await committed(store, reserving(1, [lineOf()], { tenant: GLOBEX }));
  });

  test('a reservation counts until it is settled, and from then on for one window', async ({
    store,
  }) => {
    await committed(store, reserving(1, [lineOf()]));
    assert.equal(await used(store, NOW + 100 * HOUR), 4, 'in flight, however long');
    await committed(store, ending(1, 'settle', NOW + 5));
    assert.equal(await used(store, NOW + 5 + HOUR - 1), 4, 'the last millisecond of the window');
    assert.equal(await used(store, NOW + 5 + HOUR), 0, 'exactly one window later it is free');
    const full = lineOf({ amount: 10 });
    const early = reserving(2, [full], { at: NOW + 5 + HOUR - 1 });
    assert.equal((await conflicting(store, early)).kind, 'budget');
    await committed(store, reserving(2, [full], { at: NOW + 5 + HOUR }));
  });

  test('a release gives back what is reserved, and nothing that is settled', async ({ store }) => {
    await committed(store, reserving(1, [lineOf()]));
    await committed(store, reserving(2, [lineOf()]));
    await committed(store, ending(1, 'release'));
    assert.equal(await used(store, NOW), 4);
    await committed(store, ending(2, 'settle'));
    await committed(store, ending(2, 'release'));
    assert.equal(await used(store, NOW), 4);
  });

  test('a proposal that is executed again does not reserve twice', async ({ store }) => {
    const proposalId = proposalOf(1);
    await committed(store, reserving(1, [lineOf({ amount: 6 })]));
    const again = { reserve: { proposalId, lines: [lineOf({ amount: 6 })] } };
    await committed(store, goOn(proposalId, 3, [], again));
    assert.equal(await used(store, NOW), 6);
  });

  test('a proposal that reserves more than before holds the larger amount alone', async ({
    store,
  }) => {
    const proposalId = proposalOf(1);
    await committed(store, reserving(1, [lineOf({ amount: 6 })]));
    const larger = { reserve: { proposalId, lines: [lineOf({ amount: 9 })] } };
    await committed(store, goOn(proposalId, 3, [], larger));
    assert.equal(await used(store, NOW), 9);
    const over = { reserve: { proposalId, lines: [lineOf({ amount: 11 })] } };
    assert.equal((await conflicting(store, goOn(proposalId, 3, [], over))).kind, 'budget');
    assert.equal(await used(store, NOW), 9);
  });

  test('G7: a clock that is set back frees nothing', async ({ store, reopen }) => {
    await committed(store, reserving(1, [lineOf()]));
    await committed(store, ending(1, 'settle', NOW + HOUR));
    const reopened = await reopen();
    await committed(reopened, reserving(2, [lineOf()], { at: NOW }));
    await committed(reopened, ending(2, 'settle', NOW));
    assert.equal(await used(reopened, NOW + 2 * HOUR - 1), 8, 'both were settled at the latest');
    assert.equal(await used(reopened, NOW + 2 * HOUR), 0);
    await committed(reopened, reserving(3, [], { at: NOW + 2 * HOUR }));
    assert.equal(await used(reopened, NOW), 0, 'asked with an old time, it answers for the latest');
  });

  test('G7: of many reservations queued together only as many as fit are granted', async ({
    store,
  }) => {
    const commits = await Promise.all(
      Array.from({ length: 30 }, (_, number) => store.commit(reserving(number, [lineOf()]))),
    );
    assert.equal(commits.filter((commit) => commit.kind === 'committed').length, 2);
    assert.equal(await used(store, NOW), 8);
  });

  test('a store tells to the millisecond when an amount fits again', async ({ store }) => {
    const line = lineOf({ amount: 3 });
    for (let number = 0; number < 3; number += 1) {
      const at = NOW + number * 1_000;
      await committed(store, { ...reserving(number, [line], { at }), settle: proposalOf(number) });
    }
    const now = NOW + 10_000;
    const freeAt = (amount: number) => store.budgetFreeAt(ACME, lineOf({ amount }), now);
    assert.equal(await freeAt(1), now, '9 of 10 are used');
    assert.equal(await freeAt(2), NOW + HOUR);
    assert.equal(await freeAt(5), NOW + 1_000 + HOUR);
    assert.equal(await freeAt(10), NOW + 2_000 + HOUR);
    assert.equal(await freeAt(11), null, 'it never fits');
    await committed(store, reserving(9, [lineOf({ amount: 1 })], { at: now }));
    assert.equal(await freeAt(9), NOW + 2_000 + HOUR);
    assert.equal(await freeAt(10), null, 'what is in flight leaves no room');
    for (const amount of [2, 5, 9]) {
      const at = (await freeAt(amount)) ?? 0;
      const fits = { ...lineOf({ amount }) };
      const late = await store.budgetUsed(ACME, [fits], at);
      const early = await store.budgetUsed(ACME, [fits], at - 1);
      assert.ok((late[0] ?? 99) + amount <= fits.max && (early[0] ?? 0) + amount > fits.max);
    }
  });

  test('what is in use is listed by name and scope, and nothing of another tenant', async ({
    store,
    reopen,
  }) => {
    const lines = [
      lineOf({ scope: 'agent=é', amount: 1 }),
      lineOf({ scope: 'agent=z', amount: 2 }),
      lineOf({ budget: 'budgets.other', measure: 'value:GBP', window: 'day', amount: 3 }),
    ];
    await committed(store, reserving(1, lines, { at: NOW }));
    await committed(store, ending(1, 'settle', NOW));
    await committed(store, reserving(2, [lineOf({ scope: 'agent=z', amount: 4 })]));
    await committed(store, reserving(1, [lineOf()], { tenant: GLOBEX }));
    const reopened = await reopen();
    const uses = async (at: number, limit = 9) =>
      (await reopened.budgetUses(ACME, at, limit)).map((use) => [
        use.scope,
        use.spent,
        use.inFlight,
        use.freesAt,
      ]);
    const { scope } = lineOf();
    assert.deepEqual(await uses(NOW), [
      ['agent=z', 2, 4, NOW + HOUR],
      ['agent=é', 1, 0, NOW + HOUR],
      [scope, 3, 0, NOW + 24 * HOUR],
    ]);
    assert.equal((await uses(NOW, 2)).length, 2);
    assert.deepEqual(await uses(NOW + HOUR), [
      ['agent=z', 0, 4, null],
      [scope, 3, 0, NOW + 24 * HOUR],
    ]);
  });

  test('G7: amounts whose sum over the years is no longer exact are counted exactly', async ({
    store,
  }) => {
    const max = 9_000_000_000_000_000;
    const line = lineOf({ measure: 'value:JPY', window: 'minute', windowMs: 60_000, max });
    const spend = (number: number, amount: number, at: number) => ({
      ...reserving(number, [{ ...line, amount }], { at }),
      settle: proposalOf(number),
    });
    for (let number = 0; number < 6; number += 2) {
      const at = NOW + number * 60_000;
      await committed(store, spend(number, max - 7, at));
      await committed(store, spend(number + 1, 7, at + 30_000));
      assert.equal(await used(store, at + 30_000, line), max);
      assert.equal((await conflicting(store, spend(99, 1, at + 59_999))).kind, 'budget');
      assert.equal(await used(store, at + 60_000, line), 7);
    }
    const over = { ...line, amount: Number.MAX_SAFE_INTEGER };
    const late = reserving(100, [over], { at: NOW + 3_600_000 });
    assert.equal((await conflicting(store, late)).kind, 'budget');
  });

  test('spent amounts older than any window are dropped and the day’s sum stays', async ({
    store,
  }) => {
    const line = lineOf({ amount: 1, max: 1_000, window: 'day', windowMs: 24 * HOUR });
    for (let number = 0; number < 150; number += 1) {
      const at = NOW + number * HOUR;
      await committed(store, { ...reserving(number, [line], { at }), settle: proposalOf(number) });
      const expected = Math.min(number + 1, 24);
      assert.equal(await used(store, at, line), expected);
    }
  });

  test('G7: in no window is the limit exceeded, whatever is reserved, settled and released', async ({
    store,
  }) => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step(), { maxLength: 40 }), async (steps) => {
        run += 1;
        await checkSteps(store, tenantOf(`run-${run}`), steps);
      }),
      { numRuns: 60 },
    );
  });
}

type Step =
  | { readonly kind: 'reserve'; readonly amount: number }
  | { readonly kind: 'settle' | 'release'; readonly number: number }
  | { readonly kind: 'time'; readonly ms: number };

function step(): fc.Arbitrary<Step> {
  const number = fc.nat({ max: 12 });
  return fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('reserve'), amount: fc.nat({ max: 6 }) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('settle', 'release'), number }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('time'),
        // Around the edges of the window, and sometimes back.
        ms: fc.constantFrom(1, 20_000, 29_999, 30_000, 59_999, 60_000, -15_000, -90_000),
      }),
    },
  );
}

/** Runs steps against the store and a model that keeps everything and forgets nothing. */
async function checkSteps(store: Store, tenant: TenantId, steps: readonly Step[]): Promise<void> {
  const line = lineOf({ window: 'minute', windowMs: 60_000 });
  const held = new Map<ProposalId, { amount: number; settledAt: number | undefined }>();
  let at = NOW;
  let latest = 0;
  for (const [position, each] of steps.entries()) {
    if (each.kind === 'time') {
      at += each.ms;
      continue;
    }
    const now = Math.max(at, latest);
    const active = [...held.values()].filter(
      ({ settledAt }) => settledAt === undefined || settledAt > now - line.windowMs,
    );
    const usedNow = active.reduce((sum, { amount }) => sum + amount, 0);
    if (each.kind === 'reserve') {
      const proposalId = proposalOf(position);
      const lines = [{ ...line, amount: each.amount }];
      const change = beginChange(proposalId, 'allowed', {
        tenant,
        at,
        reserve: { proposalId, lines },
      });
      const commit = await store.commit(change);
      const fits = usedNow + each.amount <= line.max;
      assert.equal(commit.kind, fits ? 'committed' : 'conflict');
      // What conflicts is not committed, nor is its time.
      if (!fits) continue;
      held.set(proposalId, { amount: each.amount, settledAt: undefined });
    } else {
      const proposalId = [...held.keys()][each.number];
      if (proposalId === undefined) continue;
      const reservation = held.get(proposalId);
      await committed(store, { tenant, at, acts: [], [each.kind]: proposalId });
      if (reservation !== undefined && reservation.settledAt === undefined) {
        if (each.kind === 'release') held.delete(proposalId);
        else reservation.settledAt = now;
      }
    }
    latest = now;
    assertNoWindowExceeded([...held.values()], line);
  }
}

function assertNoWindowExceeded(
  reservations: readonly { amount: number; settledAt: number | undefined }[],
  line: BudgetLine,
): void {
  for (const { settledAt: end } of reservations) {
    if (end === undefined) continue;
    const spent = reservations
      .filter(
        ({ settledAt }) =>
          settledAt !== undefined && settledAt <= end && settledAt > end - line.windowMs,
      )
      .reduce((sum, { amount }) => sum + amount, 0);
    assert(spent <= line.max, `${spent} within a window that ends at ${end}`);
  }
}
