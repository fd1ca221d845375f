/** What the record of a proposal says of how it was decided, and when what was kept of it happened. */
import type { Decision } from '../../model/decision.ts';
import { isWithoutEffect } from '../../model/lifecycle.ts';
import type { Proposal } from '../../model/proposal.ts';
import type { ReplayVerdict } from '../../model/replay.ts';

/** Codes of decisions that ended a wait otherwise than by the policy. */
const ENDED = new Set(['expired', 'cancelled']);

/** What the policy said before people were heard; of a wait that ran out, that it waited. */
export function recordedVerdict(decision: Decision): ReplayVerdict {
  if (decision.code === 'observed') return 'observed';
  const isWait = decision.findings.some(({ verdict }) => verdict === 'wait');
  switch (decision.kind) {
    case 'wait':
      return 'wait';
    case 'allow':
      return decision.code === 'approved' ? 'wait' : 'allow';
    case 'deny':
      if (decision.settledBy === 'approval.person') return 'wait';
      return ENDED.has(decision.code) && isWait ? 'wait' : 'deny';
  }
}

/** One thing that happened to a proposal, in its place in the ledger, which is the order of all. */
export interface Moment {
  readonly kind: 'begun' | 'decided' | 'ended';
  readonly id: Proposal['id'];
  readonly index: number;
  readonly at: number;
  /** Of `decided`: whether no later one follows. */
  readonly isLast: boolean;
}

/**
 * Returns the moments of a proposal that a replay goes through: that it was begun, each time that the
 * policy decided on the plan that it has now, and that it ended.
 */
export function momentsOf(proposal: Proposal): readonly Moment[] {
  const { id, history, decision, state } = proposal;
  const [first] = history;
  if (first === undefined) return [];
  const previewAt = history.findLastIndex(({ type }) => type === 'preview');
  const decisions = history.slice(previewAt + 1).filter(({ type }) => type === 'decision');
  const isEnded = decision !== null && ENDED.has(decision.code);
  const byPolicy = isEnded && decisions.length > 1 ? decisions.slice(0, -1) : decisions;
  const last = byPolicy.at(-1);
  const end = isWithoutEffect(state) || state === 'applied' ? lastChange(proposal) : undefined;
  return [
    { kind: 'begun', id, index: first.index, at: first.at, isLast: false },
    ...byPolicy.map(({ index, at }) => {
      const isLast = index === last?.index;
      return {
        kind: 'decided' as const,
        id,
        index,
        at: isLast ? decidedAt(proposal, at) : at,
        isLast,
      };
    }),
    ...(end === undefined ? [] : [{ kind: 'ended' as const, id, ...end, isLast: true }]),
  ];
}

/** The decision's own instant is what its rules saw; the entry came into the ledger a little later. */
function decidedAt({ decision }: Proposal, at: number): number {
  return decision === null || ENDED.has(decision.code) ? at : decision.decidedAt;
}

/** The entry that ended it: what comes after is a link alone. */
function lastChange({
  history,
}: Proposal): { readonly index: number; readonly at: number } | undefined {
  const entry = history.findLast(({ type }) => type === 'outcome' || type === 'decision');
  return entry && { index: entry.index, at: entry.at };
}

/** Why the record alone settles it, whatever the policy; null where a policy has to be asked. */
export function settledApart(proposal: Proposal): 'stop' | 'connector' | null {
  const { decision, assessment } = proposal;
  if (decision === null) return null;
  if (decision.kind === 'deny' && decision.findings.some(({ stage }) => stage === 'freeze')) {
    return 'stop';
  }
  const isConnector = assessment === null && decision.settledBy.startsWith('connector.');
  return isConnector && !POLICY_CODES.has(decision.code) ? 'connector' : null;
}

/** What a connector refuses because the policy says so. */
const POLICY_CODES: ReadonlySet<string> = new Set(['not-permitted', 'limit-exceeded']);

/** Why nothing can be said of a proposal that was never measured. */
export function unmeasuredReason({ decision, outcome }: Proposal): string {
  const code = decision?.code ?? outcome?.code ?? 'unknown';
  const isTarget = decision === null && outcome !== null;
  return isTarget
    ? `the target refused it before it was decided on (${code})`
    : `nothing was measured: it was denied before (${code})`;
}
