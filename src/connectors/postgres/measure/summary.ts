/** The plan of a measured write: counts, effects, value and whether it can be taken back. Pure. */
import {
  strongest,
  type EffectClass,
  type Plan,
  type ResourceCount,
  type Reversibility,
} from '../../../model/plan.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Footprint } from './footprint.ts';
import { headline } from './headline.ts';
import type { Masks } from './masks.ts';
import type { Recipients } from './recipients.ts';
import type { Tallied } from './tally.ts';

/** All that was found out about one write. */
export interface Findings {
  /** The class that the statement itself names, which holds where it met no row. */
  readonly named: EffectClass;
  /** The column that a soft delete sets; null where the statement is none. */
  readonly soft: string | null;
  readonly catalog: Catalog;
  readonly tallied: Tallied;
  readonly counts: readonly ResourceCount[];
  readonly masks: Masks;
  /** What each relation that was reached is a part of. */
  readonly footprint: Pick<Footprint, 'relations'>;
  /** Resources of which rows changed that have no image. */
  readonly unseen: readonly string[];
  /** What makes the measure incomplete, a sentence each. */
  readonly warnings: readonly string[];
  readonly reversibility: Reversibility;
}

/** Makes the plan of what was found. */
export function planOf(findings: Findings): Plan {
  const { named, catalog, tallied, counts, masks, footprint } = findings;
  const { resource } = catalog.target;
  const { value, complete } = tallied.value.total();
  const recipients = tallied.recipients.total();
  return {
    headline: headline(resource, counts, findings.soft),
    class: strongest([
      named,
      ...counts.flatMap((count) => [
        ...(count.created > 0 ? (['create'] as const) : []),
        ...(count.updated > 0 ? (['update'] as const) : []),
        ...(count.deleted > 0 ? (['delete'] as const) : []),
      ]),
    ]),
    resource,
    counts,
    partOf: partsOf(catalog, footprint),
    effects: tallied.effects,
    effectsOmitted: tallied.effectsOmitted,
    evidence: tallied.evidence,
    columns: tallied.columns,
    effectsDigest: tallied.effectsDigest,
    maskedColumns: masks.names(),
    value,
    valueComplete: complete,
    recipients: recipients.count,
    bytes: tallied.bytes,
    ...unmeasuredOf(recipients, findings.unseen),
    reversibility: findings.reversibility,
    resourceSize: catalog.rowsEstimated,
    dependents: catalog.dependents,
    warnings: [...findings.warnings, ...recipients.gaps, ...sequenceWarnings(footprint)],
  };
}

/** What is not measured in full: recipients with gaps, and the bytes of rows that have no image. */
export function unmeasuredOf(
  { gaps }: Recipients,
  unseen: readonly string[],
): Pick<Plan, 'unmeasured'> {
  const unmeasured = [
    ...(gaps.length > 0 ? (['recipients'] as const) : []),
    ...(unseen.length > 0 ? (['bytes'] as const) : []),
  ];
  return unmeasured.length === 0 ? {} : { unmeasured };
}

/** The parts among what the write names and what it touched; every counted resource was touched. */
function partsOf(catalog: Catalog, footprint: Pick<Footprint, 'relations'>): Plan['partOf'] {
  const parts = new Map([[catalog.target.resource, catalog.target.partOf]]);
  for (const { schema, name, partOf } of footprint.relations) {
    parts.set(`${schema}.${name}`, partOf ?? []);
  }
  return Object.fromEntries([...parts].filter(([, wholes]) => wholes.length > 0));
}

/** What stands in the way of taking the write back, before it is tried; null where nothing does. */
export function obstacle(tallied: Tallied, counts: readonly ResourceCount[]): string | null {
  if (tallied.effectsOmitted === 0 || tallied.evidence !== null) return null;
  const rows = counts.reduce((sum, each) => sum + each.created + each.updated + each.deleted, 0);
  return `the images of ${tallied.effectsOmitted} of ${rows} changed rows are not kept`;
}

function sequenceWarnings({ relations }: Pick<Footprint, 'relations'>): readonly string[] {
  const isTouched = relations.some((relation) => relation.kind !== 'S' && relation.created > 0);
  return relations
    .filter(({ kind, modes }) => kind === 'S' && !isTouched && modes.includes('RowExclusiveLock'))
    .map(({ schema, name }) => `the sequence ${schema}.${name} is advanced for good`);
}
