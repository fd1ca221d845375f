import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import type { PaceGuard } from '../../model/baseline.ts';
import { STATES, type State } from '../../model/lifecycle.ts';
import type { EntryBody } from '../../model/entry.ts';
import {
  ACME,
  GLOBEX,
  NOW,
  approvalEntry,
  beginChange,
  decisionEntry,
  digestOf,
  effectsOf,
  goOn,
  intentEntry,
  outcomeEntry,
  proposalOf,
} from './fixtures.ts';
import { assertFold, committed, conflicting, stateOf, type StoreTest } from './setting.ts';

const MINUTE = 60_000;
const BOT = { agent: 'ledger-bot', target: 'billing', operation: 'sql' } as const;

/** What else becomes of a proposal that came so far; nothing where it has ended. */
const ENDS: Readonly<Partial<Record<State, readonly (readonly EntryBody[])[]>>> = {
  waiting: [
    [decisionEntry('deny')],
    [decisionEntry('expired')],
    [decisionEntry('cancelled')],
    [approvalEntry(), decisionEntry('allow'), intentEntry(1), outcomeEntry('applied')],
  ],
  executing: [[outcomeEntry('applied')], [outcomeEntry('refused')], [outcomeEntry('in_doubt')]],
  in_doubt: [[outcomeEntry('applied')], [outcomeEntry('refused')]],
};

export function testBaselines(test: StoreTest): void {
  test('G5: what is usual is the fold of the entries, whatever became of the proposals', async ({
    store,
    ledger,
  }) => {
    // What chance may leave out.
    const appliedOnce = {
      state: 'applied',
      end: 0,
      agent: 'ledger-bot',
      kind: 'agent',
      key: 'a',
      rows: 2,
      laterMs: 0,
    } as const;
    let number = 0;
    const journey = fc.record({
      state: fc.constantFrom(...STATES.filter((each) => each !== 'proposed' && each !== 'allowed')),
      end: fc.nat({ max: 3 }),
      agent: fc.constantFrom('ledger-bot', 'clerk'),
      kind: fc.constantFrom('agent' as const, 'agent' as const, 'person' as const),
      key: fc.constantFrom('a', 'b', 'c'),
      rows: fc.constantFrom(0, 2, 9),
      laterMs: fc.constantFrom(0, 1, MINUTE, 61 * MINUTE, 26 * 60 * MINUTE, -MINUTE),
    });
    let at = NOW;
    await fc.assert(
      fc.asyncProperty(fc.array(journey, { maxLength: 12 }), async (journeys) => {
        for (const { state, end, agent, kind, key, rows, laterMs } of journeys) {
          number += 1;
          at += laterMs;
          const id = proposalOf(number);
          const options = {
            at,
            proposer: { kind, name: agent },
            derivedKey: digestOf(key),
            // What is approved, and carried out later, is the plan of the fixtures.
            ...(ENDS[state] === undefined ? { effects: effectsOf(rows) } : {}),
          };
          const commit = await committed(store, beginChange(id, state, options));
          const ends = ENDS[state] ?? [];
          const more = ends[end % Math.max(ends.length, 1)];
          if (more === undefined) continue;
          at += laterMs;
          await committed(store, goOn(id, commit.entries.length, more, { at }));
        }
        await assertFold(store, ACME, ledger);
      }),
      { numRuns: 12, examples: [[[appliedOnce]]] },
    );
    const learned = await store.baseline(ACME, BOT);
    assert(learned !== undefined && learned.applied > 0, 'something was applied');
  });

  test('what is usual survives a restart, and is apart by tenant, agent, target and operation', async ({
    store,
    reopen,
  }) => {
    await committed(store, beginChange(proposalOf(1), 'applied'));
    await committed(store, beginChange(proposalOf(2), 'applied', { tenant: GLOBEX }));
    const before = await store.baselines(ACME, 'ledger-bot');
    assert.deepEqual(
      before.map(({ target, operation, baseline }) => [target, operation, baseline.applied]),
      [['billing', 'sql', 1]],
    );
    assert.deepEqual(await store.baselines(ACME, 'clerk'), []);
    assert.equal(await store.baseline(ACME, { ...BOT, operation: 'import' }), undefined);
    assert.equal(await store.baseline(ACME, { ...BOT, target: 'crm' }), undefined);
    assert.deepEqual(await (await reopen()).baselines(ACME, 'ledger-bot'), before);
  });

  test('people have no baseline, and neither has what is not configured', async ({ store }) => {
    const person = { kind: 'person', name: 'ledger-bot' } as const;
    await committed(store, beginChange(proposalOf(1), 'applied', { proposer: person }));
    assert.equal(await store.baseline(ACME, BOT), undefined);
  });

  test('a pace that others have passed meanwhile conflicts and changes nothing', async ({
    store,
  }) => {
    const pace: PaceGuard = { ...BOT, window: 'minute', uncounted: 1, max: 2 };
    const paced = (number: number, at = NOW) =>
      beginChange(proposalOf(number), 'executing', { at, guard: { paces: [pace] } });
    await committed(store, paced(1));
    await committed(store, paced(2));
    const before = await stateOf(store, ACME);
    assert.deepEqual(await conflicting(store, paced(3)), { kind: 'pace', pace, found: 2 });
    assert.deepEqual(await stateOf(store, ACME), before);
    await committed(store, paced(3, NOW + MINUTE));
  });

  test('of many that come at once no more than the pace get through', async ({ store }) => {
    const pace: PaceGuard = { ...BOT, window: 'hour', uncounted: 1, max: 5 };
    const commits = await Promise.all(
      Array.from({ length: 20 }, (_, number) =>
        store.commit(beginChange(proposalOf(number), 'executing', { guard: { paces: [pace] } })),
      ),
    );
    assert.equal(commits.filter(({ kind }) => kind === 'committed').length, 5);
  });

  test('a change that is taken back has taught nothing', async ({ store }) => {
    await committed(store, beginChange(proposalOf(1), 'applied'));
    const before = await store.baseline(ACME, BOT);
    const wrong = beginChange(proposalOf(2), 'executing');
    const [act] = wrong.acts;
    assert(act !== undefined);
    const broken = { ...act, entries: [...act.entries, outcomeEntry('applied', { attempt: 7 })] };
    await assert.rejects(store.commit({ ...wrong, acts: [broken] }), /only the present attempt/);
    assert.deepEqual(await store.baseline(ACME, BOT), before);
  });
}
