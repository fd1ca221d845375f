import { strict as assert } from 'node:assert';
import type { EntryBody } from '../../model/entry.ts';
import type { Assessment, Effect, Plan } from '../../model/plan.ts';
import type { Store } from '../../model/ports.ts';
import type { Proposal } from '../../model/proposal.ts';
import {
  ACME,
  assessmentOf,
  decisionEntry,
  effectsOf,
  goOn,
  intentEntry,
  NOW,
  outcomeEntry,
  proposalEntry,
  proposalOf,
} from './fixtures.ts';
import { assertFold, committed, plain, type StoreTest } from './setting.ts';

/** A chain of three steps in two transactions, each with `count` effects of its own. */
export function chainAssessmentOf(count: number): Assessment {
  const own = (place: number): Plan => assessmentOf(rowsFrom(place * count, count)).plan;
  const first = {
    ...own(0),
    steps: [0, 1].map((place) => ({ operation: 'sql', plan: own(place) })),
  };
  const whole = assessmentOf(rowsFrom(0, 3 * count));
  return {
    ...whole,
    plan: {
      ...whole.plan,
      segments: [
        { target: 'billing', operation: 'chain', stepCount: 2, plan: first },
        { target: 'crm', operation: 'sql', stepCount: 1, plan: own(2) },
      ],
    },
  };
}

/** Several steps that one transaction carried out. */
function stepsAssessmentOf(count: number): Assessment {
  const whole = assessmentOf(rowsFrom(0, count));
  const steps = [1, 2].map((place) => ({
    operation: 'sql',
    plan: assessmentOf(rowsFrom(place * count, count)).plan,
  }));
  return { ...whole, plan: { ...whole.plan, steps } };
}

function rowsFrom(from: number, count: number): readonly Effect[] {
  return effectsOf(from + count).slice(from);
}

/** Entries 1 to 4: up to an intent. */
export function chainEntries(assessment: Assessment): readonly EntryBody[] {
  return [
    proposalEntry(),
    { type: 'preview', assessment },
    decisionEntry('allow'),
    intentEntry(1, assessment),
  ];
}

/** Where the second transaction left what was planned, and the first did not. */
export function chainOutcome(count: number): EntryBody {
  return outcomeEntry('applied', {
    segments: [
      { reference: 'tx-1', effects: rowsFrom(7, count), evidence: null },
      { reference: 'tx-2', effects: null, evidence: null },
    ],
  });
}

/** `JSON.stringify` of it without what lists leave out. */
export function withoutImages(proposal: Proposal): unknown {
  const strip = (value: unknown, key: string): unknown =>
    key === 'effects' && Array.isArray(value) ? [] : value;
  return JSON.parse(JSON.stringify(proposal, (key, value: unknown) => strip(value, key)));
}

export function testChains(test: StoreTest): void {
  const id = proposalOf(1);

  async function assertListed(store: Store): Promise<void> {
    const [listed] = await store.proposals(ACME, { limit: 10 });
    const whole = (await store.proposal(ACME, id)) ?? assert.fail();
    assert.deepEqual(plain(listed), withoutImages(whole));
    assert.notDeepEqual(plain(listed), plain(whole));
    // Reading the whole must not have put the images into what lists are made from.
    assert.deepEqual(await store.proposals(ACME, { limit: 10 }), [listed]);
  }

  test('a chain comes back whole, with what each step and transaction changed', async ({
    store,
    reopen,
    ledger,
  }) => {
    const assessment = chainAssessmentOf(5);
    for (const [step, entry] of chainEntries(assessment).entries()) {
      await committed(store, goOn(id, step, [entry]));
    }
    assert.deepEqual((await store.proposal(ACME, id))?.assessment, assessment);
    const { proposals } = await committed(store, goOn(id, 4, [chainOutcome(4)]));
    const reopened = await reopen();
    const proposal = await reopened.proposal(ACME, id);
    assert.deepEqual(proposal, proposals[0]);
    assert.deepEqual(proposal?.assessment, assessment);
    assert.deepEqual(
      proposal.outcome?.segments?.map(({ effects }) => effects),
      [rowsFrom(7, 4), null],
    );
    await assertFold(reopened, ACME, ledger);
  });

  test('a newer plan of a chain replaces the older, whatever its steps', async ({
    store,
    reopen,
    ledger,
  }) => {
    const plans = [
      chainAssessmentOf(5),
      stepsAssessmentOf(3),
      assessmentOf(),
      chainAssessmentOf(2),
    ];
    await committed(store, goOn(id, 0, [proposalEntry()]));
    let [step, attempt] = [1, 0];
    for (const assessment of plans) {
      attempt += 1;
      const preview = { type: 'preview', assessment } as const;
      const entries = [preview, decisionEntry('allow'), intentEntry(attempt, assessment)];
      await committed(store, goOn(id, step, entries));
      assert.deepEqual((await store.proposal(ACME, id))?.assessment, assessment);
      await committed(store, goOn(id, step + 3, [outcomeEntry('stale', { attempt })]));
      step += 4;
    }
    const reopened = await reopen();
    assert.deepEqual((await reopened.proposal(ACME, id))?.assessment, plans.at(-1));
    await assertFold(reopened, ACME, ledger);
  });

  test('a list leaves the effects of steps and transactions out, and nothing else', async ({
    store,
    reopen,
  }) => {
    await committed(store, goOn(id, 0, [...chainEntries(chainAssessmentOf(5)), chainOutcome(4)]));
    await assertListed(store);
    await assertListed(await reopen());
  });

  test('a plan of a chain that was taken back leaves no effects behind', async ({ store }) => {
    const stale = [...chainEntries(chainAssessmentOf(2)), outcomeEntry('stale')];
    await committed(store, goOn(id, 0, stale));
    const preview = { type: 'preview', assessment: chainAssessmentOf(9) } as const;
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
    assert.deepEqual((await store.proposal(ACME, id))?.assessment, chainAssessmentOf(2));
  });
}
