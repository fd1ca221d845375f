/**
 * What the transaction really touched: its own rows of `pg_locks`, joined with the per-transaction
 * counters of exactly those relations. It sees what no text shows: triggers, cascades, rules.
 */
import { strict as assert } from 'node:assert';
import { Refused } from '../../connector.ts';
import { ancestorsSql } from '../catalog/catalog-query.ts';
import type { Session } from '../session/session.ts';
import type { PostgresSettings } from '../settings.ts';

/** One relation that the transaction holds a lock on; indexes and TOAST tables left out. */
export interface Touched {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  /** What this is a partition or child of, `schema.table`, nearest first; null where of nothing. */
  readonly partOf: readonly string[] | null;
  readonly modes: readonly string[];
  readonly created: number;
  readonly updated: number;
  readonly deleted: number;
}

export interface Footprint {
  readonly relations: readonly Touched[];
  /** The transaction's id; null where it has none. */
  readonly transaction: string | null;
}

interface FootprintAnswer {
  readonly relations: readonly Touched[] | null;
  readonly others: readonly string[] | null;
  readonly deferrable: boolean;
  readonly blinding: string | null;
  readonly catalog: string | null;
  readonly role: string;
  readonly counting: string;
  readonly transaction: string | null;
}

const LOOK = `
WITH held AS MATERIALIZED (
  SELECT locktype, relation, classid, mode FROM pg_locks
  WHERE pid = pg_backend_pid() AND granted
    AND locktype NOT IN ('virtualxid', 'transactionid', 'tuple', 'extend', 'page', 'spectoken')
), relations AS MATERIALIZED (
  SELECT relation AS oid, array_agg(DISTINCT mode) AS modes FROM held
  WHERE locktype = 'relation' GROUP BY relation
)
SELECT json_build_object(
  'relations', (
    SELECT json_agg(json_build_object(
      'oid', r.oid::int8, 'schema', s.nspname, 'name', c.relname, 'kind', c.relkind, 'modes', r.modes,
      'partOf', ${ancestorsSql('r.oid')},
      'created', pg_stat_get_xact_tuples_inserted(r.oid),
      'updated', pg_stat_get_xact_tuples_updated(r.oid),
      'deleted', pg_stat_get_xact_tuples_deleted(r.oid)))
    FROM relations r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace s ON s.oid = c.relnamespace
    WHERE c.relkind NOT IN ('i', 'I', 't')
      AND (s.nspname <> 'pg_catalog' OR r.modes <> '{AccessShareLock}')),
  'others', (SELECT json_agg(DISTINCT locktype || ' ' || mode) FROM held
    WHERE locktype <> 'relation' AND NOT (locktype = 'object' AND mode = 'AccessShareLock')),
  'deferrable', EXISTS (SELECT FROM pg_trigger g JOIN relations r ON r.oid = g.tgrelid
    WHERE g.tgdeferrable),
  'blinding', (SELECT p.proname FROM pg_trigger g JOIN relations r ON r.oid = g.tgrelid
      JOIN pg_proc p ON p.oid = g.tgfoid
    WHERE NOT g.tgisinternal AND p.proconfig::text ~ '(track_counts|session_replication_role)='
    LIMIT 1),
  'catalog', (SELECT c.relname FROM pg_class c
    WHERE c.oid < 16384 AND c.relkind = 'r' AND pg_stat_get_xact_tuples_inserted(c.oid)
      + pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid) > 0 LIMIT 1),
  'role', current_setting('session_replication_role'),
  'counting', current_setting('track_counts'),
  'transaction', pg_current_xact_id_if_assigned()::text
) AS answer`;

/** What a write may hold; anything stronger is DDL, TRUNCATE or LOCK TABLE in a trigger or function. */
const MODES = new Set(['AccessShareLock', 'RowShareLock', 'RowExclusiveLock']);
const WRITTEN = 'RowExclusiveLock';

/**
 * Runs what is deferred to the commit now, then reads the footprint; with `isBetween`, after a step that
 * others follow, it stays deferred. `receipts` says how many rows of the receipt table this transaction
 * has written itself.
 */
export async function readFootprint(
  session: Session,
  settings: PostgresSettings,
  receipts: number,
  isBetween = false,
): Promise<Footprint> {
  let answer = await look(session);
  if (answer.deferrable && !isBetween) {
    await runDeferred(session);
    answer = await look(session);
  }
  const { others, blinding, catalog } = answer;
  if (answer.role !== 'origin' || answer.counting !== 'on' || blinding !== null) {
    const by = blinding === null ? '' : ` by the trigger function \`${blinding}\``;
    throw unmeasurable(`the counters or triggers of the session were switched off${by}`);
  }
  if (catalog !== null) {
    // Catalogs are unlocked as soon as they are written, so it is the counters alone that tell.
    throw unmeasurable(`the write changes the system table \`${catalog}\``);
  }
  if (others !== null) throw unmeasurable(`the write takes a lock of its own (\`${others[0]}\`)`);
  const relations: Touched[] = [];
  for (const relation of answer.relations ?? []) {
    if (relation.schema === settings.receipts && relation.name === 'receipts') {
      checkReceipts(relation, receipts);
    } else {
      check(relation, settings);
      relations.push(relation);
    }
  }
  return { relations, transaction: answer.transaction };
}

async function runDeferred({ client }: Session): Promise<void> {
  try {
    await client.query('SET CONSTRAINTS ALL IMMEDIATE');
  } catch (error) {
    if (error instanceof Error) deferredErrors.add(error);
    throw error;
  }
}

const deferredErrors = new WeakSet<object>();

/** Whether an error came of what was deferred to the commit: then no one step led to it. */
export function isOfDeferred(error: unknown): boolean {
  return error instanceof Error && deferredErrors.has(error);
}

/**
 * What was touched since: counts are those since then, and of what had been locked before only that is
 * left which changed, or is locked more strongly, or is, or is a part of, one of `named` (`schema.table`).
 */
export function footprintSince(
  now: Footprint,
  earlier: Footprint | null,
  named: readonly string[],
): Footprint {
  if (earlier === null) return now;
  const before = new Map(earlier.relations.map((each) => [each.oid, each]));
  const relations = now.relations.flatMap((relation): readonly Touched[] => {
    const was = before.get(relation.oid);
    if (was === undefined) return [relation];
    const created = relation.created - was.created;
    const updated = relation.updated - was.updated;
    const deleted = relation.deleted - was.deleted;
    const names = [`${relation.schema}.${relation.name}`, ...(relation.partOf ?? [])];
    const isNew =
      created + updated + deleted > 0 ||
      relation.modes.some((mode) => !was.modes.includes(mode)) ||
      names.some((name) => named.includes(name));
    return isNew ? [{ ...relation, created, updated, deleted }] : [];
  });
  return { ...now, relations };
}

async function look(session: Session): Promise<FootprintAnswer> {
  const { rows } = await session.client.query<{ answer: FootprintAnswer }>({
    name: 'writegate_footprint',
    text: LOOK,
  });
  const answer = rows[0]?.answer;
  if (answer === undefined)
    throw new assert.AssertionError({ message: 'the footprint gave no row' });
  return answer;
}

function check(relation: Touched, settings: PostgresSettings): void {
  const resource = `${relation.schema}.${relation.name}`;
  const strong = relation.modes.find((mode) => !MODES.has(mode));
  if (strong !== undefined) {
    throw unmeasurable(
      `the write takes \`${strong}\` on \`${resource}\`, which can hide its effect`,
    );
  }
  const isWritten = relation.modes.includes(WRITTEN);
  const changes = relation.created + relation.updated + relation.deleted;
  if (isWritten && !'rpSv'.includes(relation.kind)) {
    throw unmeasurable(`the write reaches \`${resource}\`, which is not a table of this server`);
  }
  if (isWritten && relation.schema.startsWith('pg_')) {
    throw unmeasurable(`the write changes the system or temporary table \`${resource}\``);
  }
  if (!settings.schemas.includes(relation.schema)) {
    throw new Refused(
      'statement-relation',
      `the write reaches \`${resource}\`${changes > 0 ? ' and changes it' : ''}, by a trigger, a rule ` +
        `or a view; if that is meant, add the schema \`${relation.schema}\` to the target's schemas`,
    );
  }
}

function checkReceipts(relation: Touched, expected: number): void {
  const written = relation.created + relation.updated + relation.deleted;
  if (written === expected) return;
  throw unmeasurable('the write reaches the receipts of the gateway');
}

export function unmeasurable(found: string): Refused {
  return new Refused('effect-unmeasurable', `${found}: what it does cannot be measured`);
}
