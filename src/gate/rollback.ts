import { chained, type Draft } from '../model/draft.ts';
import type { AppliedSegment } from '../model/entry.ts';
import type { ProposalId, TenantId } from '../model/ids.ts';
import type { Plan } from '../model/plan.ts';
import type { Compensated, Store } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import type { Proposal } from '../model/proposal.ts';

/**
 * Makes the draft that takes an applied proposal back; it goes through the same door as any other.
 * Throws `not-compensable` where there is nothing to take back, or no way.
 */
export function inverseDraft(proposal: Proposal): Draft {
  const refuse = (why: string): Problem => new Problem('not-compensable', why);
  if (proposal.state !== 'applied' || proposal.assessment === null) {
    throw refuse(`only an applied proposal can be taken back; ${proposal.id} is ${proposal.state}`);
  }
  if (proposal.compensatedBy !== null) {
    throw refuse(`${proposal.id} was taken back already, by ${proposal.compensatedBy}`);
  }
  const { reversibility } = proposal.assessment.plan;
  if (reversibility.kind === 'one-way') {
    throw refuse(`${proposal.id} is one-way: ${reversibility.reason}`);
  }
  const segments = proposal.assessment.plan.segments?.map(({ target, operation }, index) => ({
    target,
    operation,
    arguments: { compensates: proposal.id, segment: index + 1 },
  }));
  return {
    target: proposal.draft.target,
    operation: proposal.draft.operation,
    arguments: { compensates: proposal.id },
    // The inverse of one transaction is one, whatever steps it had.
    ...(segments === undefined ? {} : chained(segments.toReversed())),
    reason: `rollback of ${proposal.id}`,
    idempotencyKey: undefined,
    run: proposal.draft.run,
    compensates: proposal.id,
  };
}

/** Reads what a compensation takes back: the plan and the effects as they were applied. */
export async function compensatedBy(
  store: Store,
  tenant: TenantId,
  draft: { readonly compensates: ProposalId | undefined },
): Promise<Compensated | null> {
  if (draft.compensates === undefined) return null;
  const original = await store.proposal(tenant, draft.compensates);
  const plan = original?.assessment?.plan;
  if (original === undefined || plan === undefined) {
    throw new Problem('proposal-unknown', `there is no proposal \`${draft.compensates}\``);
  }
  const whole = appliedOf(original.id, plan, original.outcome);
  const segments = plan.segments?.map((segment, index) =>
    appliedOf(original.id, segment.plan, original.outcome?.segments?.[index]),
  );
  return segments === undefined ? whole : { ...whole, segments: segments.toReversed() };
}

/** As planned, where nothing says how it was applied. */
function appliedOf(
  proposalId: ProposalId,
  plan: Plan,
  applied: Pick<AppliedSegment, 'effects' | 'evidence'> | null | undefined,
): Compensated {
  return {
    proposalId,
    plan,
    effects: applied?.effects ?? plan.effects,
    evidence: applied?.evidence ?? plan.evidence,
  };
}
