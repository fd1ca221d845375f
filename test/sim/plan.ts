/** What a write to a table of names and values would do. */
import { canonicalJson, digestJson } from '../../src/lib/canonical.ts';
import { isJsonObject, type JsonObject } from '../../src/lib/json.ts';
import {
  effectJson,
  type Effect,
  type Money,
  type Plan,
  type StepPlan,
} from '../../src/model/plan.ts';
import type { PlanRequest, TargetRefusal } from '../../src/model/ports.ts';

export type Rows = ReadonlyMap<string, string>;
export type Planned = { readonly kind: 'planned'; readonly plan: Plan } | TargetRefusal;

/** A value that a constraint of every target is against. */
export const FORBIDDEN_VALUE = '9';
/** A value of which no target knows what follows. */
export const UNCLEAR_VALUE = '5';
/** Operations: `set` and `pay` take `{rows: {name: value | null}}`; `pay` has a value in money. */
export const OPERATIONS: readonly string[] = ['set', 'pay'];

export function refusal(
  code: TargetRefusal['code'],
  reason: string,
  isPermanent = false,
): TargetRefusal {
  return { kind: 'refused', code, reason, permanent: isPermanent, span: null, conflicts: [] };
}

/** The names of the rows that a request may change. */
export function rowsOf({ arguments: given, steps, compensated }: PlanRequest): readonly string[] {
  if (compensated !== null) return compensated.effects.map(({ key }) => key[0] ?? '');
  return (steps ?? [{ arguments: given }]).flatMap((step) => Object.keys(wanted(step.arguments)));
}

/** Measures a request on rows as they are. */
export function planOn(rows: Rows, request: PlanRequest): Planned {
  const { compensated, steps, operation, arguments: given, permits } = request;
  if (compensated !== null) {
    const effects = inverse(rows, compensated.effects);
    if (effects === undefined) return refusal('rollback-conflict', 'the rows changed since', true);
    return { kind: 'planned', plan: planOf(effects, []) };
  }
  if (steps === undefined) return planStep(rows, { operation, arguments: given, permits });
  const later = new Map(rows);
  const done: StepPlan[] = [];
  for (const [place, step] of steps.entries()) {
    const answer = planStep(later, step);
    if (answer.kind === 'refused') return { ...answer, step: place };
    for (const effect of answer.plan.effects) put(later, effect);
    done.push({ operation: step.operation, plan: answer.plan });
  }
  return { kind: 'planned', plan: together(rows, later, done) };
}

function planStep(
  rows: Rows,
  step: Pick<PlanRequest, 'operation' | 'arguments' | 'permits'>,
): Planned {
  if (!step.permits('rows')) return refusal('not-permitted', 'no permission on `rows`', true);
  const entries = Object.entries(wanted(step.arguments));
  if (entries.some(([, value]) => value === FORBIDDEN_VALUE)) {
    return refusal('constraint-violated', 'a constraint is against it', true);
  }
  const effects = entries.flatMap(([name, value]) => change(name, rows.get(name), value));
  const isPaid = step.operation === 'pay';
  const plan = planOf(effects, isPaid ? paid(effects) : []);
  // What is paid no more is worth nobody knows what.
  const valueComplete = !isPaid || effects.every(({ kind }) => kind !== 'delete');
  return { kind: 'planned', plan: { ...plan, valueComplete, warnings: warningsOf(effects) } };
}

/** Of some effects a target does not know the whole. */
function warningsOf(effects: readonly Effect[]): readonly string[] {
  const isUnclear = effects.some(({ after }) => after?.['value'] === UNCLEAR_VALUE);
  return isUnclear ? ['what follows from it is not known'] : [];
}

function wanted(given: JsonObject): Readonly<Record<string, string | null>> {
  const { rows } = given;
  if (rows === undefined || !isJsonObject(rows)) return {};
  return Object.fromEntries(
    Object.entries(rows).map(([name, value]) => [name, typeof value === 'string' ? value : null]),
  );
}

function together(before: Rows, after: Rows, steps: readonly StepPlan[]): Plan {
  const names = new Set(steps.flatMap(({ plan }) => plan.effects.map(({ key }) => key[0] ?? '')));
  const net = [...names].flatMap((name) =>
    before.get(name) === after.get(name)
      ? []
      : change(name, before.get(name), after.get(name) ?? null),
  );
  const value = steps.flatMap(({ plan }) => plan.value);
  const counts = steps.flatMap(({ plan }) => plan.counts);
  const valueComplete = steps.every(({ plan }) => plan.valueComplete);
  const warnings = [...new Set(steps.flatMap(({ plan }) => plan.warnings))];
  const whole = { ...planOf(net, value), valueComplete, warnings };
  return { ...whole, class: strongestOf(steps), counts, steps };
}

function strongestOf(steps: readonly StepPlan[]): Plan['class'] {
  const classes = steps.map(({ plan }) => plan.class);
  return classes.includes('delete') ? 'delete' : classes.includes('update') ? 'update' : 'create';
}

function inverse(rows: Rows, effects: readonly Effect[]): readonly Effect[] | undefined {
  const back: Effect[] = [];
  for (const { key, before, after } of effects) {
    const name = key[0] ?? '';
    const present = rows.get(name);
    if (present !== (after?.['value'] ?? undefined)) return undefined;
    back.push(...change(name, present, before?.['value'] ?? null));
  }
  return back;
}

function change(name: string, before: string | undefined, after: string | null): readonly Effect[] {
  if (before === undefined && after === null) return [];
  const kind = before === undefined ? 'create' : after === null ? 'delete' : 'update';
  const image = (value: string | null | undefined) =>
    value === undefined || value === null ? null : { value };
  return [{ resource: 'rows', kind, key: [name], before: image(before), after: image(after) }];
}

/** Does one effect to rows. */
export function put(rows: Map<string, string>, { key, after }: Effect): void {
  const name = key[0] ?? '';
  const value = after?.['value'];
  if (value === null || value === undefined) rows.delete(name);
  else rows.set(name, value);
}

function paid(effects: readonly Effect[]): readonly Money[] {
  const pounds = effects.reduce((sum, { after }) => sum + Number(after?.['value'] ?? 0), 0);
  return pounds === 0 ? [] : [{ currency: 'GBP', amountMinor: String(100 * pounds) }];
}

function planOf(effects: readonly Effect[], value: readonly Money[]): Plan {
  const count = (kind: Effect['kind']): number =>
    effects.filter((each) => each.kind === kind).length;
  const [created, updated, deleted] = [count('create'), count('update'), count('delete')];
  const json = effects.map(effectJson);
  const counts = { resource: 'rows', attribution: 'direct', via: null, created, updated, deleted };
  return {
    headline: `${created} inserts, ${updated} updates, ${deleted} deletes in rows`,
    class: deleted > 0 ? 'delete' : updated > 0 ? 'update' : 'create',
    resource: 'rows',
    counts: [{ ...counts, attribution: 'direct' }],
    effects,
    partOf: {},
    effectsOmitted: 0,
    evidence: null,
    columns: [],
    effectsDigest: digestJson(json),
    maskedColumns: [],
    value,
    valueComplete: true,
    recipients: 0,
    bytes: canonicalJson(json).length,
    reversibility: { kind: 'proved', reason: 'a simulated target keeps both images' },
    resourceSize: 100,
    dependents: [],
    warnings: [],
  };
}
