import { measure, planDigest, type Assessment, type Plan, type Risk } from '../model/plan.ts';
import type { BlastRadius } from '../model/plan.ts';
import type {
  Clock,
  Held,
  HoldRequest,
  PlanAnswer,
  PlanRequest,
  TargetRefusal,
} from '../model/ports.ts';

import type { Carrier } from './carrier.ts';

/** Scores a measured plan of a target; `policy/stages/risk.ts` is the production one. */
export type Score = (plan: Plan, blastRadius: BlastRadius, target: string) => Risk;

/**
 * Has the target plan the write without leaving a change, and measures and scores the plan.
 *
 * A crash here leaves nothing: the connector's preview is taken back by the target itself.
 * A throw out of the connector is a target that could not be measured: refused, not allowed.
 */
export async function assess(
  ports: { readonly target: Carrier; readonly clock: Clock },
  request: PlanRequest,
  score: Score,
  signal: AbortSignal,
): Promise<{ readonly kind: 'assessed'; readonly assessment: Assessment } | TargetRefusal> {
  const answer = await orUnmeasured(ports.target, ports.target.plan(request, signal));
  if (answer.kind === 'refused') return answer;
  return { kind: 'assessed', assessment: assessed(ports, request, answer.plan, score) };
}

/**
 * As `assess`, for a fresh proposal: the measured transaction stays open where the target can hold
 * it, and whoever calls must end it, on every way out. `held` is null where it cannot.
 *
 * A crash here leaves nothing: the target takes back what nobody holds any more.
 */
export async function assessHeld(
  ports: { readonly target: Carrier; readonly clock: Clock },
  request: HoldRequest,
  score: Score,
  signal: AbortSignal,
): Promise<AssessedHeld | TargetRefusal> {
  const { target } = ports;
  const held =
    target.hold === undefined ? null : await orUnmeasured(target, target.hold(request, signal));
  if (held === null) {
    const measured = await assess(ports, request, score, signal);
    return measured.kind === 'refused' ? measured : { ...measured, held };
  }
  if (held.kind === 'refused') return held;
  try {
    return { kind: 'assessed', assessment: assessed(ports, request, held.plan, score), held };
  } catch (error) {
    await held.release();
    throw error;
  }
}

export interface AssessedHeld {
  readonly kind: 'assessed';
  readonly assessment: Assessment;
  readonly held: Held | null;
}

function orUnmeasured<Answer extends PlanAnswer | Held | TargetRefusal | null>(
  target: Carrier,
  answer: Promise<Answer>,
): Promise<Answer | TargetRefusal> {
  return answer.catch((): TargetRefusal => ({
    kind: 'refused',
    code: 'effect-unmeasurable',
    reason: `the effect could not be measured on \`${target.name}\``,
    permanent: false,
    span: null,
    conflicts: [],
  }));
}

function assessed(
  { target, clock }: { readonly target: Carrier; readonly clock: Clock },
  { operation }: PlanRequest,
  plan: Plan,
  score: Score,
): Assessment {
  return assessmentOf(target.name, operation, plan, score, clock.now());
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
    risk: riskOf(target, plan, score),
    assessedAt: now,
  };
}

/** Scores a plan; a chain is at least as risky as the riskiest of its segments. Pure. */
export function riskOf(target: string, plan: Plan, score: Score): Risk {
  const parts = (plan.segments ?? []).map((part) =>
    score(part.plan, measure(part.plan), part.target),
  );
  return parts.reduce(
    (most, risk) => (risk.score > most.score ? risk : most),
    score(plan, measure(plan), target),
  );
}
