import { CHAIN_OPERATION, type DraftStep } from '../model/draft.ts';
import { segmentKey, type ProposalId, type WriteKey } from '../model/ids.ts';
import type { Plan } from '../model/plan.ts';
import type { PlanRequest, StepRequest, Target } from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';

/** What one transaction of a chain carries out: steps in a row on one target. */
export interface Segment {
  /** From 1. */
  readonly number: number;
  readonly target: Target;
  readonly steps: readonly DraftStep[];
  /** How many steps of the chain come before it. */
  readonly from: number;
}

/**
 * Cuts a chain into as few transactions as its targets allow. What was planned once stays cut as it
 * was: its keys count the segments. Undefined where a target is no longer configured.
 */
export function segmentsOf(
  { draft, assessment }: Proposal,
  steps: readonly DraftStep[],
  find: (name: string) => Target | undefined,
): readonly Segment[] | undefined {
  const lengths =
    cutOf(assessment?.plan, steps.length) ??
    cut(steps, (target) => draft.compensates === undefined && find(target)?.steps === true);
  const segments: Segment[] = [];
  let from = 0;
  for (const length of lengths) {
    const part = steps.slice(from, from + length);
    const target = find(part[0]?.target ?? '');
    if (target === undefined) return undefined;
    segments.push({ number: segments.length + 1, target, steps: part, from });
    from += length;
  }
  return segments;
}

function cutOf(plan: Plan | undefined, steps: number): readonly number[] | undefined {
  if (plan?.segments !== undefined) return plan.segments.map(({ stepCount }) => stepCount);
  return plan?.steps === undefined ? undefined : [steps];
}

function cut(steps: readonly DraftStep[], isAtomic: (target: string) => boolean): number[] {
  const lengths: number[] = [];
  let last: string | undefined;
  for (const { target } of steps) {
    const end = lengths.length - 1;
    if (target === last && isAtomic(target)) lengths[end] = (lengths[end] ?? 0) + 1;
    else lengths.push(1);
    last = target;
  }
  return lengths;
}

/** The operation that a segment has in its plan and for its digest. */
export function operationOf({ steps }: Segment): string {
  const [only] = steps;
  return only !== undefined && steps.length === 1 ? only.operation : CHAIN_OPERATION;
}

/** What dedups a segment, or its being taken back. */
export function keyOf(id: ProposalId, segment: Segment, way: 'there' | 'back'): WriteKey {
  return segmentKey(id, segment.number, way);
}

/** What the target of a segment is asked, out of what is asked of the whole chain. */
export function segmentRequest(whole: PlanRequest, segment: Segment): PlanRequest {
  const { from, steps, number } = segment;
  const asked: readonly StepRequest[] =
    whole.steps?.slice(from, from + steps.length) ??
    steps.map((step) => ({
      operation: step.operation,
      arguments: step.arguments,
      permits: whole.permits,
    }));
  const [first] = asked;
  if (first === undefined) throw new Error(`segment ${number} of ${whole.proposalId} has no step`);
  // Lines bound the sum of steps that they concern: of one operation they are the same lines.
  const isOne = asked.every(({ operation }) => operation === first.operation);
  return {
    proposalId: whole.proposalId,
    operation: first.operation,
    arguments: first.arguments,
    permits: first.permits,
    ...(isOne && first.recordsMax !== undefined ? { recordsMax: first.recordsMax } : {}),
    ...(asked.length > 1 ? { steps: asked } : {}),
    ...checksOf(asked),
    ...(whole.proposer === undefined ? {} : { proposer: whole.proposer }),
    compensated: whole.compensated?.segments?.[number - 1] ?? null,
  };
}

/** The checks of all the steps of one transaction, each once. */
function checksOf(steps: readonly StepRequest[]): Pick<PlanRequest, 'checks'> {
  const all = steps.flatMap((step) => step.checks ?? []);
  const checks = new Map(all.map((check) => [check.name, check]));
  return checks.size === 0 ? {} : { checks: [...checks.values()] };
}

/** `step 2 of 5`, or `steps 2 to 4 of 5`. */
export function stepsText({ from, steps }: Segment, total: number): string {
  const last = from + steps.length;
  return steps.length === 1
    ? `step ${last} of ${total}`
    : `steps ${from + 1} to ${last} of ${total}`;
}
