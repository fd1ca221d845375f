/** Steps of a chain that have one effect: what single writes are denied, a chain is not let do. Pure. */
import type { Digest } from '../../lib/canonical.ts';
import type { Finding } from '../../model/decision.ts';
import { effectKey, type Plan } from '../../model/plan.ts';
import type { Policy } from '../../model/policy.ts';
import { isRepeatable } from '../evaluate.ts';
import type { PolicyFacts } from './write.ts';

/**
 * Denies each step that has the measured effect of an earlier one and may not repeat, as the second of
 * two single writes would be denied. A plan that stands for several steps is no repetition.
 */
export function repeatedFindings(policy: Policy, steps: readonly PolicyFacts[]): Finding[] {
  if (steps.length === 1) return [];
  const had = new Map<Digest, { readonly plan: Plan; readonly number: number }>();
  return steps.flatMap((facts, index): Finding[] => {
    const key = keyOf(policy, facts);
    if (key === null) return [];
    const number = index + 1;
    const first = had.get(key);
    if (first === undefined) had.set(key, { plan: facts.plan, number });
    if (first === undefined || first.plan === facts.plan) return [];
    const reason = `step ${number} has the same measured effect as step ${first.number}; leave one of them out, or have the operation listed as repeatable`;
    const rule = 'duplicates.window';
    return [{ stage: 'duplicate', verdict: 'deny', rule, code: 'duplicate-write', reason }];
  });
}

/** What the effect is known by; null where it may be had twice. */
function keyOf(policy: Policy, facts: PolicyFacts): Digest | null {
  const { principal, environment, target, operation, plan, compensation } = facts;
  if (compensation) return null;
  const isFree = isRepeatable(policy, { agent: principal.name, environment, target, operation });
  return isFree ? null : effectKey(target, plan);
}
