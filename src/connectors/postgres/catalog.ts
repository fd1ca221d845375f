/** What the catalog says about the tables of one statement, in one round trip. */
import { strict as assert } from 'node:assert';
import pg from 'pg';
import { Refused } from '../connector.ts';
import { FUNCTIONS } from './allowed.ts';
import { rulesOf, type PostgresSettings } from './settings.ts';
import type { Statement } from './statement.ts';
import type { RelationName } from './tree.ts';
import type { Session } from './session.ts';

export interface Column {
  readonly name: string;
  /** As `format_type` spells it: `numeric(12,2)`. */
  readonly type: string;
  readonly isGenerated: boolean;
  readonly isIdentity: boolean;
  /** The default's expression; null where there is none. */
  readonly fallback: string | null;
}

export interface Table {
  readonly oid: number;
  /** `schema.table`: how plans name it. */
  readonly resource: string;
  /** Quoted, for SQL. */
  readonly sql: string;
  /** What this is a partition or child of, `schema.table`, nearest first. */
  readonly partOf: readonly string[];
  /** `pg_class.relkind`: `r` a table, `p` a partitioned one. */
  readonly relationKind: string;
  readonly columns: readonly Column[];
  /** Primary key columns in key order; empty where there is none. */
  readonly key: readonly string[];
  /** A trigger may change what the row gets before it is written. */
  readonly hasBeforeTrigger: boolean;
}

export interface Catalog {
  /** What else the statement names, `schema.table`: it reads them. */
  readonly reads: readonly string[];
  readonly target: Table;
  /** The target and its partitions and children, by oid. */
  readonly tables: ReadonlyMap<number, Table>;
  /** The planner's estimate over the tree; null before the first ANALYZE. */
  readonly rowsEstimated: number | null;
  readonly dependents: readonly string[];
}

interface CatalogAnswer {
  readonly relations: readonly ({
    readonly schema: string;
    readonly name: string;
    readonly kind: string;
  } | null)[];
  /** The oid of the relation that the statement names as its object. */
  readonly target: number | null;
  readonly tables: readonly TableAnswer[] | null;
  readonly namesakes: readonly string[] | null;
  readonly dependents: readonly string[] | null;
}

interface TableAnswer {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly partOf: readonly string[] | null;
  readonly kind: string;
  readonly rows: number;
  readonly before: boolean;
  readonly key: readonly string[] | null;
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly generated: boolean;
    readonly identity: boolean;
    readonly fallback: string | null;
  }[];
}

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

/** Types beside composite ones, and domains over them, that a whole row may be handed in as. */
const TAKE_A_ROW =
  "'{any,record,anyelement,anynonarray,anycompatible,anycompatiblenonarray}'::text[]";

/**
 * Planned once for a connection: `BEGIN` asks for that, and this sets it back for the statement to come,
 * whose plan should know its values.
 */
const LOOK = `
WITH RECURSIVE named AS (
  SELECT place, to_regclass(name)::oid AS oid
  FROM unnest($1::text[]) WITH ORDINALITY AS n(name, place)
), tree AS (
  SELECT oid FROM named WHERE place = 1 AND oid IS NOT NULL
  UNION
  SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
), path AS (
  SELECT oid FROM pg_namespace WHERE nspname = ANY ($5::text[])
)
SELECT json_build_object(
  'relations', (
    SELECT json_agg(CASE WHEN c.oid IS NOT NULL THEN json_build_object(
      'schema', s.nspname, 'name', c.relname, 'kind', c.relkind) END ORDER BY n.place)
    FROM named n LEFT JOIN pg_class c ON c.oid = n.oid
      LEFT JOIN pg_namespace s ON s.oid = c.relnamespace),
  'target', (SELECT oid::int8 FROM named WHERE place = 1),
  'tables', (
    SELECT json_agg(json_build_object(
      'oid', c.oid::int8, 'schema', s.nspname, 'name', c.relname, 'kind', c.relkind,
      'partOf', ${ancestorsSql('t.oid')},
      'rows', c.reltuples,
      'before', EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
        AND g.tgenabled <> 'D' AND g.tgtype & 3 = 3),
      'key', (SELECT json_agg(a.attname ORDER BY k.place)
        FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place), pg_attribute a
        WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND k.place <= i.indnkeyatts
          AND a.attrelid = c.oid AND a.attnum = k.attnum),
      'columns', (SELECT json_agg(json_build_object(
          'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
          'generated', a.attgenerated <> '', 'identity', a.attidentity <> '',
          'fallback', pg_get_expr(d.adbin, d.adrelid)) ORDER BY a.attnum)
        FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) ORDER BY c.oid)
    FROM tree t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace s ON s.oid = c.relnamespace),
  'namesakes', (
    SELECT json_agg(DISTINCT found.name) FROM (
      SELECT 'function ' || p.proname AS name, p.oid, 'pg_proc'::regclass AS class FROM pg_proc p
      WHERE p.pronamespace IN (SELECT oid FROM path) AND p.proname = ANY ($2::text[])
        OR (p.pronamespace IN (SELECT oid FROM path) AND p.proname = ANY ($4::text[])
          OR p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY ($6::text[]))
        AND p.pronargs > 0 AND EXISTS (
          SELECT FROM pg_type y WHERE y.oid IN (p.proargtypes[0], p.provariadic)
            AND (y.typtype IN ('c', 'd') OR y.typname = ANY (${TAKE_A_ROW})))
      UNION ALL
      SELECT 'operator ' || o.oprname, o.oid, 'pg_operator'::regclass FROM pg_operator o
      WHERE o.oprnamespace IN (SELECT oid FROM path) AND o.oprname = ANY ($3::text[])
    ) AS found
    WHERE NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = found.class AND d.objid = found.oid AND d.deptype = 'e')),
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

/** What the look-up needs of a statement; a compensation has no more than its tables. */
export type Subject = Pick<Statement, 'target' | 'reads' | 'functions' | 'operators' | 'fields'>;

/**
 * Reads the catalog for a statement, and refuses what only the catalog can tell: a table that is not
 * governed, a function or operator that hides behind a built-in name or a column's.
 */
export async function readCatalog(
  session: Session,
  subject: Subject,
  settings: PostgresSettings,
): Promise<Catalog> {
  const relations = [subject.target, ...subject.reads];
  const { rows } = await session.client.query<{ answer: CatalogAnswer }>({
    name: 'writegate_catalog',
    text: LOOK,
    values: [
      relations.map(quoted),
      subject.functions,
      subject.operators,
      subject.fields,
      settings.schemas,
      // What may be called as `f(row)` may be called as `row.f`.
      subject.fields.filter((field) => !FUNCTIONS.has(field)),
    ],
  });
  const answer = rows[0]?.answer;
  assert(answer !== undefined, 'the catalog look-up gave no row');
  for (const [index, found] of answer.relations.entries()) {
    checkRelation(relations[index] ?? subject.target, found, index === 0, settings);
  }
  const namesake = answer.namesakes?.[0];
  if (namesake !== undefined) {
    throw new Refused(
      'statement-function',
      `the database has a ${namesake} that the statement could call; ` +
        'write the statement without that name',
    );
  }
  const tables = new Map((answer.tables ?? []).map((table) => [table.oid, asTable(table)]));
  const target = tables.get(answer.target ?? 0);
  assert(target !== undefined, 'the catalog look-up lost the target');
  const estimates = (answer.tables ?? []).map((table) => table.rows).filter((each) => each >= 0);
  const reads = answer.relations.slice(1).filter((found) => found !== null);
  return {
    target,
    reads: reads.map((found) => `${found.schema}.${found.name}`),
    tables,
    rowsEstimated: estimates.length === 0 ? null : estimates.reduce((sum, each) => sum + each, 0),
    dependents: answer.dependents ?? [],
  };
}

function checkRelation(
  name: RelationName,
  found: CatalogAnswer['relations'][number] | undefined,
  isTarget: boolean,
  settings: PostgresSettings,
): void {
  const spelled = name.schema === null ? name.name : `${name.schema}.${name.name}`;
  const governed =
    settings.tables === undefined
      ? `a table of ${settings.schemas.map((each) => `\`${each}\``).join(', ')}`
      : `one of ${Object.keys(settings.tables)
          .map((each) => `\`${each}\``)
          .join(', ')}`.slice(0, 1_000);
  if (found === null || found === undefined || !settings.schemas.includes(found.schema)) {
    throw new Refused('statement-relation', `\`${spelled}\` is not there; expected ${governed}`);
  }
  const isListed = rulesOf(settings, `${found.schema}.${found.name}`) !== undefined;
  if (!isListed) {
    throw new Refused('statement-relation', `\`${spelled}\` is not governed; expected ${governed}`);
  }
  const kinds = isTarget ? 'rp' : 'rpvm';
  if (!kinds.includes(found.kind)) {
    throw new Refused(
      'statement-relation',
      isTarget && found.kind === 'v'
        ? `\`${spelled}\` is a view; write to the table below it`
        : `\`${spelled}\` is not an ordinary table; expected one`,
    );
  }
}

function asTable(answer: TableAnswer): Table {
  return {
    oid: answer.oid,
    resource: `${answer.schema}.${answer.name}`,
    sql: `${pg.escapeIdentifier(answer.schema)}.${pg.escapeIdentifier(answer.name)}`,
    partOf: answer.partOf ?? [],
    relationKind: answer.kind,
    columns: answer.columns.map((column) => ({
      name: column.name,
      type: column.type,
      isGenerated: column.generated,
      isIdentity: column.identity,
      fallback: column.fallback,
    })),
    key: answer.key ?? [],
    hasBeforeTrigger: answer.before,
  };
}

function quoted(name: RelationName): string {
  const own = pg.escapeIdentifier(name.name);
  return name.schema === null ? own : `${pg.escapeIdentifier(name.schema)}.${own}`;
}
