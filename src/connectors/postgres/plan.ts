/** Measures a write and takes it back; what is large waits for what is large already. */
import type { PlanAnswer } from '../../model/ports.ts';
import { dropFilled } from './apply.ts';
import type { CarryContext } from './measure/carry.ts';
import { withReversibility } from './measure/conclude.ts';
import { carry } from './measure/measure.ts';
import type { BulkShapes, KeyedQueue } from './session/queue.ts';
import { shapeOf, statementsOf, type Write } from './measure/teacher.ts';
import { provedApart } from './undo/proof.ts';
import { roleFor } from './undo/take-back.ts';

/** What keeps large previews out of each other's way. */
export interface Previews {
  readonly queue: KeyedQueue;
  readonly bulk: BulkShapes;
}

/** One plan; its transaction is gone afterwards. Throws what goes wrong, as it comes from the server. */
export function planWrite(
  context: CarryContext,
  write: Write,
  { previews, signal }: { readonly previews: Previews; readonly signal: AbortSignal },
): Promise<PlanAnswer> {
  const measured = async (): Promise<PlanAnswer> => {
    const { sessions } = context;
    const carried = await sessions.write(
      signal,
      async (session) => {
        const done = await carry(session, write, { receipt: null }, context);
        if (done === 'earlier') throw new Error('a preview has no receipt');
        await session.client.query('ROLLBACK');
        return done;
      },
      await roleFor(write, context, signal),
    );
    const reversibility = await provedApart(context, carried, signal);
    await dropFilled(context, carried);
    const { effects, effectsOmitted } = carried.plan;
    const isBulk = effects.length + effectsOmitted > BULK_ROWS;
    const shape = shapeOf(write);
    if (isBulk && shape !== null) previews.bulk.add(shape);
    const plan = withReversibility(carried.plan, reversibility);
    return { kind: 'planned', plan: await context.callers.addTo(plan) };
  };
  const key = bulkKey(write, previews.bulk);
  return key === null ? measured() : previews.queue.run(key, signal, measured);
}

/** Large previews of one table run one after the other; null for those that are not known to be. */
function bulkKey(write: Write, bulk: BulkShapes): string | null {
  if (write.kind === 'inverse') {
    const { plan } = write.compensated;
    return plan.effects.length + plan.effectsOmitted > BULK_ROWS ? plan.resource : null;
  }
  const writes = statementsOf(write);
  const isBulk = writes.some(({ copy }) => copy !== undefined) || bulk.has(shapeOf(write) ?? '');
  const [first] = writes;
  if (!isBulk || first === undefined) return null;
  const { target } = first.statement;
  return `${target.schema ?? ''}.${target.name}`;
}

const BULK_ROWS = 1_000;
