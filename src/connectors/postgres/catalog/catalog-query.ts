/** The SQL that asks the catalog about tables; `catalog.ts` reads the answers. */
import { NAMESAKES } from '../text/namesakes.ts';
import { knownTypeSql } from '../text/types.ts';

/** What `relation` (an expression for an oid) is a part of: a JSON list of names, nearest first, or null. */
export function ancestorsSql(relation: string): string {
  return `(WITH RECURSIVE up AS (
      SELECT inhparent AS oid, 1 AS steps FROM pg_inherits WHERE inhrelid = ${relation}
      UNION
      SELECT i.inhparent, up.steps + 1 FROM up JOIN pg_inherits i ON i.inhrelid = up.oid
    )
    SELECT json_agg(a.name ORDER BY a.steps, a.name) FROM (
      SELECT s.nspname || '.' || c.relname AS name, min(up.steps) AS steps
      FROM up JOIN pg_class c ON c.oid = up.oid JOIN pg_namespace s ON s.oid = c.relnamespace
      GROUP BY 1) AS a)`;
}

/** Foreign keys where `which` (`conrelid` or `confrelid`) is the table `c`. */
function foreignKeysSql(which: 'conrelid' | 'confrelid'): string {
  const names = (list: string, relation: string): string =>
    `(SELECT json_agg(a.attname ORDER BY u.place)
      FROM unnest(k.${list}) WITH ORDINALITY AS u(attnum, place)
        JOIN pg_attribute a ON a.attrelid = k.${relation} AND a.attnum = u.attnum)`;
  return `(SELECT json_agg(json_build_object('name', k.conname,
        'from', k.conrelid::int8, 'to', k.confrelid::int8,
        'fromResource', fs.nspname || '.' || fc.relname, 'toResource', ts.nspname || '.' || tc.relname,
        'columns', ${names('conkey', 'conrelid')}, 'referenced', ${names('confkey', 'confrelid')},
        'onDelete', k.confdeltype, 'onUpdate', k.confupdtype) ORDER BY k.conname, k.oid)
    FROM pg_constraint k
      JOIN pg_class fc ON fc.oid = k.conrelid JOIN pg_namespace fs ON fs.oid = fc.relnamespace
      JOIN pg_class tc ON tc.oid = k.confrelid JOIN pg_namespace ts ON ts.oid = tc.relnamespace
    WHERE k.contype = 'f' AND k.${which} = c.oid)`;
}

/** The tables below the view `c`, and what those are parts of; null for anything else. */
const SHOWS = `CASE WHEN c.relkind = 'v' THEN (
    WITH RECURSIVE below AS (
      SELECT c.oid
      UNION
      SELECT next.oid FROM below b, LATERAL (
        SELECT i.inhparent AS oid FROM pg_inherits i WHERE i.inhrelid = b.oid
        UNION ALL
        SELECT d.refobjid FROM pg_rewrite w JOIN pg_depend d
          ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
            AND d.refclassid = 'pg_class'::regclass
        WHERE w.ev_class = b.oid
      ) AS next
    )
    SELECT json_agg(n.nspname || '.' || r.relname) FROM below b
      JOIN pg_class r ON r.oid = b.oid JOIN pg_namespace n ON n.oid = r.relnamespace
    WHERE r.relkind <> 'v') END`;

/** Pairs of a column of the view `c` and the column of a table that it shows as it is. */
const ORIGINS = `CASE WHEN c.relkind = 'v' THEN (
    SELECT json_agg(json_build_array(m[1], a.attname))
    FROM pg_rewrite w, regexp_matches(w.ev_action::text,
        ':resname (\\S+) :ressortgroupref \\d+ :resorigtbl (\\d+) :resorigcol (\\d+)', 'g') AS m
      JOIN pg_attribute a ON a.attrelid = m[2]::oid AND a.attnum = m[3]::int
      JOIN pg_class o ON o.oid = a.attrelid AND o.relkind <> 'v'
    WHERE w.ev_class = c.oid AND w.ev_type = '1') END`;

/** One table `c` of the schema `s` as JSON. */
const TABLE = `json_build_object(
  'oid', c.oid::int8, 'schema', s.nspname, 'name', c.relname, 'kind', c.relkind,
  'partOf', ${ancestorsSql('c.oid')}, 'shows', ${SHOWS}, 'origins', ${ORIGINS},
  'rows', c.reltuples,
  'access', (SELECT m.amname FROM pg_am m WHERE m.oid = c.relam),
  'security', CASE WHEN c.relforcerowsecurity AND c.relrowsecurity THEN 'forced'
    WHEN c.relrowsecurity THEN 'on' ELSE 'off' END,
  'isPartition', c.relispartition,
  'hasChildren', EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid),
  'triggers', (SELECT json_agg(json_build_object('name', g.tgname,
        'call', ps.nspname || '.' || p.proname,
        'timing', CASE WHEN g.tgtype & 64 <> 0 THEN 'instead' WHEN g.tgtype & 2 <> 0 THEN 'before'
          ELSE 'after' END,
        'isForEachRow', g.tgtype & 1 <> 0, 'isDeferrable', g.tgdeferrable) ORDER BY g.tgname)
    FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_namespace ps ON ps.oid = p.pronamespace
    WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'),
  'rules', (SELECT json_agg(r.rulename ORDER BY r.rulename) FROM pg_rewrite r
    WHERE r.ev_class = c.oid AND r.ev_type <> '1'),
  'inbound', ${foreignKeysSql('confrelid')},
  'outbound', ${foreignKeysSql('conrelid')},
  'key', (SELECT json_agg(a.attname ORDER BY k.place)
    FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place), pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND k.place <= i.indnkeyatts
      AND a.attrelid = c.oid AND a.attnum = k.attnum),
  'columns', (SELECT json_agg(json_build_object(
      'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
      'generated', a.attgenerated <> '', 'identity', a.attidentity <> '',
      'fallback', pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum)
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))`;

/** Built-in functions that change from call to call and do nothing else, beside `nextval`'s counter. */
const HARMLESS =
  "'{nextval,currval,random,random_normal,gen_random_uuid,uuidv4,uuidv7,clock_timestamp,timeofday}'";

/**
 * Why a write to the table `c` may do more than its rows show, or null: then no code but the server's own
 * runs with it. `$5` are the schemas of the target. What this asks, `known.ts` watches.
 */
const UNSEALED = `CASE
  WHEN c.relkind <> 'r' OR c.relpersistence = 't' THEN 'kind'
  WHEN c.relam <> (SELECT oid FROM pg_am WHERE amname = 'heap') THEN 'access method'
  WHEN c.relhasrules THEN 'rule'
  WHEN c.relhassubclass OR c.relispartition
    OR EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) THEN 'part'
  WHEN c.relrowsecurity THEN 'row security'
  WHEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid
    AND (NOT g.tgisinternal AND g.tgenabled <> 'D' OR g.tgdeferrable)) THEN 'trigger'
  WHEN EXISTS (SELECT FROM pg_constraint k JOIN pg_class o ON o.oid IN (k.conrelid, k.confrelid)
    WHERE k.contype = 'f' AND c.oid IN (k.conrelid, k.confrelid)
      AND (k.confrelid = c.oid AND (k.confdeltype NOT IN ('a', 'r') OR k.confupdtype NOT IN ('a', 'r'))
        OR o.relnamespace NOT IN (SELECT oid FROM path))) THEN 'foreign key'
  WHEN EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND NOT k.convalidated)
    THEN 'unchecked constraint'
  WHEN EXISTS (SELECT FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
      LEFT JOIN pg_type e ON e.oid = y.typelem AND y.typcategory = 'A'
      LEFT JOIN pg_type b ON b.oid = y.typbasetype
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND NOT (coalesce(e.typtype, y.typtype) = 'e'
        OR coalesce(e.typtype, y.typtype) IN ('b', 'r', 'm') AND (coalesce(e.oid, y.oid) < 16384
          OR EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_type'::regclass
            AND x.objid = coalesce(e.oid, y.oid) AND x.deptype = 'e'))
        OR e.oid IS NULL AND y.typtype = 'd' AND b.typtype IN ('b', 'e') AND b.oid < 16384))
    THEN 'type'
  WHEN EXISTS (SELECT FROM parts p JOIN pg_depend d ON d.classid = p.class AND d.objid = p.oid
    WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass)
      AND d.refobjid >= 16384 AND (d.refclassid = 'pg_proc'::regclass
        OR NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = d.refclassid
          AND x.objid = d.refobjid AND x.deptype = 'e'))) THEN 'function'
  WHEN EXISTS (SELECT FROM parts p JOIN pg_depend d ON d.classid = p.class AND d.objid = p.oid
      JOIN pg_class q ON d.refclassid = 'pg_class'::regclass AND q.oid = d.refobjid
    WHERE q.relkind = 'S' AND q.relnamespace NOT IN (SELECT oid FROM path)) THEN 'sequence'
  WHEN EXISTS (SELECT FROM parts p,
      regexp_matches(p.tree, ':(?:op)?funcid (\\d+)', 'g') AS m JOIN pg_proc f ON f.oid = m[1]::oid
    WHERE f.provolatile = 'v' AND f.proname <> ALL (${HARMLESS}::name[])) THEN 'volatile function'
  WHEN EXISTS (SELECT FROM pg_cast k WHERE k.oid >= 16384 AND k.castfunc >= 16384
    AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_cast'::regclass
      AND x.objid = k.oid AND x.deptype = 'e')) THEN 'cast'
END`;

/**
 * `$1` the relations, the `$7` that are written to first, the target first of these; `$2` functions, `$3` operators, `$4` fields that the statement names;
 * `$5` the schemas; `$6` the fields that no allowed function is called like; `$8` types.
 */
export const LOOK: string = `
WITH RECURSIVE named AS (
  SELECT place, to_regclass(name)::oid AS oid
  FROM unnest($1::text[]) WITH ORDINALITY AS n(name, place)
), tree AS (
  SELECT oid FROM named WHERE place <= $7 AND oid IS NOT NULL
  UNION
  SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
), path AS (
  SELECT oid FROM pg_namespace WHERE nspname = ANY ($5::text[])
), target AS (
  SELECT oid FROM named WHERE place = 1
), parts AS (
  SELECT 'pg_attrdef'::regclass AS class, d.oid, d.adbin::text AS tree
  FROM pg_attrdef d WHERE d.adrelid = (SELECT oid FROM target)
  UNION ALL
  SELECT 'pg_constraint'::regclass, k.oid, k.conbin::text FROM pg_constraint k
  WHERE k.contype <> 'f' AND (k.conrelid = (SELECT oid FROM target)
    OR k.contypid <> 0 AND k.contypid IN (SELECT a.atttypid FROM pg_attribute a
      WHERE a.attrelid = (SELECT oid FROM target)))
  UNION ALL
  SELECT 'pg_class'::regclass, i.indexrelid, concat(i.indexprs::text, i.indpred::text)
  FROM pg_index i WHERE i.indrelid = (SELECT oid FROM target)
)
SELECT json_build_object(
  'relations', (
    SELECT json_agg(CASE WHEN c.oid IS NOT NULL THEN json_build_object(
      'schema', s.nspname, 'name', c.relname, 'kind', c.relkind,
      'partOf', ${ancestorsSql('c.oid')},
      'columns', (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
      'isPlain', c.relkind = 'r' AND NOT c.relrowsecurity AND NOT c.relhassubclass
        AND NOT c.relhasrules AND NOT EXISTS (
          SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)) END ORDER BY n.place)
    FROM named n LEFT JOIN pg_class c ON c.oid = n.oid
      LEFT JOIN pg_namespace s ON s.oid = c.relnamespace),
  'written', (SELECT json_agg(n.oid::int8 ORDER BY n.place) FROM named n WHERE n.place <= $7),
  'types', (SELECT json_agg(${knownTypeSql('n.name', '$5')} ORDER BY n.place)
    FROM unnest($8::text[]) WITH ORDINALITY AS n(name, place)),
  'canInvert', (SELECT has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
      AND has_table_privilege(c.oid, 'DELETE') FROM pg_class c WHERE c.oid = (SELECT oid FROM target)),
  'hasTriggers', (SELECT c.relhastriggers FROM pg_class c WHERE c.oid = (SELECT oid FROM target)),
  'domains', (SELECT json_agg(DISTINCT y.oid::int8) FROM pg_attribute a
      JOIN pg_type y ON y.oid = a.atttypid
    WHERE a.attrelid = (SELECT oid FROM target) AND y.typtype = 'd' AND NOT a.attisdropped),
  'unsealed', (SELECT ${UNSEALED} FROM pg_class c WHERE c.oid = (SELECT oid FROM target)),
  'tables', (
    SELECT json_agg(${TABLE} ORDER BY c.oid)
    FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace s ON s.oid = c.relnamespace),
  'namesakes', ${NAMESAKES},
  'dependents', (
    SELECT json_agg(DISTINCT found.name ORDER BY found.name) FROM (
      SELECT format('foreign key %s of %s.%s', k.conname, s.nspname, c.relname) AS name
      FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
        JOIN pg_namespace s ON s.oid = c.relnamespace
      WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid IN (SELECT oid FROM tree)
      UNION ALL
      SELECT format('trigger %s on %s.%s', g.tgname, s.nspname, c.relname)
      FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
        JOIN pg_namespace s ON s.oid = c.relnamespace
      WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgrelid IN (SELECT oid FROM tree)
      UNION ALL
      SELECT format('view %s.%s', s.nspname, c.relname)
      FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class
        JOIN pg_namespace s ON s.oid = c.relnamespace
      WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT oid FROM tree)
        AND d.classid = 'pg_rewrite'::regclass AND c.relkind IN ('v', 'm')
    ) AS found)
) AS answer, set_config('plan_cache_mode', 'auto', true)`;

/** The tables of a list of oids. */
export const DESCRIBE: string = `
SELECT coalesce(json_agg(${TABLE}), '[]') AS answer
FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])`;
