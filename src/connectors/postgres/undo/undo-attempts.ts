/** Tries steps until constraints let them through, or says which rows they will not. */
import pg from 'pg';
import type { Conflict } from '../../../model/entry.ts';
import { DIFFERENCE_ROWS_MAX } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import { danglingRows, type FreshRead } from './foreign-keys.ts';
import type { Session } from '../session/session.ts';
import { batched, perform, stepsOf, type Steps } from './undo-batches.ts';
import { refusedBy } from './undo-conflicts.ts';
import type { Step } from './undo-sql.ts';

/** Effects up to which all are held in memory, and rows that wait for others to go first. */
export const HELD_MAX = 20_000;

export interface Work extends Steps {
  readonly session: Session;
  readonly fresh: FreshRead | null;
  readonly ranks: ReadonlyMap<number, number>;
}

/**
 * Tries everything in the likely order; what a constraint refuses waits until others went first. Rows
 * that wait without any getting through, one by one in the end, are conflicts.
 */
export async function withTriggers(work: Work): Promise<void> {
  const { session, ranks } = work;
  const conflicts: Conflict[] = [];
  let waiting: (readonly Step[])[] = [];
  let rows = 0;
  const tryOne = async (batch: readonly Step[]): Promise<boolean> => {
    const done = await attempt(session, batch);
    if (done.kind === 'done') conflicts.push(...done.conflicts);
    return done.kind === 'done';
  };
  const order = [...new Set(ranks.values())].toSorted((left, right) => left - right);
  const rankOf = ({ table }: Step): number | undefined => ranks.get(table.root);
  const passes: ((step: Step) => boolean)[] = [
    ...order
      .toReversed()
      .map((rank) => (step: Step) => step.kind === 'remove' && rankOf(step) === rank),
    ...order.flatMap((rank) =>
      (['restore', 'put-back'] as const).map(
        (kind) => (step: Step) => step.kind === kind && rankOf(step) === rank,
      ),
    ),
  ];
  for (const chosen of passes) {
    for await (const batch of batched(stepsOf(work, chosen))) {
      if (await tryOne(batch)) continue;
      rows += batch.length;
      if (rows > HELD_MAX) throw conflict([...conflicts, ...(await refusedOf(session, batch))]);
      waiting.push(batch);
    }
  }
  let isSplit = false;
  while (waiting.length > 0 && conflicts.length === 0) {
    const left: (readonly Step[])[] = [];
    for (const batch of waiting) if (!(await tryOne(batch))) left.push(batch);
    const isStuck = left.length === waiting.length;
    waiting = left;
    if (!isStuck) continue;
    if (isSplit) break;
    isSplit = true;
    waiting = left.flatMap((batch) => batch.map((step) => [step]));
  }
  for (const batch of waiting) {
    if (conflicts.length >= DIFFERENCE_ROWS_MAX) break;
    conflicts.push(...(await refusedOf(session, batch)));
  }
  if (conflicts.length > 0) throw conflict(conflicts);
}

async function refusedOf(session: Session, batch: readonly Step[]): Promise<readonly Conflict[]> {
  const found: Conflict[] = [];
  for (const step of batch.slice(0, DIFFERENCE_ROWS_MAX)) {
    found.push(...(await refusedBy(session, step)));
    if (found.length >= DIFFERENCE_ROWS_MAX) break;
  }
  return found;
}

export type Attempt =
  | { readonly kind: 'done'; readonly conflicts: readonly Conflict[] }
  | { readonly kind: 'refused' };

/** Performs a batch, or leaves all as it was where a constraint refuses it. */
export async function attempt(session: Session, batch: readonly Step[]): Promise<Attempt> {
  if (await wouldCascade(session, batch)) return { kind: 'refused' };
  await session.client.query('SAVEPOINT writegate_step');
  try {
    const conflicts = await perform(session, batch);
    await session.client.query('RELEASE SAVEPOINT writegate_step');
    return { kind: 'done', conflicts };
  } catch (error) {
    if (!isConstraint(error)) throw error;
    await session.client.query('ROLLBACK TO SAVEPOINT writegate_step');
    await session.client.query('RELEASE SAVEPOINT writegate_step');
    return { kind: 'refused' };
  }
}

/** Whether rows outside of the batch would silently go, or change, with the rows that it removes. */
async function wouldCascade(session: Session, batch: readonly Step[]): Promise<boolean> {
  const [first] = batch;
  if (first?.kind !== 'remove' || !first.table.inbound.some((key) => key.isSilent)) return false;
  const images = batch.flatMap(({ effect }) => (effect.after === null ? [] : [effect.after]));
  const found = await danglingRows(session, first.table, images, { isBefore: true, fresh: null });
  const { key } = first.table;
  const own = new Set(
    images.map((image) => JSON.stringify(key.map((name) => image[name] ?? null))),
  );
  const ownTables = new Set(
    first.table.inbound
      .map((each) => each.from)
      .filter(({ oid }) => [first.table.oid, first.table.root].includes(oid))
      .map(({ resource }) => resource),
  );
  return found.some((each) => !(ownTables.has(each.resource) && own.has(JSON.stringify(each.key))));
}

export function conflict(conflicts: readonly Conflict[]): Refused {
  return new Refused(
    'rollback-conflict',
    'rows are no longer as the write left them, or others hang on them, so nothing was taken back; ' +
      'the conflicts say which and how they differ',
    { permanent: false, conflicts: conflicts.slice(0, DIFFERENCE_ROWS_MAX) },
  );
}

export function isConstraint(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^23(?:503|505|001|P01)$/.test(error.code ?? '');
}
