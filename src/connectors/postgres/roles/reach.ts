/**
 * What a write to the governed tables may set off: the tables that cascades, children and triggers
 * lead to, and every function that runs on the way. Read from the catalog alone, by any role.
 */
import { quoted, type Ask, type Verb } from '../session/ask.ts';
import { readBodies, touchedIn, type FunctionFacts } from './bodies.ts';
import type { PostgresSettings } from '../settings.ts';
import { readBelow, viewOf, type ViewFacts } from '../catalog/views.ts';

/** Which tables are governed: what the settings say of it, or what `add` was told. */
export type Governed = Pick<PostgresSettings, 'schemas' | 'tables'>;

export interface TriggerFacts {
  readonly name: string;
  readonly timing: 'before' | 'after' | 'instead';
  readonly events: readonly string[];
  readonly perRow: boolean;
  readonly function: number;
}

export interface CascadeFacts {
  readonly constraint: string;
  /** The table whose rows go along. */
  readonly resource: string;
  readonly onDelete: string;
  readonly onUpdate: string;
}

export interface TableFacts {
  readonly oid: number;
  /** `schema.table`, unquoted: what policies name. */
  readonly resource: string;
  /** The same, quoted for SQL. */
  readonly sql: string;
  readonly schema: string;
  /** As `pg_class.relkind`: r table, p partitioned, f foreign. */
  readonly kind: string;
  readonly owner: string;
  readonly isGoverned: boolean;
  readonly isUnlogged: boolean;
  readonly rowSecurity: 'off' | 'on' | 'forced';
  readonly policies: readonly string[];
  readonly parents: readonly string[];
  readonly children: number;
  readonly key: readonly string[];
  readonly generated: readonly string[];
  readonly triggers: readonly TriggerFacts[];
  readonly cascades: readonly CascadeFacts[];
  readonly rules: readonly string[];
  /** Quoted for SQL; those of identity columns need no right and are left out. */
  readonly sequences: readonly string[];
  /** Functions of defaults, checks, domains, rules, policies and indexes. */
  readonly calls: readonly { readonly via: string; readonly function: number }[];
}

export interface Reach {
  readonly tables: readonly TableFacts[];
  /** Governed views by `schema.view`: agents may read them, and write through some. */
  readonly views: ReadonlyMap<string, ViewFacts>;
  readonly functions: ReadonlyMap<number, FunctionFacts>;
  /** Which functions a write to a table, or through a view, may run, with what leads there; by oid. */
  readonly runs: ReadonlyMap<number, readonly Run[]>;
  /** Tables beyond those that foreign keys lead to or from: nothing is written there. */
  readonly linked: readonly LinkedFacts[];
  /** What the caller's own rights must cover, because a trigger writes there in the caller's name. */
  readonly triggerWrites: ReadonlyMap<string, ReadonlySet<Verb>>;
}

export interface LinkedFacts {
  readonly resource: string;
  /** Quoted for SQL. */
  readonly sql: string;
  readonly schema: string;
  /** Whether the role that asks may let another read it. */
  readonly isGrantable: boolean;
}

export interface Run {
  readonly function: FunctionFacts;
  /** `trigger audit`, `default of id`, `check positive`; further calls with ` → `. */
  readonly via: string;
}

/** Rounds of following triggers from table to table; what lies deeper is found by the preview itself. */
const ROUNDS_MAX = 8;

/** Reads what the governed tables reach. About 10 ms for a hundred tables. */
export async function readReach(ask: Ask, governed: Governed): Promise<Reach> {
  const names = governedNames(governed);
  const roots = await ask(ROOTS, [governed.schemas, names]);
  const views = new Map(
    roots
      .filter(([, , , isView]) => isView === true)
      .map(([oid, schema, name, , updatable]) => [
        `${String(schema)}.${String(name)}`,
        viewOf(Number(oid), String(schema), String(name), Number(updatable)),
      ]),
  );
  const below = await readBelow(ask, [...views.values()]);
  const wanted = new Set(roots.filter((row) => row[3] !== true).map(([oid]) => Number(oid)));
  const governedOids = [...wanted];
  for (const oid of below.tables) wanted.add(oid);
  for (let round = 0; ; round += 1) {
    const tables = await readTables(ask, [...wanted], governedOids);
    for (const { oid } of tables) wanted.add(oid);
    const through = [...below.calls].map(([oid, calls]) => ({ oid, triggers: [], calls }));
    const sources: readonly Source[] = [...tables, ...through];
    const functions = await readBodies(
      ask,
      sources.flatMap(({ triggers, calls }) =>
        [...triggers, ...calls].map((each) => each.function),
      ),
    );
    const runs = new Map(sources.map((source) => [source.oid, runsOf(source, functions)]));
    const touched = [...runs.values()].flat().flatMap((run) => touchedIn(run.function));
    const found = await ask(NAMED_TABLES, [touched.map(({ table }) => table)]);
    const before = wanted.size;
    for (const [oid] of found) wanted.add(Number(oid));
    if (wanted.size === before || round === ROUNDS_MAX) {
      const linked = await readLinked(ask, tables);
      return { tables, views, functions, runs, linked, triggerWrites: writesBy(runs, tables) };
    }
  }
}

async function readLinked(
  ask: Ask,
  tables: readonly TableFacts[],
): Promise<readonly LinkedFacts[]> {
  const rows = await ask(LINKED, [tables.map(({ oid }) => oid)]);
  return rows.map(([schema, name, isGrantable]) => ({
    resource: `${String(schema)}.${String(name)}`,
    sql: quoted(String(schema), String(name)),
    schema: String(schema),
    isGrantable: isGrantable === true,
  }));
}

/** The tables that the settings list, `schema.table`; null for every table of the schemas. */
export function governedNames(governed: Governed): readonly string[] | null {
  if (governed.tables === undefined) return null;
  const [first = 'public'] = governed.schemas;
  return Object.keys(governed.tables).map((table) =>
    table.includes('.') ? table : `${first}.${table}`,
  );
}

/** What a write to a table, or through a view, may run. */
type Source = Pick<TableFacts, 'oid' | 'triggers' | 'calls'>;

/** Functions that a table's triggers, rules and expressions run, and those that they call in turn. */
function runsOf(table: Source, functions: ReadonlyMap<number, FunctionFacts>): readonly Run[] {
  const found = new Map<number, Run>();
  const left = [
    ...table.triggers.map((each) => ({ via: `trigger ${each.name}`, oid: each.function })),
    ...table.calls.map((each) => ({ via: each.via, oid: each.function })),
  ];
  for (let next = left.shift(); next !== undefined; next = left.shift()) {
    const { via, oid } = next;
    const called = functions.get(oid);
    if (called === undefined || found.has(oid)) continue;
    found.set(oid, { function: called, via });
    for (const inner of called.calls) left.push({ via: `${via} → ${called.name}`, oid: inner });
  }
  return [...found.values()];
}

function writesBy(
  runs: ReadonlyMap<number, readonly Run[]>,
  tables: readonly TableFacts[],
): ReadonlyMap<string, ReadonlySet<Verb>> {
  const writes = new Map<string, Set<Verb>>();
  for (const run of [...runs.values()].flat()) {
    // A definer's function writes with its owner's rights.
    if (run.function.isDefiner) continue;
    for (const { table, verb } of touchedIn(run.function)) {
      if (verb === null) continue;
      for (const { resource } of tables) {
        if (resource !== table && !resource.endsWith(`.${table}`)) continue;
        writes.set(resource, (writes.get(resource) ?? new Set()).add(verb));
      }
    }
  }
  return writes;
}

const ROOTS = `
SELECT c.oid::int8, s.nspname, c.relname, c.relkind IN ('v', 'm'),
  CASE WHEN c.relkind = 'v' THEN pg_relation_is_updatable(c.oid, true) ELSE 0 END
FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE s.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
  AND ($2::text[] IS NULL OR s.nspname || '.' || c.relname = ANY ($2::text[]))`;

/** The owner's rights count for whoever may act as the owner. */
const LINKED = `
SELECT DISTINCT s.nspname, c.relname, (pg_has_role(c.relowner, 'USAGE')
    OR has_table_privilege(c.oid, 'SELECT WITH GRANT OPTION'))
  AND (has_schema_privilege('public', s.oid, 'USAGE') OR pg_has_role(s.nspowner, 'USAGE')
    OR has_schema_privilege(s.oid, 'USAGE WITH GRANT OPTION'))
FROM pg_constraint k
  JOIN pg_class c ON c.oid IN (k.conrelid, k.confrelid) AND c.relkind IN ('r', 'p')
  JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND c.oid <> ALL ($1::int8[]::oid[])
  AND (k.conrelid = ANY ($1::int8[]::oid[]) OR k.confrelid = ANY ($1::int8[]::oid[]))
ORDER BY 1, 2`;

/** Names as functions spell them, with a schema or without. */
const NAMED_TABLES = `
SELECT DISTINCT c.oid::int8 FROM unnest($1::text[]) AS n(name)
JOIN pg_class c ON c.relname = split_part(n.name, '.', CASE WHEN n.name LIKE '%.%' THEN 2 ELSE 1 END)
JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND s.nspname !~ '^pg_' AND s.nspname <> 'information_schema'
  AND (n.name NOT LIKE '%.%' OR s.nspname = split_part(n.name, '.', 1))`;

interface TableAnswer extends Omit<
  TableFacts,
  'oid' | 'resource' | 'sql' | 'isGoverned' | 'triggers' | 'sequences'
> {
  readonly oid: number;
  readonly name: string;
  readonly triggers: readonly {
    readonly name: string;
    readonly type: number;
    readonly function: number;
  }[];
  readonly sequences: readonly (readonly [schema: string, name: string])[];
}

async function readTables(
  ask: Ask,
  from: readonly number[],
  governed: readonly number[],
): Promise<readonly TableFacts[]> {
  const rows = await ask(TABLES, [from]);
  // The shape of `TABLES` below.
  const answers = rows.map(([json]) => json as TableAnswer);
  const isGoverned = new Set(answers.filter((each) => governed.includes(each.oid)).map(resourceOf));
  // What is a part of a governed table is written through it.
  for (let before = -1; before !== isGoverned.size;) {
    before = isGoverned.size;
    for (const each of answers) {
      if (each.parents.some((parent) => isGoverned.has(parent))) isGoverned.add(resourceOf(each));
    }
  }
  return answers.map((answer) => {
    const resource = resourceOf(answer);
    const { schema, name, triggers, sequences } = answer;
    return Object.assign(answer, {
      resource,
      sql: quoted(schema, name),
      isGoverned: isGoverned.has(resource),
      triggers: triggers.map((each) => ({
        name: each.name,
        timing: timingOf(each.type),
        events: eventsOf(each.type),
        perRow: (each.type & 1) !== 0,
        function: each.function,
      })),
      sequences: sequences.map(([of, sequence]) => quoted(of, sequence)),
    });
  });
}

function resourceOf({ schema, name }: TableAnswer): string {
  return `${schema}.${name}`;
}

/** Bits of `pg_trigger.tgtype`. */
function timingOf(type: number): TriggerFacts['timing'] {
  if ((type & 64) !== 0) return 'instead';
  return (type & 2) === 0 ? 'after' : 'before';
}

const EVENTS: readonly (readonly [bit: number, name: string])[] = [
  [4, 'insert'],
  [8, 'delete'],
  [16, 'update'],
  [32, 'truncate'],
];

function eventsOf(type: number): readonly string[] {
  return EVENTS.filter(([bit]) => (type & bit) !== 0).map(([, name]) => name);
}

const ACTION = (column: string): string =>
  `CASE ${column} WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default' ELSE 'refuse' END`;

const TABLES = `
WITH RECURSIVE edges AS (
  SELECT inhparent AS parent, inhrelid AS child FROM pg_inherits
  UNION
  SELECT confrelid, conrelid FROM pg_constraint
  WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
), reach AS (
  SELECT unnest($1::int8[])::oid AS oid
  UNION
  SELECT e.child FROM reach r JOIN edges e ON e.parent = r.oid
), types AS (
  SELECT a.attrelid, a.atttypid AS oid FROM pg_attribute a JOIN reach r ON r.oid = a.attrelid
  WHERE a.attnum > 0 AND NOT a.attisdropped
  UNION
  SELECT t.attrelid, y.typbasetype FROM types t JOIN pg_type y ON y.oid = t.oid AND y.typtype = 'd'
), parts AS (
  SELECT d.adrelid AS rel, 'pg_attrdef'::regclass AS class, d.oid,
    CASE WHEN a.attgenerated <> '' THEN 'generated column ' ELSE 'default of ' END || a.attname AS via
  FROM pg_attrdef d JOIN reach r ON r.oid = d.adrelid
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  UNION ALL
  SELECT k.conrelid, 'pg_constraint'::regclass, k.oid, 'check ' || k.conname
  FROM pg_constraint k JOIN reach r ON r.oid = k.conrelid WHERE k.contype = 'c'
  UNION ALL
  SELECT t.attrelid, 'pg_constraint'::regclass, k.oid, 'domain ' || y.typname
  FROM types t JOIN pg_type y ON y.oid = t.oid JOIN pg_constraint k ON k.contypid = t.oid
  UNION ALL
  SELECT w.ev_class, 'pg_rewrite'::regclass, w.oid, 'rule ' || w.rulename
  FROM pg_rewrite w JOIN reach r ON r.oid = w.ev_class
  UNION ALL
  SELECT p.polrelid, 'pg_policy'::regclass, p.oid, 'policy ' || p.polname
  FROM pg_policy p JOIN reach r ON r.oid = p.polrelid
  UNION ALL
  SELECT i.indrelid, 'pg_class'::regclass, i.indexrelid, 'index ' || c.relname
  FROM pg_index i JOIN reach r ON r.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
  WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
), calls AS (
  SELECT DISTINCT p.rel, p.via, CASE WHEN d.refclassid = 'pg_proc'::regclass
    THEN d.refobjid ELSE (SELECT o.oprcode::oid FROM pg_operator o WHERE o.oid = d.refobjid) END AS function
  FROM parts p JOIN pg_depend d ON d.classid = p.class AND d.objid = p.oid
    AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
)
SELECT json_build_object(
  'oid', c.oid::int8, 'schema', s.nspname, 'name', c.relname, 'kind', c.relkind,
  'owner', pg_get_userbyid(c.relowner), 'isUnlogged', c.relpersistence = 'u',
  'rowSecurity', CASE WHEN c.relforcerowsecurity AND c.relrowsecurity THEN 'forced'
    WHEN c.relrowsecurity THEN 'on' ELSE 'off' END,
  'policies', coalesce((SELECT json_agg(p.polname ORDER BY p.polname) FROM pg_policy p
    WHERE p.polrelid = c.oid), '[]'),
  'parents', coalesce((SELECT json_agg(ps.nspname || '.' || pc.relname ORDER BY i.inhseqno)
    FROM pg_inherits i JOIN pg_class pc ON pc.oid = i.inhparent
      JOIN pg_namespace ps ON ps.oid = pc.relnamespace WHERE i.inhrelid = c.oid), '[]'),
  'children', (SELECT count(*)::int FROM pg_inherits i WHERE i.inhparent = c.oid),
  'key', coalesce((SELECT json_agg(a.attname ORDER BY k.place)
    FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place), pg_attribute a
    WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND k.place <= i.indnkeyatts
      AND a.attrelid = c.oid AND a.attnum = k.attnum), '[]'),
  'generated', coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped), '[]'),
  'triggers', coalesce((SELECT json_agg(json_build_object(
      'name', g.tgname, 'type', g.tgtype, 'function', g.tgfoid::int8) ORDER BY g.tgname)
    FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'), '[]'),
  'cascades', coalesce((SELECT json_agg(json_build_object(
      'constraint', k.conname, 'resource', ks.nspname || '.' || kc.relname,
      'onDelete', ${ACTION('k.confdeltype')}, 'onUpdate', ${ACTION('k.confupdtype')})
      ORDER BY ks.nspname, kc.relname, k.conname)
    FROM pg_constraint k JOIN pg_class kc ON kc.oid = k.conrelid
      JOIN pg_namespace ks ON ks.oid = kc.relnamespace
    WHERE k.contype = 'f' AND k.confrelid = c.oid AND k.conparentid = 0
      AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))), '[]'),
  'rules', coalesce((SELECT json_agg(w.rulename ORDER BY w.rulename) FROM pg_rewrite w
    WHERE w.ev_class = c.oid AND w.rulename <> '_RETURN' AND w.ev_enabled <> 'D'), '[]'),
  'sequences', coalesce((SELECT json_agg(DISTINCT jsonb_build_array(qs.nspname, q.relname))
    FROM pg_class q JOIN pg_namespace qs ON qs.oid = q.relnamespace
      JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass
        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = q.oid
      JOIN pg_attrdef f ON f.oid = d.objid AND f.adrelid = c.oid
    WHERE q.relkind = 'S'), '[]'),
  'calls', coalesce((SELECT json_agg(json_build_object('via', k.via, 'function', k.function::int8)
      ORDER BY k.via) FROM calls k WHERE k.rel = c.oid), '[]'))
FROM reach r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace s ON s.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f')
ORDER BY s.nspname, c.relname`;
