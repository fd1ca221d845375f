import type { OutcomeEntry } from '../model/entry.ts';
import type { Proposal } from '../model/proposal.ts';

/** What an outcome always says; the rest is null where it does not apply. */
type Said = Pick<OutcomeEntry, 'status' | 'code' | 'reason'> & Partial<OutcomeEntry>;

/** Writes down how the present attempt of a proposal ended. */
export function outcomeOf(
  proposal: Proposal,
  resolved: OutcomeEntry['resolved'],
  said: Said,
): OutcomeEntry {
  return {
    resolved,
    attempt: proposal.attempt,
    planDigest: null,
    reference: null,
    effects: null,
    evidence: null,
    difference: null,
    conflicts: [],
    ...said,
    type: 'outcome',
  };
}

/** It took effect, with exactly the plan that was decided on; however that was learnt. */
export function appliedOutcome(
  proposal: Proposal,
  resolved: OutcomeEntry['resolved'],
  applied: Pick<OutcomeEntry, 'reference' | 'effects' | 'evidence' | 'segments'>,
): OutcomeEntry {
  return outcomeOf(proposal, resolved, {
    status: 'applied',
    code: 'applied',
    reason: 'the effect that was decided on was committed, once',
    planDigest: proposal.assessment?.planDigest ?? null,
    reference: applied.reference,
    effects: applied.effects,
    evidence: applied.evidence,
    ...(applied.segments === undefined ? {} : { segments: applied.segments }),
  });
}
