import { moneyText } from '../../lib/money.ts';
import type { Finding } from '../../model/decision.ts';
import type { Policy } from '../../model/policy.ts';
import { budgetsOf, currencyOf, limitsOf, thresholdsOf } from './lines.ts';
import { list } from './sentences.ts';
import { valueByCurrency } from '../conditions/views.ts';
import type { PolicyFacts } from './write.ts';

/** A line that bounds value, and the stage at which it speaks. */
interface ValueLine {
  readonly stage: 'limit' | 'budget' | 'approval';
  readonly rule: string;
  readonly currencies: readonly string[];
}

/** Limits before thresholds before budgets. */
function valueLines(policy: Policy, facts: PolicyFacts): readonly ValueLine[] {
  const lines: readonly ValueLine[] = [
    ...limitsOf(policy, facts).map(({ name, valueMinorMax }) => {
      const currencies = Object.keys(valueMinorMax);
      return { stage: 'limit' as const, rule: `limits.${name}`, currencies };
    }),
    ...thresholdsOf(policy, facts).map(({ name, valueMinorOver }) => {
      const currencies = Object.keys(valueMinorOver);
      return { stage: 'approval' as const, rule: `thresholds.${name}`, currencies };
    }),
    ...budgetsOf(policy, facts).map((each) => {
      const currency = currencyOf(each);
      const currencies = currency === undefined ? [] : [currency];
      return { stage: 'budget' as const, rule: `budgets.${each.name}`, currencies };
    }),
  ];
  return lines.filter(({ currencies }) => currencies.length > 0);
}

/**
 * Judges value that is not known where some line bounds value. Not all of it measured: limits and
 * budgets deny, since no approval lifts them; where only thresholds speak, people decide. In a
 * currency that no such line speaks of: people decide, in the name of the first line.
 */
export function valueFindings(policy: Policy, facts: PolicyFacts): Finding[] {
  const lines = valueLines(policy, facts);
  const [first] = lines;
  if (first === undefined) return [];
  const code = 'value-unmeasured';
  const findings: Finding[] = [];
  if (!facts.plan.valueComplete) {
    const unmeasured = 'not all of the value could be measured';
    for (const { stage, rule } of lines) {
      if (stage === 'approval') continue;
      const reason = `${unmeasured}, so it may be over the bound`;
      findings.push({ stage, verdict: 'deny', rule, code, reason });
    }
    if (findings.length === 0) {
      const reason = `${unmeasured}; people decide`;
      findings.push({ stage: 'approval', verdict: 'wait', rule: first.rule, code, reason });
    }
  }
  const bounded = new Set(lines.flatMap((line) => line.currencies));
  const free = [...valueByCurrency(facts.plan)]
    .filter(([currency, amount]) => amount > 0n && !bounded.has(currency))
    .map(([currency, amount]) => moneyText(amount, currency));
  if (free.length > 0) {
    const reason = `${list(free)} would move, in a currency that no line bounds; people decide`;
    const stage = first.stage === 'limit' ? 'limit' : 'approval';
    findings.push({ stage, verdict: 'wait', rule: first.rule, code, reason });
  }
  return findings;
}
