/** The tables and views that agents may be permitted to write to, by the names that plans give them. */
import type { Sessions } from '../session/session.ts';
import { rulesOf, type PostgresSettings } from '../settings.ts';

export const RESOURCES_MAX = 10_000;

/** Partitions go by the name of their whole. One more than the bound, to tell that there are more. */
const LIST = `
SELECT n.nspname, c.relname
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
 ORDER BY n.nspname, c.relname
 LIMIT ${RESOURCES_MAX + 1}`;

/** Lists what is governed, in order of name. Throws where the server cannot be asked, or has too many. */
export async function listResources(
  sessions: Sessions,
  settings: PostgresSettings,
): Promise<readonly string[]> {
  const rows = await sessions.read({ text: LIST, values: [settings.schemas] });
  if (rows.length > RESOURCES_MAX) throw new RangeError('more tables than are listed');
  return rows
    .map(([schema, name]) => `${String(schema)}.${String(name)}`)
    .filter((resource) => rulesOf(settings, resource) !== undefined);
}
