import type { Dependent } from '../../model/dependents.ts';
import type { BlastRadius, Plan, Risk } from '../../model/plan.ts';
import type { Policy } from '../../model/policy.ts';
import { apartFrom, COUPLING_BY_CRITICALITY, dependentsOf } from './dependents.ts';
import { lineageOf } from './lineage.ts';
import { matchesResource } from './match.ts';
import { count, list } from './sentences.ts';

type Term = Risk['terms'][number];

/** What scope is scaled against where no limit bounds the records. */
const RECORDS_USUAL = 1_000;
/** No limit is so tight that a handful of records fills the scale. */
const RECORDS_SCALE_MIN = 10;
/** The most that the count alone, and the share of the resource alone, make of the scope. */
const SCOPE_PART_MAX = 0.5;

const IRREVERSIBILITY = { proved: 0, conditional: 0.25, 'one-way': 0.6 } as const;

/** How much of the distance to 1 each one covers: the second adds less than the first. */
const COUPLING = { indirectResource: 0.15, structure: 0.02 } as const;
/** What a database always has some of; what it does to rows is measured already. In a chain each is after its target. */
const STRUCTURE =
  /^(?:[^\s:]+:)?(?:foreign key|view|materialized view|trigger|rule|index|function)\b/i;

/** What a plan is scored against. */
export interface RiskScale {
  /** The tightest limit on records; null where there is none. */
  readonly recordsMax: number | null;
  /** What relies on anything that the plan changes. */
  readonly dependents: readonly Dependent[];
}

/** Reads off a policy what a plan on a target is scored against. */
export function scaleOf(policy: Policy, plan: Plan, target: string): RiskScale {
  const bounds = policy.limits
    .filter((limit) => matchesResource(limit.match, plan.resource))
    .flatMap((limit) => limit.recordsMax ?? []);
  const changed = plan.counts
    .filter((each) => each.created + each.updated + each.deleted > 0)
    .map(({ resource }) => resource);
  const names = [plan.resource, ...changed].flatMap((resource) => lineageOf(plan, resource));
  return {
    recordsMax: bounds.length === 0 ? null : Math.min(...bounds),
    dependents: dependentsOf(policy.dependents, target, [...new Set(names)]),
  };
}

/** Scores plans by a policy. */
export function scoreOf(
  policy: Policy,
): (plan: Plan, blastRadius: BlastRadius, target: string) => Risk {
  return (plan, blastRadius, target) =>
    assessRisk(plan, blastRadius, scaleOf(policy, plan, target));
}

/**
 * Scores how far a plan reaches: 100 × (1 − (1−scope)(1−reversibility)(1−coupling)). Pure.
 * Low < 25 ≤ medium < 50 ≤ high < 75 ≤ critical.
 */
export function assessRisk(plan: Plan, blastRadius: BlastRadius, scale: RiskScale): Risk {
  const terms = [
    scope(blastRadius.records, plan.resourceSize, scale.recordsMax),
    reversibility(plan),
    coupling(plan, scale.dependents),
  ] as const;
  const kept = terms.reduce((product, term) => product * (1 - term.value), 1);
  const score = Math.round(100 * (1 - kept));
  return { score, level: levelOf(score), terms };
}

function levelOf(score: number): Risk['level'] {
  if (score < 25) return 'low';
  if (score < 50) return 'medium';
  return score < 75 ? 'high' : 'critical';
}

/**
 * Half from the count on a log scale, half from the share of the resource. The share weighs with
 * the count: all of three rows is little, all of 47,000 is not.
 */
function scope(records: number, size: number | null, recordsMax: number | null): Term {
  const extent = onLogScale(records, Math.max(recordsMax ?? RECORDS_USUAL, RECORDS_SCALE_MIN));
  const share = size === null ? 0 : Math.min(records / Math.max(size, 1), 1);
  const weight = onLogScale(records, RECORDS_USUAL);
  const value = 1 - (1 - SCOPE_PART_MAX * extent) * (1 - SCOPE_PART_MAX * share * weight);
  const bound =
    recordsMax === null
      ? `on a scale to ${count(RECORDS_USUAL)}`
      : `against a limit of ${count(recordsMax)}`;
  const part = size === null ? '' : `, ${percent(share)} of about ${count(size)} there`;
  return { name: 'scope', value, reason: `${count(records, 'record')} ${bound}${part}` };
}

function onLogScale(records: number, top: number): number {
  return records <= 1 ? 0 : Math.min(Math.log(records) / Math.log(top), 1);
}

function percent(share: number): string {
  const hundredths = 100 * share;
  return hundredths > 0 && hundredths < 1 ? 'under 1 %' : `${Math.round(hundredths)} %`;
}

function reversibility(plan: Plan): Term {
  const { kind, reason } = plan.reversibility;
  return { name: 'reversibility', value: IRREVERSIBILITY[kind], reason: `${kind}: ${reason}` };
}

/** Rows that come along, what the target itself knows to depend on them, and who relies on them. */
function coupling(plan: Plan, dependents: readonly Dependent[]): Term {
  const indirect = new Set<string>();
  for (const each of plan.counts) {
    if (each.attribution !== 'direct' && each.created + each.updated + each.deleted > 0) {
      indirect.add(each.resource);
    }
  }
  const structure = plan.dependents.filter((name) => STRUCTURE.test(name)).length;
  const others = plan.dependents.length - structure;
  const apart =
    (1 - COUPLING.indirectResource) ** indirect.size *
    (1 - COUPLING.structure) ** structure *
    (1 - COUPLING_BY_CRITICALITY.medium) ** others *
    apartFrom(dependents);
  const reasons = [
    ...(indirect.size > 0
      ? [`${count(indirect.size, 'other resource')} changed along with it`]
      : []),
    ...(structure > 0 ? [`${count(structure, 'structure')} of the target on it`] : []),
    ...(others > 0 ? [`${count(others, 'dependent')} known to the target`] : []),
    ...(dependents.length > 0
      ? [`${count(dependents.length, 'dependent')}: ${named(dependents)}`]
      : []),
  ];
  const nothing = 'nothing else is changed and nothing is known to depend on it';
  const reason = reasons.length === 0 ? nothing : reasons.join(', ');
  return { name: 'coupling', value: 1 - apart, reason };
}

const NAMED_MAX = 10;

function named(dependents: readonly Dependent[]): string {
  const names = dependents.slice(0, NAMED_MAX).map(({ name, criticality, how, via }) => {
    const about = via === null ? how : `through ${via}`;
    return `${name} (${about === null ? criticality : `${criticality}, ${about}`})`;
  });
  const more = dependents.length - names.length;
  return list(more === 0 ? names : [...names, `${count(more)} more`]);
}
