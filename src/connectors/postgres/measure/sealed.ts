/**
 * The fast lane. A sealed table has no trigger, rule, part, cascade, row security, or function of anybody's
 * that a write would run; so a plain statement does to the database what its RETURNING shows, and no more.
 *
 * S1 That the table is sealed is read in the transaction of the write, after the write took its lock (K1).
 * S2 The server's own counters must equal the rows returned; else the full lane looks what is there.
 * S3 One round trip carries out and measures a write of up to `BATCH_BOUNDS.rowsMax` rows. What looks
 *    like many is copied out, so that it is measured while the server is still at work.
 */
import { checkPermitted } from './permitted.ts';

import type { Carried, CarryContext, Opening, SealedLane } from './carry.ts';
import { copyOut } from './copy-out.ts';
import { openKnown, readGuard, type Known, type SealedTable } from '../catalog/known.ts';
import {
  forgetPrepared,
  isPreparedLost,
  runPipeline,
  stepOf,
  type Step,
} from '../session/pipeline.ts';
import { receiptStep } from '../session/receipts.ts';
import { isPlainError, sqlState } from '../session/refusals.ts';
import { streamPortal } from '../session/rows.ts';
import { Measure } from './sealed-measure.ts';
import { isPlain, readied } from './sealed-ready.ts';
import type { Session } from '../session/session.ts';
import type { PostgresSettings } from '../settings.ts';
import type { StatementWrite } from './write.ts';

/** Times that a write is begun: the catalog may have changed, a prepared statement be gone. */
const TRIES = 3;
const PORTAL = 'writegate_rows';
/** What was counted may not be carried over into the counters of the next transaction. */
const TAKE_BACK = 'ROLLBACK; SELECT pg_stat_force_next_flush(), pg_advisory_unlock_all()';

/** Lock not had, cancelled, serialisation, deadlock: nothing that a newer catalog would explain. */
const OF_THE_MOMENT = new Set(['55P03', '57014', '40001', '40P01']);

/** One for each target, for as long as its settings live. */
const knowns = new WeakMap<PostgresSettings, Known>();

function knownOf(settings: PostgresSettings): Known {
  const known = knowns.get(settings) ?? openKnown(settings);
  knowns.set(settings, known);
  return known;
}

/** See `SealedLane`; the receipt's error is told by `stepOf(error) === 'receipt'`. */
export const openSealed: SealedLane = async (session, write, opening, context) => {
  if (!isPlain(session, write)) return null;
  const known = knownOf(context.settings);
  for (let tries = 0; tries < TRIES; tries += 1) {
    await session.reset();
    const sealed = await known.find(session, write.statement);
    if (sealed === null) return null;
    checkPermitted(sealed.catalog, context.permits);
    const answer = await carry(session, write, opening, { ...context, sealed, tries });
    if (answer === 'earlier') return answer;
    if (answer !== 'stale' && answer !== 'more' && answer !== 'unprepared') {
      session.trust();
      return answer;
    }
    // A trigger that was not known may have run: it may have turned settings and taken locks for good.
    session.touch();
    await session.client.query(TAKE_BACK);
    if (answer === 'more') return null;
    if (answer === 'stale') known.forget(write.statement);
    else forgetPrepared(session.client);
  }
  return null;
};

type Answer = Carried | 'earlier' | 'stale' | 'more' | 'unprepared';

/**
 * Begins the transaction and carries the write out in it. `stale`: the catalog is not what was known;
 * `more`: more happened than the rows show; `unprepared`: the server lost what was prepared.
 */
async function carry(
  session: Session,
  write: StatementWrite,
  opening: Opening,
  context: CarryContext & { readonly sealed: SealedTable; readonly tries: number },
): Promise<Answer> {
  const { sealed, settings } = context;
  const ready = readied(session, write.statement, sealed, settings);
  const { receipt } = opening;
  const opened: Step[] = [
    { name: 'begin', text: 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE' },
    ...(receipt === null || settings.receipts === null
      ? []
      : [receiptStep(settings, receipt.key, receipt.planDigest)]),
  ];
  const measure = new Measure(write.statement, ready, context);
  let answers: Awaited<ReturnType<typeof runPipeline>>;
  try {
    if (ready.copied === null) {
      // Its portal is kept, for the rows beyond the first batch.
      const { text } = ready;
      const { table } = measure;
      const step = { name: 'write', text, values: write.parameters, portal: PORTAL, table };
      answers = await runPipeline(session.client, [...opened, step, sealed.guard]);
    } else {
      await runPipeline(session.client, opened);
      await copyOut(session.client, ready.copied, measure);
      answers = await runPipeline(session.client, [sealed.guard]);
    }
  } catch (error) {
    await measure.discard();
    if (isPreparedLost(error)) return 'unprepared';
    // A column may be gone that the catalog still had, or a function be there that it had not; the
    // second try knows it anew, and its error is the statement's own.
    const isOfWrite = stepOf(error) === 'write' && isPlainError(error);
    if (isOfWrite && !OF_THE_MOMENT.has(sqlState(error) ?? '') && context.tries === 0) {
      return 'stale';
    }
    if (stepOf(error) !== 'receipt' || sqlState(error) !== '23505') throw error;
    await session.client.query(TAKE_BACK);
    return 'earlier';
  }
  const guard = readGuard(answers.at(-1)?.rows[0]);
  const written = ready.copied === null ? answers.at(-2) : undefined;
  try {
    if (guard.stamp !== sealed.stamp) {
      await measure.discard();
      return 'stale';
    }
    await measure.takeAll(written?.rows ?? []);
    if (written?.hasMore === true) {
      const { table } = measure;
      await streamPortal(session.client, { portal: PORTAL, table }, (rows) =>
        measure.takeAll(rows),
      );
    }
    return await measure.finish(guard);
  } catch (error) {
    await measure.discard();
    throw error;
  }
}
