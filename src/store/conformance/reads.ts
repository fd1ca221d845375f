import { strict as assert } from 'node:assert';
import { STATES, type State } from '../../model/lifecycle.ts';
import { PAGE_MAX, type ProposalFilter, type Store } from '../../model/ports.ts';
import { Problem } from '../../model/problem.ts';
import {
  ACME,
  GLOBEX,
  NOW,
  beginChange,
  claimOf,
  credentialEntry,
  credentialOf,
  effectsOf,
  freezeChange,
  freezeOf,
  goOn,
  journey,
  lineOf,
  outcomeEntry,
  proposalOf,
} from './fixtures.ts';
import { committed, stateOf, type StoreTest } from './setting.ts';

export function testReads(test: StoreTest): void {
  const states: readonly State[] = ['waiting', 'applied', 'waiting', 'denied', 'executing'];

  async function fill(store: Store): Promise<void> {
    for (const [number, state] of states.entries()) {
      const name = number < 3 ? 'ledger-bot' : 'other-bot';
      const proposer = { kind: 'agent', name } as const;
      await committed(store, beginChange(proposalOf(number), state, { proposer }));
    }
  }
  async function found(store: Store, filter: ProposalFilter): Promise<readonly number[]> {
    const numbers = new Map(states.map((_, number) => [proposalOf(number), number]));
    const page = await store.proposals(ACME, filter);
    return page.map((proposal) => numbers.get(proposal.id) ?? -1);
  }

  test('proposals are listed newest first, by state, agent and page', async ({ store }) => {
    await fill(store);
    assert.deepEqual(await found(store, { limit: 10 }), [4, 3, 2, 1, 0]);
    assert.deepEqual(await found(store, { limit: 2 }), [4, 3]);
    assert.deepEqual(await found(store, { limit: 2, before: proposalOf(3) }), [2, 1]);
    assert.deepEqual(await found(store, { limit: 10, states: ['waiting'] }), [2, 0]);
    assert.deepEqual(
      await found(store, { limit: 2, states: ['executing', 'waiting', 'waiting'] }),
      [4, 2],
    );
    assert.deepEqual(await found(store, { limit: 10, states: [] }), []);
    assert.deepEqual(await found(store, { limit: 10, agent: 'ledger-bot' }), [2, 1, 0]);
    assert.deepEqual(
      await found(store, { limit: 10, agent: 'ledger-bot', states: ['applied', 'denied'] }),
      [1],
    );
    assert.deepEqual(await store.proposals(GLOBEX, { limit: 10 }), []);
  });

  test('a person’s proposal is not listed as an agent’s of the same name', async ({ store }) => {
    const proposer = { kind: 'person', name: 'ledger-bot' } as const;
    await committed(store, beginChange(proposalOf(1), 'waiting', { proposer }));
    assert.deepEqual(await store.proposals(ACME, { limit: 10, agent: 'ledger-bot' }), []);
    assert.equal((await store.proposals(ACME, { limit: 10 })).length, 1);
  });

  test('a list leaves the effects out and nothing else', async ({ store }) => {
    const [plain, masked] = [proposalOf(1), proposalOf(2)];
    await committed(store, beginChange(plain, 'applied', { effects: effectsOf(5) }));
    await committed(store, beginChange(masked, 'executing', { effects: effectsOf(5) }));
    const outcome = outcomeEntry('applied', { effects: effectsOf(5) });
    await committed(store, goOn(masked, 4, [outcome]));
    for (const listed of await store.proposals(ACME, { limit: 10 })) {
      const whole = (await store.proposal(ACME, listed.id)) ?? assert.fail();
      assert(listed.assessment !== null && whole.assessment !== null);
      assert(listed.outcome !== null && whole.outcome !== null);
      assert.equal(whole.assessment.plan.effects.length, 5);
      assert.deepEqual(listed, {
        ...whole,
        assessment: {
          ...whole.assessment,
          plan: { ...whole.assessment.plan, effects: [] },
        },
        outcome: { ...whole.outcome, effects: listed.id === plain ? null : [] },
      });
    }
  });

  test('a page has at most PAGE_MAX proposals', async ({ store }) => {
    await Promise.all(
      Array.from({ length: PAGE_MAX + 5 }, (_, number) =>
        committed(store, beginChange(proposalOf(number), 'proposed')),
      ),
    );
    assert.equal((await store.proposals(ACME, { limit: 10_000 })).length, PAGE_MAX);
  });

  test('proposals in given states are found over all tenants, oldest first', async ({ store }) => {
    await fill(store);
    await committed(store, beginChange(proposalOf(100), 'in_doubt', { tenant: GLOBEX }));
    await committed(store, beginChange(proposalOf(-1), 'executing', { tenant: GLOBEX }));
    const wanted: readonly State[] = ['executing', 'in_doubt'];
    const all = [
      { tenant: GLOBEX, id: proposalOf(-1) },
      { tenant: ACME, id: proposalOf(4) },
      { tenant: GLOBEX, id: proposalOf(100) },
    ];
    assert.deepEqual(await store.inStates(wanted, 10), all);
    assert.deepEqual(await store.inStates(wanted, 2), all.slice(0, 2));
    assert.deepEqual(await store.inStates(['stale'], 10), []);
    assert.equal((await store.inStates(STATES, 100)).length, 7);
  });

  test('the last entry of an act is found whole, whatever other acts and tenants have since', async ({
    store,
  }) => {
    const id = proposalOf(1);
    await committed(store, beginChange(id, 'waiting'));
    await committed(store, beginChange(proposalOf(2), 'applied'));
    await committed(store, { ...beginChange(id, 'applied'), tenant: GLOBEX });
    const own = (await store.entries(ACME, 0, 100)).filter((entry) => entry.act === id);
    assert(own.length > 1);
    assert.deepEqual(await store.latest(ACME, id), own.at(-1));
    assert.deepEqual(await store.actEntries(ACME, id, { limit: 100 }), own.toReversed());
    const last = own.at(-1)?.step ?? 0;
    assert.deepEqual(await store.actEntries(ACME, id, { before: last, limit: 1 }), [own.at(-2)]);
    assert.deepEqual(await store.actEntries(GLOBEX, proposalOf(2), { limit: 100 }), []);
    assert.equal(await store.latest(ACME, proposalOf(3)), undefined);
    assert.equal(await store.latest(GLOBEX, proposalOf(2)), undefined);
  });

  test('entries come in pages, in order', async ({ store }) => {
    await committed(store, beginChange(proposalOf(1), 'applied'));
    const all = await store.entries(ACME, 0, 100);
    assert.equal(all.length, journey('applied').length);
    assert.deepEqual(await store.entries(ACME, 1, 2), all.slice(1, 3));
    assert.deepEqual(await store.entries(ACME, all.length, 2), []);
  });

  test('what was committed is there after the store was closed and opened', async ({
    store,
    reopen,
  }) => {
    const [first, second] = [proposalOf(1), proposalOf(2)];
    const supplied = { agent: 'ledger-bot', key: 'k' };
    await committed(
      store,
      beginChange(first, 'in_doubt', {
        guard: { keys: claimOf(first, { supplied }) },
        reserve: { proposalId: first, lines: [lineOf()] },
      }),
    );
    await committed(store, beginChange(second, 'waiting', { effects: effectsOf(40) }));
    await committed(store, freezeChange(freezeOf(1), { kind: 'all' }));
    const credential = {
      id: credentialOf(1),
      secretDigest: 'ab',
      createdAt: NOW,
      revokedAt: undefined,
      holder: { kind: 'agent', name: 'ledger-bot', owner: 'ada' },
    } as const;
    await committed(store, goOn(credential.id, 0, [credentialEntry('added', credential)]));
    const before = await stateOf(store, ACME);
    const reopened = await reopen();
    assert.deepEqual(await stateOf(reopened, ACME), before);
    assert.deepEqual(await reopened.budgetUsed(ACME, [lineOf()], NOW), [4]);
    const { keys } = claimOf(first);
    assert.deepEqual(await reopened.keyHolders(ACME, { keys, supplied, appliedSince: 0 }), {
      derived: first,
      supplied: first,
    });
  });

  test('closing finishes what is queued, may be repeated, and ends every call after it', async ({
    store,
    reopen,
  }) => {
    const queued = store.commit(beginChange(proposalOf(1), 'waiting'));
    await Promise.all([store.close(), store.close()]);
    assert.equal((await queued).kind, 'committed');
    const isStopping = (error: unknown): boolean =>
      error instanceof Problem && error.code === 'gateway-stopping';
    await assert.rejects(store.commit(beginChange(proposalOf(2), 'waiting')), isStopping);
    await assert.rejects(store.tenants(), isStopping);
    const reopened = await reopen();
    assert.equal((await reopened.proposal(ACME, proposalOf(1)))?.state, 'waiting');
  });
}
