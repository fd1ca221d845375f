import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeClock } from '../../test/support/fakes.ts';
import { need } from '../../test/support/gate.ts';
import { EVIDENCE_DAYS } from '../model/evidence.ts';
import { newEvidenceId, newProposalId, tenantId, type EvidenceId } from '../model/ids.ts';
import type { State } from '../model/lifecycle.ts';
import type { EvidenceReference } from '../model/plan.ts';
import type { Proposal } from '../model/proposal.ts';
import type { EvidenceFile, EvidenceFolder } from '../store/evidence-files.ts';
import { sweepEvidence } from './evidence-sweep.ts';

const HOUR_MS = 3_600_000;
const TENANT = need(tenantId('acme'));
const PROPOSAL = newProposalId(1, new Uint8Array(10));
const MINE = newEvidenceId(1, new Uint8Array(10));
const EARLIER = newEvidenceId(2, new Uint8Array(10));
const LATER = newEvidenceId(3, new Uint8Array(10));

function evidenceOf(id: EvidenceId): EvidenceReference {
  return { id, rows: 1, bytes: 1 };
}

/** What is left of one file of the proposal in this state, so old. */
async function isKept(
  state: State | undefined,
  ageMs: number,
  id: EvidenceId = MINE,
  owner: EvidenceFile['owner'] = PROPOSAL,
  about: object = { outcome: { evidence: evidenceOf(MINE) }, assessment: null },
): Promise<boolean> {
  const clock = fakeClock();
  const file = { id, owner, createdAt: clock.now() - ageMs };
  const removed: EvidenceId[] = [];
  const evidence: Pick<EvidenceFolder, 'list' | 'remove' | 'removeUnfinished'> = {
    removeUnfinished: async (before) => assert.equal(before, clock.now() - HOUR_MS),
    list: async () => [file],
    remove: async (gone) => void removed.push(gone),
  };
  await sweepEvidence({
    store: {
      // The sweep looks at these two members alone.
      proposal: async () => state && ({ state, ...about } as unknown as Proposal),
    },
    clock,
    tenant: TENANT,
    evidence: evidence as EvidenceFolder,
  });
  return removed.length === 0;
}

test('evidence is kept while its proposal is open, and as long as an applied one can be taken back', async () => {
  for (const state of ['waiting', 'executing', 'in_doubt', 'stale'] as const) {
    assert.equal(await isKept(state, 90 * 24 * HOUR_MS), true, state);
  }
  assert.equal(await isKept('applied', (EVIDENCE_DAYS * 24 - 1) * HOUR_MS), true);
  assert.equal(await isKept('applied', EVIDENCE_DAYS * 24 * HOUR_MS), false);
});

test('evidence of what was not applied, of an earlier plan and of nothing goes after an hour', async () => {
  for (const state of ['denied', 'refused', 'expired', 'cancelled', undefined] as const) {
    assert.equal(await isKept(state, 2 * HOUR_MS), false, state);
    assert.equal(await isKept(state, HOUR_MS / 2), true, 'it may not be committed yet');
  }
  assert.equal(await isKept('applied', 2 * HOUR_MS, EARLIER), false);
});

test('evidence of each segment of a chain is kept, also where only a person said that it was applied', async () => {
  const plan = { segments: [MINE, EARLIER].map((id) => ({ plan: { evidence: evidenceOf(id) } })) };
  const assessment = { plan: { ...plan, evidence: null } };
  const at = (id: EvidenceId, outcome: object) =>
    isKept('applied', 2 * HOUR_MS, id, PROPOSAL, { assessment, outcome });
  const resolved = { evidence: null };
  assert.deepEqual([await at(MINE, resolved), await at(EARLIER, resolved)], [true, true]);
  // What was applied stands in for what was planned, where it says so.
  const applied = {
    evidence: null,
    segments: [{ evidence: evidenceOf(LATER) }, { evidence: null }],
  };
  assert.deepEqual(
    [await at(MINE, applied), await at(EARLIER, applied), await at(LATER, applied)],
    [false, true, true],
  );
  assert.equal(await at(newEvidenceId(4, new Uint8Array(10)), resolved), false);
});

test('where nobody said whose it is, its age alone decides', async () => {
  assert.equal(await isKept(undefined, 2 * HOUR_MS, MINE, null), true);
  assert.equal(await isKept(undefined, EVIDENCE_DAYS * 24 * HOUR_MS, MINE, null), false);
});
