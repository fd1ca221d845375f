import type { Draft, DraftStep } from '../model/draft.ts';
import type { Plan } from '../model/plan.ts';

/** A write as it was measured: the only one, or a step of a chain. */
export interface MeasuredStep extends DraftStep {
  readonly plan: Plan;
  /** Which transaction of the chain carries it out, from 0; 0 of a write that is no chain. */
  readonly segment: number;
}

/**
 * Puts each step of a draft beside its plan. Where one plan stands for several, as that of an inverse
 * does, they share it.
 */
export function measuredSteps(draft: Draft, plan: Plan): readonly MeasuredStep[] {
  const { steps } = draft;
  if (steps === undefined) return [placed(draft, plan, 0)];
  let from = 0;
  return (plan.segments ?? [{ plan, stepCount: steps.length }]).flatMap((part, segment) => {
    const own = steps.slice(from, from + part.stepCount);
    from += part.stepCount;
    return own.map((step, place) => placed(step, planAt(part.plan, place), segment));
  });
}

/** The checks are those of the whole transaction: they were asked after its last step. */
function planAt(whole: Plan, place: number): Plan {
  const own = whole.steps?.[place]?.plan;
  if (own === undefined) return whole;
  return whole.checks === undefined ? own : { ...own, checks: whole.checks };
}

function placed(step: DraftStep, plan: Plan, segment: number): MeasuredStep {
  const { target, operation, arguments: given } = step;
  return { target, operation, arguments: given, plan, segment };
}
