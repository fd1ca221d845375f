import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import type { EntryBody } from '../../model/entry.ts';
import { STATES } from '../../model/lifecycle.ts';
import {
  ACME,
  GLOBEX,
  NOW,
  approvalEntry,
  assessmentOf,
  beginChange,
  credentialOf,
  decisionEntry,
  digestOf,
  effectsOf,
  freezeOf,
  goOn,
  intentEntry,
  journey,
  outcomeEntry,
  proposalEntry,
  proposalOf,
  tenantOf,
} from './fixtures.ts';
import { assertFold, committed, conflicting, stateOf, type StoreTest } from './setting.ts';

export function testEntries(test: StoreTest): void {
  const id = proposalOf(1);

  test('an empty store has no tenant, an empty tree and nothing to find', async ({ store }) => {
    assert.deepEqual(await store.tenants(), []);
    assert.deepEqual(await store.tree(ACME), { size: 0, range: [] });
    assert.deepEqual(await store.entries(ACME, 0, 10), []);
    assert.deepEqual(await store.proposals(ACME, { limit: 10 }), []);
    assert.equal(await store.proposal(ACME, id), undefined);
    assert.equal(await store.credential(credentialOf(1)), undefined);
    assert.equal(await store.actStep(ACME, 'log'), 0);
    assert.equal(await store.latest(ACME, 'log'), undefined);
  });

  test('the store writes no entry of its own', async ({ store }) => {
    const { entries } = await committed(
      store,
      goOn('log', 0, [{ type: 'genesis', origin: 'writegate.example/acme' }]),
    );
    assert.deepEqual(
      entries.map((entry) => entry.index),
      [0],
    );
    assert.equal((await store.tree(ACME)).size, 1);
    assert.equal(await store.actStep(ACME, 'log'), 1);
  });

  test('a commit answers with indexes, leaf hashes and the proposals it changed', async ({
    store,
  }) => {
    const other = proposalOf(2);
    await committed(store, beginChange(other, 'assessed'));
    const { entries, proposals } = await committed(store, {
      tenant: ACME,
      at: NOW + 5,
      acts: [
        { act: other, expectStep: 2, entries: [decisionEntry('deny')] },
        { act: id, expectStep: 0, entries: journey('assessed') },
      ],
    });
    assert.deepEqual(
      entries.map((entry) => entry.index),
      [2, 3, 4],
    );
    assert.deepEqual(
      proposals.map((proposal) => [proposal.id, proposal.state]),
      [
        [other, 'denied'],
        [id, 'assessed'],
      ],
    );
    const stored = await store.entries(ACME, 2, 10);
    assert.deepEqual(
      stored.map(({ index, leafHash }) => ({ index, leafHash })),
      entries,
    );
    assert.deepEqual(
      stored.map(({ act, step, at }) => [act, step, at]),
      [
        [other, 3, NOW + 5],
        [id, 1, NOW + 5],
        [id, 2, NOW + 5],
      ],
    );
    for (const proposal of proposals) {
      assert.deepEqual(await store.proposal(ACME, proposal.id), proposal);
    }
  });

  test('an entry names its predecessor in the act and the entry that it binds to', async ({
    store,
    positions,
    ledger,
  }) => {
    const proposal = [...journey('waiting'), approvalEntry(), decisionEntry('allow')];
    const started: EntryBody[] = [...proposal, intentEntry(1), outcomeEntry('in_doubt')];
    const again: EntryBody[] = [intentEntry(2), outcomeEntry('applied', { attempt: 2 })];
    await committed(store, goOn(id, 0, started));
    await committed(store, goOn('log', 0, [{ type: 'genesis', origin: 'o' }]));
    await committed(store, goOn(id, started.length, again));
    const entries = await store.entries(ACME, 0, 20);
    const ofProposal = entries.filter((entry) => entry.act === id);
    const places = entries.map((entry) => positions.get(entry.leafHash));
    const latest = new Map<string, string>();
    let previous = '';
    for (const [number, body] of [...started, ...again].entries()) {
      const leafHash = ofProposal[number]?.leafHash ?? assert.fail('an entry is missing');
      const place = positions.get(leafHash);
      assert.equal(place?.previous, previous);
      const bound = ledger.sequencer.bindsTo(body.type);
      assert.equal(place.binds, (bound && latest.get(bound)) ?? '');
      latest.set(body.type, leafHash);
      previous = leafHash;
    }
    assert.equal(places[started.length]?.previous, '', 'the log is an act of its own');
    const ids = new Set(places.map((place) => place?.id));
    assert.equal(ids.size, entries.length);
    for (const each of ids) assert.match(each ?? '', /^[0-9a-f]{32}$/);
  });

  test('a step that somebody else has moved conflicts and changes nothing', async ({ store }) => {
    await committed(store, beginChange(id, 'assessed'));
    const before = await stateOf(store, ACME);
    for (const expectStep of [0, 1, 3]) {
      const change = goOn(id, expectStep, [decisionEntry('allow')]);
      assert.deepEqual(await conflicting(store, change), { kind: 'step', act: id, found: 2 });
    }
    assert.deepEqual(await stateOf(store, ACME), before);
  });

  test('of two commits on the same step, queued together, exactly one is written', async ({
    store,
  }) => {
    await committed(store, beginChange(id, 'assessed'));
    const [first, second] = await Promise.all([
      store.commit(goOn(id, 2, [decisionEntry('allow')])),
      store.commit(goOn(id, 2, [decisionEntry('deny')])),
    ]);
    assert.equal(first.kind, 'committed');
    assert.equal(second.kind, 'conflict');
    assert.equal((await store.proposal(ACME, id))?.state, 'allowed');
  });

  test('several acts are written all or not at all', async ({ store }) => {
    await committed(store, beginChange(id, 'assessed'));
    const before = await stateOf(store, ACME);
    const other = proposalOf(2);
    const conflict = await conflicting(store, {
      tenant: ACME,
      at: NOW,
      acts: [
        { act: other, expectStep: 0, entries: journey('applied') },
        { act: freezeOf(1), expectStep: 0, entries: [] },
        { act: id, expectStep: 1, entries: [decisionEntry('allow')] },
      ],
    });
    assert.deepEqual(conflict, { kind: 'step', act: id, found: 2 });
    assert.deepEqual(await stateOf(store, ACME), before);
    assert.equal(await store.proposal(ACME, other), undefined);
  });

  test('G5: a move that the lifecycle lacks rejects alone, with nothing written', async ({
    store,
    ledger,
  }) => {
    const other = proposalOf(2);
    const [wrong, right] = await Promise.allSettled([
      store.commit({
        tenant: ACME,
        at: NOW,
        acts: [
          { act: proposalOf(3), expectStep: 0, entries: journey('applied') },
          { act: id, expectStep: 0, entries: [proposalEntry(), intentEntry(1)] },
        ],
      }),
      store.commit(beginChange(other, 'assessed')),
    ]);
    assert.equal(wrong.status, 'rejected');
    assert.equal(right.status, 'fulfilled');
    assert.equal(await store.proposal(ACME, id), undefined);
    assert.equal(await store.proposal(ACME, proposalOf(3)), undefined);
    assert.equal(await assertFold(store, ACME, ledger), 2);
  });

  test('G8: an outcome of an earlier attempt is not written', async ({ store }) => {
    await committed(store, beginChange(id, 'in_doubt'));
    await committed(store, goOn(id, 5, [intentEntry(2)]));
    const before = await stateOf(store, ACME);
    const late = goOn(id, 6, [outcomeEntry('applied', { attempt: 1 })]);
    await assert.rejects(store.commit(late), /G8/);
    assert.deepEqual(await stateOf(store, ACME), before);
    await committed(store, goOn(id, 6, [outcomeEntry('applied', { attempt: 2 })]));
    assert.equal((await store.proposal(ACME, id))?.state, 'applied');
  });

  test('64 commits at once share few transactions and land without a gap', async ({
    store,
    transactions,
    ledger,
  }) => {
    const before = await transactions();
    const commits = await Promise.all(
      Array.from({ length: 64 }, (_, number) =>
        committed(store, beginChange(proposalOf(number), 'assessed')),
      ),
    );
    assert.deepEqual(
      commits.flatMap((commit) => commit.entries.map((entry) => entry.index)),
      Array.from({ length: 128 }, (_, index) => index),
    );
    const shared = (await transactions()) - before;
    assert(shared >= 1 && shared <= 2, `${shared} transactions`);
    assert.equal(await assertFold(store, ACME, ledger), 128);
  });

  test('what comes at once is carried out in its order, however much it is', async ({
    store,
    ledger,
  }) => {
    const policy = { type: 'policy', digest: digestOf('p'), mode: 'active', text: 'p' } as const;
    const commits = await Promise.all(
      Array.from({ length: 600 }, (_, step) => committed(store, goOn('log', step, [policy]))),
    );
    assert.deepEqual(
      commits.flatMap((commit) => commit.entries.map((entry) => entry.index)),
      Array.from({ length: 600 }, (_, index) => index),
    );
    assert.equal(await assertFold(store, ACME, ledger), 600);
  });

  test('tenants share nothing: each has its own tree, proposals and acts', async ({ store }) => {
    await committed(store, beginChange(id, 'applied'));
    await committed(store, beginChange(id, 'waiting', { tenant: GLOBEX }));
    assert.deepEqual(await store.tenants(), [ACME, GLOBEX]);
    assert.equal((await store.proposal(ACME, id))?.state, 'applied');
    assert.equal((await store.proposal(GLOBEX, id))?.state, 'waiting');
    assert.equal((await store.tree(GLOBEX)).size, 3);
    assert.deepEqual(
      (await store.entries(GLOBEX, 0, 10)).map((entry) => entry.index),
      [0, 1, 2],
    );
  });

  test('effects come back whole with the proposal, and the newest plan replaces the older', async ({
    store,
    reopen,
    ledger,
  }) => {
    const effects = effectsOf(10_000);
    await committed(store, beginChange(id, 'stale', { effects }));
    assert.deepEqual((await store.proposal(ACME, id))?.assessment?.plan.effects, effects);
    const assessment = assessmentOf(effectsOf(3));
    await committed(
      store,
      goOn(id, 5, [
        { type: 'preview', assessment },
        decisionEntry('allow'),
        intentEntry(2, assessment),
      ]),
    );
    const applied = { ...outcomeEntry('applied', { attempt: 2 }), effects: effectsOf(4) };
    const { proposals } = await committed(store, goOn(id, 8, [applied]));
    const reopened = await reopen();
    const proposal = await reopened.proposal(ACME, id);
    assert.deepEqual(proposal, proposals[0]);
    assert.deepEqual(proposal?.assessment?.plan.effects, effectsOf(3));
    assert.deepEqual(proposal.outcome?.effects, effectsOf(4));
    await assertFold(reopened, ACME, ledger);
  });

  test('a preview that was taken back leaves no effects behind', async ({ store }) => {
    await committed(store, beginChange(id, 'stale', { effects: effectsOf(2) }));
    const preview = { type: 'preview', assessment: assessmentOf(effectsOf(9)) } as const;
    await assert.rejects(
      store.commit({
        tenant: ACME,
        at: NOW,
        acts: [
          { act: id, expectStep: 5, entries: [preview] },
          { act: proposalOf(2), expectStep: 0, entries: [intentEntry(1)] },
        ],
      }),
    );
    assert.deepEqual((await store.proposal(ACME, id))?.assessment?.plan.effects, effectsOf(2));
  });

  test('G5: after any journeys in any order every row is the fold of its entries', async ({
    store,
    ledger,
    reopen,
  }) => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...STATES), { minLength: 1, maxLength: 6 }),
        fc.infiniteStream(fc.nat()),
        async (states, choices) => {
          run += 1;
          const tenant = tenantOf(`run-${run}`);
          const open = states.map((state, number) => ({
            act: proposalOf(number),
            rest: [...journey(state)],
            step: 0,
          }));
          const changes = [];
          for (;;) {
            const left = open.filter((each) => each.rest.length > 0);
            const chosen = left[choices.next().value % left.length];
            if (chosen === undefined) break;
            const entries = chosen.rest.splice(0, 1 + (choices.next().value % 2));
            changes.push(
              goOn(chosen.act, chosen.step, entries, { tenant, at: NOW + changes.length }),
            );
            chosen.step += entries.length;
          }
          await Promise.all(changes.map((change) => committed(store, change)));
          await assertFold(store, tenant, ledger);
          for (const [number, state] of states.entries()) {
            assert.equal((await store.proposal(tenant, proposalOf(number)))?.state, state);
          }
        },
      ),
      { numRuns: 40 },
    );
    const reopened = await reopen();
    for (const tenant of await reopened.tenants()) await assertFold(reopened, tenant, ledger);
  });

  test('members that are undefined come back as members', async ({ store }) => {
    await committed(store, beginChange(id, 'proposed', { derivedKey: digestOf('key') }));
    const proposal = await store.proposal(ACME, id);
    assert.deepEqual(proposal?.draft, proposalEntry().draft);
  });
}
