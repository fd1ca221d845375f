/**
 * Whether one policy is weaker than another, computed and never declared.
 *
 * The law, held by tests on random policies against the decision itself: where `changesOf` finds
 * nothing weaker, no write is decided more permissively than before (deny, then wait, then allow), and
 * where it waits, at least the people who had to agree must. What cannot be shown is weaker: another
 * condition, a line by another name, a match that is not plainly wider.
 */
import { canonicalJson } from '../lib/canonical.ts';
import type { Policy, TargetConfiguration } from '../model/policy.ts';
import { compareAgents, comparePeople } from './weakening/agents.ts';
import { compareAnomaly } from './weakening/anomaly.ts';
import {
  Comparison,
  conditionsOf,
  paired,
  type Change,
  type Compared,
} from './weakening/changes.ts';
import { compareDependents } from './weakening/dependents.ts';
import { covers, partsOf } from './weakening/cover.ts';
import {
  compareBudgets,
  compareLimits,
  compareNever,
  compareThresholds,
} from './weakening/lines.ts';
import { compareRisk } from './weakening/risk.ts';
import { compareRoutes, hasAtLeast } from './weakening/routes.ts';
import { compareRules } from './weakening/rules.ts';
import { compareValidations } from './weakening/validations.ts';
import { compareValueLines } from './weakening/value.ts';
import { durationText, matchText, stepsText } from './weakening/words.ts';
import { withoutSecrets } from './parse.ts';

export type { Change, Compared } from './weakening/changes.ts';

type Compare<Part> = (comparison: Comparison, before: Part, after: Part) => void;

/**
 * One comparison for each key of a policy: a new key does not compile before it says how a change of
 * it weakens. `routes` is last: it needs to know which routes the other keys ask.
 */
const POLICY: { readonly [Key in Exclude<keyof Policy, 'digest'>]: Compare<Policy[Key]> } = {
  mode: compareMode,
  agents: compareAgents,
  people: comparePeople,
  never: compareNever,
  limits: compareLimits,
  thresholds: compareThresholds,
  budgets: compareBudgets,
  rules: compareRules,
  validations: compareValidations,
  duplicates: compareDuplicates,
  dependents: compareDependents,
  stop: compareStop,
  anomaly: compareAnomaly,
  defaultRoute: (comparison, before, after) => comparison.route('defaultRoute', before, after),
  routes: compareRoutes,
};

/** The same for the rest of a configuration, as far as decisions depend on it. */
const CONFIGURATION: {
  readonly [Key in Exclude<keyof Compared, 'policy'>]: Compare<Compared[Key]>;
} = {
  tenant: (comparison, before, after) => {
    if (before !== after) comparison.weaker('tenant', `${before} → ${after}`);
  },
  environment: compareEnvironment,
  targets: compareTargets,
};

/** Returns every way in which `after` differs from `before`, the weaker ones first. Pure. */
export function changesOf(before: Compared, after: Compared): readonly Change[] {
  const comparison = new Comparison(before, after);
  compareAll(CONFIGURATION, comparison, before, after);
  compareValueLines(comparison);
  compareRisk(comparison);
  const { routes, ...rest } = POLICY;
  compareAll(rest, comparison, before.policy, after.policy);
  routes(comparison, before.policy.routes, after.policy.routes);
  const known = new Map(comparison.changes.map((each) => [canonicalJson({ ...each }), each]));
  return (['weaker', 'tighter', 'same'] as const).flatMap((effect) =>
    [...known.values()].filter((change) => change.effect === effect),
  );
}

/** The ways in which `after` may let through what `before` did not; empty: it surely lets through no more. */
export function weakenings(before: Compared, after: Compared): readonly Change[] {
  return changesOf(before, after).filter(({ effect }) => effect === 'weaker');
}

function compareAll<Whole extends object>(
  table: { readonly [Key in keyof Whole]?: Compare<Whole[Key]> },
  comparison: Comparison,
  before: Whole,
  after: Whole,
): void {
  // `Object.keys` cannot say that these are keys of the table.
  for (const key of Object.keys(table) as (keyof Whole)[]) {
    table[key]?.(comparison, before[key], after[key]);
  }
}

function compareMode(comparison: Comparison, before: Policy['mode'], after: Policy['mode']): void {
  if (before === after) return;
  comparison[after === 'active' ? 'weaker' : 'tighter']('mode', `${before} → ${after}`);
}

/** A release is a step of people as a route has it. */
function compareStop(comparison: Comparison, before: Policy['stop'], after: Policy['stop']): void {
  const { release: old, ...oldRest } = before;
  const { release: present, ...rest } = after;
  // Whatever else `stop` comes to say is weaker where it differs.
  if (canonicalJson(oldRest) !== canonicalJson(rest)) comparison.weaker('stop', 'changed');
  if (stepsText([old]) === stepsText([present])) return;
  const change = `${stepsText([old])} → ${stepsText([present])}`;
  comparison[hasAtLeast([present], [old]) ? 'tighter' : 'weaker']('stop.release', change);
}

function compareDuplicates(
  comparison: Comparison,
  before: Policy['duplicates'],
  after: Policy['duplicates'],
): void {
  const [old, present] = [before.windowMs, after.windowMs];
  if (old !== present) {
    const change = `${durationText(old)} → ${durationText(present)}`;
    comparison[present < old ? 'weaker' : 'tighter']('duplicates.window', change);
  }
  const path = 'duplicates.repeatable';
  for (const match of after.repeatable) {
    const isNew = partsOf(match).some(
      (part) => !before.repeatable.some((each) => covers(each, part)),
    );
    if (isNew) comparison.weaker(path, `${matchText(match)} added`);
  }
  for (const match of before.repeatable) {
    const isGone = partsOf(match).some(
      (part) => !after.repeatable.some((each) => covers(each, part)),
    );
    if (isGone) comparison.tighter(path, `${matchText(match)} removed`);
  }
}

/** Lines and conditions may hold for one environment alone. */
function compareEnvironment(comparison: Comparison, before: string, after: string): void {
  if (before === after) return;
  const change = `${before} → ${after}`;
  if (namesEnvironment(comparison.before.policy) || namesEnvironment(comparison.after.policy)) {
    comparison.weaker('environment', `${change}, which lines of the policy name`);
  } else comparison.same('environment', change);
}

function namesEnvironment(policy: Policy): boolean {
  const { never, limits, thresholds, budgets, rules, validations, agents, duplicates } = policy;
  const permissions = [...agents.values()].flatMap((agent) => agent.permissions);
  const matches = [never, limits, thresholds, budgets, rules, validations, permissions].flat();
  return (
    matches.some(({ match }) => match.environment !== undefined) ||
    duplicates.repeatable.some((match) => match.environment !== undefined) ||
    [...policy.anomaly.lines].some(({ match }) => match.environment !== undefined) ||
    conditionsOf(policy).some(({ text }) => /\benvironment\b/.test(text))
  );
}

/** What a target's settings mean is its connector's to say, so any change of them is a weakening. */
function compareTargets(
  comparison: Comparison,
  before: readonly TargetConfiguration[],
  after: readonly TargetConfiguration[],
): void {
  const named = (targets: readonly TargetConfiguration[]) =>
    targets.map((target) => [target.name, target] as const);
  for (const [name, old, present] of paired(named(before), named(after))) {
    const path = `targets.${name}`;
    if (old === undefined) addedTarget(comparison, name);
    else if (present === undefined) comparison.tighter(path, 'removed');
    else
      for (const setting of settingsChanged(old, present)) {
        comparison.weaker(path, `${setting} changed, which cannot be shown to be tighter`);
      }
  }
}

function addedTarget(comparison: Comparison, name: string): void {
  const path = `targets.${name}`;
  const agents = [...comparison.after.policy.agents.values()];
  const isOpen = agents.some(({ permissions }) =>
    permissions.some(({ match: { target } }) =>
      covers({ ...(target && { target }) }, { target: [name] }),
    ),
  );
  if (isOpen) comparison.weaker(path, 'added, and permissions of agents cover it');
  else comparison.same(path, 'added');
}

/** The names of settings that differ; those that may hold a secret are no part of a policy. */
function settingsChanged(
  old: TargetConfiguration,
  present: TargetConfiguration,
): readonly string[] {
  const kept = ({ settings }: TargetConfiguration) =>
    Object.entries(settings).map(([name, value]) => {
      const bare = withoutSecrets({ [name]: value }, 1);
      return [name, canonicalJson(bare)] as const;
    });
  const changed = paired(kept(old), kept(present)).flatMap(([name, before, after]) =>
    before === after || (before ?? '{}') === (after ?? '{}') ? [] : [name],
  );
  return old.kind === present.kind ? changed : ['kind', ...changed];
}
