import type { BudgetRule, Limit, Policy, Threshold } from '../../model/policy.ts';
import { candidatesOf } from './candidates.ts';
import { concerns, writeOf, type PolicyFacts } from './write.ts';

/** Returns the limits that concern the write. */
export function limitsOf(policy: Policy, facts: PolicyFacts): readonly Limit[] {
  const write = writeOf(facts);
  return candidatesOf(policy, write.subject).limits.filter((each) => concerns(each.match, write));
}

/** As `limitsOf`, the thresholds. */
export function thresholdsOf(policy: Policy, facts: PolicyFacts): readonly Threshold[] {
  const write = writeOf(facts);
  const { thresholds } = candidatesOf(policy, write.subject);
  return thresholds.filter((each) => concerns(each.match, write));
}

/** As `limitsOf`, the budgets. */
export function budgetsOf(policy: Policy, facts: PolicyFacts): readonly BudgetRule[] {
  const write = writeOf(facts);
  return candidatesOf(policy, write.subject).budgets.filter((each) => concerns(each.match, write));
}

/** Returns the currency whose value a budget counts; undefined where it counts something else. */
export function currencyOf(rule: BudgetRule): string | undefined {
  return rule.measure.startsWith('value:') ? rule.measure.slice('value:'.length) : undefined;
}
