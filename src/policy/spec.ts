/**
 * The whole precedence on one page: no index, no early exit, one line for each thing that can speak.
 * Tests hold the production evaluator and `gate/decide.ts` against it on random policies and facts.
 */
import type { RouteStep } from '../model/decision.ts';
import { mergePlans } from '../model/merge.ts';
import { effectKey, measure, type EffectClass } from '../model/plan.ts';
import {
  SENSITIVITIES,
  type Match,
  type Policy,
  type Rule,
  type Sensitivity,
  type Validation,
} from '../model/policy.ts';
import { budgetLines, isRepeatable } from './evaluate.ts';
import { routeOf } from './stages/routing.ts';
import type { PolicyFacts } from './stages/write.ts';

export interface SpecInput {
  /** One for each step of a chain, in order; else one. */
  readonly facts: readonly PolicyFacts[];
  readonly frozen: boolean;
  readonly duplicate: boolean;
  /** For each of `facts`, the lowest sensitivity at which it is unusual; `off` where it is not. */
  readonly unusualAt: readonly Sensitivity[];
  /** What is not known of the whole, whether of a step or of the steps together. */
  readonly warnings: readonly string[];
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

/** Freeze, never, permission, limit, rule, validation, budget, duplicate, anomaly, approval; deny beats wait beats allow. */
export function specDecide(policy: Policy, input: SpecInput): Verdict {
  const denies: boolean[] = [input.frozen, input.duplicate];
  const waits: { readonly rule: string }[] = [];
  const steps = input.facts.map((facts) => ({ facts, ...seen(facts) }));
  /** Each step that a line concerns, and all of them together where they are more than one. */
  const held = (line: { readonly match: Match }) => {
    const concerned = steps.filter(({ affected, fits }) =>
      affected.some((resource) => fits(line.match, resource)),
    );
    const each = concerned.map((step) => [step]);
    return concerned.length > 1 ? [...each, concerned] : each;
  };

  for (const [index, step] of steps.entries()) {
    const { facts, kind, direct, fits, names } = step;
    const { plan, principal, risk } = facts;
    const isAgent = principal.kind === 'agent';

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

    // permission
    const ordinary = kind !== 'delete' && kind !== 'destroy';
    const tiers = direct.map((resource) => {
      const mine = lines
        .filter(({ match }) => fits(match, resource) && (ordinary || match.class !== undefined))
        .map(({ tier }) => ['read-only', 'confirm', 'autonomous'].indexOf(tier));
      return Math.max(-1, ...mine);
    });
    const tier = Math.min(...tiers);
    denies.push(!isAgent && !facts.compensation);
    denies.push(isAgent && (tier < 0 || (tier === 0 && kind !== 'read')));
    if (isAgent && tier === 1) waits.push({ rule: 'default' });

    // rules
    const permitted = policy.rules
      .filter((rule) => rule.effect === 'permit')
      .flatMap((rule) => {
        const where = direct.filter((resource) => fits(rule.match, resource));
        const says = where.length > 0 ? holds(rule, facts, kind) : 'no';
        denies.push(says === 'errored');
        return says === 'yes' ? where : [];
      });
    denies.push(isAgent && direct.some((resource) => !permitted.includes(resource)));

    // anomaly
    const rank = (each: Sensitivity = 'off') => SENSITIVITIES.indexOf(each);
    const least = rank(input.unusualAt[index]);
    const matching = policy.anomaly.lines.filter((each) => fits(each.match, facts.resource));
    const judging = matching.length > 0 ? matching : [policy.anomaly.otherwise];
    const isJudged = isAgent && !facts.compensation && least > 0;
    for (const { rule, verdict } of judging.filter((each) => rank(each.sensitivity) >= least)) {
      if (isJudged && verdict === 'forbid') denies.push(true);
      if (isJudged && verdict === 'require') waits.push({ rule });
    }

    // approval
    if (plan.warnings.length > 0 || risk.level === 'critical') waits.push({ rule: 'default' });
    if (plan.reversibility.kind === 'one-way' && !facts.compensation) {
      waits.push({ rule: 'default' });
    }
    const bounding = boundingValue(policy).filter(({ line }) =>
      held(line).some((group) => group.length === 1 && group[0] === step),
    );
    const bounded = bounding.flatMap((each) => each.of);
    const isFree = plan.value.some(
      ({ currency, amountMinor }) => BigInt(amountMinor) > 0n && !bounded.includes(currency),
    );
    const [bounds] = bounding;
    if (bounds !== undefined && (isFree || !plan.valueComplete)) waits.push(bounds);
    denies.push(!plan.valueComplete && bounding.some((each) => each.isHard));
    const isAlone = (line: { readonly match: Match }) =>
      held(line).some((group) => group.length === 1 && group[0] === step);
    for (const what of plan.unmeasured ?? []) {
      const max = what === 'bytes' ? 'bytesMax' : 'recipientsMax';
      denies.push(policy.limits.some((line) => line[max] !== null && isAlone(line)));
      denies.push(policy.budgets.some((line) => line.measure === what && isAlone(line)));
    }
  }

  denies.push(
    steps.some((step, index) =>
      steps.slice(0, index).some((other) => isHadBy(policy, other, step)),
    ),
  );
  if (input.warnings.length > 0) waits.push({ rule: 'default' });
  denies.push(policy.never.some((line) => held(line).length > 0));
  for (const limit of policy.limits) {
    for (const group of held(limit)) {
      const extent = extentOf(group);
      denies.push(extent.records > (limit.recordsMax ?? Infinity));
      denies.push(extent.inOneResource > (limit.recordsPerResourceMax ?? Infinity));
      denies.push(extent.passes(limit.valueMinorMax));
      denies.push(extent.recipients > (limit.recipientsMax ?? Infinity));
      denies.push(extent.bytes > (limit.bytesMax ?? Infinity));
      denies.push(extent.amplification > (limit.amplificationMax ?? Infinity));
    }
  }
  for (const rule of policy.rules.filter(({ effect }) => effect !== 'permit')) {
    for (const group of held(rule)) {
      const { plan, blastRadius } = extentOf(group);
      const said = group.map(({ facts, kind }) =>
        holds(rule, { ...facts, plan, blastRadius }, kind),
      );
      denies.push(said.includes('errored'), said.includes('yes') && rule.effect === 'forbid');
      if (said.includes('yes')) waits.push({ rule: `rules.${rule.id}` });
    }
  }
  for (const validation of policy.validations) {
    for (const group of held(validation)) {
      const { plan, blastRadius } = extentOf(group);
      denies.push(
        group.some(({ facts, kind }) =>
          isLacking(validation, { ...facts, plan, blastRadius, class: kind }),
        ),
      );
    }
  }
  for (const [index, line] of budgetLines(policy, input.facts).entries()) {
    denies.push((input.budgetUsed[index] ?? Infinity) + line.amount > line.max);
  }
  for (const threshold of policy.thresholds) {
    for (const group of held(threshold)) {
      const extent = extentOf(group);
      const isOver =
        extent.records > (threshold.recordsOver ?? Infinity) ||
        extent.inOneResource > (threshold.recordsPerResourceOver ?? Infinity) ||
        extent.bytes > (threshold.bytesOver ?? Infinity) ||
        extent.amplification > (threshold.amplificationOver ?? Infinity) ||
        extent.passes(threshold.valueMinorOver) ||
        extent.recipients > (threshold.recipientsOver ?? Infinity) ||
        group.some(({ facts }) => facts.risk.score > (threshold.riskOver ?? Infinity));
      if (isOver) waits.push({ rule: `thresholds.${threshold.name}` });
    }
  }

  const heard = input.approvals.filter((approval) => approval.forThisDigest);
  denies.push(heard.some((approval) => approval.verdict === 'deny'));
  if (denies.includes(true)) return 'deny';
  const yes = heard.filter(
    ({ person, verdict }) => verdict === 'approve' && !input.forbiddenApprovers.includes(person),
  );
  return waits.length === 0 || canFill(routeOf(policy, waits).steps, yes) ? 'allow' : 'wait';
}

/** A step as lines are matched with it. */
function seen(facts: PolicyFacts) {
  const { plan, principal } = facts;
  const isAgent = principal.kind === 'agent';
  const kind = facts.compensation ? facts.decisionClass : facts.class;
  const changed = plan.counts.filter((each) => each.created + each.updated + each.deleted > 0);
  const named = changed.filter((each) => each.attribution === 'direct');
  const wholes = new Map(Object.entries(plan.partOf));
  const names = (resource: string) => [resource, ...(wholes.get(resource) ?? [])];
  const fits = (match: Match, resource: string) =>
    (match.agent === undefined || (isAgent && glob(match.agent, principal.name))) &&
    (match.environment === undefined || glob(match.environment, facts.environment)) &&
    (match.target === undefined || glob(match.target, facts.target)) &&
    (match.operation === undefined || glob(match.operation, facts.operation)) &&
    names(resource).some((name) => match.resource === undefined || glob(match.resource, name)) &&
    (match.class === undefined || match.class.includes(kind));
  return {
    kind,
    direct: [facts.resource, ...named.map((each) => each.resource)],
    affected: [facts.resource, ...changed.map((each) => each.resource)],
    changed,
    names,
    fits,
  };
}

/** Whether a step has the effect that an earlier one has, where neither may repeat. */
function isHadBy(
  policy: Policy,
  { facts: first }: { readonly facts: PolicyFacts },
  { facts: again }: { readonly facts: PolicyFacts },
): boolean {
  const isBound = ({ compensation, principal, environment, target, operation }: PolicyFacts) =>
    !compensation &&
    !isRepeatable(policy, { agent: principal.name, environment, target, operation });
  const key = effectKey(again.target, again.plan);
  return (
    [first, again].every(isBound) &&
    first.plan !== again.plan &&
    key !== null &&
    key === effectKey(first.target, first.plan)
  );
}

/** What steps do together; what is counted is added up, nothing cancels out. */
function extentOf(group: readonly ({ facts: PolicyFacts } & ReturnType<typeof seen>)[]) {
  const plans = group.map(({ facts }) => facts.plan);
  const counts = group.flatMap(({ changed, names, facts }) =>
    changed.flatMap((each) => {
      const records = each.created + each.updated + each.deleted;
      const where = names(each.resource).map((name) => `${facts.target}:${name}`);
      return [{ records, where, isDirect: each.attribution === 'direct' }];
    }),
  );
  const total = (some: typeof counts) => some.reduce((sum, each) => sum + each.records, 0);
  const direct = total(counts.filter(({ isDirect }) => isDirect));
  const indirect = total(counts.filter(({ isDirect }) => !isDirect));
  const places = new Set(counts.flatMap(({ where }) => where));
  const value = (currency: string) =>
    plans
      .flatMap((plan) => plan.value)
      .filter((money) => money.currency === currency)
      .reduce((sum, money) => sum + BigInt(money.amountMinor), 0n);
  const plan = mergePlans(plans.map((each) => ({ target: '', plan: each })));
  return {
    plan: plans.length === 1 ? (plans[0] ?? plan) : plan,
    blastRadius: measure(plan),
    records: direct + indirect,
    inOneResource: Math.max(
      0,
      ...[...places].map((place) => total(counts.filter(({ where }) => where.includes(place)))),
    ),
    recipients: plans.reduce((sum, each) => sum + each.recipients, 0),
    bytes: plans.reduce((sum, each) => sum + each.bytes, 0),
    amplification: indirect / Math.max(direct, 1),
    passes: (bounds: Readonly<Record<string, number>>) =>
      Object.entries(bounds).some(([currency, bound]) => value(currency) > BigInt(bound)),
  };
}

/** The lines that bound value, limits before thresholds before budgets; hard where none may be unknown. */
function boundingValue(policy: Policy) {
  const limits = policy.limits.map((line) => ({
    line,
    rule: `limits.${line.name}`,
    of: Object.keys(line.valueMinorMax),
    isHard: true,
  }));
  const thresholds = policy.thresholds.map((line) => ({
    line,
    rule: `thresholds.${line.name}`,
    of: Object.keys(line.valueMinorOver),
    isHard: false,
  }));
  const budgets = policy.budgets.map((line) => ({
    line,
    rule: `budgets.${line.name}`,
    of: line.measure.startsWith('value:') ? [line.measure.slice('value:'.length)] : [],
    isHard: true,
  }));
  return [...limits, ...thresholds, ...budgets].filter(({ of }) => of.length > 0);
}

function glob(patterns: readonly string[], text: string): boolean {
  const literal = (part: string) =>
    part.replace(/[^A-Za-z0-9]/g, (each) => `\\u{${each.codePointAt(0)?.toString(16) ?? ''}}`);
  return patterns.some((pattern) =>
    new RegExp(`^${pattern.split('*').map(literal).join('.*')}$`, 'su').test(text),
  );
}

function holds(rule: Rule, facts: PolicyFacts, kind: EffectClass): 'yes' | 'no' | 'errored' {
  try {
    return (rule.when?.({ ...facts, class: kind }) ?? true) ? 'yes' : 'no';
  } catch {
    return 'errored';
  }
}

function isLacking({ name, asks }: Validation, facts: PolicyFacts): boolean {
  switch (asks.kind) {
    case 'holds':
      try {
        return !asks.holds(facts);
      } catch {
        return true;
      }
    case 'schema':
      return !facts.compensation && asks.faults(facts.args).length > 0;
    case 'check': {
      const results = (facts.plan.checks ?? []).filter((each) => each.name === name);
      return results.length === 0 || results.some((each) => !each.holds);
    }
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
