/** What a case stands for: the plan that would have been measured, and what a decision looks at. */
import { digestJson } from '../../lib/canonical.ts';
import { parseInstant } from '../../lib/instant.ts';
import { toMinor } from '../../lib/money.ts';
import {
  measure,
  strongest,
  type Effect,
  type EffectClass,
  type Plan,
  type ResourceCount,
} from '../../model/plan.ts';
import type { Configuration } from '../../model/policy.ts';
import type { CaseShape } from './cases.ts';
import { scoreOf } from '../stages/risk.ts';
import type { PolicyFacts } from '../stages/write.ts';

/** 2026-01-05T12:00:00Z, a Monday, at noon: no rule about nights and weekends speaks unless a case says so. */
const AT_DEFAULT_MS = 1_767_614_400_000;
const OPERATION_DEFAULT = 'sql';

/** Ms since the epoch. */
export function instantOf({ at }: CaseShape): number {
  return (at === undefined ? undefined : parseInstant(at)) ?? AT_DEFAULT_MS;
}

export function factsOfCase(shape: CaseShape, configuration: Configuration): PolicyFacts {
  const { policy } = configuration;
  const plan = planOfCase(shape);
  const blastRadius = measure(plan);
  const { agent, person, target } = shape;
  return {
    principal: {
      name: agent ?? person ?? '',
      kind: person === undefined ? 'agent' : 'person',
      owner: (agent === undefined ? null : policy.agents.get(agent)?.owner) ?? '',
    },
    environment: shape.environment ?? configuration.environment,
    target,
    operation: shape.operation ?? OPERATION_DEFAULT,
    resource: plan.resource,
    class: plan.class,
    args: shape.arguments ?? {},
    run: shape.run ?? '',
    plan,
    blastRadius,
    risk: scoreOf(policy)(plan, blastRadius, target),
    now: instantOf(shape),
    compensation: shape.compensates !== undefined,
    decisionClass: shape.compensates ?? plan.class,
  };
}

function planOfCase(shape: CaseShape): Plan {
  const { resource, class: effectClass } = shape;
  const records = shape.records ?? (effectClass === 'read' ? 0 : 1);
  const counts = [
    countOf({ resource, class: effectClass, records, by: 'direct' }),
    ...(shape.also ?? []).map(({ by = 'cascade', ...also }) => countOf({ ...also, by })),
  ];
  const effects = (shape.rows ?? []).map((row) => effectOf(row, resource));
  const kind = shape.reversibility ?? 'proved';
  return {
    headline: `${records} ${effectClass} in ${resource}`,
    class: strongest([effectClass, ...(shape.also ?? []).map((each) => each.class)]),
    resource,
    counts,
    partOf: shape.partOf === undefined ? {} : { [resource]: shape.partOf },
    effects,
    effectsOmitted: 0,
    effectsDigest: digestJson(shape.name),
    evidence: null,
    columns: [],
    maskedColumns: [],
    value: Object.entries(shape.value ?? {}).map(([currency, amount]) => ({
      currency,
      amountMinor: String(toMinor(amount, currency) ?? 0n),
    })),
    valueComplete: shape.valueComplete ?? true,
    recipients: shape.recipients ?? 0,
    bytes: shape.bytes ?? 0,
    reversibility: { kind, reason: `the case says \`${kind}\`` },
    resourceSize: shape.resourceSize ?? null,
    dependents: [],
    warnings: shape.warnings ?? [],
  };
}

function countOf(change: {
  readonly resource: string;
  readonly class: EffectClass;
  readonly records: number;
  readonly by: ResourceCount['attribution'];
}): ResourceCount {
  const { resource, class: kind, records, by } = change;
  return {
    resource,
    attribution: by,
    via: by === 'direct' ? null : 'the case',
    created: kind === 'create' ? records : 0,
    updated: kind === 'update' ? records : 0,
    deleted: kind === 'delete' || kind === 'destroy' ? records : 0,
  };
}

function effectOf(row: NonNullable<CaseShape['rows']>[number], resource: string): Effect {
  const { before = null, after = null } = row;
  const kind = before === null ? 'create' : after === null ? 'delete' : 'update';
  return { resource: row.resource ?? resource, kind, key: [], before, after };
}
