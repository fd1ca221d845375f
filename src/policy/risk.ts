import type { BlastRadius, Plan, Risk } from '../model/plan.ts';
import { count } from './sentences.ts';

type Term = Risk['terms'][number];

/** What scope is scaled against where no limit bounds the records. */
const RECORDS_USUAL = 1_000;
/** No limit is so tight that a handful of records fills the scale. */
const RECORDS_SCALE_MIN = 10;
/** The most that the count alone, and the share of the resource alone, make of the scope. */
const SCOPE_PART_MAX = 0.5;

const IRREVERSIBILITY = { proved: 0, conditional: 0.25, 'one-way': 0.6 } as const;

/** How much of the distance to 1 each one covers: the second adds less than the first. */
const COUPLING = { indirectResource: 0.15, structure: 0.02, dependent: 0.2 } as const;
/** Dependents that a database always has some of; what they do to rows is measured already. */
const STRUCTURE = /^(?:foreign key|view|materialized view|trigger|rule|index)\b/i;

/**
 * Scores how far a plan reaches: 100 × (1 − (1−scope)(1−reversibility)(1−coupling)). Pure.
 * Low < 25 ≤ medium < 50 ≤ high < 75 ≤ critical.
 */
export function assessRisk(
  plan: Plan,
  blastRadius: BlastRadius,
  limits: { readonly recordsMax: number | null } | null,
): Risk {
  const terms = [
    scope(blastRadius.records, plan.resourceSize, limits?.recordsMax ?? null),
    reversibility(plan),
    coupling(plan),
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

function coupling(plan: Plan): Term {
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
    (1 - COUPLING.dependent) ** others;
  const reason =
    indirect.size + plan.dependents.length === 0
      ? 'nothing else is changed and nothing is known to depend on it'
      : `${count(indirect.size, 'other resource')} changed along with it, ` +
        `${count(plan.dependents.length, 'dependent')} known`;
  return { name: 'coupling', value: 1 - apart, reason };
}
