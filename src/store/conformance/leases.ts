import { strict as assert } from 'node:assert';
import type { EntryBody } from '../../model/entry.ts';
import type { ProposalId } from '../../model/ids.ts';
import {
  LEASED_STATES,
  type Claimed,
  type LeaseClaim,
  type LeaseGuard,
} from '../../model/lease.ts';
import type { Store } from '../../model/ports.ts';
import {
  ACME,
  GLOBEX,
  assessmentOf,
  beginChange,
  decisionEntry,
  goOn,
  intentEntry,
  lineOf,
  outcomeEntry,
  proposalOf,
} from './fixtures.ts';
import { committed, conflicting, stateOf, type StoreTest } from './setting.ts';

/** Longer than a case takes: held to its end. */
const LONG_MS = 60_000;
/** Shorter than anybody waits: run out after `pass(SHORT_MS)`. */
const SHORT_MS = 20;

const ID = proposalOf(1);
const [FIRST, AGAIN, OTHER] = ['first/1', 'first/2', 'other/1'];

export function testLeases(test: StoreTest): void {
  testGuards(test);
  testEpochs(test);
  testClaims(test);
  testEnds(test);
}

function guardOf(
  holder: string,
  epoch: number | null = null,
  forMs: number = LONG_MS,
  id: ProposalId = ID,
): { readonly guard: { readonly lease: LeaseGuard } } {
  return { guard: { lease: { proposalId: id, holder, epoch, forMs } } };
}

function claimOf(holder: string, change: Partial<LeaseClaim> = {}): LeaseClaim {
  return { holder, states: LEASED_STATES, forMs: LONG_MS, limit: 10, ...change };
}

/** Brings the proposal to `executing`, and returns the epoch at which the holder has it. */
async function begun(store: Store, holder: string, forMs?: number): Promise<number> {
  const begin = beginChange(ID, 'executing', guardOf(holder, null, forMs));
  const { lease } = await committed(store, begin);
  return lease ?? assert.fail('a lease was asked for');
}

/** The outcome of the first attempt, the fifth entry of the shortest way. */
function settling(
  guard: ReturnType<typeof guardOf>,
  status: 'applied' | 'in_doubt' | 'stale' = 'applied',
): ReturnType<typeof goOn> {
  return goOn(ID, 4, [outcomeEntry(status)], guard);
}

const LOST = { kind: 'leased', proposalId: ID } as const;

function testGuards(test: StoreTest): void {
  test('a commit takes the lease with it, and another holder may not while it lasts', async ({
    store,
  }) => {
    assert.equal(await begun(store, FIRST), 1);
    const before = await stateOf(store, ACME);
    const stolen = await conflicting(store, settling(guardOf(OTHER)));
    assert.deepEqual(stolen, { ...LOST, epoch: 1 });
    const forged = await conflicting(store, settling(guardOf(OTHER, 1)));
    assert.deepEqual(forged, { ...LOST, epoch: 1 });
    assert.deepEqual(await stateOf(store, ACME), before);
    assert.equal((await committed(store, settling(guardOf(FIRST, 1)))).lease, 1);
  });

  test('a commit that asks for no lease is told of none', async ({ store }) => {
    assert.equal((await committed(store, beginChange(ID, 'executing'))).lease, undefined);
  });

  test('who holds a proposal goes on with it after its time, where nobody took it over', async ({
    store,
    pass,
  }) => {
    await begun(store, FIRST, SHORT_MS);
    await pass(SHORT_MS);
    assert.equal((await committed(store, settling(guardOf(FIRST, 1)))).lease, 1);
  });

  test('a commit holds on to the lease from then on', async ({ store, pass }) => {
    await begun(store, FIRST, SHORT_MS);
    await committed(store, settling(guardOf(FIRST, 1), 'in_doubt'));
    await pass(SHORT_MS);
    assert.deepEqual(await store.claim(claimOf(OTHER)), []);
  });

  test('G8: who was taken over from may not settle, whether the other still has it or not', async ({
    store,
    pass,
  }) => {
    await begun(store, FIRST, SHORT_MS);
    await pass(SHORT_MS);
    const again = goOn(ID, 4, [intentEntry(2)], guardOf(OTHER));
    assert.equal((await committed(store, again)).lease, 2);
    const before = await stateOf(store, ACME);
    const late = settling(guardOf(FIRST, 1));
    assert.deepEqual(await conflicting(store, late), { ...LOST, epoch: 2 });
    await store.release(OTHER, [{ tenant: ACME, id: ID }]);
    assert.deepEqual(await conflicting(store, late), { ...LOST, epoch: 2 });
    const atOthers = goOn(ID, 5, [outcomeEntry('applied', { attempt: 2 })], guardOf(FIRST, 2));
    assert.deepEqual(await conflicting(store, atOthers), { ...LOST, epoch: 2 });
    assert.deepEqual(await stateOf(store, ACME), before);
  });

  test('a lease that is lost is told before anything else that moved, and leaves nothing', async ({
    store,
  }) => {
    await begun(store, FIRST);
    const line = lineOf();
    const change = goOn(ID, 3, [intentEntry(2)], {
      guard: { ...guardOf(OTHER).guard, logStep: 99 },
      reserve: { proposalId: ID, lines: [line] },
    });
    assert.deepEqual(await conflicting(store, change), { ...LOST, epoch: 1 });
    assert.deepEqual(await store.budgetUsed(ACME, [line], 0), [0]);
  });

  test('another conflict leaves the lease as it was', async ({ store }) => {
    await begun(store, FIRST);
    const { kind } = await conflicting(store, goOn(ID, 3, [intentEntry(2)], guardOf(FIRST)));
    assert.equal(kind, 'step');
    assert.equal((await committed(store, settling(guardOf(FIRST, 1)))).lease, 1);
  });

  test('the lease of one tenant is none of another', async ({ store }) => {
    await begun(store, FIRST);
    const foreign = { ...beginChange(ID, 'executing', guardOf(OTHER)), tenant: GLOBEX };
    assert.equal((await committed(store, foreign)).lease, 1);
  });
}

function testEpochs(test: StoreTest): void {
  test('a proposal that comes to wait is nobody’s, and its next lease has the next epoch', async ({
    store,
  }) => {
    await begun(store, FIRST);
    await committed(store, settling(guardOf(FIRST, 1), 'stale'));
    const preview: EntryBody = { type: 'preview', assessment: assessmentOf() };
    const waits = goOn(ID, 5, [preview, decisionEntry('wait')], guardOf(FIRST, 1));
    assert.equal((await committed(store, waits)).lease, 1);
    const late = goOn(ID, 7, [decisionEntry('deny')], guardOf(FIRST, 1));
    assert.deepEqual(await conflicting(store, late), { ...LOST, epoch: 1 });
    const allows = goOn(ID, 7, [decisionEntry('allow'), intentEntry(2)], guardOf(OTHER));
    assert.equal((await committed(store, allows)).lease, 2);
  });

  test('what is settled is nobody’s for good, whoever settled it', async ({ store }) => {
    await begun(store, FIRST);
    await committed(store, settling(guardOf(FIRST, 1), 'in_doubt'));
    await committed(store, goOn(ID, 5, [outcomeEntry('applied')]));
    const link: EntryBody = { type: 'rollback', compensatedBy: proposalOf(2) };
    await committed(store, goOn(ID, 6, [link]));
    const late = goOn(ID, 7, [outcomeEntry('applied')], guardOf(FIRST, 1));
    assert.deepEqual(await conflicting(store, late), { ...LOST, epoch: 0 });
  });

  test('an epoch does not go down when the store is closed and opened', async ({
    store,
    reopen,
  }) => {
    await begun(store, FIRST);
    const reopened = await reopen();
    await reopened.endLeases('first');
    assert.deepEqual(await reopened.claim(claimOf(AGAIN)), [{ tenant: ACME, id: ID, epoch: 2 }]);
    const late = await conflicting(reopened, settling(guardOf(FIRST, 1)));
    assert.deepEqual(late, { ...LOST, epoch: 2 });
  });
}

function testClaims(test: StoreTest): void {
  const ids = [1, 2, 3, 4].map(proposalOf);

  async function fill(store: Store): Promise<readonly Claimed[]> {
    for (const [number, id] of ids.entries()) {
      const tenant = number % 2 === 0 ? ACME : GLOBEX;
      const state = number === 1 ? 'in_doubt' : 'executing';
      await committed(store, beginChange(id, state, { tenant }));
    }
    await committed(store, beginChange(proposalOf(0), 'waiting'));
    await committed(store, beginChange(proposalOf(5), 'applied'));
    return ids.map((id, number) => ({ tenant: number % 2 === 0 ? ACME : GLOBEX, id, epoch: 1 }));
  }

  test('what is nobody’s is claimed over all tenants, oldest first, in the states asked for, once', async ({
    store,
  }) => {
    const all = await fill(store);
    const doubts = await store.claim(claimOf(FIRST, { states: ['in_doubt', 'in_doubt'] }));
    assert.deepEqual(doubts, all.slice(1, 2));
    assert.deepEqual(await store.claim(claimOf(FIRST, { limit: 2 })), [all[0], all[2]]);
    assert.deepEqual(await store.claim(claimOf(OTHER)), all.slice(3));
    assert.deepEqual(await store.claim(claimOf(OTHER)), []);
    assert.deepEqual(await store.claim(claimOf(FIRST)), []);
  });

  test('a claim goes on behind the last one that was claimed', async ({ store }) => {
    const all = await fill(store);
    const after = all[1] ?? assert.fail();
    assert.deepEqual(await store.claim(claimOf(FIRST, { after, limit: 1 })), all.slice(2, 3));
    assert.deepEqual(await store.claim(claimOf(FIRST, { after })), all.slice(3));
    assert.deepEqual(await store.claim(claimOf(FIRST)), all.slice(0, 2));
  });

  test('one id of two tenants is claimed for each', async ({ store }) => {
    for (const tenant of [ACME, GLOBEX]) {
      await committed(store, beginChange(ID, 'executing', { tenant }));
    }
    const [acme, ...others] = await store.claim(claimOf(FIRST, { limit: 1 }));
    assert.deepEqual([acme, others], [{ tenant: ACME, id: ID, epoch: 1 }, []]);
    const rest = await store.claim(claimOf(FIRST, { after: acme ?? assert.fail() }));
    assert.deepEqual(rest, [{ tenant: GLOBEX, id: ID, epoch: 1 }]);
  });

  test('of claims at the same moment each gets something else', async ({ store }) => {
    const all = await fill(store);
    const claims = await Promise.all(
      [FIRST, OTHER, AGAIN].map((holder) => store.claim(claimOf(holder, { limit: 2 }))),
    );
    const got = claims.flat();
    const rest = await store.claim(claimOf('last/1'));
    const byId = (left: Claimed, right: Claimed): number => (left.id < right.id ? -1 : 1);
    assert.deepEqual([...got, ...rest].toSorted(byId), all);
  });

  test('a lease that ran out is claimed at the next epoch, and is then the claimer’s', async ({
    store,
    pass,
  }) => {
    await begun(store, FIRST, SHORT_MS);
    await pass(SHORT_MS);
    assert.deepEqual(await store.claim(claimOf(OTHER)), [{ tenant: ACME, id: ID, epoch: 2 }]);
    assert.equal((await conflicting(store, settling(guardOf(FIRST, 1)))).kind, 'leased');
    await committed(store, settling(guardOf(OTHER, 2)));
  });

  test('a lease of one’s own that ran out is claimed at its own epoch, for its holder may be at it', async ({
    store,
    pass,
  }) => {
    await begun(store, FIRST, SHORT_MS);
    await pass(SHORT_MS);
    assert.deepEqual(await store.claim(claimOf(FIRST)), [{ tenant: ACME, id: ID, epoch: 1 }]);
    assert.deepEqual(await store.claim(claimOf(OTHER)), []);
    await committed(store, settling(guardOf(FIRST, 1)));
  });

  test('claiming writes no entry and moves no step', async ({ store }) => {
    await fill(store);
    const before = await stateOf(store, ACME);
    await store.claim(claimOf(FIRST));
    assert.deepEqual(await stateOf(store, ACME), before);
  });
}

function testEnds(test: StoreTest): void {
  const place = { tenant: ACME, id: ID };

  test('a lease that is renewed is not taken over', async ({ store, pass }) => {
    await begun(store, FIRST, SHORT_MS);
    await store.renew(FIRST, [place, { tenant: ACME, id: proposalOf(9) }], LONG_MS);
    await pass(SHORT_MS);
    assert.deepEqual(await store.claim(claimOf(OTHER)), []);
    assert.equal((await conflicting(store, settling(guardOf(OTHER)))).kind, 'leased');
    await committed(store, settling(guardOf(FIRST, 1)));
  });

  test('a lease that ran out is held on to again, where nobody took it over', async ({
    store,
    pass,
  }) => {
    await begun(store, FIRST, SHORT_MS);
    await pass(SHORT_MS);
    await store.renew(FIRST, [place], LONG_MS);
    assert.deepEqual(await store.claim(claimOf(OTHER)), []);
  });

  test('only who holds a lease renews or releases it', async ({ store, pass }) => {
    await begun(store, FIRST, SHORT_MS);
    await store.renew(OTHER, [place], LONG_MS);
    await store.release(OTHER, [place]);
    assert.equal((await conflicting(store, settling(guardOf(OTHER)))).kind, 'leased');
    await pass(SHORT_MS);
    assert.deepEqual(await store.claim(claimOf(OTHER)), [{ ...place, epoch: 2 }]);
    await store.renew(FIRST, [place], LONG_MS);
    await store.release(FIRST, [place]);
    assert.equal((await conflicting(store, settling(guardOf(FIRST)))).kind, 'leased');
  });

  test('what is released is anybody’s at once, and no more its former holder’s', async ({
    store,
  }) => {
    await begun(store, FIRST);
    await store.release(FIRST, [place]);
    const late = await conflicting(store, settling(guardOf(FIRST, 1)));
    assert.deepEqual(late, { ...LOST, epoch: 1 });
    assert.deepEqual(await store.claim(claimOf(OTHER)), [{ ...place, epoch: 2 }]);
  });

  test('a gateway that starts ends the leases of its former runs, and nobody else’s', async ({
    store,
  }) => {
    const [own, others] = [proposalOf(2), proposalOf(3)];
    const holders = [
      [own, FIRST],
      [others, 'first-of-all/1'],
    ] as const;
    for (const [id, holder] of holders) {
      await committed(store, beginChange(id, 'executing', guardOf(holder, null, LONG_MS, id)));
    }
    await store.endLeases('first');
    const claimed = await store.claim(claimOf(AGAIN));
    assert.deepEqual(claimed, [{ tenant: ACME, id: own, epoch: 2 }]);
  });
}
