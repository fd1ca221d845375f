/**
 * Taking a write back: the inverse of all its effects, accepted only where what it did, as measured,
 * is the exact inverse.
 *
 * U1 Nothing is taken back unless every row is as the write left it; else `rollback-conflict`.
 * U2 What the inverse did is measured as any write is, and it must be the exact inverse, but for what
 *    the proof named as the triggers' own; else `rollback-impossible`.
 * U3 With triggers off (`replica`) the foreign keys of the touched rows hold afterwards, both ways.
 * U4 `proved` is said only of an inverse that was carried out, and compared, on every touched table.
 */
import type { Effect, Plan, Reversibility } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import type { FreshRead } from './foreign-keys.ts';
import type { Session } from '../session/session.ts';
import { describeResidue, exceptionOf, residueOf, type Residue } from './undo-net.ts';
import { filtered, inBatches, reversed, type EffectSource } from './undo-source.ts';
import { isRestored, runInverse } from './undo-steps.ts';
import { readUndoTables, type UndoTable } from './undo-tables.ts';

export interface InverseTask {
  /** Every effect as it was applied, of all tables, masked columns filled in. */
  readonly effects: readonly Effect[] | EffectSource;
  /** Of the plan that is taken back. */
  readonly partOf: Plan['partOf'];
  /**
   * Everything that the open transaction has changed by now, in every table but the receipts, with
   * images: what the visibility diff gives. Pairing does not matter: an update may come as a delete
   * and a create.
   */
  readonly net: () => Promise<readonly Effect[] | EffectSource>;
}

export interface TakeBackTask extends InverseTask {
  /** `reversibility.except` of the plan that is taken back; empty where there is none. */
  readonly except: readonly string[];
  /**
   * With triggers, rules and foreign keys off, so that all comes back bit for bit: for a session
   * whose role may set `session_replication_role`. It is set back before this returns, so the
   * footprint finds the session as any other.
   */
  readonly replica: boolean;
  /**
   * Sees what was committed since the session's snapshot (`Sessions.read`), for rows that have come to
   * hang on what goes; null only where the session is READ COMMITTED.
   */
  readonly fresh: FreshRead | null;
}

/**
 * Carries the inverse out in the session's open transaction, in which nothing else was changed, and
 * holds what it did against what it should have done. With triggers on it covers what the write did
 * directly and by foreign keys and leaves the rest to the triggers; where that does not come out, it
 * covers everything.
 *
 * Throws `rollback-conflict` and `rollback-impossible`: then the transaction must be taken back.
 */
export async function takeBack(session: Session, task: TakeBackTask): Promise<void> {
  const { replica, fresh, except, partOf } = task;
  let refused: Refused | null = null;
  const coverages = replica ? [task.effects] : await coveragesOf(task.effects);
  for (const effects of coverages) {
    if (coverages.length > 1) await session.client.query('SAVEPOINT writegate_inverse');
    try {
      const tables = await runInverse(session, { effects, partOf, replica, fresh });
      checkIsInverse((await residueIn(session, [task.effects], task, tables)).residue, except);
      return;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      refused ??= error;
      if (coverages.length > 1) await session.client.query('ROLLBACK TO writegate_inverse');
    }
  }
  if (refused !== null) throw refused;
  throw new Refused('rollback-impossible', 'nothing was changed, so there is nothing to take back');
}

/** Rows that are left, and columns that are not as they were, must have been named beforehand. */
function checkIsInverse(residue: readonly Residue[], except: readonly string[]): void {
  const wrong = residue.filter((each) => {
    const name = exceptionOf(each);
    return name === null || !except.includes(name);
  });
  if (wrong.length === 0) return;
  throw new Refused(
    'rollback-impossible',
    `taking the write back would not leave the rows as they were before it: ` +
      `${describeResidue(wrong)}; nothing was changed`,
  );
}

/**
 * Tries the inverse, triggers on, in the transaction that has just carried the write out and nothing
 * else; that transaction is as before afterwards. `proved` where every table is then as before the
 * write; `conditional` where triggers write again, named in `except`; else `one-way`.
 */
export async function prove(session: Session, task: InverseTask): Promise<Reversibility> {
  let best: Reversibility | null = null;
  for (const effects of await coveragesOf(task.effects)) {
    await session.client.query('SAVEPOINT writegate_proof');
    const found = await tried(session, task, effects);
    await session.client.query('ROLLBACK TO SAVEPOINT writegate_proof');
    await session.client.query('RELEASE SAVEPOINT writegate_proof');
    if (found.kind === 'proved') return found;
    if (best === null || (best.kind === 'one-way' && found.kind === 'conditional')) best = found;
  }
  return best ?? { kind: 'proved', reason: 'nothing changes' };
}

async function tried(
  session: Session,
  task: InverseTask,
  effects: readonly Effect[] | EffectSource,
): Promise<Reversibility> {
  let found: Found;
  try {
    const run = { effects, partOf: task.partOf, replica: false, fresh: null };
    found = await residueIn(session, [], task, await runInverse(session, run));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const first = error.refusal.conflicts[0];
    const at = first === undefined ? '' : ` (first at \`${first.resource}\`)`;
    return { kind: 'one-way', reason: `the inverse was tried and refused: ${error.message}${at}` };
  }
  const { residue, tables } = found;
  if (residue.length === 0) {
    return {
      kind: 'proved',
      reason: 'the inverse was carried out and every table was then as before the write',
    };
  }
  const left = describeResidue(residue);
  const except = residue.map(exceptionOf).filter((each) => each !== null);
  const isTriggers = residue.every(
    ({ kind, resource }) =>
      kind === 'added' || (kind === 'column' && tables.get(resource)?.isWatched === true),
  );
  return isTriggers
    ? {
        kind: 'conditional',
        reason: `the inverse was carried out and gave back all but what triggers own: ${left}`,
        except: except.toSorted(),
      }
    : { kind: 'one-way', reason: `the inverse was carried out and did not give back: ${left}` };
}

/**
 * Proves an inverse that runs with triggers off, on a session whose role may switch them off and after
 * the write's own transaction was taken back: the effects are put in place from their images, taken
 * back as they would be later, and every row is compared. Opens a transaction and takes it back.
 */
export async function proveApart(
  session: Session,
  { effects, partOf }: Pick<InverseTask, 'effects' | 'partOf'>,
): Promise<Reversibility> {
  const run = { partOf, replica: true, fresh: null };
  await session.reset();
  // Flushed, so that the counters of the next transaction on this connection begin at nothing.
  await session.client.query('BEGIN; SELECT pg_stat_force_next_flush()');
  try {
    const tables = await runInverse(session, { ...run, effects: reversed(effects) });
    await runInverse(session, { ...run, effects, tables });
    const always = [...tables.values()].find((table) => table.isAlways);
    if (always !== undefined) {
      const reason = `\`${always.resource}\` has triggers or rules that cannot be switched off`;
      return { kind: 'conditional', reason };
    }
    return (await isRestored(session, effects, tables))
      ? {
          kind: 'proved',
          reason:
            'put in place and taken back with triggers off, every row came back as it was before',
        }
      : {
          kind: 'one-way',
          reason: 'with triggers off, rows did not come back as they were before',
        };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return {
      kind: 'conditional',
      reason: `the inverse could not be tried with triggers off: ${error.message}`,
    };
  } finally {
    await session.client.query('ROLLBACK');
  }
}

/** What the inverse covers, the likeliest first: all but the triggers' doing, or all. */
async function coveragesOf(
  effects: readonly Effect[] | EffectSource,
): Promise<readonly (readonly Effect[] | EffectSource)[]> {
  let own = 0;
  let foreign = 0;
  for await (const batch of inBatches(effects)) {
    for (const effect of batch) {
      if (isOwn(effect)) own += 1;
      else foreign += 1;
    }
  }
  if (foreign === 0) return own === 0 ? [] : [effects];
  return own === 0 ? [effects] : [filtered(effects, isOwn), effects];
}

function isOwn({ by }: Effect): boolean {
  return by?.attribution !== 'trigger' && by?.attribution !== 'rule';
}

interface Found {
  readonly residue: readonly Residue[];
  readonly tables: ReadonlyMap<string, UndoTable>;
}

/** `known` are tables that were described before. */
async function residueIn(
  session: Session,
  effects: readonly (readonly Effect[] | EffectSource)[],
  { net, partOf }: InverseTask,
  known: ReadonlyMap<string, UndoTable>,
): Promise<Found> {
  const sources = [...effects, await net()];
  const fresh = new Set<string>();
  for (const source of sources) {
    for await (const batch of inBatches(source)) {
      for (const { resource } of batch) if (!known.has(resource)) fresh.add(resource);
    }
  }
  const others = fresh.size === 0 ? [] : await readUndoTables(session, [...fresh], partOf);
  const tables = new Map([...known, ...others]);
  const wholeOf = (resource: string): string => tables.get(resource)?.rootResource ?? resource;
  const keyOf = (resource: string): readonly string[] => tables.get(resource)?.key ?? [];
  return { residue: await residueOf(sources, { exempt: new Set(), wholeOf, keyOf }), tables };
}
