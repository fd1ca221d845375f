import { strict as assert } from 'node:assert';
import { isWithoutEffect, STATES } from '../../model/lifecycle.ts';
import type { KeyClaim, Store } from '../../model/ports.ts';
import {
  ACME,
  GLOBEX,
  NOW,
  beginChange,
  claimOf,
  decisionEntry,
  digestOf,
  goOn,
  proposalOf,
} from './fixtures.ts';
import { committed, conflicting, stateOf, type StoreTest } from './setting.ts';

export function testKeys(test: StoreTest): void {
  const [first, second, third] = [proposalOf(1), proposalOf(2), proposalOf(3)];
  const supplied = { agent: 'ledger-bot', key: 'month-end-07' };

  function claim(id: typeof first, change: Partial<KeyClaim> = {}) {
    return { guard: { keys: claimOf(id, change) } };
  }
  function derivedHolder(store: Store, appliedSince = NOW - 86_400_000) {
    return store
      .keyHolders(ACME, { keys: [digestOf('derived')], supplied: null, appliedSince })
      .then((holders) => holders.derived);
  }

  for (const state of STATES) {
    const holds = !isWithoutEffect(state);
    test(`a derived key ${holds ? 'is held' : 'is free again'} while its proposal is ${state}`, async ({
      store,
    }) => {
      await committed(store, beginChange(first, state, claim(first)));
      assert.equal(await derivedHolder(store), holds ? first : undefined);
      const before = await stateOf(store, ACME);
      const next = beginChange(second, 'proposed', claim(second));
      if (holds) {
        assert.deepEqual(await conflicting(store, next), {
          kind: 'key',
          key: digestOf('derived'),
          proposalId: first,
        });
        assert.deepEqual(await stateOf(store, ACME), before);
      } else {
        await committed(store, next);
        assert.equal(await derivedHolder(store), second);
      }
    });
  }

  test('an applied proposal holds its derived key up to and including `appliedSince`', async ({
    store,
  }) => {
    await committed(store, beginChange(first, 'applied', claim(first)));
    assert.equal(await derivedHolder(store, NOW), first);
    assert.equal(await derivedHolder(store, NOW + 1), undefined);
    const inside = beginChange(second, 'proposed', claim(second, { appliedSince: NOW }));
    assert.equal((await conflicting(store, inside)).kind, 'key');
    await committed(
      store,
      beginChange(second, 'proposed', claim(second, { appliedSince: NOW + 1 })),
    );
    assert.equal(await derivedHolder(store, NOW), second);
  });

  test('a holder that ends without effect after it was replaced does not free the key', async ({
    store,
  }) => {
    await committed(store, beginChange(first, 'cancelled', claim(first)));
    await committed(store, beginChange(second, 'assessed', claim(second)));
    assert.equal(await derivedHolder(store), second);
    await committed(store, goOn(second, 2, [decisionEntry('deny')]));
    assert.equal(await derivedHolder(store), undefined);
  });

  test('of several keys any one that is held is a conflict, and then none is taken', async ({
    store,
  }) => {
    const [one, two, three] = [digestOf('one'), digestOf('two'), digestOf('three')];
    const holders = (keys: KeyClaim['keys']) =>
      store.keyHolders(ACME, { keys, supplied: null, appliedSince: 0 });
    await committed(store, beginChange(first, 'waiting', claim(first, { keys: [one, two] })));
    const before = await stateOf(store, ACME);
    const next = beginChange(second, 'waiting', claim(second, { keys: [three, two] }));
    assert.deepEqual(await conflicting(store, next), {
      kind: 'key',
      key: two,
      proposalId: first,
    });
    assert.deepEqual(await stateOf(store, ACME), before);
    assert.equal((await holders([three])).derived, undefined);
    await committed(store, beginChange(third, 'waiting', claim(third, { keys: [three] })));
    assert.equal((await holders([two, three])).derived, first);
    assert.equal((await holders([three, one])).derived, third);
  });

  test('a proposal takes a key in a later commit, and what it holds itself is no conflict', async ({
    store,
  }) => {
    const effect = digestOf('effect');
    const both = { guard: { keys: claimOf(first, { keys: [digestOf('derived'), effect] }) } };
    await committed(store, beginChange(first, 'assessed', claim(first)));
    await committed(store, goOn(first, 2, [decisionEntry('wait')], both));
    const next = beginChange(second, 'proposed', claim(second, { keys: [effect] }));
    assert.deepEqual(await conflicting(store, next), {
      kind: 'key',
      key: effect,
      proposalId: first,
    });
  });

  test('a proposal gives back the keys that it drops, and no others’', async ({ store }) => {
    const [mine, theirs] = [digestOf('mine'), digestOf('theirs')];
    const holder = (key: typeof mine) =>
      store
        .keyHolders(ACME, { keys: [key], supplied: null, appliedSince: 0 })
        .then(({ derived }) => derived);
    await committed(store, beginChange(first, 'assessed', claim(first, { keys: [mine] })));
    await committed(store, beginChange(second, 'assessed', claim(second, { keys: [theirs] })));
    const moved = claim(first, { keys: [], dropped: [mine, theirs] });
    await committed(store, goOn(first, 2, [decisionEntry('wait')], moved));
    assert.equal(await holder(mine), undefined);
    assert.equal(await holder(theirs), second);
    await committed(store, beginChange(third, 'proposed', claim(third, { keys: [mine] })));
    assert.equal(await holder(mine), third);
  });

  test('a proposal without a derived key claims none', async ({ store }) => {
    await committed(store, beginChange(first, 'applied', claim(first, { keys: [] })));
    assert.equal(await derivedHolder(store), undefined);
    await committed(store, beginChange(second, 'proposed', claim(second)));
  });

  test('a supplied key is held for good, whatever became of its proposal', async ({
    store,
    reopen,
  }) => {
    await committed(store, beginChange(first, 'cancelled', claim(first, { supplied })));
    const reopened = await reopen();
    const before = await stateOf(reopened, ACME);
    const again = claim(second, { keys: [], supplied });
    assert.deepEqual(await conflicting(reopened, beginChange(second, 'proposed', again)), {
      kind: 'key',
      key: 'supplied',
      proposalId: first,
    });
    assert.deepEqual(await stateOf(reopened, ACME), before);
    const holders = await reopened.keyHolders(ACME, {
      keys: [digestOf('derived')],
      supplied,
      appliedSince: 0,
    });
    assert.deepEqual(holders, { derived: undefined, supplied: first });
  });

  test('a supplied key is the agent’s own: another agent may use the same', async ({ store }) => {
    await committed(store, beginChange(first, 'applied', claim(first, { supplied })));
    const others = { agent: 'other-bot', key: supplied.key };
    await committed(
      store,
      beginChange(second, 'applied', claim(second, { keys: [], supplied: others })),
    );
    await committed(
      store,
      beginChange(third, 'applied', { ...claim(third, { supplied }), tenant: GLOBEX }),
    );
  });

  test('where both keys are held, the supplied one is named', async ({ store }) => {
    await committed(store, beginChange(first, 'waiting', claim(first, { supplied })));
    const again = beginChange(second, 'proposed', claim(second, { supplied }));
    assert.deepEqual(await conflicting(store, again), {
      kind: 'key',
      key: 'supplied',
      proposalId: first,
    });
  });

  test('of many claims of one key, queued together, exactly one is granted', async ({ store }) => {
    const commits = await Promise.all(
      Array.from({ length: 20 }, (_, number) => {
        const id = proposalOf(number);
        return store.commit(beginChange(id, 'proposed', claim(id, { supplied })));
      }),
    );
    assert.equal(commits.filter((commit) => commit.kind === 'committed').length, 1);
    assert.equal((await store.proposals(ACME, { limit: 50 })).length, 1);
  });
}
