/** Several plans seen as one: what a chain does as a whole. Pure. */
import { digestJson } from '../lib/canonical.ts';
import {
  PLAN_BOUNDS,
  strongest,
  type CheckResult,
  type Effect,
  type Money,
  type Plan,
  type Reversibility,
} from './plan.ts';

/** A plan, and where it would be carried out. */
export interface PlacedPlan {
  readonly target: string;
  readonly plan: Plan;
}

/** Headlines that the headline of the whole repeats; of the others it says how many there are. */
const HEADLINES_MAX = 3;

const REVERSIBILITY = ['proved', 'conditional', 'one-way'] as const;

/**
 * Puts plans together in their order: what is counted is added up, nothing cancels out, and the
 * weakest reversibility is that of the whole. Where they are of several targets every resource is
 * named `target:resource`, which no target's name can contain. Images stay as they are: each plan's
 * own evidence is told by `segments`.
 */
export function mergePlans(plans: readonly PlacedPlan[]): Plan {
  const [first] = plans;
  if (first === undefined) throw new Error('nothing is no plan');
  const isSpread = overTargets(plans);
  const named = plans.map(({ target, plan }) =>
    isSpread ? renamed(plan, (resource) => placedName(target, resource)) : plan,
  );
  const [{ resource }] = [named[0] ?? first.plan];
  return {
    headline: headlineOf(plans, isSpread),
    class: strongest(named.map((plan) => plan.class)),
    resource,
    counts: named.flatMap((plan) => plan.counts),
    partOf: Object.fromEntries(named.flatMap((plan) => Object.entries(plan.partOf))),
    effects: named.flatMap((plan) => plan.effects),
    effectsOmitted: sum(named, (plan) => plan.effectsOmitted),
    effectsDigest: digestJson(named.map((plan) => plan.effectsDigest)),
    evidence: null,
    columns: named.flatMap((plan) => plan.columns).slice(0, PLAN_BOUNDS.columnsMax),
    maskedColumns: distinct(named.flatMap((plan) => plan.maskedColumns)),
    value: addedUp(named.flatMap((plan) => plan.value)),
    valueComplete: named.every((plan) => plan.valueComplete),
    recipients: sum(named, (plan) => plan.recipients),
    bytes: sum(named, (plan) => plan.bytes),
    ...unmeasuredOf(named),
    reversibility: weakest(named),
    resourceSize: null,
    dependents: distinct(named.flatMap((plan) => plan.dependents)),
    warnings: distinct(named.flatMap((plan) => plan.warnings)),
    ...checksOf(named),
    ...(named.some((plan) => plan.measuredOn === 'shadow') ? { measuredOn: 'shadow' } : {}),
  };
}

/** A check that was run on several holds where it held on all. */
function checksOf(plans: readonly Plan[]): Pick<Plan, 'checks'> {
  const worst = new Map<string, CheckResult>();
  for (const check of plans.flatMap((plan) => plan.checks ?? [])) {
    if (worst.get(check.name)?.holds !== false) worst.set(check.name, check);
  }
  return worst.size === 0 ? {} : { checks: [...worst.values()] };
}

/** Whether they are of several targets: then their resources have the targets' names before them. */
export function overTargets(plans: readonly { readonly target: string }[]): boolean {
  return plans.some(({ target }) => target !== plans[0]?.target);
}

/** A resource of one of several targets. */
export function placedName(target: string, resource: string): string {
  return `${target}:${resource}`;
}

function unmeasuredOf(plans: readonly Plan[]): Pick<Plan, 'unmeasured'> {
  const unmeasured = distinct(plans.flatMap((plan) => plan.unmeasured ?? []));
  return unmeasured.length === 0 ? {} : { unmeasured };
}

/** Adds up, by currency, in the order in which the currencies are met. */
function addedUp(value: readonly Money[]): readonly Money[] {
  const sums = new Map<string, bigint>();
  for (const { currency, amountMinor } of value) {
    sums.set(currency, (sums.get(currency) ?? 0n) + BigInt(amountMinor));
  }
  return [...sums].map(([currency, amount]) => ({ currency, amountMinor: String(amount) }));
}

function renamed(plan: Plan, nameOf: (resource: string) => string): Plan {
  const { except } = plan.reversibility;
  return {
    ...plan,
    resource: nameOf(plan.resource),
    counts: plan.counts.map((count) => ({ ...count, resource: nameOf(count.resource) })),
    partOf: Object.fromEntries(
      Object.entries(plan.partOf).map(([part, wholes]) => [nameOf(part), wholes.map(nameOf)]),
    ),
    effects: plan.effects.map((effect): Effect => ({
      ...effect,
      resource: nameOf(effect.resource),
    })),
    columns: plan.columns.map((change) => ({ ...change, resource: nameOf(change.resource) })),
    maskedColumns: plan.maskedColumns.map(nameOf),
    dependents: plan.dependents.map(nameOf),
    reversibility: {
      ...plan.reversibility,
      ...(except === undefined ? {} : { except: except.map(nameOf) }),
    },
  };
}

function headlineOf(plans: readonly PlacedPlan[], isSpread: boolean): string {
  const told = plans
    .slice(0, HEADLINES_MAX)
    .map(({ target, plan }) => (isSpread ? `on ${target} ${plan.headline}` : plan.headline));
  const left = plans.length - told.length;
  const more = left > 0 ? [`${left} more`] : [];
  return [...told, ...more].join('; then ');
}

function weakest(plans: readonly Plan[]): Reversibility {
  const all = plans.map((plan) => plan.reversibility);
  const kind = REVERSIBILITY.findLast((each) => all.some((one) => one.kind === each)) ?? 'one-way';
  const except = distinct(all.flatMap((one) => one.except ?? []));
  const reasons = all.filter((one) => one.kind === kind).map((one) => one.reason);
  return {
    kind,
    reason: distinct(reasons).join('; '),
    ...(except.length === 0 ? {} : { except }),
  };
}

function sum(plans: readonly Plan[], of: (plan: Plan) => number): number {
  return plans.reduce((total, plan) => total + of(plan), 0);
}

function distinct<Text extends string>(texts: readonly Text[]): readonly Text[] {
  return [...new Set(texts)];
}
