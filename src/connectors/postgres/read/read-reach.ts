/** What a read names and reaches: before it runs by the catalog, and afterwards by its own locks. */
import { strict as assert } from 'node:assert';
import pg from 'pg';
import { Refused } from '../../connector.ts';
import { FUNCTIONS } from '../text/allowed.ts';
import { ancestorsSql } from '../catalog/catalog-query.ts';
import { NAMESAKES } from '../text/namesakes.ts';
import { checkAttributes } from '../text/ranges.ts';
import type { Session } from '../session/session.ts';
import { rulesOf, type PostgresSettings } from '../settings.ts';
import type { Query } from '../text/statement.ts';
import type { RelationName } from '../text/tree.ts';

/** A relation that a read names, or that lies below one that it names. */
export interface Reached {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  /** What it is a part of, `schema.table`, nearest first. */
  readonly partOf: readonly string[];
  readonly isNamed: boolean;
  /** Reached through a view. */
  readonly isBelow: boolean;
  /** Code of the database's users may run when it is read. */
  readonly hasCode: boolean;
  /** By their place, from 1. */
  readonly columns: Readonly<Record<string, string>>;
}

/** Everything that the named relations stand for: their parts, and what views select from. */
const LOOK = `
WITH RECURSIVE named AS (
  SELECT place, to_regclass(name)::oid AS oid
  FROM unnest($1::text[]) WITH ORDINALITY AS n(name, place)
), path AS (
  SELECT oid FROM pg_namespace WHERE nspname = ANY ($5::text[])
), reach AS (
  SELECT oid, true AS named, false AS below FROM named WHERE oid IS NOT NULL
  UNION
  SELECT next.oid, false, next.below FROM reach r, LATERAL (
    SELECT i.inhrelid AS oid, r.below FROM pg_inherits i WHERE i.inhparent = r.oid
    UNION ALL
    SELECT d.refobjid, true FROM pg_rewrite w JOIN pg_depend d
      ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
    WHERE w.ev_class = r.oid AND w.ev_type = '1'
      AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.oid
  ) AS next
), reached AS (
  SELECT oid, bool_or(named) AS named, bool_or(below) AS below FROM reach GROUP BY oid
)
SELECT json_build_object(
  'missing', (SELECT min(place) FROM named WHERE oid IS NULL),
  'named', (SELECT json_agg(oid::int8 ORDER BY place) FROM named),
  'reached', (SELECT json_agg(json_build_object(
      'oid', c.oid::int8, 'schema', s.nspname, 'name', c.relname, 'kind', c.relkind,
      'partOf', coalesce(${ancestorsSql('c.oid')}, '[]'), 'isNamed', r.named, 'isBelow', r.below,
      'hasCode', c.relkind NOT IN ('r', 'p') OR c.relrowsecurity OR c.relam <> 2,
      'columns', (SELECT coalesce(json_object_agg(a.attnum, a.attname), '{}') FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)) ORDER BY c.oid)
    FROM reached r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace s ON s.oid = c.relnamespace),
  'namesakes', ${NAMESAKES}
) AS answer`;

interface LookAnswer {
  readonly missing: number | null;
  /** The oids of the named relations, in their order. */
  readonly named: readonly number[] | null;
  readonly reached: readonly Reached[] | null;
  readonly namesakes: readonly string[] | null;
}

/** Reads what the query stands for; refuses what is not readable, or could call code of the database's users. */
export async function lookUp(
  session: Session,
  query: Query,
  settings: PostgresSettings,
): Promise<readonly Reached[]> {
  const { rows } = await session.client.query<{ answer: LookAnswer }>({
    name: 'writegate_read_look',
    text: LOOK,
    values: [
      query.reads.map(quoted),
      query.functions,
      query.operators,
      query.fields,
      settings.schemas,
      query.fields.filter((field) => !FUNCTIONS.has(field)),
    ],
  });
  const answer = rows[0]?.answer;
  assert(answer !== undefined, 'the look-up of a read gave no row');
  if (answer.missing !== null) throw missing(query.reads[answer.missing - 1], settings);
  const namesake = answer.namesakes?.[0];
  if (namesake !== undefined) {
    throw new Refused(
      'statement-function',
      `the database has a ${namesake} that the statement could call; ` +
        'write the statement without that name',
    );
  }
  const reached = answer.reached ?? [];
  for (const each of reached) checkReadable(each, settings);
  checkAttributes(query.attributes, query.reads, ({ schema, name }) => {
    const at = query.reads.findIndex((each) => each.schema === schema && each.name === name);
    const oid = answer.named?.[at];
    const columns = reached.find((each) => each.oid === oid)?.columns;
    // Keys that are numbers come in their order.
    return columns === undefined ? null : Object.values(columns);
  });
  return reached;
}

/** Refuses a relation that may not be read, by the nearest rule for it or for what it is a part of. */
export function checkReadable(
  relation: Pick<Reached, 'schema' | 'name' | 'kind' | 'partOf' | 'isNamed'>,
  settings: PostgresSettings,
): void {
  const resource = `${relation.schema}.${relation.name}`;
  const rules = [resource, ...relation.partOf]
    .map((each) => rulesOf(settings, each))
    .find((each) => each !== undefined);
  const isGoverned = settings.schemas.includes(relation.schema);
  if (!isGoverned || rules?.read !== true) {
    throw new Refused(
      'statement-relation',
      relation.isNamed
        ? `\`${resource}\` may not be read; expected ${readable(settings)}`
        : `the read reaches \`${resource}\`, by a view or a function, which may not be read; ` +
            'read the tables themselves',
    );
  }
  if ('rpvm'.includes(relation.kind)) return;
  throw new Refused(
    'statement-relation',
    `\`${resource}\` is not an ordinary table or view; expected one`,
  );
}

function missing(name: RelationName | undefined, settings: PostgresSettings): Refused {
  const spelled = [name?.schema, name?.name].filter((each) => typeof each === 'string').join('.');
  return new Refused(
    'statement-relation',
    `\`${spelled}\` is not there; expected ${readable(settings)}`,
  );
}

function readable(settings: PostgresSettings): string {
  const names =
    settings.tables === undefined
      ? settings.schemas.map((each) => `\`${each}\``)
      : Object.entries(settings.tables).flatMap(([name, { read }]) =>
          read ? [`\`${name}\``] : [],
        );
  const list = names.join(', ').slice(0, 1_000);
  return settings.tables === undefined ? `a table of ${list}` : `one of ${list}`;
}

/** What the transaction holds locks on by now: no text and no catalog says that of a function. */
const TOUCHED = `
WITH held AS MATERIALIZED (
  SELECT locktype, relation, mode FROM pg_locks
  WHERE pid = pg_backend_pid() AND granted AND locktype <> 'virtualxid'
)
SELECT json_build_object(
  'relations', (SELECT json_agg(json_build_object(
      'oid', c.oid::int8, 'schema', s.nspname, 'name', c.relname, 'kind', c.relkind,
      'partOf', coalesce(${ancestorsSql('c.oid')}, '[]'), 'isNamed', false))
    FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
    WHERE c.oid IN (SELECT relation FROM held WHERE locktype = 'relation')
      AND c.relkind NOT IN ('i', 'I', 't')
      AND NOT (s.nspname = 'pg_catalog'
        AND c.relname IN ('pg_class', 'pg_namespace', 'pg_inherits', 'pg_locks'))),
  'others', (SELECT json_agg(DISTINCT locktype || ' ' || mode) FROM held
    WHERE locktype <> 'relation' AND NOT (locktype = 'object' AND mode = 'AccessShareLock')
      OR locktype = 'relation' AND mode <> 'AccessShareLock')
) AS answer`;

interface TouchedAnswer {
  readonly relations:
    | readonly Pick<Reached, 'oid' | 'schema' | 'name' | 'kind' | 'partOf' | 'isNamed'>[]
    | null;
  readonly others: readonly string[] | null;
}

/** Refuses a read that, as it ran, touched more than it stands for, so that none of its rows is shown. */
export async function checkTouched(
  session: Session,
  reached: readonly Reached[],
  settings: PostgresSettings,
): Promise<void> {
  const { rows } = await session.client.query<{ answer: TouchedAnswer }>({
    name: 'writegate_read_touched',
    text: TOUCHED,
  });
  const answer = rows[0]?.answer;
  assert(answer !== undefined, 'the look-up of locks gave no row');
  if (answer.others !== null) {
    throw new Refused(
      'effect-unmeasurable',
      `the read takes a lock of its own (\`${answer.others[0]}\`): it does more than read`,
    );
  }
  const known = new Set(reached.map((each) => each.oid));
  const hidden = (answer.relations ?? []).find((each) => !known.has(each.oid));
  if (hidden === undefined) return;
  checkReadable(hidden, settings);
  // What is readable may still hold masked columns, and here nobody saw which were used.
  if (settings.masked.length === 0) return;
  throw new Refused(
    'statement-relation',
    `the read reaches \`${hidden.schema}.${hidden.name}\` by a function, past the masks of this target; ` +
      'read the tables themselves',
  );
}

function quoted({ schema, name }: RelationName): string {
  const own = pg.escapeIdentifier(name);
  return schema === null ? own : `${pg.escapeIdentifier(schema)}.${own}`;
}
