/** One plain sentence with the counts: the first line that a person reads. */
import type { Attribution, ResourceCount } from '../../../model/plan.ts';
import type { Statement } from '../text/statement.ts';

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

/** The column that marks what the statement deletes; null where it deletes for good, or nothing. */
export function softColumn(statement: Pick<Statement, 'rewritten' | 'updated'>): string | null {
  return statement.rewritten === 'soft-delete' ? (statement.updated[0]?.column ?? null) : null;
}

/**
 * `1 delete from public.customers, 212 deletes by cascade in 3 tables`; deletes first. With `soft` what the
 * statement updates is deleted by that column: `1 soft delete in public.customers (deleted_at set)`.
 */
export function headline(
  resource: string,
  counts: readonly ResourceCount[],
  soft: string | null = null,
): string {
  const parts: string[] = [];
  for (const [change, verb, preposition] of CHANGES) {
    for (const attribution of ['direct', 'cascade', 'trigger', 'rule', 'indirect'] as const) {
      const rows = counts.filter((each) => each.attribution === attribution && each[change] > 0);
      const total = rows.reduce((sum, each) => sum + each[change], 0);
      if (total === 0) continue;
      const tables = [...new Set(rows.map((each) => each.resource))];
      const place = tables.length === 1 ? tables[0] : `${tables.length} tables`;
      const figure = String(total).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
      const isSoft = soft !== null && attribution === 'direct' && change === 'updated';
      const amount = `${figure} ${isSoft ? 'soft delete' : verb}${total === 1 ? '' : 's'}`;
      parts.push(
        attribution === 'direct'
          ? `${amount} ${preposition} ${place}${isSoft ? ` (${soft} set)` : ''}`
          : `${amount} ${BY[attribution]} in ${place}`,
      );
    }
  }
  return parts.length === 0 ? `no row of ${resource} changes` : parts.join(', ');
}
