/** Carries a write out in the lane that fits it: fast where nothing but its own rows can change. */
import type { Carried, CarryContext, Opening } from './carry.ts';
import { refuseCheaply } from './cheaply.ts';
import { withChecks } from './checks.ts';
import { carryFull } from './full.ts';
import { openSealed } from './sealed.ts';
import type { Session } from '../session/session.ts';
import type { Write } from './teacher.ts';

/**
 * Carries a write out and measures it. Its transaction is open on the session afterwards, but for
 * `earlier`: then the key has its receipt, and there is none. Throws `Refused` and the server's errors,
 * with the transaction open or broken.
 */
export async function carry(
  session: Session,
  write: Write,
  opening: Opening,
  context: CarryContext,
): Promise<Carried | 'earlier'> {
  const carried = await inItsLane(session, write, opening, context);
  return carried === 'earlier' ? carried : withChecks(session, carried, context);
}

async function inItsLane(
  session: Session,
  write: Write,
  opening: Opening,
  context: CarryContext,
): Promise<Carried | 'earlier'> {
  if (write.kind === 'statement') {
    if (opening.isAgreed === undefined) await refuseCheaply(session, write, context);
    const sealed =
      write.copy === undefined ? await openSealed(session, write, opening, context) : null;
    if (sealed !== null) return sealed;
  }
  return carryFull(session, write, opening, context);
}
