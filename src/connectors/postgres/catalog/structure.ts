/** What of a database depends on a table, and on that in turn: keys, views, triggers, functions. */
import { strict as assert } from 'node:assert';
import type { StructureNode } from '../../../model/dependents.ts';
import { Refused } from '../../connector.ts';
import type { Sessions } from '../session/session.ts';
import type { PostgresSettings } from '../settings.ts';

/** How far out a tree is followed, and how much of it is given. */
const DEPTH_MAX = 6;
const NODES_MAX = 1_000;

/**
 * Reads the tree below a governed table. A relation that comes up again is named and not gone into
 * again. Throws `Refused` with `statement-relation` where there is no such table, and the server's errors.
 */
export async function readStructure(
  sessions: Sessions,
  settings: PostgresSettings,
  resource: string,
): Promise<readonly StructureNode[]> {
  const oid = await oidOf(sessions, settings, resource);
  const links = new Map<number, readonly Link[]>();
  let nodes = 0;
  for (let front = [oid], depth = 0; front.length > 0 && depth < DEPTH_MAX; depth += 1) {
    const found = await linksOf(sessions, front);
    for (const each of front) links.set(each, found.get(each) ?? []);
    nodes += [...found.values()].flat().length;
    if (nodes > NODES_MAX) break;
    const next = [...found.values()].flat().flatMap(({ leadsTo }) => leadsTo?.oid ?? []);
    front = [...new Set(next)].filter((each) => !links.has(each));
  }
  return treeOf(oid, links, new Set([oid]));
}

/** One thing that depends on a relation. */
interface Link {
  readonly kind: string;
  readonly name: string;
  readonly leadsTo: { readonly oid: number; readonly resource: string } | null;
}

function treeOf(
  oid: number,
  links: ReadonlyMap<number, readonly Link[]>,
  shown: Set<number>,
): readonly StructureNode[] {
  return (links.get(oid) ?? []).map(({ kind, name, leadsTo }) => {
    const isNew = leadsTo !== null && !shown.has(leadsTo.oid);
    if (isNew) shown.add(leadsTo.oid);
    const nodes = isNew ? treeOf(leadsTo.oid, links, shown) : [];
    return { kind, name, resource: leadsTo?.resource ?? null, nodes };
  });
}

async function oidOf(
  sessions: Sessions,
  settings: PostgresSettings,
  resource: string,
): Promise<number> {
  const [row] = await sessions.read({
    text: `SELECT c.oid::int8 FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
      WHERE s.nspname || '.' || c.relname = $1 AND s.nspname = ANY ($2::text[])
        AND c.relkind IN ('r', 'p', 'v', 'm')`,
    values: [resource, settings.schemas],
  });
  if (row !== undefined) return Number(row[0]);
  const schemas = settings.schemas.map((each) => `\`${each}\``).join(', ');
  throw new Refused(
    'statement-relation',
    `\`${resource}\` is not there; expected \`schema.table\` of ${schemas}`,
  );
}

/** By the relation that they depend on, in the order of kind and name. */
async function linksOf(
  sessions: Sessions,
  oids: readonly number[],
): Promise<ReadonlyMap<number, readonly Link[]>> {
  const rows = await sessions.read({ text: LINKS, values: [oids.map(String)] });
  const found = new Map<number, Link[]>();
  for (const [on, kind, name, oid, resource] of rows) {
    const leadsTo = oid === null ? null : { oid: Number(oid), resource: String(resource) };
    const links = found.get(Number(on)) ?? [];
    links.push({ kind: String(kind), name: String(name), leadsTo });
    found.set(Number(on), links);
  }
  assert(
    [...found.keys()].every((on) => oids.includes(on)),
    'a link is of a relation that was asked for',
  );
  return found;
}

/**
 * A function whose body is SQL standard (BEGIN ATOMIC) is known by the server's own dependencies; of
 * one whose body is a text only the text can be searched for the name, which proves nothing either way.
 */
const LINKS = `
WITH asked AS (
  SELECT c.oid, s.nspname AS schema, c.relname AS name
  FROM unnest($1::oid[]) AS given (oid) JOIN pg_class c ON c.oid = given.oid
    JOIN pg_namespace s ON s.oid = c.relnamespace
), links AS (
  SELECT k.confrelid AS on_oid, 'foreign key' AS kind,
    format('%s, on delete %s', k.conname, CASE k.confdeltype WHEN 'c' THEN 'cascade'
      WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default' WHEN 'r' THEN 'restrict'
      ELSE 'no action' END) AS name, k.conrelid AS leads_to
  FROM pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0
    AND k.confrelid IN (SELECT oid FROM asked)
  UNION ALL
  SELECT i.inhparent, CASE WHEN c.relispartition THEN 'partition' ELSE 'child table' END,
    c.relname, i.inhrelid
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent IN (SELECT oid FROM asked)
  UNION ALL
  SELECT DISTINCT d.refobjid, CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END,
    c.relname, c.oid
  FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class
  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.refobjid IN (SELECT oid FROM asked) AND c.oid <> d.refobjid AND c.relkind IN ('v', 'm')
  UNION ALL
  SELECT g.tgrelid, 'trigger', format('%s, runs %s.%s', g.tgname, s.nspname, p.proname), NULL
  FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_namespace s ON s.oid = p.pronamespace
  WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgrelid IN (SELECT oid FROM asked)
  UNION ALL
  SELECT DISTINCT d.refobjid, 'function', format('%s.%s', s.nspname, p.proname), NULL::oid
  FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_namespace s ON s.oid = p.pronamespace
  WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass
    AND d.refobjid IN (SELECT oid FROM asked)
  UNION ALL
  SELECT asked.oid, 'function', format('%s.%s, which names it', s.nspname, p.proname), NULL
  FROM asked JOIN pg_proc p ON strpos(lower(p.prosrc), lower(asked.name)) > 0
    JOIN pg_namespace s ON s.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
  WHERE l.lanname NOT IN ('c', 'internal')
    AND s.nspname NOT IN ('pg_catalog', 'information_schema') AND s.nspname !~ '^pg_'
    AND p.prosrc ~* ('\\m' || regexp_replace(asked.name, '([^[:alnum:]_])', '\\\\\\1', 'g') || '\\M')
)
SELECT l.on_oid::int8, l.kind, l.name, c.oid::int8, s.nspname || '.' || c.relname
FROM links l LEFT JOIN pg_class c ON c.oid = l.leads_to
  LEFT JOIN pg_namespace s ON s.oid = c.relnamespace
ORDER BY l.on_oid, l.kind, l.name, 5`;
