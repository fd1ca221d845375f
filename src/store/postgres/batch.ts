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
import type pg from 'pg';
import type { TenantId } from '../../model/ids.ts';
import type { Change, Commit } from '../../model/ports.ts';
import { applyChange, type Sealing } from '../state/apply.ts';
import type { Settled } from '../state/queue.ts';
import { EMPTY_LOG } from '../state/tables.ts';
import { beginSql, lockKeys, type Place } from './connect.ts';
import { loadQueries } from './load.ts';
import type { LoadQuery, Within } from './load-query.ts';
import { nothingLoaded, type Loaded } from './loaded.ts';
import { newer, SCHEMA_VERSION } from './migrate.ts';
import { notifyQuery } from './notify.ts';
import { isRefusal } from './problem.ts';
import { integerOf, integerOrNull, tenantOf, textOf, type Row } from './rows.ts';
import { Stage } from './stage.ts';
import type { WriteQuery } from './table.ts';
import type { ProposalRow } from './tables.ts';
import { wantedBy, type Wanted } from './wanted.ts';
import { writeQueries } from './write.ts';

export interface BatchSetting extends Within {
  readonly place: Place;
  readonly sealing: Sealing;
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
  client: pg.ClientBase,
  setting: BatchSetting,
  changes: readonly Change[],
  locked: () => void,
): Promise<Carried> {
  const wanted = wantedBy(changes, setting.sealing.sequencer);
  const loaded = nothingLoaded();
  const queries = loadQueries(setting, wanted, loaded);
  const lock = lockAll(client, setting, wanted, loaded).finally(locked);
  await answered([lock, ...queries.map((query) => load(client, query))]);
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
    await client.query('ROLLBACK');
    return { settled, proposals, evidence };
  }
  return {
    settled,
    proposals,
    evidence,
    write: () => write(client, [...writes, ...notifyQuery(setting.place, proposals)]),
  };
}

/** Throws `Unanswered` where it may have been committed; after any other throw it was not. */
async function write(client: pg.ClientBase, queries: readonly WriteQuery[]): Promise<void> {
  const sent = queries.map(({ text, values }) => client.query(text, [...values]));
  const commit = client.query('COMMIT');
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

async function load(client: pg.ClientBase, query: LoadQuery): Promise<void> {
  const { rows } = await client.query<Row>(query.text, [...query.values]);
  for (const row of rows) query.take(row);
  query.done?.();
}

async function lockAll(
  client: pg.ClientBase,
  { place, schema }: BatchSetting,
  { tenants, guarded, stopsAll }: Wanted,
  loaded: Loaded,
): Promise<void> {
  // Names of tenants are letters, digits and hyphens.
  const names = tenants.map((tenant) => `'${tenant}'`);
  const stop = lockKeys(place, 'stop');
  const stops = [
    ...(stopsAll ? [`SELECT pg_advisory_xact_lock(${stop})`] : []),
    ...(!stopsAll && guarded.length > 0 ? [`SELECT pg_advisory_xact_lock_shared(${stop})`] : []),
  ];
  const statements = [
    beginSql(),
    ...stops,
    `INSERT INTO ${schema}.logs (tenant) VALUES (${names.join('), (')}) ON CONFLICT DO NOTHING`,
    `SELECT tenant, size, range, latest_at,
       (SELECT max(version) FROM ${schema}.schema_versions) AS version
     FROM ${schema}.logs WHERE tenant IN (${names.join(', ')}) ORDER BY tenant FOR UPDATE`,
  ];
  // Of several statements the driver gives a list of results.
  const results: unknown = await client.query(statements.join(';\n'));
  const last: unknown = Array.isArray(results) ? results.at(-1) : undefined;
  for (const row of rowsOf(last)) {
    const version = integerOf(row, 'version');
    if (version > SCHEMA_VERSION) throw newer(place, version);
    const tenant = tenantOf(row);
    loaded.heads.set(tenant, { tenant, head: headOf(row) });
  }
  assert(loaded.heads.size === tenants.length, 'every tenant is locked');
}

function rowsOf(result: unknown): readonly Row[] {
  const rows: unknown = typeof result === 'object' && result && 'rows' in result ? result.rows : [];
  // What the driver makes of rows.
  return Array.isArray(rows) ? (rows as readonly Row[]) : [];
}

function headOf(row: Row): typeof EMPTY_LOG {
  const range = textOf(row, 'range');
  return {
    tree: { size: integerOf(row, 'size'), range: range === '' ? [] : range.split(' ') },
    latestAt: integerOrNull(row, 'latest_at') ?? EMPTY_LOG.latestAt,
  };
}
