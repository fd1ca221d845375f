/** Says of every counted row how it came to change: directly, by cascade, by trigger, or indirectly. */
import type { ResourceCount } from '../../model/plan.ts';
import type { Catalog } from './catalog.ts';
import type { Causes, Extra, Footprint } from './footprint.ts';
import type { Direct } from './images.ts';

type Change = 'created' | 'updated' | 'deleted';

/** Rows of the direct effects, then of the indirect ones; ordered by resource within each. */
export function resourceCounts(
  catalog: Catalog,
  direct: Direct,
  extras: readonly Extra[],
  causes: Causes,
  footprint: Footprint,
): readonly ResourceCount[] {
  const counts: ResourceCount[] = [];
  for (const [oid, count] of direct.counts) {
    const resource = catalog.tables.get(oid)?.resource ?? '';
    counts.push({ resource, attribution: 'direct', via: null, ...count });
  }
  for (const extra of extras) counts.push(...attributed(extra, causes, footprint));
  return counts.toSorted((left, right) => (order(left) < order(right) ? -1 : 1));
}

function order(count: ResourceCount): string {
  return `${count.attribution === 'direct' ? 0 : 1} ${count.resource} ${count.attribution}`;
}

function attributed(extra: Extra, causes: Causes, footprint: Footprint): ResourceCount[] {
  const resource = `${extra.relation.schema}.${extra.relation.name}`;
  const rows: ResourceCount[] = [];
  const rest = { created: extra.created, updated: 0, deleted: 0 };
  const cascaded = { created: 0, updated: 0, deleted: 0 };
  const via = new Set<string>();
  for (const change of ['updated', 'deleted'] as const) {
    const names = cascades(extra.relation.oid, change, causes, footprint);
    if (names.length > 0) cascaded[change] = extra[change];
    else rest[change] = extra[change];
    if (extra[change] > 0) for (const name of names) via.add(name);
  }
  if (cascaded.updated + cascaded.deleted > 0) {
    rows.push({ resource, attribution: 'cascade', via: [...via].join(', '), ...cascaded });
  }
  if (rest.created + rest.updated + rest.deleted > 0) {
    const changed = new Set(footprint.relations.filter(wasChanged).map((each) => each.oid));
    const triggers = causes.triggers.filter((each) => changed.has(each.on));
    const named = triggers.length > 0 ? triggers : causes.rules;
    rows.push({
      resource,
      attribution: triggers.length > 0 ? 'trigger' : 'indirect',
      via: named.length === 0 ? null : [...new Set(named.map((each) => each.name))].join(', '),
      ...rest,
    });
  }
  return rows;
}

/** The foreign keys of a table that hand on this change from a table that was itself changed. */
function cascades(
  table: number,
  change: Change,
  causes: Causes,
  footprint: Footprint,
): readonly string[] {
  const names: string[] = [];
  for (const key of causes.keys) {
    if (key.from !== table) continue;
    const source = footprint.relations.find((relation) => relation.oid === key.to);
    if (source === undefined) continue;
    const sets = change === 'deleted' ? 'c' : 'nd';
    const byDelete = source.deleted > 0 && sets.includes(key.onDelete);
    const byUpdate = change === 'updated' && source.updated > 0 && 'cnd'.includes(key.onUpdate);
    if (byDelete || byUpdate) names.push(key.name);
  }
  return names;
}

function wasChanged(relation: Extra['relation']): boolean {
  return relation.created + relation.updated + relation.deleted > 0;
}
