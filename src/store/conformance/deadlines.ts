import { strict as assert } from 'node:assert';
import type { EntryBody } from '../../model/entry.ts';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import type { Store } from '../../model/ports.ts';
import {
  ACME,
  GLOBEX,
  NOW,
  approvalEntry,
  assessmentOf,
  beginChange,
  decisionEntry,
  goOn,
  intentEntry,
  outcomeEntry,
  proposalEntry,
  proposalOf,
} from './fixtures.ts';
import { committed, type StoreTest } from './setting.ts';

/** When waiting proposals are to be looked at. */
export function testDeadlines(test: StoreTest): void {
  /** Begins to wait until `expiresAt`. */
  async function wait(
    store: Store,
    id: ProposalId,
    expiresAt: number,
    tenant: TenantId = ACME,
  ): Promise<void> {
    const entries = [proposalEntry(), PREVIEW, waitUntil(expiresAt)];
    await committed(store, { tenant, at: NOW, acts: [{ act: id, expectStep: 0, entries }] });
  }

  test('the longest due comes first, whichever was begun first, over all tenants', async ({
    store,
  }) => {
    await wait(store, proposalOf(1), NOW + 300);
    await wait(store, proposalOf(2), NOW + 100, GLOBEX);
    await wait(store, proposalOf(3), NOW + 200);
    await committed(store, beginChange(proposalOf(4), 'applied'));
    const all = [
      { tenant: GLOBEX, id: proposalOf(2) },
      { tenant: ACME, id: proposalOf(3) },
      { tenant: ACME, id: proposalOf(1) },
    ];
    assert.deepEqual(await store.due(NOW + 99, 10), []);
    assert.deepEqual(await store.due(NOW + 100, 10), all.slice(0, 1));
    assert.deepEqual(await store.due(NOW + 1_000, 10), all);
    assert.deepEqual(await store.due(NOW + 1_000, 2), all.slice(0, 2));
  });

  test('what no longer waits is not due, and what waits anew is due at its new time', async ({
    store,
  }) => {
    const [ended, stayed] = [proposalOf(1), proposalOf(2)];
    await wait(store, ended, NOW + 100);
    await wait(store, stayed, NOW + 100);
    await committed(store, goOn(ended, 3, [decisionEntry('expired')]));
    assert.deepEqual(await store.due(NOW + 100, 10), [{ tenant: ACME, id: stayed }]);
    const moved = [approvalEntry(), decisionEntry('allow'), intentEntry(1), outcomeEntry('stale')];
    await committed(store, goOn(stayed, 3, moved));
    assert.deepEqual(await store.due(NOW + 900, 10), []);
    await committed(store, goOn(stayed, 7, [PREVIEW, waitUntil(NOW + 900)]));
    assert.deepEqual(await store.due(NOW + 899, 10), []);
    assert.deepEqual(await store.due(NOW + 900, 10), [{ tenant: ACME, id: stayed }]);
  });

  test('what was put off is due then, and survives a reopening; what no longer waits is not', async ({
    store,
    reopen,
  }) => {
    const [off, ended] = [proposalOf(1), proposalOf(2)];
    await wait(store, off, NOW + 100);
    await wait(store, ended, NOW + 100);
    await committed(store, goOn(ended, 3, [decisionEntry('cancelled')]));
    await store.putOff([]);
    await store.putOff(
      [off, ended, proposalOf(3)].map((id) => ({ tenant: ACME, id, until: NOW + 500 })),
    );
    // One that is another tenant's is none of this one's.
    await store.putOff([{ tenant: GLOBEX, id: off, until: NOW + 900 }]);
    assert.deepEqual(await store.due(NOW + 499, 10), []);
    assert.deepEqual(await store.due(NOW + 500, 10), [{ tenant: ACME, id: off }]);
    // An approval that decides nothing yet leaves the deadline, and what it was put off by.
    await committed(store, goOn(off, 3, [approvalEntry(), waitUntil(NOW + 100)]));
    const reopened = await reopen();
    assert.deepEqual(await reopened.due(NOW + 499, 10), []);
    assert.deepEqual(await reopened.due(NOW + 500, 10), [{ tenant: ACME, id: off }]);
  });

  test('proposals are counted by state, within the tenant', async ({ store }) => {
    for (const [number, state] of (['waiting', 'applied', 'waiting'] as const).entries()) {
      await committed(store, beginChange(proposalOf(number), state));
    }
    await committed(store, beginChange(proposalOf(9), 'waiting', { tenant: GLOBEX }));
    assert.equal(await store.countInStates(ACME, ['waiting']), 2);
    assert.equal(await store.countInStates(ACME, ['waiting', 'applied', 'applied']), 3);
    assert.equal(await store.countInStates(ACME, []), 0);
    assert.equal(await store.countInStates(GLOBEX, ['applied']), 0);
  });
}

const PREVIEW: EntryBody = { type: 'preview', assessment: assessmentOf() };

function waitUntil(expiresAt: number): EntryBody {
  const entry = decisionEntry('wait');
  const { decision } = entry;
  assert(decision.kind === 'wait', 'it waits');
  return { ...entry, decision: { ...decision, expiresAt } };
}
