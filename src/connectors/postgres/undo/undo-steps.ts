/**
 * Carries out the inverse of effects: guarded row by row on what the write left, in an order that
 * foreign keys and unique columns allow, a thousand rows a statement, in bounded memory.
 */
import { strict as assert } from 'node:assert';
import pg from 'pg';
import type { Conflict } from '../../../model/entry.ts';
import { DIFFERENCE_ROWS_MAX, type Effect, type Plan } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import { danglingRows, doubledRows, missingParents, type FreshRead } from './foreign-keys.ts';
import type { Session } from '../session/session.ts';
import {
  attempt,
  conflict,
  HELD_MAX,
  isConstraint,
  withTriggers,
  type Work,
} from './undo-attempts.ts';
import { batched, perform, stepsOf } from './undo-batches.ts';
import { refusedBy } from './undo-conflicts.ts';
import { inBatches, type EffectSource } from './undo-source.ts';
import { changedColumns, search, type Step } from './undo-sql.ts';
import { rankTables, readUndoTables, type KeyEnd, type UndoTable } from './undo-tables.ts';

export interface InverseRun {
  readonly effects: readonly Effect[] | EffectSource;
  readonly partOf: Plan['partOf'];
  /** With triggers, rules and foreign keys off; the keys are checked afterwards. */
  readonly replica: boolean;
  /** Sees past the session's snapshot; null where the session is READ COMMITTED anyway. */
  readonly fresh: FreshRead | null;
  /** The tables of the effects, where they are described already. */
  readonly tables?: ReadonlyMap<string, UndoTable>;
}

/**
 * Runs the inverse in the session's transaction; returns the tables that it wrote to.
 *
 * Throws `rollback-conflict` with the rows that stand in the way, and `rollback-impossible` where the
 * images do not suffice or the database refuses. Then the transaction must be taken back.
 */
export async function runInverse(
  session: Session,
  run: InverseRun,
): Promise<ReadonlyMap<string, UndoTable>> {
  const scan = await scanned(run);
  const tables = run.tables ?? (await readUndoTables(session, [...scan.resources], run.partOf));
  const ranks = rankTables(tables.values());
  const work: Work = { ...run, session, effects: scan.effects, tables, ranks };
  try {
    if (run.replica) await withoutTriggers(work);
    else await withTriggers(work);
  } catch (error) {
    throw asImpossible(error);
  }
  return tables;
}

/** Whether every row is, to the last column, as it was before the effects. */
export async function isRestored(
  session: Session,
  effects: readonly Effect[] | EffectSource,
  tables: ReadonlyMap<string, UndoTable>,
): Promise<boolean> {
  const putBack = async function* (): AsyncIterable<readonly Step[]> {
    for await (const batch of inBatches(effects)) {
      yield batch.flatMap((effect): Step[] => {
        const table = tables.get(effect.resource);
        assert(table !== undefined, 'every resource was looked up');
        return effect.before === null ? [] : [{ kind: 'put-back', table, effect }];
      });
    }
  };
  for await (const batch of batched(putBack())) {
    const [first] = batch;
    if (first === undefined) continue;
    const found = await session.client.query(search(first.table, batch, 'before'));
    if (found.rowCount !== batch.length) return false;
  }
  return true;
}

interface Scan {
  readonly resources: ReadonlySet<string>;
  /** In memory where there are few enough. */
  readonly effects: readonly Effect[] | EffectSource;
}

async function scanned({ effects }: InverseRun): Promise<Scan> {
  const resources = new Set<string>();
  let held: Effect[] | null = [];
  let rows = 0;
  for await (const batch of inBatches(effects)) {
    for (const effect of batch) {
      const { resource, kind, before, after } = effect;
      resources.add(resource);
      if ((kind !== 'create' && before === null) || (kind !== 'delete' && after === null)) {
        throw new Refused(
          'rollback-impossible',
          `rows of \`${resource}\` have no image before the write; restore from a backup`,
        );
      }
    }
    rows += batch.length;
    if (rows > HELD_MAX) held = null;
    else held?.push(...batch);
  }
  if (rows === 0) {
    throw new Refused(
      'rollback-impossible',
      'nothing was changed, so there is nothing to take back',
    );
  }
  return { resources, effects: held ?? effects };
}

// ---- with triggers off

async function withoutTriggers(work: Work): Promise<void> {
  const { session } = work;
  await session.client.query('SET LOCAL session_replication_role = replica');
  try {
    await replicaSteps(work, 'plain');
  } catch (error) {
    if (!isConstraint(error)) throw error;
    // The transaction is broken and of no more use: another finds out which rows it was.
    await session.client.query('ROLLBACK');
    await session.client.query('BEGIN');
    await session.client.query('SET LOCAL session_replication_role = replica');
    await replicaSteps(work, 'diagnosing');
    throw conflict([]);
  }
  await session.client.query('SET LOCAL session_replication_role = origin');
  await checkKeys(work);
}

async function replicaSteps(work: Work, mode: 'plain' | 'diagnosing'): Promise<void> {
  const conflicts: Conflict[] = [];
  for (const kind of ['remove', 'restore', 'put-back'] as const) {
    const steps = stepsOf(work, (step) => step.kind === kind);
    for await (const batch of batched(steps)) {
      const found =
        mode === 'plain'
          ? await perform(work.session, batch)
          : await diagnosed(work.session, batch);
      conflicts.push(...found.slice(0, DIFFERENCE_ROWS_MAX - conflicts.length));
    }
  }
  if (conflicts.length > 0) throw conflict(conflicts);
}

async function diagnosed(session: Session, batch: readonly Step[]): Promise<readonly Conflict[]> {
  const done = await attempt(session, batch);
  if (done.kind === 'done') return done.conflicts;
  const conflicts: Conflict[] = [];
  for (const step of batch) {
    const one = await attempt(session, [step]);
    conflicts.push(...(one.kind === 'done' ? one.conflicts : await refusedBy(session, step)));
    if (conflicts.length >= DIFFERENCE_ROWS_MAX) break;
  }
  return conflicts;
}

/** With triggers off the server checked no foreign key, and no unique constraint that is deferrable. */
async function checkKeys(work: Work): Promise<void> {
  const { session, fresh } = work;
  const options = { isBefore: false, fresh };
  for await (const batch of batched(stepsOf(work, () => true))) {
    const [first] = batch;
    if (first === undefined) continue;
    const table = withKeysOf(first);
    const left = batch.flatMap(({ kind, effect }) =>
      kind === 'remove' || effect.before === null ? [] : [effect.before],
    );
    const gone = batch.flatMap(({ kind, effect }) =>
      kind === 'put-back' || effect.after === null ? [] : [effect.after],
    );
    const conflicts = [
      ...(await missingParents(session, table, left)),
      ...(await danglingRows(session, table, gone, options)),
      ...(await doubledRows(session, table, left)),
    ];
    if (conflicts.length > 0) throw conflict(conflicts);
  }
}

/** The table with the foreign keys that a step can break: what an update leaves as it is holds as before. */
function withKeysOf({ kind, table, effect }: Step): UndoTable {
  if (kind !== 'restore') return table;
  const changed = new Set(changedColumns(table, effect).map(({ name }) => name));
  const touches = ({ columns }: KeyEnd): boolean => columns.some(({ name }) => changed.has(name));
  return {
    ...table,
    outbound: table.outbound.filter(({ from }) => touches(from)),
    inbound: table.inbound.filter(({ to }) => touches(to)),
  };
}

/** What the server holds against an inverse for good is no fault of a statement's. */
function asImpossible(error: unknown): unknown {
  if (!(error instanceof pg.DatabaseError) || !/^(?:0A|22|23|42|44|P0)/.test(error.code ?? '')) {
    return error;
  }
  if (error.code === '42501') return error;
  const rule = error.constraint === undefined ? '' : ` (\`${error.constraint}\`)`;
  return new Refused(
    'rollback-impossible',
    `the database refuses the inverse with SQLSTATE ${error.code}${rule}; nothing was taken back`,
  );
}
