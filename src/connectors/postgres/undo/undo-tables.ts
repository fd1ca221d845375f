/** What taking rows back needs to know of their tables: columns, keys, uniqueness, foreign keys. */
import pg from 'pg';
import type { Plan } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import type { Session } from '../session/session.ts';

export interface UndoColumn {
  readonly name: string;
  /** As `format_type` spells it. */
  readonly type: string;
  readonly isGenerated: boolean;
  readonly isIdentity: boolean;
}

/** A foreign key, from the table that has it to the one it points to. */
export interface ForeignKey {
  readonly name: string;
  readonly from: KeyEnd;
  readonly to: KeyEnd;
  /** Compared by overlap in time, not by equality. */
  readonly isPeriod: boolean;
  /** Whether deleting what is pointed to changes what points to it, and says nothing. */
  readonly isSilent: boolean;
}

export interface KeyEnd {
  readonly oid: number;
  readonly resource: string;
  /** Quoted; with `ONLY` where it is not partitioned, as foreign keys go by the table itself. */
  readonly sql: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** Primary key columns; empty where there is none. */
  readonly key: readonly string[];
  /** Whether the role that asks may read rows here, and lock them. */
  readonly mayRead: boolean;
  readonly mayLock: boolean;
}

export interface UndoTable {
  readonly oid: number;
  readonly resource: string;
  readonly sql: string;
  /** Oid of the partitioned table that this is a part of; its own where of none. */
  readonly root: number;
  readonly rootResource: string;
  /** The same as SQL, without `ONLY`. */
  readonly rootSql: string;
  readonly columns: readonly UndoColumn[];
  readonly key: readonly string[];
  /** Columns of unique and exclusion indexes. */
  readonly unique: readonly string[];
  /** Columns of unique constraints that are checked by a trigger, which `replica` switches off. */
  readonly deferrable: readonly (readonly string[])[];
  /** Whether triggers or rules fire on it with triggers off, too. */
  readonly isAlways: boolean;
  /** Whether a trigger or a rule may fire on it. */
  readonly isWatched: boolean;
  /** What the role that asks may do. */
  readonly may: Readonly<Record<'select' | 'insert' | 'update' | 'delete', boolean>>;
  readonly outbound: readonly ForeignKey[];
  readonly inbound: readonly ForeignKey[];
}

interface Answer extends Omit<
  UndoTable,
  'resource' | 'sql' | 'rootSql' | 'rootResource' | 'root' | 'outbound' | 'inbound'
> {
  readonly asked: string;
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  readonly root: End;
  readonly outbound: readonly KeyAnswer[];
  readonly inbound: readonly KeyAnswer[];
}

interface End {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
}

type KeyEndAnswer = End & Pick<KeyEnd, 'columns' | 'key' | 'mayRead' | 'mayLock'>;

interface KeyAnswer {
  readonly name: string;
  readonly isPeriod: boolean;
  readonly isSilent: boolean;
  readonly from: KeyEndAnswer;
  readonly to: KeyEndAnswer;
}

const keySql = (relation: string): string => `coalesce((
  SELECT json_agg(a.attname ORDER BY u.place)
  FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS u(attnum, place), pg_attribute a
  WHERE i.indrelid = ${relation} AND i.indisprimary AND i.indisvalid AND u.place <= i.indnkeyatts
    AND a.attrelid = i.indrelid AND a.attnum = u.attnum), '[]')`;

const endSql = (relation: string, more = ''): string => `(
  SELECT json_build_object('oid', e.oid::int8, 'schema', es.nspname, 'name', e.relname,
    'kind', e.relkind${more})
  FROM pg_class e JOIN pg_namespace es ON es.oid = e.relnamespace WHERE e.oid = ${relation})`;

const maySql = (relation: string, right: string): string =>
  `(has_schema_privilege(${relation}.relnamespace, 'USAGE') AND has_table_privilege(${relation}.oid, '${right}'))`;

const keyEndSql = (relation: string, columns: string): string =>
  endSql(
    relation,
    `, 'mayRead', ${maySql('e', 'SELECT')},
    'mayLock', has_any_column_privilege(e.oid, 'UPDATE'),
    'key', ${keySql(relation)}, 'columns', (
      SELECT json_agg(json_build_object('name', a.attname,
        'type', format_type(a.atttypid, a.atttypmod)) ORDER BY u.place)
      FROM unnest(${columns}) WITH ORDINALITY AS u(attnum, place)
        JOIN pg_attribute a ON a.attrelid = ${relation} AND a.attnum = u.attnum)`,
  );

/** Keys of a partition are those of its partitioned table: only those without a parent are read. */
const keysSql = (side: string): string => `coalesce((
  SELECT json_agg(json_build_object('name', k.conname,
    'isSilent', k.confdeltype IN ('c', 'n', 'd'),
    'isPeriod', coalesce(to_jsonb(k) ->> 'conperiod' = 'true', false),
    'from', ${keyEndSql('k.conrelid', 'k.conkey')}, 'to', ${keyEndSql('k.confrelid', 'k.confkey')})
    ORDER BY k.conname)
  FROM pg_constraint k
  WHERE k.contype = 'f' AND k.conparentid = 0
    AND coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'true'
    AND k.${side} IN (SELECT c.oid UNION SELECT relid FROM pg_partition_ancestors(c.oid))), '[]')`;

const indexColumnsSql = `(
  SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
  WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]))`;

const LOOK = `
SELECT coalesce(json_agg(json_build_object(
  'asked', n.asked, 'oid', c.oid::int8, 'schema', s.nspname, 'name', c.relname, 'kind', c.relkind,
  'root', ${endSql('coalesce(pg_partition_root(c.oid)::oid, c.oid)')},
  'columns', (SELECT json_agg(json_build_object('name', a.attname,
      'type', format_type(a.atttypid, a.atttypmod), 'isGenerated', a.attgenerated <> '',
      'isIdentity', a.attidentity <> '') ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'key', ${keySql('c.oid')},
  'may', json_build_object('select', ${maySql('c', 'SELECT')}, 'insert', ${maySql('c', 'INSERT')},
    'update', ${maySql('c', 'UPDATE')}, 'delete', ${maySql('c', 'DELETE')}),
  'unique', coalesce((SELECT json_agg(DISTINCT a.attname)
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid
      AND (a.attnum = ANY (i.indkey::int2[]) OR 0 = ANY (i.indkey::int2[]) AND a.attnum > 0)
    WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)), '[]'),
  'deferrable', coalesce((SELECT json_agg(${indexColumnsSql}) FROM pg_index i
    WHERE i.indrelid = c.oid AND i.indisunique AND NOT i.indimmediate), '[]'),
  'isAlways', EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgenabled IN ('A', 'R'))
    OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_enabled IN ('A', 'R')
      AND r.ev_type <> '1'),
  'isWatched', EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
      AND g.tgenabled <> 'D')
    OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1'),
  'outbound', ${keysSql('conrelid')}, 'inbound', ${keysSql('confrelid')})), '[]') AS answer
FROM unnest($1::text[], $2::text[], $3::text[]) AS n(asked, schema, name)
  JOIN pg_namespace s ON s.nspname = n.schema
  JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = n.name AND c.relkind IN ('r', 'p')`;

/**
 * Describes the tables of resources. A partition that is no longer there by its name may have handed
 * its rows on: what it was a part of takes its place. Throws `rollback-impossible` where that is gone
 * too.
 */
export async function readUndoTables(
  session: Session,
  resources: readonly string[],
  partOf: Plan['partOf'],
): Promise<ReadonlyMap<string, UndoTable>> {
  const asked = new Set([...resources, ...resources.flatMap((each) => partOf[each] ?? [])]);
  const names = [...asked].flatMap(splits);
  const { rows } = await session.client.query<{ answer: readonly Answer[] }>({
    name: 'writegate_undo_tables',
    text: LOOK,
    values: [
      names.map((each) => each.asked),
      names.map((each) => each.schema),
      names.map((each) => each.name),
    ],
  });
  const found = new Map((rows[0]?.answer ?? []).map((each) => [each.asked, each]));
  const tables = new Map<string, UndoTable>();
  for (const resource of resources) {
    const whole = (partOf[resource] ?? []).find((each) => found.get(each)?.kind === 'p') ?? '';
    const answer = found.get(resource) ?? found.get(whole);
    if (answer === undefined) {
      throw new Refused('rollback-impossible', `the table \`${resource}\` is no longer there`);
    }
    tables.set(resource, asTable(answer));
  }
  return tables;
}

/** `a.b.c` may be `c` in `a.b`, or `b.c` in `a`. */
function splits(asked: string): { asked: string; schema: string; name: string }[] {
  const parts = asked.split('.');
  return parts.slice(1).map((_, at) => ({
    asked,
    schema: parts.slice(0, at + 1).join('.'),
    name: parts.slice(at + 1).join('.'),
  }));
}

function asTable(answer: Answer): UndoTable {
  const { asked: _, schema, name, kind, root, outbound, inbound, ...rest } = answer;
  return {
    ...rest,
    ...named({ oid: answer.oid, schema, name, kind }),
    root: root.oid,
    rootResource: `${root.schema}.${root.name}`,
    rootSql: quoted(root),
    outbound: outbound.map(asKey),
    inbound: inbound.map(asKey),
  };
}

function asKey({ from, to, ...rest }: KeyAnswer): ForeignKey {
  const end = (each: KeyAnswer['from']): KeyEnd => ({
    ...named(each),
    columns: each.columns,
    key: each.key,
    mayRead: each.mayRead,
    mayLock: each.mayLock,
  });
  return { ...rest, from: end(from), to: end(to) };
}

function named(end: End): Pick<KeyEnd, 'oid' | 'resource' | 'sql'> {
  return {
    oid: end.oid,
    resource: `${end.schema}.${end.name}`,
    sql: end.kind === 'p' ? quoted(end) : `ONLY ${quoted(end)}`,
  };
}

function quoted(end: End): string {
  return `${pg.escapeIdentifier(end.schema)}.${pg.escapeIdentifier(end.name)}`;
}

/**
 * Ranks tables so that what is pointed to comes before what points to it; where keys go round in a
 * circle, in any order.
 */
export function rankTables(tables: Iterable<UndoTable>): ReadonlyMap<number, number> {
  const roots = new Map<number, UndoTable[]>();
  for (const table of tables) roots.set(table.root, [...(roots.get(table.root) ?? []), table]);
  const ranks = new Map<number, number>();
  const visit = (root: number, path: ReadonlySet<number>): number => {
    const known = ranks.get(root);
    if (known !== undefined) return known;
    let rank = 0;
    for (const table of roots.get(root) ?? []) {
      for (const { to } of table.outbound) {
        const parents = [...roots.values()].flat().filter((each) => isOf(each, to.oid));
        for (const parent of parents) {
          if (parent.root === root || path.has(parent.root)) continue;
          rank = Math.max(rank, visit(parent.root, new Set([...path, root])) + 1);
        }
      }
    }
    ranks.set(root, rank);
    return rank;
  };
  for (const root of roots.keys()) visit(root, new Set());
  return ranks;
}

function isOf(table: UndoTable, oid: number): boolean {
  return table.oid === oid || table.root === oid;
}
