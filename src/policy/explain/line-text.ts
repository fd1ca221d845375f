/** What a line of the policy says, in one sentence for people. */
import { moneyText } from '../../lib/money.ts';
import type { BudgetRule, Limit, Policy, Rule, Threshold, Validation } from '../../model/policy.ts';
import { currencyOf } from '../stages/lines.ts';
import { count, list } from '../stages/sentences.ts';

/** A line of the policy: named as findings name it. */
export interface LineText {
  /** `limits.customers`, `rules.night`, `never.destroy`. */
  readonly rule: string;
  readonly says: string;
}

/** The two lines of the NEVER list that no file can remove. */
export const BUILT_IN_NEVER: readonly LineText[] = [
  { rule: 'never.destroy', says: 'dropping and truncating is never done; nothing enables it' },
  {
    rule: 'never.delete',
    says: 'an agent deletes only what a permission names at tier confirm, and only where the inverse is proved',
  },
];

export function neverText({ name, reason }: Policy['never'][number]): LineText {
  return { rule: `never.${name}`, says: reason };
}

export function limitText(limit: Limit): LineText {
  const says = [
    bound(limit.recordsMax, 'record'),
    bound(limit.recordsPerResourceMax, 'record', ' in any one resource'),
    ...amounts(limit.valueMinorMax),
    bound(limit.recipientsMax, 'recipient'),
    bound(limit.bytesMax, 'byte'),
    bound(limit.amplificationMax, 'indirect record', ' for each direct one'),
  ].filter((part) => part !== '');
  return { rule: `limits.${limit.name}`, says: `at most ${list(says)}` };
}

const ASKS = { holds: 'a condition', schema: 'a schema', check: 'a query' } as const;

export function validationText({ name, asks, reason }: Validation): LineText {
  return {
    rule: `validations.${name}`,
    says: `denies what does not satisfy ${ASKS[asks.kind]}: ${reason}`,
  };
}

export function thresholdText(threshold: Threshold): LineText {
  const over = [
    bound(threshold.recordsOver, 'record'),
    bound(threshold.recordsPerResourceOver, 'record', ' in any one resource'),
    ...amounts(threshold.valueMinorOver),
    bound(threshold.recipientsOver, 'recipient'),
    bound(threshold.bytesOver, 'byte'),
    bound(threshold.amplificationOver, 'indirect record', ' for each direct one'),
    threshold.riskOver === null ? '' : `risk ${count(threshold.riskOver)}`,
  ].filter((part) => part !== '');
  const says = `over ${list(over)} people decide by route ${threshold.route}`;
  return { rule: `thresholds.${threshold.name}`, says };
}

export function budgetText(budget: BudgetRule): LineText {
  const currency = currencyOf(budget);
  const most =
    currency === undefined
      ? `${count(budget.max)} ${budget.measure}`
      : moneyText(BigInt(budget.max), currency);
  const per = budget.per.length === 0 ? 'by all together' : `per ${list(budget.per)}`;
  return { rule: `budgets.${budget.name}`, says: `at most ${most} in any ${budget.window} ${per}` };
}

const VERBS = { permit: 'permits', require: 'asks people', forbid: 'forbids' } as const;

export function ruleText(rule: Rule): LineText {
  const when =
    rule.whenText === null ? '' : ` when ${rule.whenText.trim().replaceAll(/\s+/g, ' ')}`;
  const route = rule.route === null ? '' : ` by route ${rule.route}`;
  return { rule: `rules.${rule.id}`, says: `${VERBS[rule.effect]}${route}${when}: ${rule.reason}` };
}

function bound(most: number | null, noun: string, where = ''): string {
  return most === null ? '' : `${count(most, noun)}${where}`;
}

function amounts(bounds: Readonly<Record<string, number>>): readonly string[] {
  return Object.entries(bounds).map(([currency, most]) => moneyText(BigInt(most), currency));
}
