/** Tries the inverse of a measured write, in the same transaction, before anybody approves it. */
import type { Reversibility } from '../../model/plan.ts';
import { readFootprint } from './footprint.ts';
import { runInverse } from './inverse.ts';
import type { MeasureContext, Measured } from './measure.ts';
import { asRefusal } from './refusals.ts';
import type { Session } from './session.ts';

/**
 * Carries out the inverse of what was just measured and holds the rows against their images. The
 * transaction is of no other use afterwards and must be taken back.
 */
export async function prove(
  session: Session,
  measured: Measured,
  context: Pick<MeasureContext, 'settings' | 'receipts'>,
): Promise<Reversibility> {
  const { plan, direct, catalog, extras } = measured;
  if (plan.reversibility.kind !== 'conditional' || extras.length > 0) return plan.reversibility;
  const prefix = `${plan.resource}.`.length;
  const exempt = new Set(plan.maskedColumns.map((column) => column.slice(prefix)));
  try {
    const changes = await runInverse(session, catalog, direct.filled, exempt);
    if (!(await addsNothing(session, measured, changes.length, context))) {
      return { kind: 'conditional', reason: 'the inverse sets off triggers that write more rows' };
    }
  } catch (error) {
    const { code, reason } = asRefusal(error);
    if (code === 'target-unavailable' || code === 'statement-timeout') throw error;
    return { kind: 'conditional', reason: `the inverse was tried and refused: ${reason}` };
  }
  const kept = exempt.size === 0 ? '' : `, but for ${plan.maskedColumns.join(', ')}`;
  return {
    kind: 'proved',
    reason: `the inverse was carried out and gave back every row as it was${kept}`,
  };
}

/** Whether the inverse changed its own rows and no others; asked only where something could. */
async function addsNothing(
  session: Session,
  measured: Measured,
  inverted: number,
  context: Pick<MeasureContext, 'settings' | 'receipts'>,
): Promise<boolean> {
  const couldAdd = measured.plan.dependents.some((each) => !each.startsWith('view '));
  if (!couldAdd) return true;
  const footprint = await readFootprint(session, context.settings, context.receipts);
  let changed = 0;
  for (const relation of footprint.relations) {
    changed += relation.created + relation.updated + relation.deleted;
  }
  let forward = 0;
  for (const count of measured.direct.counts.values()) {
    forward += count.created + count.updated + count.deleted;
  }
  return changed === forward + inverted;
}
