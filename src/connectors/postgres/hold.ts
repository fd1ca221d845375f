/** Measures a write and keeps its transaction open, so that what was measured can be kept as it is. */
import type { ApplyAnswer, Held, HoldRequest, TargetRefusal } from '../../model/ports.ts';
import { commit, dropEvidence, dropFilled, inDoubt, type Attempt } from './apply.ts';
import { refusalOf } from './measure/at-step.ts';
import type { Carried, CarryContext } from './measure/carry.ts';
import { carry } from './measure/measure.ts';
import { asRefusal } from './session/refusals.ts';
import type { Lent } from './session/session.ts';
import type { Write } from './measure/teacher.ts';

/**
 * Null where the key was tried before, and where the undo role may prove more than this transaction can:
 * then the gate goes by `plan` and `apply`, which tell.
 *
 * A crash at any point before the commit leaves nothing: the server takes back what nobody holds.
 */
export async function holdWrite(
  context: CarryContext,
  write: Write,
  request: HoldRequest,
  signal: AbortSignal,
): Promise<Held | TargetRefusal | null> {
  let lent: Lent;
  try {
    lent = await context.sessions.lend(signal);
  } catch (error) {
    return asRefusal(error);
  }
  try {
    const opening = { receipt: { key: request.key, planDigest: null } };
    const carried = await carry(lent.session, write, opening, context);
    if (carried !== 'earlier' && !couldProveMore(context, carried)) {
      const plan = await context.callers.addTo(carried.plan);
      return new HeldWrite(context, lent, { ...carried, plan }, request.key);
    }
    if (carried !== 'earlier') {
      await lent.session.client.query('ROLLBACK');
      await dropEvidence(context, carried);
    }
    await lent.done();
    return null;
  } catch (error) {
    await lent.done(error);
    return refusalOf(error, write);
  }
}

/** With triggers off, in a transaction of its own, more can be taken back; `plan` tries that. */
function couldProveMore({ sessions }: CarryContext, { plan }: Carried): boolean {
  const hasRows = plan.effects.length + plan.effectsOmitted > 0;
  return sessions.has('undo') && hasRows && plan.reversibility.kind !== 'proved';
}

class HeldWrite implements Held {
  readonly kind = 'held';
  readonly plan: Carried['plan'];
  readonly reference?: string;
  readonly #context: CarryContext;
  readonly #lent: Lent;
  readonly #carried: Carried;
  readonly #key: HoldRequest['key'];
  #isEnded = false;

  constructor(context: CarryContext, lent: Lent, carried: Carried, key: HoldRequest['key']) {
    this.plan = carried.plan;
    this.#context = context;
    this.#lent = lent;
    this.#carried = carried;
    this.#key = key;
    if (!context.receipts.hasTable && carried.transaction !== null) {
      this.reference = carried.transaction;
    }
  }

  async commit(): Promise<ApplyAnswer> {
    this.#isEnded = true;
    const attempt: Attempt = { stage: 'before' };
    try {
      const answer = await commit(this.#context, this.#lent.session, {
        carried: this.#carried,
        key: this.#key,
        // The intent has the reference already.
        journal: () => Promise.resolve(),
        attempt,
      });
      await this.#lent.done();
      return answer;
    } catch (error) {
      await this.#lent.done(error);
      if (attempt.stage === 'committing') throw inDoubt(error);
      await dropEvidence(this.#context, this.#carried);
      return asRefusal(error);
    }
  }

  async release(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    try {
      await this.#lent.session.client.query('ROLLBACK');
      await this.#lent.done();
    } catch (error) {
      await this.#lent.done(error);
    }
    // The plan may still be shown to people, so its own images stay.
    await dropFilled(this.#context, this.#carried);
  }
}
