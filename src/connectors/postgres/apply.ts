/** Does a write once for its key: receipt first, measured again, committed only as approved. */
import { strict as assert } from 'node:assert';
import type { Digest } from '../../lib/canonical.ts';
import type { ApplyAnswer, ApplyRequest } from '../../model/ports.ts';
import { refusal } from '../connector.ts';
import { refusalOf } from './measure/at-step.ts';
import type { Carried, CarryContext } from './measure/carry.ts';
import { isOfReceipt } from './measure/full.ts';
import { carry } from './measure/measure.ts';
import { roleFor } from './undo/take-back.ts';
import { stepOf } from './session/pipeline.ts';
import type { StoredReceipt } from './session/receipts.ts';
import { isPlainError, sqlState } from './session/refusals.ts';
import type { Session } from './session/session.ts';
import type { Write } from './measure/teacher.ts';

/**
 * Applies a write, or finds that an earlier attempt had.
 *
 * A crash or lost connection before COMMIT was sent leaves nothing; after that the receipt tells.
 * Throws where COMMIT was sent and no answer came, and where another attempt holds the key.
 */
export async function applyWrite(
  context: CarryContext,
  write: Write,
  request: ApplyRequest,
  signal: AbortSignal,
): Promise<ApplyAnswer> {
  const { sessions, receipts } = context;
  const attempt: Attempt = { stage: 'before' };
  let answer: ApplyAnswer | 'earlier';
  try {
    answer = await sessions.write(
      signal,
      (session) => transact(context, session, write, request, attempt),
      await roleFor(write, context, signal),
    );
  } catch (error) {
    // Only the receipt of the key can tell what became of it.
    if (attempt.stage === 'committing') throw inDoubt(error);
    if (isHeldKey(error)) throw inDoubt(error);
    return refusalOf(error, write);
  }
  if (answer !== 'earlier') return answer;
  const receipt = await receipts.find(request.key);
  if (receipt === undefined) throw new Error('the key was taken and its receipt is gone');
  return earlier(receipt);
}

/** How far an attempt came, for who catches its error. */
export interface Attempt {
  stage: 'before' | 'committing' | 'ended';
}

/** Whether another attempt held the key for too long: what becomes of that one is open. */
function isHeldKey(error: unknown): boolean {
  if (sqlState(error) !== '55P03') return false;
  return isOfReceipt(error) || stepOf(error) === 'receipt';
}

async function transact(
  context: CarryContext,
  session: Session,
  write: Write,
  request: ApplyRequest,
  attempt: Attempt,
): Promise<ApplyAnswer | 'earlier'> {
  const { key, planDigest, digest, journal } = request;
  const opening = {
    receipt: { key, planDigest },
    isAgreed: (plan: Carried['plan']) => digest(plan) === planDigest,
  };
  const carried = await carry(session, write, opening, context);
  if (carried === 'earlier') return 'earlier';
  if (digest(carried.plan) !== planDigest) {
    await session.client.query('ROLLBACK');
    await dropFilled(context, carried);
    return { kind: 'drifted', plan: await context.callers.addTo(carried.plan) };
  }
  try {
    return await commit(context, session, { carried, key, journal, attempt });
  } catch (error) {
    if (attempt.stage !== 'committing') await dropEvidence(context, carried);
    throw error;
  }
}

export interface Committing {
  readonly carried: Carried;
  readonly key: ApplyRequest['key'];
  /** Told here where the receipt did not know it at its opening. */
  readonly planDigest?: Digest;
  readonly journal: ApplyRequest['journal'];
  readonly attempt: Attempt;
}

/** Asks the server to keep what was carried out. */
export async function commit(
  context: CarryContext,
  session: Session,
  { carried, key, planDigest, journal, attempt }: Committing,
): Promise<ApplyAnswer> {
  const { receipts, evidence: files } = context;
  const effects = carried.filled;
  const evidence = carried.filledEvidence ?? carried.plan.evidence;
  const reference = carried.transaction ?? '';
  if (effects !== null || evidence !== null || planDigest !== undefined) {
    const note = { effects, evidence, ...(planDigest === undefined ? {} : { planDigest }) };
    await receipts.fill(session, key, note);
  }
  if (!receipts.hasTable) {
    assert(journal !== undefined, 'who keeps no receipts is told by the gate');
    if (reference !== '') await journal(reference);
  }
  attempt.stage = 'committing';
  try {
    const result = await session.client.query('COMMIT');
    if (result.command === 'COMMIT') {
      const { plan } = carried;
      // What the plan of the preview holds, the applied one need not keep a second time.
      if (evidence !== null && plan.evidence !== null && evidence.id !== plan.evidence.id) {
        await files?.remove(plan.evidence.id).catch(ignore);
      }
      return { kind: 'applied', reference, effects, evidence, earlier: false };
    }
  } catch (error) {
    // A plain error ended the transaction. One that ends the connection may come after the commit.
    if (!isPlainError(error)) throw error;
    attempt.stage = 'ended';
    throw error;
  }
  attempt.stage = 'ended';
  return refusal('target-refused', 'the database took the transaction back at its end');
}

/** Removes the images of what did not come to be; a file that stays is swept away later. */
export async function dropEvidence(
  context: Pick<CarryContext, 'evidence'>,
  carried: Carried,
): Promise<void> {
  await dropFilled(context, carried);
  if (carried.plan.evidence !== null) {
    await context.evidence?.remove(carried.plan.evidence.id).catch(ignore);
  }
}

/** As `dropEvidence`, but for the file that the plan refers to. */
export async function dropFilled(
  { evidence }: Pick<CarryContext, 'evidence'>,
  { filledEvidence, plan }: Carried,
): Promise<void> {
  if (filledEvidence === null || filledEvidence.id === plan.evidence?.id) return;
  await evidence?.remove(filledEvidence.id).catch(ignore);
}

function ignore(): void {
  // The sweep of the evidence folder removes what nothing refers to.
}

export function earlier(receipt: StoredReceipt): ApplyAnswer {
  if (receipt.state === 'void') {
    return refusal('target-refused', 'the key was fenced: it is refused for good');
  }
  const { reference, effects, evidence } = receipt;
  return { kind: 'applied', reference, effects, evidence, earlier: true };
}

export function inDoubt(cause: unknown): Error {
  return new Error('whether the write took effect is not known; probe its key', { cause });
}
