import type { Finding } from '../../model/decision.ts';
import type { Policy } from '../../model/policy.ts';
import { budgetsOf, limitsOf } from './lines.ts';
import type { PolicyFacts } from './write.ts';

/**
 * Judges recipients and bytes that are not all known: a limit or a budget of them denies, since there
 * may be more than it lets by. The warning that goes with it waits for people by itself.
 */
export function unmeasuredFindings(policy: Policy, facts: PolicyFacts): Finding[] {
  const { unmeasured = [] } = facts.plan;
  if (unmeasured.length === 0) return [];
  const findings: Finding[] = [];
  const deny = (stage: 'limit' | 'budget', rule: string, what: string): void => {
    const reason = `not all of the ${what} could be measured, so there may be more than the bound`;
    findings.push({ stage, verdict: 'deny', rule, code: 'effect-incomplete', reason });
  };
  for (const { name, recipientsMax, bytesMax } of limitsOf(policy, facts)) {
    const rule = `limits.${name}`;
    if (recipientsMax !== null && unmeasured.includes('recipients'))
      deny('limit', rule, 'recipients');
    if (bytesMax !== null && unmeasured.includes('bytes')) deny('limit', rule, 'bytes');
  }
  for (const { name, measure } of budgetsOf(policy, facts)) {
    if (measure === 'recipients' && unmeasured.includes('recipients')) {
      deny('budget', `budgets.${name}`, 'recipients');
    }
  }
  return findings;
}
