/**
 * The whole precedence on one page: no index, no early exit, one line for each thing that can speak.
 * Tests hold the production evaluator and `gate/decide.ts` against it on random policies and facts.
 */
import type { RouteStep } from '../model/decision.ts';
import type { Match, Policy } from '../model/policy.ts';
import { budgetLines } from './evaluate.ts';
import { routeOf } from './routing.ts';
import type { PolicyFacts } from './write.ts';

export interface SpecInput {
  readonly facts: PolicyFacts;
  readonly frozen: boolean;
  readonly duplicate: boolean;
  /** What is used already, for each of `budgetLines(policy, facts)` in order. */
  readonly budgetUsed: readonly number[];
  readonly approvals: readonly {
    readonly person: string;
    readonly groups: readonly string[];
    readonly verdict: 'approve' | 'deny';
    /** Whether it is of the plan at hand. */
    readonly forThisDigest: boolean;
  }[];
  readonly forbiddenApprovers: readonly string[];
}

type Verdict = 'allow' | 'deny' | 'wait';

/** Freeze, never, permission, limit, rule, budget, duplicate, approval; deny beats wait beats allow. */
export function specDecide(policy: Policy, input: SpecInput): Verdict {
  const { facts } = input;
  const { plan, blastRadius, principal, risk } = facts;
  const isAgent = principal.kind === 'agent';
  const kind = facts.compensation ? facts.decisionClass : facts.class;
  const changed = plan.counts.filter((each) => each.created + each.updated + each.deleted > 0);
  const named = changed.filter((each) => each.attribution === 'direct');
  const direct = [facts.resource, ...named.map((each) => each.resource)];
  const affected = [facts.resource, ...changed.map((each) => each.resource)];
  const wholes = new Map(Object.entries(plan.partOf));
  const names = (resource: string) => [resource, ...(wholes.get(resource) ?? [])];
  const fits = (match: Match, resource: string) =>
    (match.agent === undefined || (isAgent && glob(match.agent, principal.name))) &&
    (match.environment === undefined || glob(match.environment, facts.environment)) &&
    (match.target === undefined || glob(match.target, facts.target)) &&
    (match.operation === undefined || glob(match.operation, facts.operation)) &&
    names(resource).some((name) => match.resource === undefined || glob(match.resource, name)) &&
    (match.class === undefined || match.class.includes(kind));
  const about = (line: { readonly match: Match }) =>
    affected.some((resource) => fits(line.match, resource));
  const denies: boolean[] = [input.frozen, input.duplicate];
  const waits: { readonly rule: string }[] = [];

  // never
  const lines = policy.agents.get(principal.name)?.permissions ?? [];
  const deleteNamed = direct.every((resource) =>
    lines.some(
      ({ match, tier }) =>
        tier === 'confirm' &&
        fits(match, resource) &&
        match.class?.includes('delete') === true &&
        match.target?.includes(facts.target) === true &&
        names(resource).some((name) => match.resource?.includes(name) === true),
    ),
  );
  const isUndoable = facts.compensation || plan.reversibility.kind === 'proved';
  denies.push(kind === 'destroy', kind === 'delete' && isAgent && !(deleteNamed && isUndoable));
  denies.push(...policy.never.map(about));

  // permission
  const ordinary = kind !== 'delete' && kind !== 'destroy';
  const tiers = direct.map((resource) => {
    const held = lines
      .filter(({ match }) => fits(match, resource) && (ordinary || match.class !== undefined))
      .map(({ tier }) => ['read-only', 'confirm', 'autonomous'].indexOf(tier));
    return Math.max(-1, ...held);
  });
  const tier = Math.min(...tiers);
  denies.push(!isAgent && !facts.compensation);
  denies.push(isAgent && (tier < 0 || (tier === 0 && kind !== 'read')));
  if (isAgent && tier === 1) waits.push({ rule: 'default' });

  // limits
  const value = (currency: string) =>
    plan.value
      .filter((money) => money.currency === currency)
      .reduce((sum, money) => sum + BigInt(money.amountMinor), 0n);
  const passes = (bounds: Readonly<Record<string, number>>) =>
    Object.entries(bounds).some(([currency, bound]) => value(currency) > BigInt(bound));
  const inOneResource = affected
    .flatMap(names)
    .map((resource) =>
      changed
        .filter((each) => names(each.resource).includes(resource))
        .reduce((sum, each) => sum + each.created + each.updated + each.deleted, 0),
    );
  for (const limit of policy.limits.filter(about)) {
    denies.push(blastRadius.records > (limit.recordsMax ?? Infinity));
    denies.push(Math.max(...inOneResource) > (limit.recordsPerResourceMax ?? Infinity));
    denies.push(
      passes(limit.valueMinorMax) ||
        (!plan.valueComplete && Object.keys(limit.valueMinorMax).length > 0),
    );
    denies.push(blastRadius.recipients > (limit.recipientsMax ?? Infinity));
    denies.push(blastRadius.bytes > (limit.bytesMax ?? Infinity));
    denies.push(blastRadius.amplification > (limit.amplificationMax ?? Infinity));
  }

  // rules
  const seen = { ...facts, class: kind };
  const spoken = policy.rules.map((rule) => {
    const where = (rule.effect === 'permit' ? direct : affected).filter((resource) =>
      fits(rule.match, resource),
    );
    return { rule, where, says: where.length > 0 ? holds(() => rule.when?.(seen) ?? true) : 'no' };
  });
  const loud = spoken.filter(({ says }) => says === 'yes');
  denies.push(spoken.some(({ says }) => says === 'errored'));
  denies.push(loud.some(({ rule }) => rule.effect === 'forbid'));
  for (const { rule } of loud)
    if (rule.effect === 'require') waits.push({ rule: `rules.${rule.id}` });
  const permitted = loud.flatMap(({ rule, where }) => (rule.effect === 'permit' ? where : []));
  denies.push(isAgent && direct.some((resource) => !permitted.includes(resource)));

  // budgets
  for (const [index, line] of budgetLines(policy, facts).entries()) {
    denies.push((input.budgetUsed[index] ?? Infinity) + line.amount > line.max);
  }
  const ofValue = policy.budgets.filter((each) => each.measure.startsWith('value:'));
  denies.push(!plan.valueComplete && ofValue.some(about));

  // approval
  for (const threshold of policy.thresholds.filter(about)) {
    const isOver =
      blastRadius.records > (threshold.recordsOver ?? Infinity) ||
      passes(threshold.valueMinorOver) ||
      blastRadius.recipients > (threshold.recipientsOver ?? Infinity) ||
      risk.score > (threshold.riskOver ?? Infinity);
    if (isOver) waits.push({ rule: `thresholds.${threshold.name}` });
  }
  const bounding = [
    ...policy.limits
      .filter(about)
      .map((each) => ({ rule: `limits.${each.name}`, of: Object.keys(each.valueMinorMax) })),
    ...policy.thresholds
      .filter(about)
      .map((each) => ({ rule: `thresholds.${each.name}`, of: Object.keys(each.valueMinorOver) })),
    ...ofValue
      .filter(about)
      .map((each) => ({ rule: `budgets.${each.name}`, of: [each.measure.slice('value:'.length)] })),
  ].filter((line) => line.of.length > 0);
  const bounded = bounding.flatMap((line) => line.of);
  const isFree = plan.value.some(
    ({ currency }) => value(currency) > 0n && !bounded.includes(currency),
  );
  const [bounds] = bounding;
  if (bounds !== undefined && (isFree || !plan.valueComplete)) waits.push(bounds);
  if (plan.warnings.length > 0 || risk.level === 'critical') waits.push({ rule: 'default' });
  if (plan.reversibility.kind === 'one-way' && !facts.compensation) waits.push({ rule: 'default' });

  const heard = input.approvals.filter((approval) => approval.forThisDigest);
  denies.push(heard.some((approval) => approval.verdict === 'deny'));
  if (denies.includes(true)) return 'deny';
  const yes = heard.filter(
    ({ person, verdict }) => verdict === 'approve' && !input.forbiddenApprovers.includes(person),
  );
  return waits.length === 0 || canFill(routeOf(policy, waits).steps, yes) ? 'allow' : 'wait';
}

function glob(patterns: readonly string[], text: string): boolean {
  const literal = (part: string) =>
    part.replace(/[^A-Za-z0-9]/g, (each) => `\\u{${each.codePointAt(0)?.toString(16) ?? ''}}`);
  return patterns.some((pattern) =>
    new RegExp(`^${pattern.split('*').map(literal).join('.*')}$`, 'su').test(text),
  );
}

function holds(condition: () => boolean): 'yes' | 'no' | 'errored' {
  try {
    return condition() ? 'yes' : 'no';
  } catch {
    return 'errored';
  }
}

/** Tries every way to put a person of their own on each place. */
function canFill(
  steps: readonly RouteStep[],
  people: readonly { readonly person: string; readonly groups: readonly string[] }[],
): boolean {
  const [step, ...rest] = steps.filter(({ quorum }) => quorum > 0);
  if (step === undefined) return true;
  const next = [{ ...step, quorum: step.quorum - 1 }, ...rest];
  return people
    .filter(
      ({ groups }) => step.groups.length === 0 || step.groups.some((each) => groups.includes(each)),
    )
    .some(({ person }) =>
      canFill(
        next,
        people.filter((each) => each.person !== person),
      ),
    );
}
