/**
 * The full lane: any write that the parser lets through, several of them one after the other, and the
 * inverse of applied effects.
 *
 * F1 The writer's transaction is REPEATABLE READ, and its snapshot is exported before anything of the
 *    agent's runs: what was before is read through it, whatever the write sets off.
 * F2 What differs between two runs of the same write is only known at the commit, so it is masked.
 *    Where a trigger, a rule or a default below may fill values in, the write is run again, after being
 *    taken back, until its masks are known; they are remembered by the statement's text.
 * F3 A write that another session got in the way of is begun again, `TRIES_MAX` times.
 */
import { Refused } from '../../connector.ts';
import type { Carried, CarryContext, Opening } from './carry.ts';
import { checkLearnt } from './masks.ts';
import { dropPrepared } from '../session/prepared.ts';
import { sqlState } from '../session/refusals.ts';
import { measured, proofFor, type Ran } from './conclude.ts';
import { measureRun } from './run.ts';
import type { Session } from '../session/session.ts';
import { prepareStatement, type Preparing } from './prepare.ts';
import { prepareInverse } from '../undo/take-back.ts';
import { runSteps } from './steps.ts';
import { Teacher, type Write } from './teacher.ts';
import type { Lane } from './write.ts';

const TRIES_MAX = 4;
/** Two to compare, and one with the masks that they showed; one more where the world moved meanwhile. */
const RUNS_MAX = 4;
/** A prepared statement of that name is there already. */
const PREPARED_TWICE = '42P05';

/**
 * Opens the transaction. Our look-ups before the write are planned once for all; the last of them, of the
 * catalog, sets that back, so that the write and what its triggers run are planned as anywhere. The
 * counters are flushed when it ends, so that the next one on this connection starts at nothing.
 */
const BEGIN =
  'BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE; ' +
  'SET LOCAL plan_cache_mode = force_generic_plan; SELECT pg_stat_force_next_flush()';

/** Carries a write out and measures it; its transaction is open on the session afterwards. */
export async function carryFull(
  session: Session,
  write: Write,
  opening: Opening,
  context: CarryContext,
): Promise<Carried | 'earlier'> {
  const teacher = new Teacher(write, context);
  for (let run = 1, tries = 1; ;) {
    let isTwice = false;
    try {
      const carried = await attempt(session, write, opening, { context, teacher });
      if (carried !== 'again') return carried;
      run += 1;
      if (run > RUNS_MAX) throw moving();
    } catch (error) {
      tries += 1;
      isTwice = sqlState(error) === PREPARED_TWICE;
      if ((sqlState(error) !== '40001' && !isTwice) || tries > TRIES_MAX) throw error;
    }
    await session.client.query('ROLLBACK');
    if (isTwice) await dropPrepared(session.client);
  }
}

async function attempt(
  session: Session,
  write: Write,
  opening: Opening,
  { context, teacher }: Pick<Preparing, 'context' | 'teacher'>,
): Promise<Carried | 'earlier' | 'again'> {
  await session.reset();
  await session.client.query(BEGIN);
  if (opening.receipt !== null && !(await writeReceipt(session, opening.receipt, context))) {
    return 'earlier';
  }
  const snapshot = await context.witnesses.exportOf(session);
  const lane = { session, snapshot };
  try {
    const receipts = opening.receipt !== null && context.receipts.hasTable ? 1 : 0;
    const preparing = { context, teacher, receipts };
    return write.kind === 'steps'
      ? await runSteps(lane, write, opening, preparing)
      : await runOne(lane, write, opening, preparing);
  } finally {
    await snapshot.close();
  }
}

/** False where the key has its receipt already; then the transaction is taken back. */
async function writeReceipt(
  session: Session,
  receipt: NonNullable<Opening['receipt']>,
  context: CarryContext,
): Promise<boolean> {
  try {
    await context.receipts.write(session, receipt.key, receipt.planDigest);
    return true;
  } catch (error) {
    if (sqlState(error) !== '23505') {
      if (error instanceof Error) receiptErrors.add(error);
      throw error;
    }
    await session.client.query('ROLLBACK');
    return false;
  }
}

const receiptErrors = new WeakSet<Error>();

/** Whether an error came up while the receipt was written: then another attempt may hold the key. */
export function isOfReceipt(error: unknown): boolean {
  return error instanceof Error && receiptErrors.has(error);
}

async function runOne(
  lane: Lane,
  write: Exclude<Write, { kind: 'steps' }>,
  opening: Opening,
  preparing: Preparing,
): Promise<Carried | 'again'> {
  const { context, teacher, receipts } = preparing;
  const doing =
    write.kind === 'statement'
      ? await prepareStatement(lane, write, preparing)
      : await prepareInverse(lane, write.compensated, preparing);
  const run = await measureRun(lane, context, doing);
  const isSatisfied = teacher.isSatisfied({
    filled: run.filled,
    samples: [run.gathering.sample],
    check(learnt) {
      if (write.kind !== 'statement') return;
      const changed = run.gathering.counts.map(({ table }) => table);
      checkLearnt(learnt, { statement: write.statement, catalog: doing.catalog }, changed);
    },
  });
  if (!isSatisfied) {
    await run.gathering.discard();
    return 'again';
  }
  const ran: Ran = { doing, run, write: write.kind === 'statement' ? write : null };
  const { plan, tallied } = await measured(ran);
  const isAgreed = opening.isAgreed?.(plan) === true;
  const reversibility = isAgreed
    ? plan.reversibility
    : await proofFor(lane, context, { plan, tallied, receipts, runs: [run] });
  const isMasked = plan.maskedColumns.length > 0;
  return {
    plan: { ...plan, reversibility },
    filled: isMasked ? tallied.filled : null,
    filledEvidence: isMasked ? tallied.filledEvidence : null,
    transaction: run.footprint.transaction,
  };
}

function moving(): Refused {
  return new Refused('target-busy', 'the rows change while they are measured; try again later', {
    permanent: false,
  });
}
