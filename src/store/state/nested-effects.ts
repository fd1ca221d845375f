/** The effects of a chain's steps and segments: where they are in a record, out and in again. */
import { strict as assert } from 'node:assert';
import type { Effect, Plan } from '../../model/plan.ts';
import type { Proposal } from '../../model/proposal.ts';

/** Of a proposal's effects: those it would have, or those it had. */
export type EffectSide = 'plan' | 'outcome';
export const EFFECT_SIDES: readonly EffectSide[] = ['plan', 'outcome'];

/** One list for each step and segment that has one, in the order of `mapNested`. */
export type EffectLists = readonly (readonly Effect[])[];

type ChangeEffects = (effects: readonly Effect[]) => readonly Effect[];

/** The lists of steps and segments; the list of the whole is not among them. */
export function nestedEffects(proposal: Proposal, side: EffectSide): EffectLists {
  const lists: (readonly Effect[])[] = [];
  mapNested(proposal, side, (effects) => {
    lists.push(effects);
    return effects;
  });
  return lists;
}

/** With `[]` in place of the effects of steps and segments. */
export function withoutNested(proposal: Proposal): Proposal {
  return EFFECT_SIDES.reduce((left, side) => mapNested(left, side, () => []), proposal);
}

/** With the lists that `nestedEffects` took from it in their places. */
export function withNested(proposal: Proposal, side: EffectSide, lists: EffectLists): Proposal {
  let next = 0;
  const whole = mapNested(proposal, side, () => {
    const effects = lists[next];
    assert(effects !== undefined, 'every step and segment has its list');
    next += 1;
    return effects;
  });
  assert(next === lists.length, 'every list has its step or segment');
  return whole;
}

/** A proposal that is no chain comes back as it is. */
function mapNested(proposal: Proposal, side: EffectSide, change: ChangeEffects): Proposal {
  const { assessment, outcome } = proposal;
  if (side === 'plan') {
    const plan = assessment && mapParts(assessment.plan, change);
    if (plan === null || plan === assessment?.plan) return proposal;
    return { ...proposal, assessment: assessment && { ...assessment, plan } };
  }
  if (outcome?.segments === undefined) return proposal;
  // Null says that the plan's effects are the outcome's too, and stays.
  const segments = outcome.segments.map((each) =>
    each.effects === null ? each : { ...each, effects: change(each.effects) },
  );
  return { ...proposal, outcome: { ...outcome, segments } };
}

/** Steps before segments, each before its own; the plan's own list stays. */
function mapParts(plan: Plan, change: ChangeEffects): Plan {
  const { steps, segments } = plan;
  if (steps === undefined && segments === undefined) return plan;
  const changed = <Part extends { readonly plan: Plan }>(part: Part): Part => {
    const own = { ...part.plan, effects: change(part.plan.effects) };
    return { ...part, plan: mapParts(own, change) };
  };
  return {
    ...plan,
    ...(steps && { steps: steps.map(changed) }),
    ...(segments && { segments: segments.map(changed) }),
  };
}
