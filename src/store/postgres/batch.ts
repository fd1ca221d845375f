/**
 * One batch of changes as one transaction, in two round trips: what locks and loads, and what writes
 * and commits. Nothing in it needs a connection of its own for longer than the transaction.
 *
 * 1. Tenants are locked first, in their order. So what a batch reads is all that was committed, the
 *    index of entries is the order of commits, and no two batches wait for each other.
 * 2. Who commits what a stop for everything would stop holds a lock that such a stop takes alone.
 * 3. The changes are carried out in memory, by the code of every store, and written by statements
 *    that fail where the database is not as it was found.
 */
import { strict as assert } from 'node:assert';
import type { TenantId } from '../../model/ids.ts';
import type { Change, Commit } from '../../model/ports.ts';
import { applyChange, type Sealing } from '../state/apply.ts';
import type { Settled } from '../state/queue.ts';
import { EMPTY_LOG } from '../state/tables.ts';
import { texts } from './arrays.ts';
import { lockKeys, type Place } from './connect.ts';
import { loadQueries } from './load.ts';
import type { LoadQuery, Within } from './load-query.ts';
import { nothingLoaded, type Loaded } from './loaded.ts';
import { newer, SCHEMA_VERSION } from './migrate.ts';
import { notifyQuery } from './notify.ts';
import { isRefusal } from './problem.ts';
import { integerOf, integerOrNull, tenantOf, textOf, type Row } from './rows.ts';
import type { Session, Statement } from './session.ts';
import { Stage } from './stage.ts';
import type { WriteQuery } from './table.ts';
import type { ProposalRow } from './tables.ts';
import { wantedBy, type Wanted } from './wanted.ts';
import { writeQueries } from './write.ts';

export interface BatchSetting extends Within {
  readonly place: Place;
  readonly sealing: Sealing;
  /** Tenants that have a row to lock, as far as this process has seen. */
  readonly known: Set<TenantId>;
}

/** A batch that was carried out in memory. */
export interface Carried {
  readonly settled: readonly Settled[];
  readonly proposals: readonly ProposalRow[];
  /** An entry that is in the log if, and only if, the batch was committed; undefined without any. */
  readonly evidence: Evidence | undefined;
  /** How it is written; absent where nothing is to be written. */
  readonly write?: () => Promise<void>;
}

export interface Evidence {
  readonly tenant: TenantId;
  readonly index: number;
  readonly leafHash: string;
}

/** The reply to COMMIT did not come, or does not say what became of the transaction. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered';
}

/**
 * Begins the transaction, loads and carries out the batch. `locked` is called when the tenants are
 * locked, or cannot be. Throws where that fails: then nothing of it will be written.
 */
export async function carryOut(
  session: Session,
  setting: BatchSetting,
  changes: readonly Change[],
  locked: () => void,
): Promise<Carried> {
  const wanted = wantedBy(changes, setting.sealing.sequencer);
  const loaded = nothingLoaded();
  const queries = loadQueries(setting, wanted, loaded);
  const lock = lockAll(session, setting, wanted, loaded).finally(locked);
  await answered([lock, ...queries.map((query) => load(session, query))]);
  const stage = new Stage(loaded);
  const settled = changes.map((change) => settle(stage, setting.sealing, change));
  const { queries: writes, proposals } = writeQueries(setting.schema, stage);
  const [first] = stage.log.entries.items;
  const evidence = first && {
    tenant: first.tenant,
    index: first.entry.index,
    leafHash: first.entry.leafHash,
  };
  if (writes.length === 0) {
    await session.rollback();
    return { settled, proposals, evidence };
  }
  return {
    settled,
    proposals,
    evidence,
    write: () => write(session, [...writes, ...notifyQuery(setting.place, proposals)]),
  };
}

/** Throws `Unanswered` where it may have been committed; after any other throw it was not. */
async function write(session: Session, queries: readonly WriteQuery[]): Promise<void> {
  const sent = queries.map((query) => session.ask(query));
  const commit = session.commit();
  const writes = await Promise.allSettled(sent);
  const [end] = await Promise.allSettled([commit]);
  const refused = writes.find((each) => each.status === 'rejected' && isRefusal(each.reason));
  // Of a refused statement the server makes a transaction that cannot be committed.
  if (refused?.status === 'rejected') throw refused.reason;
  const lost = [...writes, end].find((each) => each.status === 'rejected');
  if (lost?.status === 'rejected') {
    throw new Unanswered('what became of the transaction is not known', { cause: lost.reason });
  }
  assert(end.status === 'fulfilled' && end.value.command === 'COMMIT', 'the commit was one');
}

/** Waits for all, so that none is left unheard; rejects as the first that did. */
async function answered(sent: readonly Promise<unknown>[]): Promise<void> {
  const answers = await Promise.allSettled(sent);
  const refused = answers.find((answer) => answer.status === 'rejected');
  if (refused !== undefined) throw refused.reason;
}

function settle(stage: Stage, sealing: Sealing, change: Change): Settled {
  const { journal } = stage;
  const { mark } = journal;
  try {
    const commit: Commit = applyChange(stage, sealing, change);
    return { kind: 'done', commit };
  } catch (error) {
    journal.backTo(mark);
    return { kind: 'thrown', error };
  }
}

async function load(session: Session, query: LoadQuery): Promise<void> {
  const { rows } = await session.ask(query);
  for (const row of rows) query.take(row);
  query.done?.();
}

/** Sends what locks the tenants; the answers of all come before those of what is sent behind it. */
async function lockAll(
  session: Session,
  { place, schema, known }: BatchSetting,
  { tenants, guarded, stopsAll }: Wanted,
  loaded: Loaded,
): Promise<void> {
  const stop = lockKeys(place, 'stop');
  const values = [texts(tenants)];
  const missing = tenants.filter((tenant) => !known.has(tenant));
  const sent = [
    session.begin(),
    ...(stopsAll
      ? [session.ask({ text: `SELECT pg_advisory_xact_lock(${stop})`, values: [] })]
      : []),
    ...(!stopsAll && guarded.length > 0
      ? [session.ask({ text: `SELECT pg_advisory_xact_lock_shared(${stop})`, values: [] })]
      : []),
    ...(missing.length > 0 ? [session.ask(beginLogs(schema, missing))] : []),
  ];
  const heads = session.ask({
    text: `
      SELECT tenant, size, range, latest_at FROM ${schema}.logs
      WHERE tenant = ANY ($1::text[]) ORDER BY tenant FOR UPDATE`,
    values,
  });
  // Behind the lock: a schema is brought up to date under a lock of all tenants.
  const versions = session.ask({
    text: `SELECT max(version) AS version FROM ${schema}.schema_versions`,
    values: [],
  });
  await answered([...sent, heads, versions]);
  const [row] = (await versions).rows;
  const version = integerOf(row ?? {}, 'version');
  if (version > SCHEMA_VERSION) throw newer(place, version);
  for (const each of (await heads).rows) {
    const tenant = tenantOf(each);
    loaded.heads.set(tenant, { tenant, head: headOf(each) });
    // One that was only just begun goes with the transaction, where nothing is committed.
    if (each['latest_at'] !== null) known.add(tenant);
  }
  assert(loaded.heads.size === tenants.length, 'every tenant is locked');
}

/**
 * A row for each tenant that has none; in their order, in which others wait for them. Waits for a
 * transaction that has made one and is not over.
 */
export function beginLogs(schema: string, tenants: readonly TenantId[]): Statement {
  return {
    text: `
      INSERT INTO ${schema}.logs (tenant)
      SELECT w.tenant FROM unnest($1::text[]) AS w (tenant) ORDER BY w.tenant
      ON CONFLICT DO NOTHING`,
    values: [texts(tenants)],
  };
}

function headOf(row: Row): typeof EMPTY_LOG {
  const range = textOf(row, 'range');
  return {
    tree: { size: integerOf(row, 'size'), range: range === '' ? [] : range.split(' ') },
    latestAt: integerOrNull(row, 'latest_at') ?? EMPTY_LOG.latestAt,
  };
}
