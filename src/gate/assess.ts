import { measure, planDigest, type Assessment, type Plan, type Risk } from '../model/plan.ts';
import type { BlastRadius } from '../model/plan.ts';
import type { Clock, PlanRequest, Target, TargetRefusal } from '../model/ports.ts';

/** Scores a measured plan; `policy/risk.ts` is the production one. */
export type Score = (plan: Plan, blastRadius: BlastRadius) => Risk;

/**
 * Has the target plan the write without leaving a change, and measures and scores the plan.
 *
 * A crash here leaves nothing: the connector's preview is taken back by the target itself.
 * A throw out of the connector is a target that could not be measured: refused, not allowed.
 */
export async function assess(
  ports: { readonly target: Target; readonly clock: Clock },
  request: PlanRequest,
  score: Score,
  signal: AbortSignal,
): Promise<{ readonly kind: 'assessed'; readonly assessment: Assessment } | TargetRefusal> {
  const answer = await ports.target.plan(request, signal).catch((): TargetRefusal => ({
    kind: 'refused',
    code: 'effect-unmeasurable',
    reason: `the effect could not be measured on \`${ports.target.name}\``,
    permanent: false,
    span: null,
    conflicts: [],
  }));
  if (answer.kind === 'refused') return answer;
  return {
    kind: 'assessed',
    assessment: assessmentOf(
      ports.target.name,
      request.operation,
      answer.plan,
      score,
      ports.clock.now(),
    ),
  };
}

/** Puts digest, blast radius and risk beside a plan. Pure. */
export function assessmentOf(
  target: string,
  operation: string,
  plan: Plan,
  score: Score,
  now: number,
): Assessment {
  const blastRadius = measure(plan);
  return {
    plan,
    planDigest: planDigest(target, operation, plan),
    blastRadius,
    risk: score(plan, blastRadius),
    assessedAt: now,
  };
}
