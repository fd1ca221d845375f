/** The plan of a write to a sealed table: what its rows add up to is all that it does. Pure. */
import {
  strongest,
  type EffectClass,
  type Plan,
  type ResourceCount,
  type Reversibility,
} from '../../../model/plan.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { headline, softColumn } from './headline.ts';
import type { Masks } from './masks.ts';
import type { Statement } from '../text/statement.ts';
import { unmeasuredOf } from './summary.ts';
import type { Tallied } from './tally.ts';

const CLASSES = { insert: 'create', update: 'update', delete: 'delete', merge: 'update' } as const;

/** Digests to the same as what the full lane makes of the same write. */
export function sealedPlan(
  statement: Statement,
  catalog: Catalog,
  masks: Masks,
  tallied: Tallied,
): Plan {
  const { target } = catalog;
  const { resource } = target;
  const counts = tallied.counts.map(({ created, updated, deleted }): ResourceCount => ({
    resource,
    attribution: 'direct',
    via: null,
    created,
    updated,
    deleted,
  }));
  const { value, complete } = tallied.value.total();
  const recipients = tallied.recipients.total();
  return {
    headline: headline(resource, counts, softColumn(statement)),
    class: strongest([CLASSES[statement.kind], ...counts.flatMap(classesOf)]),
    resource,
    counts,
    partOf: {},
    effects: tallied.effects,
    effectsOmitted: tallied.effectsOmitted,
    effectsDigest: tallied.effectsDigest,
    evidence: tallied.evidence,
    columns: tallied.columns,
    maskedColumns: masks.names(),
    value,
    valueComplete: complete,
    recipients: recipients.count,
    bytes: tallied.bytes,
    ...unmeasuredOf(recipients, []),
    reversibility: reversibilityOf(catalog, tallied),
    resourceSize: catalog.rowsEstimated,
    dependents: catalog.dependents,
    warnings: [...statement.warnings, ...recipients.gaps],
  };
}

function classesOf({ created, updated, deleted }: ResourceCount): EffectClass[] {
  return [
    ...(created > 0 ? (['create'] as const) : []),
    ...(updated > 0 ? (['update'] as const) : []),
    ...(deleted > 0 ? (['delete'] as const) : []),
  ];
}

/** Every row has its images, and nothing else changed, so the inverse of them is exact. */
function reversibilityOf({ target, canInvert }: Catalog, tallied: Tallied): Reversibility {
  const { resource } = target;
  if (tallied.counts.length === 0) return { kind: 'proved', reason: 'nothing changes' };
  if (tallied.effectsOmitted > 0 && tallied.evidence === null) {
    const reason = `the images of ${tallied.effectsOmitted} changed rows are not kept`;
    return { kind: 'one-way', reason };
  }
  if (!canInvert) {
    const reason = `every changed row has its images; the role may not insert, update and delete in ${resource}`;
    return { kind: 'conditional', reason };
  }
  return {
    kind: 'proved',
    reason:
      `exact by construction: no trigger, rule or cascade is on ${resource}` +
      (target.key.length > 0
        ? ', and every row has its key'
        : ', and rows without a key are told by their images'),
  };
}
