/** One plain sentence with the counts: the first line that a person reads. */
import type { Attribution, ResourceCount } from '../../model/plan.ts';

const CHANGES = [
  ['deleted', 'delete', 'from'],
  ['updated', 'update', 'in'],
  ['created', 'insert', 'into'],
] as const;

const BY: Readonly<Record<Exclude<Attribution, 'direct'>, string>> = {
  cascade: 'by cascade',
  trigger: 'by trigger',
  rule: 'by rule',
  indirect: 'as a consequence',
};

/** `1 delete from public.customers, 212 deletes by cascade in 3 tables`; deletes first. */
export function headline(resource: string, counts: readonly ResourceCount[]): string {
  const parts: string[] = [];
  for (const [change, verb, preposition] of CHANGES) {
    for (const attribution of ['direct', 'cascade', 'trigger', 'indirect'] as const) {
      const rows = counts.filter((each) => each.attribution === attribution && each[change] > 0);
      const total = rows.reduce((sum, each) => sum + each[change], 0);
      if (total === 0) continue;
      const tables = [...new Set(rows.map((each) => each.resource))];
      const place = tables.length === 1 ? tables[0] : `${tables.length} tables`;
      const figure = String(total).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
      const amount = `${figure} ${verb}${total === 1 ? '' : 's'}`;
      parts.push(
        attribution === 'direct'
          ? `${amount} ${preposition} ${place}`
          : `${amount} ${BY[attribution]} in ${place}`,
      );
    }
  }
  return parts.length === 0 ? `no row of ${resource} changes` : parts.join(', ');
}
