import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plan, updates } from '../../test/cli/fixture.ts';
import { newEvidenceId } from '../model/ids.ts';
import type { Effect } from '../model/plan.ts';
import type { EvidenceFiles } from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';
import { rowsOf } from './rows.ts';

const NOW = Date.UTC(2026, 10, 20);
const ID = newEvidenceId(NOW - 1, new Uint8Array(10));
const MANY: readonly Effect[] = updates(2_500).map((row, at) =>
  at % 5 === 0 ? Object.assign(row, { kind: 'delete' as const }) : row,
);

/** Files in memory with this one, and how many of them are open. */
function files(
  rows: readonly Effect[] | undefined,
): EvidenceFiles & { readonly opened: () => number } {
  let opened = 0;
  return {
    create: () => Promise.reject(new Error('nothing is written here')),
    remove: () => Promise.resolve(),
    open: async () => {
      if (rows === undefined) return undefined;
      opened += 1;
      return {
        rows: rows.length,
        page: async (from, limit) => rows.slice(from, from + limit),
        async *batches() {
          for (let at = 0; at < rows.length; at += 700) yield rows.slice(at, at + 700);
        },
        close: async () => void (opened -= 1),
      };
    },
    opened: () => opened,
  };
}

/** A proposal as far as its rows go. */
function proposal(
  planned: ReturnType<typeof plan>,
  outcome: Partial<NonNullable<Proposal['outcome']>> | null = null,
): Proposal {
  const state = outcome === null ? 'waiting' : 'applied';
  return { state, assessment: { plan: planned }, outcome } as unknown as Proposal;
}

const LARGE = plan({
  effects: MANY.slice(0, 1_000),
  effectsOmitted: 1_500,
  evidence: { id: ID, rows: 2_500, bytes: 1 },
});

test('every row of a plan that has them all is given, page by page', async () => {
  const small = proposal(plan({ effects: MANY.slice(0, 250) }));
  const first = await rowsOf(undefined, small, {}, NOW);
  assert.deepEqual([first.items.length, first.total, first.left], [100, 250, 150]);
  const last = await rowsOf(undefined, small, { from: 200, limit: 100 }, NOW);
  assert.deepEqual(last.items, MANY.slice(200, 250));
  assert.deepEqual([last.left, last.as, last.missing], [0, 'planned', null]);
});

test('rows that are too many for the plan come out of its evidence, and it is closed again', async () => {
  const evidence = files(MANY);
  const rows: Effect[] = [];
  for (let from = 0; from < 2_500; from += 1_000) {
    const page = await rowsOf(evidence, proposal(LARGE), { from, limit: 5_000 }, NOW);
    assert.ok(page.items.length <= 1_000, 'a page is bounded whatever was asked for');
    assert.equal(page.total, 2_500);
    assert.equal(page.left, Math.max(2_500 - from - 1_000, 0));
    rows.push(...page.items);
  }
  assert.deepEqual(rows, MANY);
  assert.equal(evidence.opened(), 0);
});

test('rows of one kind or resource are counted and paged among themselves', async () => {
  const deletes = MANY.filter(({ kind }) => kind === 'delete');
  const query = { kind: 'delete', from: 450, limit: 40 } as const;
  const page = await rowsOf(files(MANY), proposal(LARGE), query, NOW);
  assert.deepEqual(page.items, deletes.slice(450, 490));
  assert.deepEqual([page.total, page.left], [500, 10]);
  const none = await rowsOf(files(MANY), proposal(LARGE), { resource: 'public.elsewhere' }, NOW);
  assert.deepEqual([none.items, none.total, none.left], [[], 0, 0]);
});

test('where the evidence is gone, what the plan holds is given, and what is missing is said', async () => {
  const page = await rowsOf(files(undefined), proposal(LARGE), { from: 990 }, NOW);
  assert.deepEqual(page.items, MANY.slice(990, 1_000));
  assert.deepEqual([page.total, page.left, page.missing?.rows], [1_000, 0, 1_500]);
  assert.match(page.missing?.reason ?? '', /missing before its 30 days/);
  const applied = proposal(LARGE, {});
  const reason = async (now: number, of = applied) =>
    (await rowsOf(files(undefined), of, {}, now)).missing?.reason ?? '';
  assert.match(await reason(NOW), /missing before its 30 days are over; put it back/);
  assert.match(
    await reason(NOW + 30 * 86_400_000),
    /were removed, as images are kept for 30 days$/,
  );
  const denied: Proposal = { ...applied, state: 'denied', outcome: null };
  assert.match(
    await reason(NOW, denied),
    /were removed, as those of a write that was not applied$/,
  );
  const never = proposal(plan({ effects: updates(3), effectsOmitted: 7 }));
  const short = await rowsOf(undefined, never, {}, NOW);
  assert.equal(short.missing?.rows, 7);
  assert.match(short.missing?.reason ?? '', /were not kept/);
});

test('what was applied is shown as it was applied', async () => {
  const [planned, applied] = [updates(1), updates(2).slice(1)];
  const page = await rowsOf(
    undefined,
    proposal(plan({ effects: planned }), { effects: applied }),
    {},
    NOW,
  );
  assert.deepEqual([page.items, page.as], [applied, 'applied']);
});

test('a proposal that was never measured has no rows', async () => {
  const unmeasured = { state: 'denied', assessment: null, outcome: null } as unknown as Proposal;
  const page = await rowsOf(undefined, unmeasured, {}, NOW);
  assert.deepEqual([page.items, page.total, page.missing], [[], 0, null]);
});
