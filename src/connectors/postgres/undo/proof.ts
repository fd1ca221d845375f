/** Tries the inverse of what was just measured, in its own transaction, which goes on afterwards. */
import type { Effect, Plan, Reversibility } from '../../../model/plan.ts';
import type { EvidenceReader } from '../../../model/ports.ts';
import { Refused } from '../../connector.ts';
import type { Carried, CarryContext } from '../measure/carry.ts';
import type { Change, RowImage } from '../measure/change.ts';
import { asRefusal, isPlainError } from '../session/refusals.ts';
import { readNet } from '../measure/run.ts';
import type { Tallied } from '../measure/tally.ts';
import { lackingFor } from './undo-rights.ts';
import { prove, proveApart } from './undo.ts';
import type { Lane } from '../measure/write.ts';

/** With more rows than these nothing is tried: it would take as long as the write once more. */
const PROVED_ROWS_MAX = 10_000;

/** Says whether the write can be taken back, by trying. */
export async function proofOf(
  lane: Lane,
  context: CarryContext,
  found: { readonly plan: Plan; readonly tallied: Tallied; readonly receipts: number },
): Promise<Reversibility> {
  const { plan, tallied, receipts } = found;
  const rows = tallied.effects.length + tallied.effectsOmitted;
  if (rows > PROVED_ROWS_MAX) {
    return {
      kind: 'conditional',
      reason: `every changed row has its images; the inverse of ${rows} rows was not tried`,
    };
  }
  const evidence = tallied.filledEvidence;
  let reader: EvidenceReader | undefined;
  try {
    reader = evidence === null ? undefined : await context.evidence?.open(evidence.id);
    const effects = reader ?? tallied.filled;
    const net = (): Promise<readonly Effect[]> => readEffects(lane, context, receipts);
    await lane.session.client.query('SAVEPOINT writegate_tried');
    const proof = await prove(lane.session, { effects, partOf: plan.partOf, net });
    if (proof.kind !== 'proved' || plan.maskedColumns.length === 0) return proof;
    return { ...proof, reason: `${proof.reason}, with the values that masked columns had` };
  } catch (error) {
    const { code, reason } = asRefusal(error);
    // A refusal of the footprint inside of the trial is one of the trial; the connection is as before it.
    const isOfTrial = error instanceof Refused || isPlainError(error);
    if (!isOfTrial || code === 'target-busy' || code === 'statement-timeout') throw error;
    await lane.session.client.query('ROLLBACK TO SAVEPOINT writegate_tried');
    return { kind: 'one-way', reason: `the inverse was tried and refused: ${reason}` };
  } finally {
    await reader?.close();
  }
}

/**
 * Where the inverse with triggers on is no exact one, tries it with triggers off, by the role that may
 * switch them off, after the write's own transaction was taken back. Says what was known where there is
 * no such role, or an image is missing.
 */
export async function provedApart(
  context: CarryContext,
  { plan, filled, filledEvidence }: Carried,
  signal: AbortSignal,
): Promise<Reversibility> {
  const known = plan.reversibility;
  const rows = plan.effects.length + plan.effectsOmitted;
  const isTried = known.kind !== 'proved' && rows > 0 && rows <= PROVED_ROWS_MAX;
  const isWhole =
    known.kind !== 'one-way' || !plan.warnings.some((each) => known.reason.includes(each));
  if (!context.sessions.has('undo') || !isTried || !isWhole) return known;
  const evidence = filledEvidence ?? plan.evidence;
  const reader = evidence === null ? undefined : await context.evidence?.open(evidence.id);
  if (plan.effectsOmitted > 0 && reader === undefined) return known;
  try {
    const effects = reader ?? filled ?? plan.effects;
    return await context.sessions.write(
      signal,
      async (session) => {
        const inverse = { effects, partOf: plan.partOf };
        const lacking = await lackingFor(session, inverse);
        if (lacking === null) return proveApart(session, inverse);
        return { ...known, reason: `${known.reason}; with triggers on, because ${lacking}` };
      },
      'undo',
    );
  } catch (error) {
    const { reason } = asRefusal(error);
    return { kind: 'conditional', reason: `the inverse could not be tried: ${reason}` };
  } finally {
    await reader?.close();
  }
}

/** What the transaction has changed by now, as effects; more rows than the write had twice are refused. */
export async function readEffects(
  lane: Lane,
  context: CarryContext,
  receipts: number,
): Promise<readonly Effect[]> {
  const effects: Effect[] = [];
  await readNet(lane, context, receipts, (changes) => {
    for (const change of changes) effects.push(effectOf(change));
    return Promise.resolve();
  });
  return effects;
}

function effectOf({ kind, before, after }: Change): Effect {
  const { table } = after ?? before ?? {};
  const key = (before ?? after)?.values;
  return {
    resource: table?.resource ?? '',
    kind,
    key: (table?.key ?? []).map((name) => {
      const at = table?.columns.findIndex((column) => column.name === name) ?? -1;
      return key?.[at] ?? null;
    }),
    before: imageOf(before),
    after: imageOf(after),
  };
}

function imageOf(image: RowImage | null): Effect['before'] {
  if (image === null) return null;
  return Object.fromEntries(
    image.table.columns.map(({ name }, at) => [name, image.values[at] ?? null]),
  );
}
