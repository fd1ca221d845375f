/** Does a write once for its key: receipt first, measured again, committed only as approved. */
import { strict as assert } from 'node:assert';
import type { ApplyAnswer, ApplyRequest } from '../../model/ports.ts';
import { refusal } from '../connector.ts';
import { measureWrite, type Measured, type Rehearsal, type Write } from './measure.ts';
import { prove } from './prove.ts';
import type { Receipts, StoredReceipt } from './receipts.ts';
import { asRefusal, isPlainError, sqlState } from './refusals.ts';
import type { Session, Sessions } from './session.ts';
import type { PostgresSettings } from './settings.ts';

export interface Context {
  readonly sessions: Sessions;
  readonly settings: PostgresSettings;
  readonly receipts: Receipts;
}

/**
 * Opens a transaction. Settings that a trigger turned for good in an earlier one are first set back to
 * what the connection began with, in a transaction of its own: this one takes its defaults from them.
 *
 * The counters of the last one on this connection are flushed when this one ends, so that each starts
 * at nothing. Our look-ups before the write are planned once for all; the last of them, of the catalog,
 * sets that back, so that the write and what its triggers run are planned as anywhere.
 */
export const BEGIN: string =
  'BEGIN; RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; END; ' +
  'BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SELECT pg_stat_force_next_flush()';

/**
 * Applies a write, or finds that an earlier attempt had.
 *
 * A crash or lost connection before COMMIT was sent leaves nothing; after that the receipt tells.
 * Throws where COMMIT was sent and no answer came, and where another attempt holds the key.
 */
export async function applyWrite(
  context: Context,
  write: Write,
  request: ApplyRequest,
  signal: AbortSignal,
): Promise<ApplyAnswer> {
  const { sessions, receipts } = context;
  const attempt: Attempt = { stage: 'before' };
  let answer: ApplyAnswer | 'earlier';
  try {
    answer = await sessions.write(signal, (session) =>
      transact(context, session, write, request, attempt),
    );
  } catch (error) {
    // Only the receipt of the key can tell what became of it.
    if (attempt.stage === 'committing') throw inDoubt(error);
    if (attempt.stage === 'receipt' && sqlState(error) === '55P03') throw inDoubt(error);
    return asRefusal(error);
  }
  if (answer !== 'earlier') return answer;
  const receipt = await receipts.find(request.key);
  if (receipt === undefined) throw new Error('the key was taken and its receipt is gone');
  return earlier(receipt);
}

/** How far an attempt came, for who catches its error. */
interface Attempt {
  stage: 'before' | 'receipt' | 'writing' | 'committing' | 'ended';
}

async function transact(
  context: Context,
  session: Session,
  write: Write,
  request: ApplyRequest,
  attempt: Attempt,
): Promise<ApplyAnswer | 'earlier'> {
  let rehearsal: Rehearsal['sample'] | null = null;
  for (;;) {
    const reference = await begin(context, session, request, attempt);
    if (reference === null) return 'earlier';
    attempt.stage = 'writing';
    const measured = await measureWrite(session, write, {
      ...context,
      receipts: 1,
      rehearsal,
      permits: request.permits,
    });
    if (measured.kind === 'rehearsal') {
      assert(rehearsal === null, 'a rehearsal is followed by the write itself');
      rehearsal = measured.sample;
      await session.client.query('ROLLBACK');
      continue;
    }
    if (request.digest(measured.plan) !== request.planDigest) {
      const reversibility = await prove(session, measured, { ...context, receipts: 1 });
      await session.client.query('ROLLBACK');
      return { kind: 'drifted', plan: { ...measured.plan, reversibility } };
    }
    assert(measured.transaction === reference, 'what was measured is the receipt’s transaction');
    return commit(context, session, request, { reference, measured, attempt });
  }
}

/** Opens the transaction with the receipt; null where the key has one, and no transaction is open. */
async function begin(
  context: Context,
  session: Session,
  request: ApplyRequest,
  attempt: Attempt,
): Promise<string | null> {
  await session.client.query(BEGIN);
  attempt.stage = 'receipt';
  try {
    return await context.receipts.write(session, request.key, request.planDigest);
  } catch (error) {
    if (sqlState(error) !== '23505') throw error;
    await session.client.query('ROLLBACK');
    return null;
  }
}

async function commit(
  context: Context,
  session: Session,
  request: ApplyRequest,
  done: { readonly reference: string; readonly measured: Measured; readonly attempt: Attempt },
): Promise<ApplyAnswer> {
  const { reference, measured, attempt } = done;
  const effects = measured.filled;
  if (effects !== null) await context.receipts.fill(session, request.key, effects);
  attempt.stage = 'committing';
  try {
    const result = await session.client.query('COMMIT');
    if (result.command === 'COMMIT') {
      return { kind: 'applied', reference, effects, evidence: null, earlier: false };
    }
  } catch (error) {
    // A plain error ended the transaction. One that ends the connection may come after the commit.
    if (!isPlainError(error)) throw error;
    attempt.stage = 'ended';
    throw error;
  }
  return refusal('target-refused', 'the database took the transaction back at its end');
}

function earlier(receipt: StoredReceipt): ApplyAnswer {
  if (receipt.state === 'void') {
    return refusal('target-refused', 'the key was fenced: it is refused for good');
  }
  const { reference, effects } = receipt;
  return { kind: 'applied', reference, effects, evidence: null, earlier: true };
}

function inDoubt(cause: unknown): Error {
  return new Error('whether the write took effect is not known; probe its key', { cause });
}
