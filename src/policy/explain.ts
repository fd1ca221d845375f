/**
 * What a policy lets one agent do: for each target, resource, operation and class the tier, the line
 * that gives it, and every line that can speak. Pure; from the file alone, or over the operations
 * and resources that the targets are known to have.
 *
 * Where no resource is known, the patterns of the file stand for the names that they match; two of
 * them may mean one resource, and then the stronger tier counts, as in a decision.
 */
import { EFFECT_CLASSES, type EffectClass } from '../model/plan.ts';
import type { AgentPolicy, Match, Policy, Rule } from '../model/policy.ts';
import { explainCounts } from './explain/explain-counts.ts';
import { grouped } from './explain/explain-groups.ts';
import type {
  Allowance,
  Cell,
  ExplainedRow,
  ExplainedTarget,
  ExplainInput,
  Explanation,
} from './explain/explained.ts';
import {
  BUILT_IN_NEVER,
  budgetText,
  limitText,
  neverText,
  ruleText,
  thresholdText,
  validationText,
  type LineText,
} from './explain/line-text.ts';
import { matches, matchesBeside } from './stages/match.ts';
import { ANY_OTHER, mayOverlap } from './explain/patterns.ts';
import { lineHeld, namesDelete, strongestLine, TIERS } from './stages/permissions.ts';

/** Explains what the agent may do; undefined where the policy names no such agent. */
export function explain(input: ExplainInput): Explanation | undefined {
  const { policy, environment, targets } = input;
  const agent = policy.agents.get(input.agent);
  if (agent === undefined) return undefined;
  const rows = targets.flatMap((target) => rowsOf(policy, agent, environment, target));
  const named = new Set(rows.flatMap((row) => [row.because, ...row.speaking]));
  return {
    agent: agent.name,
    owner: agent.owner,
    environment,
    mode: policy.mode,
    isOverResources: targets.length > 0 && targets.every(({ resources }) => resources !== null),
    counts: explainCounts(rows, targets),
    rows,
    lines: linesOf(policy).filter(({ rule }) => named.has(rule)),
  };
}

/** Every line that can speak beside the agent's own, in the order of precedence. */
export function linesOf(policy: Policy): readonly LineText[] {
  return [
    ...BUILT_IN_NEVER,
    ...policy.never.map(neverText),
    ...policy.limits.map(limitText),
    ...policy.validations.map(validationText),
    ...policy.rules.map(ruleText),
    ...policy.budgets.map(budgetText),
    ...policy.thresholds.map(thresholdText),
  ];
}

function rowsOf(
  policy: Policy,
  agent: AgentPolicy,
  environment: string,
  target: ExplainedTarget,
): readonly ExplainedRow[] {
  return grouped({
    target: target.name,
    resources: resourceNames(policy, agent, environment, target),
    operations: operationNames(policy, agent, target),
    classes: EFFECT_CLASSES,
    cell: (resource, operation, effectClass) =>
      cellOf(policy, agent, {
        agent: agent.name,
        environment,
        target: target.name,
        resource,
        operation,
        class: effectClass,
      }),
  });
}

/** Lines whose resources or operations tell kinds of write apart: what allows, and what always denies. */
function telling(policy: Policy, agent: AgentPolicy): readonly Match[] {
  return [
    ...agent.permissions.map(({ match }) => match),
    ...policy.never.map(({ match }) => match),
    ...policy.rules.map(({ match }) => match),
  ];
}

function resourceNames(
  policy: Policy,
  agent: AgentPolicy,
  environment: string,
  target: ExplainedTarget,
): readonly string[] {
  if (target.resources !== null) return target.resources;
  const about = telling(policy, agent).filter(
    (match) =>
      overlapping(match.agent, agent.name) &&
      overlapping(match.environment, environment) &&
      overlapping(match.target, target.name),
  );
  return namesIn(about.flatMap(({ resource = [] }) => resource));
}

function operationNames(
  policy: Policy,
  agent: AgentPolicy,
  target: ExplainedTarget,
): readonly string[] {
  if (target.operations !== null) return target.operations;
  return namesIn(telling(policy, agent).flatMap(({ operation = [] }) => operation));
}

/** The names and patterns once each, and every other name; `*` is no more than that. */
function namesIn(patterns: readonly string[]): readonly string[] {
  const named = new Set(patterns.filter((pattern) => !/^\*+$/.test(pattern)));
  return [...named, ANY_OTHER];
}

interface Subject {
  readonly agent: string;
  readonly environment: string;
  readonly target: string;
  readonly resource: string;
  readonly operation: string;
  readonly class: EffectClass;
}

function cellOf(policy: Policy, agent: AgentPolicy, subject: Subject): Cell {
  const { index, rank } = strongestLine(agent, subject, (match) => matches(match, subject));
  const tier = TIERS[rank] ?? null;
  const own = ownLine(agent, index);
  const said = (allows: Allowance, because: string): Cell => {
    const isRefused = allows === 'never' || allows === 'denied' || allows === 'read-only';
    return { tier, allows, because, speaking: isRefused ? [] : speaking(policy, subject) };
  };
  if (subject.class === 'read') {
    // A look needs any line, whatever its class and tier.
    const held = lineHeld(policy, subject);
    const because = ownLine(agent, held);
    if (held < 0) return { ...said('denied', because), tier: null };
    return { ...said('read-only', because), tier: 'read-only' };
  }
  if (subject.class === 'destroy') return said('never', 'never.destroy');
  const isNamed = agent.permissions.some((line) => namesDelete(line, subject, [subject.resource]));
  if (subject.class === 'delete' && !isNamed) return said('never', 'never.delete');
  const never = policy.never.find(({ match }) => matches(match, subject));
  if (never !== undefined) return said('never', `never.${never.name}`);
  if (tier === null && lineHeld(policy, subject) < 0) return said('denied', own);
  if (tier === null || tier === 'read-only') return said('read-only', own);
  return byRules(policy, subject, said) ?? said(tier, own);
}

function ownLine(agent: AgentPolicy, index: number): string {
  return `agents.${agent.name}${index < 0 ? '' : `.permissions[${index}]`}`;
}

/** What the rules make of a tier whatever is measured; undefined where that is still open. */
function byRules(
  policy: Policy,
  subject: Subject,
  said: (allows: Allowance, because: string) => Cell,
): Cell | undefined {
  const always = (effect: Rule['effect']): Rule | undefined =>
    policy.rules.find(
      (rule) => rule.effect === effect && rule.when === null && matches(rule.match, subject),
    );
  const forbid = always('forbid');
  if (forbid !== undefined) return said('denied', `rules.${forbid.id}`);
  const isPermitted = policy.rules.some(
    (rule) => rule.effect === 'permit' && maySpeak(rule.match, subject),
  );
  if (!isPermitted) return said('denied', 'rules');
  const require = always('require');
  return require === undefined ? undefined : said('confirm', `rules.${require.id}`);
}

function speaking(policy: Policy, subject: Subject): readonly string[] {
  const about = <Line extends { readonly match: Match }>(lines: readonly Line[]): readonly Line[] =>
    lines.filter(({ match }) => maySpeak(match, subject));
  return [
    ...(subject.class === 'delete' ? ['never.delete'] : []),
    ...about(policy.never).map(({ name }) => `never.${name}`),
    ...about(policy.limits).map(({ name }) => `limits.${name}`),
    ...about(policy.validations).map(({ name }) => `validations.${name}`),
    ...about(policy.rules).map(({ id }) => `rules.${id}`),
    ...about(policy.budgets).map(({ name }) => `budgets.${name}`),
    ...about(policy.thresholds).map(({ name }) => `thresholds.${name}`),
  ];
}

/** Reports whether a line can concern a write of the kind: some resource and operation of its names. */
function maySpeak(match: Match, subject: Subject): boolean {
  const { resource, operation, ...rest } = match;
  return (
    matchesBeside(rest, subject) &&
    overlapping(resource, subject.resource) &&
    overlapping(operation, subject.operation)
  );
}

/** Every other name is none that a pattern spells out: those have rows of their own. */
function overlapping(patterns: readonly string[] | undefined, name: string): boolean {
  return patterns === undefined || patterns.some((pattern) => mayOverlap(pattern, name));
}
