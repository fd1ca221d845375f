import { strict as assert } from 'node:assert';
import type { FreezeScope } from '../../model/freeze.ts';
import type { Credential } from '../../model/principal.ts';
import {
  ACME,
  GLOBEX,
  NOW,
  beginChange,
  credentialEntry,
  credentialOf,
  digestOf,
  freezeChange,
  freezeOf,
  goOn,
  proposalOf,
  releaseChange,
} from './fixtures.ts';
import { committed, conflicting, stateOf, type StoreTest } from './setting.ts';

export function testFreezes(test: StoreTest): void {
  const id = freezeOf(1);
  const subject = { agent: 'ledger-bot', target: 'billing', run: '42' };
  const guarded = beginChange(proposalOf(1), 'allowed', { guard: { notFrozen: subject } });

  const covering: readonly FreezeScope[] = [
    { kind: 'all' },
    { kind: 'tenant' },
    { kind: 'agent', name: 'ledger-bot' },
    { kind: 'target', name: 'billing' },
    { kind: 'run', name: '42' },
  ];
  for (const scope of covering) {
    test(`a freeze of scope \`${scope.kind}\` stops a guarded commit until its release`, async ({
      store,
    }) => {
      await committed(store, freezeChange(id, scope));
      const before = await stateOf(store, ACME);
      const conflict = await conflicting(store, guarded);
      assert(conflict.kind === 'frozen');
      assert.deepEqual(conflict.freeze, (await store.freezes(ACME, 0))[0]);
      assert.deepEqual(await stateOf(store, ACME), before);
      await committed(store, releaseChange(id, NOW + 9));
      await committed(store, guarded);
    });
  }

  test('a freeze for everything stops every tenant, and says another tenant nothing of it', async ({
    store,
    reopen,
  }) => {
    const foreign = { ...freezeChange(id, { kind: 'all' }), tenant: GLOBEX };
    await committed(store, foreign);
    const reopened = await reopen();
    assert.equal((await conflicting(reopened, guarded)).kind, 'frozen');
    const [seen] = await reopened.freezes(ACME, Infinity);
    assert.deepEqual(seen, {
      id,
      scope: { kind: 'all' },
      reason: 'stopped by another tenant',
      by: 'another tenant',
      at: NOW,
      releasedAt: null,
    });
    assert.equal((await reopened.freezes(GLOBEX, Infinity))[0]?.reason, 'incident 7');
    // Its release is the other tenant's: here the act has no entry to go on from.
    assert.equal((await conflicting(reopened, releaseChange(id, NOW + 1))).kind, 'step');
    await committed(reopened, { ...releaseChange(id, NOW + 9), tenant: GLOBEX });
    assert.equal((await reopened.freezes(ACME, NOW + 9))[0]?.releasedAt, NOW + 9);
    assert.deepEqual(await reopened.freezes(ACME, NOW + 10), []);
    await committed(reopened, guarded);
  });

  test('a voice that is not the last is kept, and the freeze stays on', async ({
    store,
    reopen,
  }) => {
    await committed(store, freezeChange(id, { kind: 'all' }));
    const voice = { type: 'release', freezeId: id, by: 'ada', reason: 'over', quorum: 2 } as const;
    await committed(store, goOn(id, 1, [{ ...voice, missing: 1 }], { at: NOW + 1 }));
    const reopened = await reopen();
    assert.equal((await conflicting(reopened, guarded)).kind, 'frozen');
    const [open] = await reopened.freezes(ACME, Infinity);
    assert.deepEqual([open?.voices, open?.releasedAt], [[{ by: 'ada', at: NOW + 1 }], null]);
    const file = { ...voice, by: 'gateway-1', source: 'file' } as const;
    await committed(reopened, goOn(id, 2, [file], { at: NOW + 2 }));
    const [released] = await reopened.freezes(ACME, 0);
    assert.deepEqual(released?.voices?.[1], { by: 'gateway-1', source: 'file', at: NOW + 2 });
    assert.equal(released?.releasedAt, NOW + 2);
    await committed(reopened, guarded);
  });

  test('a freeze of something else, or of another tenant, stops nothing', async ({ store }) => {
    await committed(store, freezeChange(freezeOf(1), { kind: 'agent', name: 'other-bot' }));
    await committed(store, freezeChange(freezeOf(2), { kind: 'target', name: 'crm' }));
    await committed(store, { ...freezeChange(freezeOf(3), { kind: 'tenant' }), tenant: GLOBEX });
    await committed(store, guarded);
  });

  test('a commit without the guard is written while a freeze is on', async ({ store }) => {
    await committed(store, freezeChange(id, { kind: 'all' }));
    await committed(store, beginChange(proposalOf(1), 'waiting'));
  });

  test('a freeze binds the commits that are queued behind it', async ({ store }) => {
    const [, behind] = await Promise.all([
      store.commit(freezeChange(id, { kind: 'all' })),
      store.commit(guarded),
    ]);
    assert.equal(behind.kind, 'conflict');
  });

  test('a policy entry binds the commits that are queued behind it and read the log before', async ({
    store,
  }) => {
    const policy = { type: 'policy', digest: digestOf('p'), mode: 'active', text: 'p' } as const;
    const logStep = await store.actStep(ACME, 'log');
    const read = beginChange(proposalOf(1), 'allowed', { guard: { logStep } });
    const [, behind] = await Promise.all([
      store.commit(goOn('log', logStep, [policy])),
      store.commit(read),
    ]);
    assert.deepEqual(behind, { kind: 'conflict', conflict: { kind: 'policy' } });
    assert.equal(await store.proposal(ACME, proposalOf(1)), undefined);
    await committed(store, { ...read, guard: { logStep: logStep + 1 } });
  });

  test('freezes that are on are listed, and those released at or after a time', async ({
    store,
    reopen,
  }) => {
    await committed(store, freezeChange(freezeOf(1), { kind: 'all' }));
    await committed(store, freezeChange(freezeOf(2), { kind: 'run', name: '1' }));
    await committed(store, releaseChange(freezeOf(1), NOW + 100));
    const reopened = await reopen();
    async function listed(since: number): Promise<unknown> {
      const freezes = await reopened.freezes(ACME, since);
      return freezes.map((freeze) => [freeze.id, freeze.releasedAt]);
    }
    assert.deepEqual(await listed(NOW + 100), [
      [freezeOf(1), NOW + 100],
      [freezeOf(2), null],
    ]);
    assert.deepEqual(await listed(NOW + 101), [[freezeOf(2), null]]);
  });

  test('a freeze is released once', async ({ store }) => {
    await committed(store, freezeChange(id, { kind: 'all' }));
    await committed(store, releaseChange(id, NOW + 1));
    assert.deepEqual(await conflicting(store, releaseChange(id, NOW + 2)), {
      kind: 'step',
      act: id,
      found: 2,
    });
    const entry = { type: 'release', freezeId: id, by: 'eve', reason: 'again' } as const;
    await assert.rejects(store.commit(goOn(id, 2, [entry])), /released once/);
  });
}

export function testCredentials(test: StoreTest): void {
  const agent: Credential = {
    id: credentialOf(1),
    secretDigest: 'ab'.repeat(32),
    createdAt: NOW,
    revokedAt: undefined,
    holder: { kind: 'agent', name: 'ledger-bot', owner: undefined },
  };
  const person: Credential = {
    id: credentialOf(2),
    secretDigest: 'cd'.repeat(32),
    createdAt: NOW,
    revokedAt: undefined,
    holder: { kind: 'person', name: 'ada', roles: ['approver'], groups: ['finance'] },
  };

  test('a credential is found by its id alone, with its tenant', async ({ store, reopen }) => {
    await committed(store, goOn(agent.id, 0, [credentialEntry('added', agent)]));
    await committed(
      store,
      goOn(person.id, 0, [credentialEntry('added', person)], { tenant: GLOBEX }),
    );
    const reopened = await reopen();
    assert.deepEqual(await reopened.credential(agent.id), { tenant: ACME, credential: agent });
    assert.deepEqual(await reopened.credential(person.id), { tenant: GLOBEX, credential: person });
    assert.deepEqual(await reopened.credentials(ACME), [agent]);
  });

  test('a revocation keeps the credential and says when', async ({ store }) => {
    await committed(store, goOn(agent.id, 0, [credentialEntry('added', agent)]));
    await committed(store, goOn(agent.id, 1, [credentialEntry('revoked', agent)], { at: NOW + 7 }));
    const revoked = { ...agent, revokedAt: NOW + 7 };
    assert.deepEqual((await store.credential(agent.id))?.credential, revoked);
    assert.deepEqual(await store.credentials(ACME), [revoked]);
  });

  test('a tenant can neither take nor revoke another’s credential', async ({ store }) => {
    await committed(store, goOn(agent.id, 0, [credentialEntry('added', agent)]));
    for (const change of ['added', 'revoked'] as const) {
      const entries = [credentialEntry(change, { ...agent, secretDigest: 'ef'.repeat(32) })];
      await assert.rejects(store.commit(goOn(agent.id, 0, entries, { tenant: GLOBEX })));
    }
    assert.deepEqual(await store.credential(agent.id), { tenant: ACME, credential: agent });
    assert.equal((await store.tree(GLOBEX)).size, 0);
  });
}
