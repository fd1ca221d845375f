/** The file's shape becomes the model's `Policy`; what does not convert is a fault. */
import { canonicalJson, type Digest } from '../../lib/canonical.ts';
import { minorDigits, toMinor } from '../../lib/money.ts';
import type { DependentLine } from '../../model/dependents.ts';
import type {
  AnomalyPolicy,
  BudgetRule,
  Limit,
  Match,
  Policy,
  Route,
  Rule,
  Threshold,
  Validation,
} from '../../model/policy.ts';
import { compileSchema } from './arguments-schema.ts';
import { compileCondition } from '../conditions/conditions.ts';
import { matchesPattern } from '../stages/match.ts';
import type { Surroundings } from './never-holds.ts';
import {
  many,
  type AmountsShape,
  type AnomalyShape,
  type BudgetShape,
  type DependentShape,
  type FileShape,
  type LimitShape,
  type MatchShape,
  type OneOrMany,
  type RouteShape,
  type RuleShape,
  type ThresholdShape,
  type ValidationShape,
} from './shape.ts';
import { characterOffset, valueOffset, type Fault, type Path, type Source } from './source.ts';

/** The route that is there without being defined: one approver, whoever, within half an hour. */
const ROUTE_DEFAULT = 'default';
/** The gateway's own where the file names none. */
export const ENVIRONMENT_DEFAULT = 'production';
const EXPIRES_AFTER_MS_DEFAULT = 30 * 60_000;
const WARM_UP_DEFAULT = 30;
const DUPLICATE_WINDOW_MS_DEFAULT = 24 * 3_600_000;

/** Amounts end up in JSON numbers: beyond this they would not be exact. */
const AMOUNT_MINOR_MAX = 9_000_000_000_000_000n;

interface Building {
  readonly source: Source;
  readonly faults: Fault[];
  readonly file: FileShape;
  readonly defaultRoute: string;
}

/** Builds the policy and adds to `faults` what stands in its way; with any, the policy is void. */
export function buildPolicy(
  file: FileShape,
  digest: Digest,
  source: Source,
  faults: Fault[],
): Policy {
  const defaultRoute = file.defaultRoute ?? ROUTE_DEFAULT;
  const building = { source, faults, file, defaultRoute };
  return {
    digest,
    mode: file.mode ?? 'active',
    agents: agentsOf(file),
    people: peopleOf(file),
    never: (file.never ?? []).map(({ name, match, reason }) => ({
      name,
      match: matchOf(match),
      reason,
    })),
    limits: (file.limits ?? []).map((each, index) => limitOf(building, each, index)),
    thresholds: (file.thresholds ?? []).map((each, index) => thresholdOf(building, each, index)),
    budgets: (file.budgets ?? []).map((each, index) => budgetOf(building, each, index)),
    rules: (file.rules ?? []).map((each, index) => ruleOf(building, each, index)),
    validations: (file.validations ?? []).flatMap((each, index) =>
      validationOf(building, each, index),
    ),
    duplicates: {
      windowMs: durationMs(file.duplicates?.window) ?? DUPLICATE_WINDOW_MS_DEFAULT,
      repeatable: (file.duplicates?.repeatable ?? []).map(matchOf),
    },
    dependents: (file.dependents ?? []).map(dependentOf),
    stop: {
      release: {
        quorum: file.stop?.release?.quorum ?? 1,
        groups: many(file.stop?.release?.groups),
      },
    },
    anomaly: anomalyOf(file.anomaly ?? {}, defaultRoute),
    routes: routesOf(file),
    defaultRoute,
  };
}

function agentsOf(file: FileShape): Policy['agents'] {
  const agents = Object.entries(file.agents ?? {}).map(([name, agent]) => {
    const permissions = (agent.permissions ?? []).map(({ tier, ...match }) => ({
      match: matchOf(match),
      tier,
    }));
    return [name, { name, owner: agent.owner ?? null, permissions }] as const;
  });
  return new Map(agents);
}

function peopleOf(file: FileShape): Policy['people'] {
  const people = Object.entries(file.people ?? {}).map(
    ([name, { roles, groups }]) =>
      [name, { name, roles: many(roles), groups: many(groups) }] as const,
  );
  return new Map(people);
}

function routesOf(file: FileShape): Policy['routes'] {
  const builtIn: RouteShape = { steps: [{}] };
  const routes = Object.entries({ [ROUTE_DEFAULT]: builtIn, ...file.routes }).map(
    ([name, { steps, expiresAfter }]): readonly [string, Route] => [
      name,
      {
        name,
        steps: steps.map((step) => ({ groups: many(step.groups), quorum: step.quorum ?? 1 })),
        expiresAfterMs: durationMs(expiresAfter) ?? EXPIRES_AFTER_MS_DEFAULT,
      },
    ],
  );
  return new Map(routes);
}

function matchOf(match: MatchShape | undefined): Match {
  if (match === undefined) return {};
  return {
    ...(match.agent === undefined ? {} : { agent: many(match.agent) }),
    ...(match.environment === undefined ? {} : { environment: many(match.environment) }),
    ...(match.target === undefined ? {} : { target: many(match.target) }),
    ...(match.operation === undefined ? {} : { operation: many(match.operation) }),
    ...(match.resource === undefined ? {} : { resource: many(match.resource) }),
    ...(match.class === undefined ? {} : { class: many(match.class) }),
  };
}

function limitOf(building: Building, limit: LimitShape, index: number): Limit {
  return {
    name: limit.name,
    match: matchOf(limit.match),
    recordsMax: limit.recordsMax ?? null,
    recordsPerResourceMax: limit.recordsPerResourceMax ?? null,
    valueMinorMax: amountsOf(building, limit.valueMax, ['limits', index, 'valueMax']),
    recipientsMax: limit.recipientsMax ?? null,
    bytesMax: limit.bytesMax ?? null,
    amplificationMax: limit.amplificationMax ?? null,
  };
}

function thresholdOf(building: Building, threshold: ThresholdShape, index: number): Threshold {
  return {
    name: threshold.name,
    match: matchOf(threshold.match),
    recordsOver: threshold.recordsOver ?? null,
    recordsPerResourceOver: threshold.recordsPerResourceOver ?? null,
    valueMinorOver: amountsOf(building, threshold.valueOver, ['thresholds', index, 'valueOver']),
    recipientsOver: threshold.recipientsOver ?? null,
    bytesOver: threshold.bytesOver ?? null,
    amplificationOver: threshold.amplificationOver ?? null,
    riskOver: threshold.riskOver ?? null,
    route: threshold.route ?? building.defaultRoute,
  };
}

function budgetOf(building: Building, budget: BudgetShape, index: number): BudgetRule {
  const { name, measure, window, max } = budget;
  return {
    name,
    match: matchOf(budget.match),
    // Nothing is shared beyond the tenant, so naming it tells no budget from another.
    per: many(budget.per).filter((part) => part !== 'tenant'),
    measure,
    window,
    max:
      typeof max === 'number'
        ? max
        : amountMinor(building, max, measure.slice('value:'.length), ['budgets', index, 'max']),
  };
}

function ruleOf(building: Building, rule: RuleShape, index: number): Rule {
  return {
    id: rule.id,
    effect: rule.effect,
    match: matchOf(rule.match),
    when:
      rule.when === undefined
        ? null
        : conditionOf(building, rule.when, ['rules', index, 'when'], rule.match),
    whenText: rule.when ?? null,
    reason: rule.reason,
    route: rule.effect === 'require' ? (rule.route ?? building.defaultRoute) : null,
  };
}

function dependentOf(line: DependentShape): DependentLine {
  const { name, target, resource, dependsOn, criticality, how } = line;
  return {
    name,
    ...(target === undefined ? {} : { target: many(target) }),
    ...(resource === undefined ? {} : { resource: many(resource) }),
    dependsOn: many(dependsOn),
    criticality: criticality ?? 'medium',
    how: how ?? null,
  };
}

/** None of a line that does not ask for exactly one thing, or asks for what cannot be read: then it is a fault. */
function validationOf(
  building: Building,
  line: ValidationShape,
  index: number,
): readonly Validation[] {
  const path = ['validations', index] as const;
  const { name, reason, holds, schema, check } = line;
  const text = holds ?? check ?? canonicalJson(schema ?? true);
  const common = { name, match: matchOf(line.match), reason, text };
  const asked = [holds, schema, check].filter((each) => each !== undefined);
  if (asked.length !== 1) {
    const message = `expected exactly one of \`holds\`, \`schema\` and \`check\` in \`validations[${index}]\`, found ${asked.length === 0 ? 'none' : asked.length}; keep one, and make lines of the others`;
    building.faults.push({ offset: valueOffset(building.source, path), message });
    return [];
  }
  if (holds !== undefined) {
    const condition = conditionOf(building, holds, [...path, 'holds'], line.match);
    return condition === null ? [] : [{ ...common, asks: { kind: 'holds', holds: condition } }];
  }
  if (check !== undefined) return [{ ...common, asks: { kind: 'check', query: check } }];
  const compiled = compileSchema(schema ?? true);
  if (compiled.kind === 'compiled') {
    return [{ ...common, asks: { kind: 'schema', faults: compiled.faults } }];
  }
  const offset = valueOffset(building.source, [...path, 'schema', ...compiled.path]);
  building.faults.push({ offset, message: compiled.message });
  return [];
}

/** What a condition can meet in this file, and where its line matches. */
function surroundingsOf(file: FileShape, match: MatchShape | undefined): Surroundings {
  const targets = Object.keys(file.targets ?? {});
  const agents = Object.keys(file.agents ?? {});
  const everybody = [...agents, ...Object.keys(file.people ?? {})];
  const matching = (names: readonly string[], patterns: OneOrMany<string> | undefined) =>
    patterns === undefined
      ? names
      : names.filter((name) => many(patterns).some((each) => matchesPattern(each, name)));
  const classes =
    match?.class === undefined ? [] : [['operation.class', many(match.class)] as const];
  const kinds = match?.agent === undefined ? [] : [['principal.kind', ['agent']] as const];
  return {
    values: new Map([
      ['operation.target', targets],
      ['principal.name', everybody],
    ]),
    matched: new Map<string, readonly string[]>([
      ['environment', [file.environment ?? ENVIRONMENT_DEFAULT]],
      ['operation.target', matching(targets, match?.target)],
      ['principal.name', match?.agent === undefined ? everybody : matching(agents, match.agent)],
      ...kinds,
      ...classes,
    ]),
  };
}

function conditionOf(
  building: Building,
  text: string,
  path: Path,
  match: MatchShape | undefined,
): Rule['when'] {
  const condition = compileCondition(text, surroundingsOf(building.file, match));
  if (condition.kind === 'compiled') return condition.holds;
  const offset = characterOffset(building.source, path, condition.offset);
  building.faults.push({ offset, message: condition.message });
  return null;
}

/** On where the file does not say: what is usual has to be learned before anything is not. */
function anomalyOf(shape: AnomalyShape, defaultRoute: string): AnomalyPolicy {
  const { sensitivity = 'medium', verdict = 'require', route = defaultRoute } = shape;
  const otherwise = { rule: 'anomaly', match: {}, sensitivity, verdict, route };
  return {
    warmUp: shape.warmUp ?? WARM_UP_DEFAULT,
    otherwise,
    lines: (shape.lines ?? []).map((line) => ({
      rule: `anomaly.${line.name}`,
      match: matchOf(line.match),
      sensitivity: line.sensitivity ?? sensitivity,
      verdict: line.verdict ?? verdict,
      route: line.route ?? route,
    })),
  };
}

function amountsOf(
  building: Building,
  amounts: AmountsShape | undefined,
  path: Path,
): Readonly<Record<string, number>> {
  const minor: Record<string, number> = {};
  for (const [currency, amount] of Object.entries(amounts ?? {})) {
    minor[currency] = amountMinor(building, amount, currency, [...path, currency]);
  }
  return minor;
}

/** Major units as written to minor units, exactly; a fault and 0 where that cannot be. */
function amountMinor(building: Building, text: string, currency: string, path: Path): number {
  const minor = toMinor(text, currency);
  if (minor !== undefined && minor <= AMOUNT_MINOR_MAX) return Number(minor);
  const expected =
    minor === undefined
      ? `an amount with at most ${minorDigits(currency)} decimals for ${currency}`
      : `an amount of at most ${AMOUNT_MINOR_MAX} minor units`;
  const message = `expected ${expected}, found \`${text}\`; change it`;
  building.faults.push({ offset: valueOffset(building.source, path), message });
  return 0;
}

const UNITS_MS: ReadonlyMap<string, number> = new Map([
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

function durationMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const unitMs = UNITS_MS.get(text.slice(-1)) ?? 0;
  return Number(text.slice(0, -1)) * unitMs;
}
