/** What the undo role lacks to take writes to a table back with triggers off: for the report. */
import type { Ask } from '../session/ask.ts';
import type { Reach } from '../roles/reach.ts';

export interface UndoLack {
  /** Oid of the table whose writes are meant. */
  readonly table: number;
  /** `own`: rights on itself; `parent`: to lock what its keys point to; `child`: to read what points to it. */
  readonly kind: 'own' | 'parent' | 'child';
  /** Where the right is missing, `schema.table`. */
  readonly resource: string;
}

/** Compares with the rights of `role`: one round trip, by any role. */
export async function readUndoLacks(
  ask: Ask,
  role: string,
  { tables }: Pick<Reach, 'tables'>,
): Promise<readonly UndoLack[]> {
  const rows = await ask(LACKS, [role, tables.map(({ oid }) => oid)]);
  return rows.map(([table, kind, resource]) => ({
    table: Number(table),
    kind: kind === 'own' || kind === 'parent' ? kind : 'child',
    resource: String(resource),
  }));
}

const may = (right: string): string => `has_table_privilege($1::text, e.oid, '${right}')`;

const LACKS = `
WITH ends AS (
  SELECT unnest($2::int8[])::oid AS relation, unnest($2::int8[])::oid AS oid, 'own' AS kind
  UNION
  SELECT k.conrelid, k.confrelid, 'parent' FROM pg_constraint k
  WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = ANY ($2::int8[]::oid[])
  UNION
  SELECT k.confrelid, k.conrelid, 'child' FROM pg_constraint k
  WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = ANY ($2::int8[]::oid[])
)
SELECT n.relation::int8, n.kind, s.nspname || '.' || e.relname
FROM ends n JOIN pg_class e ON e.oid = n.oid AND e.relkind IN ('r', 'p')
  JOIN pg_namespace s ON s.oid = e.relnamespace
WHERE NOT (has_schema_privilege($1::text, s.oid, 'USAGE') AND ${may('SELECT')} AND CASE n.kind
  WHEN 'own' THEN ${may('INSERT')} AND ${may('UPDATE')} AND ${may('DELETE')}
  WHEN 'parent' THEN has_any_column_privilege($1::text, e.oid, 'UPDATE') ELSE true END)
ORDER BY 1, 2 DESC, 3`;
