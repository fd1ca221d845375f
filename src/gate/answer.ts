import type { ProposalSummary, ProposalView } from '../model/api.ts';
import { isDenial } from '../model/codes.ts';
import type { Decision } from '../model/decision.ts';
import type { Assessment, PlanDifference } from '../model/plan.ts';
import type { Store, TargetRefusal } from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';
import type { Next, Receipt, Result } from '../model/result.ts';

/** How long a caller is asked to leave a waiting proposal, or a target that is away, alone. */
const RETRY_AFTER_MS = { waiting: 5_000, target: 5_000, doubt: 2_000 } as const;

export interface Links {
  /** Where a person looks at a proposal; null while the gateway has no address. */
  readonly human: (proposalId: string) => string | null;
}

/** Turns a proposal as it is now into what its agent is told; reads the receipt's leaf hash. */
export async function answer(
  store: Store,
  links: Links,
  proposal: Proposal,
  how: { readonly replayed?: boolean; readonly drifted?: PlanDifference | null } = {},
): Promise<Result> {
  const common = {
    proposalId: proposal.id,
    links: { self: `/v1/proposals/${proposal.id}`, human: links.human(proposal.id) },
    headline: proposal.assessment?.plan.headline ?? null,
    planDigest: proposal.assessment?.planDigest ?? null,
    replayed: how.replayed ?? false,
    retryAfterMs: null,
  };
  if (how.drifted !== null && how.drifted !== undefined) {
    return {
      ...common,
      state: 'stale',
      code: 'plan-drifted',
      reason: `the target changed since the plan was made, nothing was written; ${how.drifted.sentence}`,
      next: proposal.state === 'waiting' ? 'wait' : 'none',
      difference: how.drifted,
    };
  }
  const spoken = { ...common, ...wording(proposal) };
  switch (proposal.state) {
    case 'applied':
      return {
        ...spoken,
        state: 'applied',
        receipt: await receipt(store, proposal),
        compensatedBy: proposal.compensatedBy,
      };
    case 'waiting':
      return {
        ...spoken,
        state: 'waiting',
        expiresAt: proposal.expiresAt ?? 0,
        difference: proposal.drift?.difference ?? null,
      };
    case 'denied':
      return { ...spoken, state: 'denied', duplicateOf: duplicateOf(proposal.decision) };
    case 'refused':
      return { ...spoken, state: 'refused', conflicts: proposal.outcome?.conflicts ?? [] };
    case 'stale':
      return proposal.drift === null
        ? { ...spoken, state: 'executing' }
        : { ...spoken, state: 'stale', difference: proposal.drift.difference };
    case 'proposed':
    case 'assessed':
    case 'allowed':
    case 'executing':
    case 'in_doubt':
    case 'expired':
    case 'cancelled':
      return { ...spoken, state: proposal.state };
  }
}

function duplicateOf(decision: Decision | null): string | null {
  return decision?.kind === 'deny' ? decision.duplicateOf : null;
}

/** Code, reason, next step and pause: the outcome's where there is one, else the decision's. */
function wording(
  proposal: Proposal,
): Pick<Result, 'code' | 'reason' | 'next'> & { retryAfterMs: number | null } {
  const { outcome, decision, state, compensatedBy } = proposal;
  if (state === 'applied' && compensatedBy !== null) {
    const reason = `it was committed once, and taken back since by ${compensatedBy}: its effect is not there any more; ask a person before you propose it again`;
    return { code: 'applied', reason, next: 'ask-human', retryAfterMs: null };
  }
  const isOutcome = outcome !== null && ['applied', 'refused', 'in_doubt', 'stale'].includes(state);
  if (isOutcome) {
    const next = outcomeNext(state, outcome.code);
    const pause = state === 'in_doubt' ? RETRY_AFTER_MS.doubt : RETRY_AFTER_MS.target;
    return {
      code: outcome.code,
      reason: outcome.reason,
      next,
      retryAfterMs: next === 'wait' ? pause : null,
    };
  }
  if (decision === null) {
    return { code: 'allowed', reason: 'being measured', next: 'wait', retryAfterMs: null };
  }
  const { next, retryAfterMs } = decisionNext(decision, state);
  return { code: decision.code, reason: decision.reason, next, retryAfterMs };
}

function outcomeNext(state: Proposal['state'], code: string): Next {
  if (state === 'applied') return 'none';
  if (code === 'chain-halted') return 'ask-human';
  if (state === 'in_doubt' || state === 'stale') return 'wait';
  switch (code) {
    case 'target-unavailable':
    case 'target-busy':
      return 'wait';
    case 'rollback-conflict':
    case 'rollback-impossible':
    case 'interrupted':
    case 'chain-compensated':
    case 'resolved-refused':
    case 'plan-drifted':
      return 'ask-human';
    case 'statement-timeout':
      return 'narrow';
    default:
      return 'fix-arguments';
  }
}

function decisionNext(
  decision: Decision,
  state: Proposal['state'],
): { next: Next; retryAfterMs: number | null } {
  const plain = (next: Next) => ({ next, retryAfterMs: null });
  if (state === 'waiting') return { next: 'wait', retryAfterMs: RETRY_AFTER_MS.waiting };
  if (state === 'cancelled' || state === 'expired') return plain('none');
  if (state !== 'denied') return plain('wait');
  switch (decision.code) {
    case 'frozen':
      return plain('stop-run');
    case 'limit-exceeded':
      return plain('narrow');
    case 'duplicate-write':
    case 'observed':
      return plain('none');
    case 'budget-exceeded': {
      const settling = decision.findings.find((finding) => finding.rule === decision.settledBy);
      if (settling?.retryAfterMs === undefined) return plain('narrow');
      return { next: 'wait', retryAfterMs: settling.retryAfterMs };
    }
    case 'unknown-target':
    case 'unknown-operation':
    case 'arguments-invalid':
    case 'statement-invalid':
    case 'statement-multiple':
    case 'statement-kind':
    case 'statement-function':
    case 'statement-relation':
    case 'statement-unsupported':
    case 'statement-too-large':
      return plain('fix-arguments');
    default:
      return plain('ask-human');
  }
}

async function receipt(store: Store, proposal: Proposal): Promise<Receipt> {
  const { outcome, assessment } = proposal;
  const entry = proposal.history.findLast((past) => past.type === 'outcome');
  if (outcome === null || assessment === null || entry === undefined) {
    throw new Error(`${proposal.id} is applied without an outcome`);
  }
  const leafHash = await store.leafHash(proposal.tenant, entry.index);
  return {
    proposalId: proposal.id,
    planDigest: assessment.planDigest,
    reference: outcome.reference ?? '',
    appliedAt: entry.at,
    ledgerIndex: entry.index,
    leafHash: leafHash ?? '',
    reversible: assessment.plan.reversibility.kind,
  };
}

/** What a preview says: the measured effect and how the policy would decide on it now. */
export function previewAnswer(assessment: Assessment | null, decision: Decision): Result {
  return {
    ...previewCommon(assessment),
    state: 'previewed',
    wouldBe: decision.kind,
    code: decision.kind === 'allow' ? 'previewed' : decision.code,
    reason:
      decision.kind === 'allow'
        ? `nothing was changed; proposed now, this would be applied at once (${decision.reason})`
        : `nothing was changed; proposed now, this would ${decision.kind === 'wait' ? 'wait for people' : 'be denied'}: ${decision.reason}`,
    next: decision.kind === 'deny' ? decisionNext(decision, 'denied').next : 'none',
  };
}

/** What a preview says where the target could not measure the write, or would not take it. */
export function refusedPreview(refusal: TargetRefusal): Result {
  const { code, reason, conflicts } = refusal;
  const spoken = { ...previewCommon(null), code, reason, next: outcomeNext('refused', code) };
  return isDenial(code)
    ? { ...spoken, state: 'denied', duplicateOf: null }
    : { ...spoken, state: 'refused', conflicts };
}

function previewCommon(assessment: Assessment | null) {
  return {
    proposalId: null,
    links: { self: null, human: null },
    headline: assessment?.plan.headline ?? null,
    planDigest: assessment?.planDigest ?? null,
    replayed: false,
    retryAfterMs: null,
  };
}

/** One line about a proposal. */
export function summaryOf(proposal: Proposal): ProposalSummary {
  return {
    id: proposal.id,
    state: proposal.state,
    agent: proposal.proposer.name,
    target: proposal.draft.target,
    operation: proposal.draft.operation,
    steps: proposal.draft.steps?.length ?? 1,
    headline: proposal.assessment?.plan.headline ?? null,
    planDigest: proposal.assessment?.planDigest ?? null,
    riskLevel: proposal.assessment?.risk.level ?? null,
    code: wording(proposal).code,
    proposedAt: proposal.proposedAt,
    expiresAt: proposal.state === 'waiting' ? proposal.expiresAt : null,
    compensates: proposal.draft.compensates ?? null,
    compensatedBy: proposal.compensatedBy,
  };
}

/** A proposal, whole, for those who may see it. */
export function viewOf(proposal: Proposal): ProposalView {
  return {
    ...summaryOf(proposal),
    environment: proposal.environment,
    arguments: proposal.draft.arguments,
    reason: proposal.draft.reason ?? null,
    run: proposal.draft.run ?? null,
    assessment: proposal.assessment,
    decision: proposal.decision,
    approvals: proposal.approvals,
    outcome: proposal.outcome,
    drift: proposal.drift,
    history: proposal.history,
  };
}
