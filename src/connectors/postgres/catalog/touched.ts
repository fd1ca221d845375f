/** What has to be known of a changed table before its rows can be compared with what they were. */
import { strict as assert } from 'node:assert';
import { describeTables, type Table } from './catalog.ts';
import type { Touched } from '../measure/footprint.ts';
import type { TextRow } from '../session/rows.ts';
import { lookUp } from '../session/look-up.ts';
import type { Session } from '../session/session.ts';
import type { Snapshot } from '../session/snapshot.ts';

/** A larger table is not read through for its images; reading 1 GB takes about 300 ms from memory. */
const SCANNED_BYTES_MAX = 8_589_934_592;

/** A changed table, and why its images cannot be had, where they cannot. */
export interface Changed {
  readonly table: Table;
  /** What its rows are read from; the condition tells them from others there, and holds for all of them. */
  readonly from: { readonly sql: string; readonly where: string };
  readonly counts: Touched;
  /** Why it cannot be read through at all, one clause for a person; null where it can. */
  readonly unread: string | null;
  /** Row security filters what the writer's role, and the role of the snapshot, sees. */
  readonly isFiltered: { readonly now: boolean; readonly before: boolean };
}

/** What one role may do with a table. */
interface Access {
  readonly isReadable: boolean;
  readonly isFiltered: boolean;
  readonly bytes: number;
  /** The nearest whole through which it may be read; null where that is itself. */
  readonly through: string | null;
}

/**
 * Asked on both connections: each has to see the rows for itself. A right on a partitioned table is one
 * on its partitions only through it.
 */
const ACCESS = `
WITH RECURSIVE whole AS (
  SELECT c.oid AS part, c.oid, c.relispartition AS goes_on, 0 AS steps FROM pg_class c
  WHERE c.oid = ANY ($1::oid[])
  UNION ALL
  SELECT w.part, i.inhparent, c.relispartition, w.steps + 1 FROM whole w
    JOIN pg_inherits i ON i.inhrelid = w.oid JOIN pg_class c ON c.oid = i.inhparent WHERE w.goes_on
), readable AS (
  SELECT DISTINCT ON (w.part) w.part, w.steps, format('%I.%I', s.nspname, c.relname) AS name,
    row_security_active(c.oid) AS filtered
  FROM whole w JOIN pg_class c ON c.oid = w.oid JOIN pg_namespace s ON s.oid = c.relnamespace
  WHERE has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(s.oid, 'USAGE')
  ORDER BY w.part, w.steps
)
SELECT c.oid::text, (r.part IS NOT NULL)::text, coalesce(r.filtered, true)::text,
  pg_relation_size(c.oid)::text, r.name, (r.steps > 0)::text
FROM pg_class c LEFT JOIN readable r ON r.part = c.oid WHERE c.oid = ANY ($1::oid[])`;

/** Describes the changed relations, and what both connections may read of them. */
export async function readChanged(
  session: Session,
  snapshot: Snapshot,
  relations: readonly Touched[],
): Promise<readonly Changed[]> {
  if (relations.length === 0) return [];
  const oids = relations.map((relation) => relation.oid);
  const tables = await describeTables(session, oids);
  const now = accessesOf(await lookUp(session, ACCESS, [oids.map(String)]));
  const needsBefore = relations.some(({ updated, deleted }) => updated + deleted > 0);
  const before = needsBefore ? accessesOf(await snapshot.rows(ACCESS, [oids])) : now;
  return relations.map((counts) => {
    const table = tables.get(counts.oid);
    assert(table !== undefined, 'a locked relation is in the catalog');
    const through = now.get(counts.oid)?.through ?? before.get(counts.oid)?.through ?? null;
    return {
      table,
      from: {
        sql: through ?? `ONLY ${table.sql}`,
        where: through === null ? 'true' : `writegate_row.tableoid = ${table.oid}`,
      },
      counts,
      unread: unreadOf(table, counts, now.get(counts.oid), before.get(counts.oid)),
      isFiltered: {
        now: now.get(counts.oid)?.isFiltered !== false,
        before: before.get(counts.oid)?.isFiltered !== false,
      },
    };
  });
}

function accessesOf(rows: readonly TextRow[]): ReadonlyMap<number, Access> {
  return new Map(
    rows.map(([oid, readable, filtered, bytes, name, isWhole]) => [
      Number(oid),
      {
        isReadable: readable === 'true',
        isFiltered: filtered === 'true',
        bytes: Number(bytes),
        through: isWhole === 'true' ? (name ?? null) : null,
      },
    ]),
  );
}

function unreadOf(
  { resource, accessMethod }: Table,
  { updated, deleted }: Touched,
  now: Access | undefined,
  before: Access | undefined,
): string | null {
  if (accessMethod !== 'heap') return `\`${resource}\` is not stored as a heap`;
  if (now === undefined || now.bytes > SCANNED_BYTES_MAX) {
    return `\`${resource}\` is too large to be read through`;
  }
  if (now.isReadable && (updated + deleted === 0 || before?.isReadable === true)) return null;
  return `the target's role may not read \`${resource}\``;
}
