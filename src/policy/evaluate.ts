/** The stages of a decision that the policy settles; `gate/decide.ts` puts them in order. Pure. */
import { moneyText } from '../lib/money.ts';
import { quote } from '../lib/quote.ts';
import { BUDGET_WINDOWS_MS, type BudgetLine } from '../model/budget.ts';
import type { Finding } from '../model/decision.ts';
import type { BudgetRule, Limit, Policy, Rule, Threshold } from '../model/policy.ts';
import { candidatesOf } from './stages/candidates.ts';
import { beginStage, whyErrored } from './conditions/conditions.ts';
import type { Spent } from './conditions/work.ts';
import { lineageOf } from './stages/lineage.ts';
import { budgetsOf, currencyOf, limitsOf, thresholdsOf } from './stages/lines.ts';
import { matches, matchesResource, type MatchSubject } from './stages/match.ts';
import { count, list } from './stages/sentences.ts';
import { unmeasuredFindings } from './stages/unmeasured.ts';
import { valueFindings } from './stages/value.ts';
import { valueByCurrency } from './conditions/views.ts';
import { means, recordsByResource, writeOf, type PolicyFacts, type Write } from './stages/write.ts';

export { matches, type MatchSubject } from './stages/match.ts';
export { neverFindings, permissionFindings } from './stages/permissions.ts';
export { routeOf } from './stages/routing.ts';
export type { PolicyFacts } from './stages/write.ts';

/**
 * Judges by the limits: every bound that the measured effect passes denies, and nothing lifts it.
 * So do a limit and a budget of what was not measured in full: the first at its own stage, the
 * second at that of budgets.
 */
export function limitFindings(policy: Policy, facts: PolicyFacts): Finding[] {
  const limits = limitsOf(policy, facts);
  return [
    ...limits.flatMap((limit) => limitLineFindings(limit, facts)),
    ...unmeasuredFindings(policy, facts),
    ...valueFindings(policy, facts).filter((finding) => finding.stage !== 'approval'),
  ];
}

/** What one limit says of a write that it concerns. */
export function limitLineFindings(limit: Limit, facts: PolicyFacts): Finding[] {
  return limitReasons(limit, facts).map((reason): Finding => {
    const rule = `limits.${limit.name}`;
    return { stage: 'limit', verdict: 'deny', rule, code: 'limit-exceeded', reason };
  });
}

function limitReasons(limit: Limit, facts: PolicyFacts): string[] {
  const { blastRadius } = facts;
  const reasons: string[] = [];
  const bound = (found: number, max: number | null, noun: string, where = '') => {
    if (max === null || found <= max) return;
    reasons.push(`${count(found, noun)}${where}, at most ${count(max)}`);
  };
  bound(blastRadius.records, limit.recordsMax, 'record');
  for (const [resource, records] of recordsByResource(facts)) {
    bound(records, limit.recordsPerResourceMax, 'record', ` in ${quote(resource)}`);
  }
  reasons.push(...moneyReasons(limit.valueMinorMax, facts, 'at most'));
  bound(blastRadius.recipients, limit.recipientsMax, 'recipient');
  bound(blastRadius.bytes, limit.bytesMax, 'byte');
  bound(
    blastRadius.amplification,
    limit.amplificationMax,
    'indirect record',
    ' for each direct one',
  );
  return reasons;
}

function moneyReasons(
  bounds: Readonly<Record<string, number>>,
  facts: PolicyFacts,
  relation: string,
): string[] {
  const value = valueByCurrency(facts.plan);
  return Object.entries(bounds).flatMap(([currency, bound]) => {
    const amount = value.get(currency) ?? 0n;
    if (amount <= BigInt(bound)) return [];
    return [`${moneyText(amount, currency)}, ${relation} ${moneyText(BigInt(bound), currency)}`];
  });
}

/**
 * Judges by the rules: forbid denies, require waits, permit allows, a condition that cannot be
 * evaluated denies. Everything that an agent writes to itself must be permitted by some rule. What
 * was spent counts against the work of the stage.
 */
export function ruleFindings(
  policy: Policy,
  facts: PolicyFacts,
  spent: Spent = { steps: 0 },
): Finding[] {
  const write = writeOf(facts);
  // A condition sees the class that lines are matched with.
  const seen = facts.class === write.class ? facts : { ...facts, class: write.class };
  const unpermitted = new Set(facts.principal.kind === 'agent' ? write.direct : []);
  beginStage(seen, spent);
  const findings: Finding[] = [];
  for (const rule of candidatesOf(policy, write.subject).rules.about(write.names)) {
    if (!isAbout(rule, write)) continue;
    const finding = ruleFinding(rule, seen);
    if (finding === undefined) continue;
    findings.push(finding);
    if (finding.code !== 'rule-permits') continue;
    for (const resource of unpermitted) {
      if (means(rule.match, write, resource)) unpermitted.delete(resource);
    }
  }
  if (unpermitted.size === 0) return findings;
  const what = list([...unpermitted].map(quote));
  const reason = `no rule permits this ${write.class} of ${what} on ${quote(facts.target)}`;
  return [
    ...findings,
    { stage: 'rule', verdict: 'deny', rule: 'rules', code: 'nothing-permits', reason },
  ];
}

/** A permit speaks of what the agent writes to itself, the others of all that changes. */
function isAbout(rule: Rule, write: Write): boolean {
  const resources = rule.effect === 'permit' ? write.direct : write.affected;
  return resources.some((resource) => means(rule.match, write, resource));
}

const SPEECH = {
  forbid: { verdict: 'deny', code: 'rule-forbids' },
  require: { verdict: 'wait', code: 'rule-requires' },
  permit: { verdict: 'allow', code: 'rule-permits' },
} as const;

/** The rules that forbid or require and are about the write, whatever their condition. */
export function tighteningRules(policy: Policy, facts: PolicyFacts): readonly Rule[] {
  const write = writeOf(facts);
  return candidatesOf(policy, write.subject)
    .rules.about(write.names)
    .filter((rule) => rule.effect !== 'permit' && isAbout(rule, write));
}

/** What one rule says of a write that it is about; undefined where its condition does not hold. */
export function ruleFinding(rule: Rule, facts: PolicyFacts): Finding | undefined {
  const common = { stage: 'rule', rule: `rules.${rule.id}` } as const;
  try {
    if (rule.when !== null && !rule.when(facts)) return undefined;
  } catch (thrown) {
    const reason = `rule \`${rule.id}\` could not be evaluated, so it denies: ${whyErrored(thrown)}`;
    return { ...common, verdict: 'deny', code: 'rule-errored', reason };
  }
  return { ...common, ...SPEECH[rule.effect], reason: rule.reason };
}

/** Judges what only people may let through: thresholds, critical risk, and effects not known in full or for good. */
export function thresholdFindings(policy: Policy, facts: PolicyFacts): Finding[] {
  const { plan, risk } = facts;
  const findings = thresholdsOf(policy, facts).flatMap((threshold) =>
    thresholdLineFindings(threshold, facts),
  );
  findings.push(...valueFindings(policy, facts).filter((finding) => finding.stage === 'approval'));
  findings.push(...warningFindings(plan.warnings));
  // Taking back is itself the way back; what it leaves is in the ledger.
  if (plan.reversibility.kind === 'one-way' && !facts.compensation) {
    const reason = `it cannot be taken back: ${plan.reversibility.reason}`;
    findings.push(wait('effect.reversibility', 'approval-required', reason));
  }
  if (risk.level === 'critical') {
    const terms = risk.terms.map((term) => `${term.name} ${term.reason}`).join('; ');
    const reason = `risk ${count(risk.score)} of 100 is critical: ${terms}`;
    findings.push(wait('risk.critical', 'risk-critical', reason));
  }
  return findings;
}

/** People look at what is not known in full. */
export function warningFindings(warnings: readonly string[]): readonly Finding[] {
  if (warnings.length === 0) return [];
  const reason = `the effect is not known in full: ${warnings.join('; ')}`;
  return [wait('effect.warnings', 'effect-incomplete', reason)];
}

/** What one threshold says of a write that it concerns. */
export function thresholdLineFindings(threshold: Threshold, facts: PolicyFacts): Finding[] {
  return thresholdReasons(threshold, facts).map((reason) =>
    wait(`thresholds.${threshold.name}`, 'threshold-exceeded', reason),
  );
}

function wait(rule: string, code: Finding['code'], reason: string): Finding {
  return { stage: 'approval', verdict: 'wait', rule, code, reason };
}

function thresholdReasons(threshold: Threshold, facts: PolicyFacts): string[] {
  const { blastRadius, risk } = facts;
  const reasons: string[] = [];
  const bound = (found: number, over: number | null, text: string) => {
    if (over === null || found <= over) return;
    reasons.push(`${text}, over ${count(over)} people decide`);
  };
  const { records, recipients, bytes, amplification } = blastRadius;
  bound(records, threshold.recordsOver, count(records, 'record'));
  for (const [resource, found] of recordsByResource(facts)) {
    const text = `${count(found, 'record')} in ${quote(resource)}`;
    bound(found, threshold.recordsPerResourceOver, text);
  }
  for (const reason of moneyReasons(threshold.valueMinorOver, facts, 'over')) {
    reasons.push(`${reason} people decide`);
  }
  bound(recipients, threshold.recipientsOver, count(recipients, 'recipient'));
  bound(bytes, threshold.bytesOver, count(bytes, 'byte'));
  const indirect = `${count(amplification, 'indirect record')} for each direct one`;
  bound(amplification, threshold.amplificationOver, indirect);
  bound(risk.score, threshold.riskOver, `risk ${count(risk.score)} of 100`);
  return reasons;
}

/**
 * Returns what the steps would take from each budget that they count towards: a chain takes what
 * its steps would one by one, each of them a write. A plan that stands for several counts once.
 */
export function budgetLines(policy: Policy, steps: readonly PolicyFacts[]): BudgetLine[] {
  const [only] = steps;
  if (only !== undefined && steps.length === 1) return stepLines(policy, only);
  const plans = Map.groupBy(steps, ({ plan }) => plan);
  const taken = new Map<string, BudgetLine>();
  for (const same of plans.values()) {
    const most = new Map<string, BudgetLine>();
    for (const line of same.flatMap((facts) => stepLines(policy, facts))) {
      const key = JSON.stringify([line.budget, line.scope]);
      const known = most.get(key);
      if (known === undefined || known.amount < line.amount) most.set(key, line);
    }
    for (const [key, line] of most) {
      const amount = (taken.get(key)?.amount ?? 0) + line.amount;
      taken.set(key, { ...line, amount: Math.min(amount, Number.MAX_SAFE_INTEGER) });
    }
  }
  return [...taken.values()];
}

function stepLines(policy: Policy, facts: PolicyFacts): BudgetLine[] {
  const { affected } = writeOf(facts);
  // What is a part of something takes from that one's budget too: parts do not multiply it.
  const names = new Set(affected.flatMap((resource) => lineageOf(facts.plan, resource)));
  return budgetsOf(policy, facts).flatMap((rule) => {
    const line = (resource: string | undefined): BudgetLine => ({
      budget: `budgets.${rule.name}`,
      scope: scopeOf(rule, facts, resource),
      measure: rule.measure,
      window: rule.window,
      windowMs: BUDGET_WINDOWS_MS[rule.window],
      amount: amountOf(rule, facts, resource),
      max: rule.max,
    });
    const lines = rule.per.includes('resource')
      ? [...names].filter((name) => matchesResource(rule.match, name)).map(line)
      : [line(undefined)];
    return lines.filter(({ amount }) => amount > 0);
  });
}

/** Spells out what shares the budget. A name cannot pass for two: what separates names is escaped. */
function scopeOf(rule: BudgetRule, facts: PolicyFacts, resource: string | undefined): string {
  const names = {
    agent: facts.principal.name,
    run: facts.run,
    target: facts.target,
    resource: resource ?? facts.resource,
  };
  const parts = rule.per.map((part) =>
    scopePart(part === 'agent' ? facts.principal.kind : part, names[part]),
  );
  return parts.length === 0 ? 'tenant' : parts.join(',');
}

/** Spells out one part of a budget's scope, as `agent=ledger-bot`. */
export function scopePart(kind: string, name: string): string {
  return `${kind}=${name.replaceAll('%', '%25').replaceAll(',', '%2C').replaceAll('=', '%3D')}`;
}

/** Of one resource only records can be told apart; the rest counts in full for each. */
function amountOf(rule: BudgetRule, facts: PolicyFacts, resource: string | undefined): number {
  const { blastRadius } = facts;
  if (rule.measure === 'writes') return 1;
  if (rule.measure === 'recipients') return blastRadius.recipients;
  if (rule.measure === 'records') {
    return resource === undefined
      ? blastRadius.records
      : (recordsByResource(facts).get(resource) ?? 0);
  }
  const amount = valueByCurrency(facts.plan).get(currencyOf(rule) ?? '') ?? 0n;
  // More than any maximum that loads, and still exact.
  return amount > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : Number(amount);
}

/**
 * Returns the least number of records that a hard limit allows whatever turns out to be written to,
 * and how: lines that name a resource or a class do not count. Undefined where there is none.
 */
export function recordsBound(policy: Policy, subject: MatchSubject): number | undefined {
  const bounds = policy.limits
    .filter((limit) => matches(limit.match, subject))
    .flatMap((limit) => limit.recordsMax ?? []);
  return bounds.length === 0 ? undefined : Math.min(...bounds);
}

/**
 * Reports whether the same write may lawfully be made again. Asked before anything is measured:
 * a line that names a resource or a class does not match.
 */
export function isRepeatable(policy: Policy, subject: MatchSubject): boolean {
  return policy.duplicates.repeatable.some((match) => matches(match, subject));
}
