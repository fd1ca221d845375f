/** The plan of a measured write: counts, effects, value and whether it can be taken back. Pure. */
import { strongest, type EffectClass, type Plan, type Reversibility } from '../../model/plan.ts';
import type { Catalog } from './catalog.ts';
import { resourceCounts } from './counts.ts';
import type { Causes, Extra, Footprint } from './footprint.ts';
import { headline } from './headline.ts';
import type { Direct } from './images.ts';

/** All that was found out about one write. */
export interface Findings {
  readonly direct: Direct;
  readonly masked: ReadonlySet<string>;
  readonly extras: readonly Extra[];
  readonly causes: Causes;
  readonly footprint: Footprint;
}

/**
 * Makes the plan of what was found. `named` is the class that the statement itself names, which holds
 * where it met no row; reversibility is as far as it can be told without trying (see `prove`).
 */
export function planOf(named: EffectClass, catalog: Catalog, findings: Findings): Plan {
  const { direct, masked, extras, causes, footprint } = findings;
  const counts = resourceCounts(catalog, direct, extras, causes, footprint);
  const { resource } = catalog.target;
  for (const extra of extras) {
    const name = `${extra.relation.schema}.${extra.relation.name}`;
    if (direct.value.covers([name, ...(extra.relation.partOf ?? [])])) direct.value.incomplete();
  }
  const { value, complete } = direct.value.total();
  return {
    headline: headline(resource, counts),
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
    effects: direct.effects,
    effectsOmitted: direct.effectsOmitted,
    evidence: null,
    columns: [],
    effectsDigest: direct.effectsDigest,
    maskedColumns: [...masked].toSorted().map((column) => `${resource}.${column}`),
    value,
    valueComplete: complete,
    recipients: 0,
    bytes: direct.bytes,
    reversibility: reversibilityOf(catalog, direct, extras),
    resourceSize: catalog.rowsEstimated,
    dependents: catalog.dependents,
    warnings: warningsOf(direct, footprint),
  };
}

/** The parts among what the write names and what it touched; every counted resource was touched. */
function partsOf(catalog: Catalog, footprint: Footprint): Plan['partOf'] {
  const parts = new Map([[catalog.target.resource, catalog.target.partOf]]);
  for (const { schema, name, partOf } of footprint.relations) {
    parts.set(`${schema}.${name}`, partOf ?? []);
  }
  return Object.fromEntries([...parts].filter(([, wholes]) => wholes.length > 0));
}

/** As far as it can be told without trying; `prove` turns the best of these into proof. */
function reversibilityOf(
  catalog: Catalog,
  direct: Direct,
  extras: readonly Extra[],
): Reversibility {
  const rows = [...direct.counts.values()].reduce(
    (sum, count) => sum + count.created + count.updated + count.deleted,
    0,
  );
  const oneWay = (reason: string): Reversibility => ({ kind: 'one-way', reason });
  const keyless = [...direct.counts.keys()].some(
    (oid) => catalog.tables.get(oid)?.key.length === 0,
  );
  if (keyless) return oneWay(`${catalog.target.resource} has rows without a primary key`);
  if (direct.effectsOmitted > 0) {
    return oneWay(`the images of ${direct.effectsOmitted} of ${rows} changed rows are not kept`);
  }
  if (direct.imagesMissing > 0) return oneWay('some rows have no image before the write');
  if (!direct.imagesWhole) return oneWay('a child table has columns that its parent does not show');
  const names = [...new Set(extras.map(({ relation }) => `${relation.schema}.${relation.name}`))];
  if (names.length > 0) {
    return {
      kind: 'conditional',
      reason: `the rows changed as a consequence in ${names.join(', ')} have no images`,
    };
  }
  return {
    kind: 'conditional',
    reason: 'every changed row has its images; the inverse was not tried',
  };
}

function warningsOf(direct: Direct, footprint: Footprint): readonly string[] {
  const warnings: string[] = [];
  if (direct.imagesMissing > 0) {
    warnings.push(`${direct.imagesMissing} changed rows have no image before the write`);
  }
  const isTouched = footprint.relations.some(
    (relation) => relation.kind !== 'S' && relation.created > 0,
  );
  for (const relation of footprint.relations) {
    const isAdvanced = relation.kind === 'S' && relation.modes.includes('RowExclusiveLock');
    if (isAdvanced && !isTouched) {
      warnings.push(`the sequence ${relation.schema}.${relation.name} is advanced for good`);
    }
  }
  return warnings;
}
