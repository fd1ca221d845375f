/** What a measured run comes to: its plan, and whether it can be taken back. */
import type { EffectClass, Plan, Reversibility } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import type { CarryContext } from './carry.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { wholesOf } from './gathering.ts';
import { softColumn } from './headline.ts';
import type { Masks } from './masks.ts';
import { proofOf } from '../undo/proof.ts';
import type { ProposedWrite } from '../proposed/proposed.ts';
import type { Doing, Run } from './run.ts';
import type { PostgresSettings } from '../settings.ts';
import { obstacle, planOf } from './summary.ts';
import type { Tallied } from './tally.ts';
import { ValueSum } from './value.ts';
import type { Lane } from './write.ts';

/** A run that was carried out, and what is said of it whatever it did. */
export interface Ran {
  readonly doing: Doing;
  readonly run: Run;
  /** The statement; null for the inverse of an earlier write. */
  readonly write: Pick<ProposedWrite, 'statement'> | null;
}

/** Judges what only the whole run tells, and makes its plan; whether it can be taken back is not known yet. */
export async function measured({
  doing,
  run,
  write,
}: Ran): Promise<{ readonly plan: Plan; readonly tallied: Tallied }> {
  const { masks, catalog } = doing.gathering;
  run.gathering.guards.finish(run.counts, run.unseen);
  const tallied = await run.gathering.finish();
  const unseen: string[] = [];
  for (const { resource, attribution } of run.counts) {
    const hasImages = tallied.counts.some((each) => each.table.resource === resource);
    // Changed rows that nobody saw may hold amounts, and name recipients.
    const isSeen = hasImages && !run.unseen.includes(resource);
    if (isSeen || attribution === 'direct') continue;
    unseen.push(resource);
    const tables = [resource, ...partsOf(run, resource)];
    if (tallied.value.covers(tables)) tallied.value.incomplete();
    if (tallied.recipients.covers(tables)) tallied.recipients.unseen(resource);
  }
  const plan = planOf({
    named: write === null ? 'read' : CLASSES[write.statement.kind],
    soft: write === null ? null : softColumn(write.statement),
    catalog,
    tallied,
    counts: run.counts,
    masks,
    footprint: run.footprint,
    unseen,
    warnings: [...run.gaps, ...(write?.statement.warnings ?? [])],
    reversibility: UNTRIED,
  });
  return { plan, tallied };
}

const CLASSES = {
  insert: 'create',
  update: 'update',
  delete: 'delete',
  merge: 'update',
} as const satisfies Record<string, EffectClass>;

function partsOf(run: Run, resource: string): readonly string[] {
  const relation = run.footprint.relations.find(
    ({ schema, name }) => `${schema}.${name}` === resource,
  );
  return relation?.partOf ?? [];
}

const UNTRIED: Reversibility = {
  kind: 'conditional',
  reason: 'every changed row has its images; the inverse was not tried',
};

/** What stands in the way of taking it back, else whether trying it in the open transaction restored all. */
export async function proofFor(
  lane: Lane,
  context: CarryContext,
  found: {
    readonly plan: Plan;
    readonly tallied: Tallied;
    readonly receipts: number;
    readonly runs: readonly Pick<Run, 'unseen' | 'gaps'>[];
  },
): Promise<Reversibility> {
  const { plan, tallied, receipts, runs } = found;
  // Work that was repeated or undone has every image, so that trying tells.
  const unseen = runs.filter((run) => run.unseen.length > 0).flatMap(({ gaps }) => gaps);
  const reason = unseen.length > 0 ? unseen.join('; ') : obstacle(tallied, plan.counts);
  if (reason !== null) return { kind: 'one-way', reason };
  return proofOf(lane, context, { plan, tallied, receipts });
}

/** Says it of a plan, and of its steps: one can be taken back as the whole can, which is never done by halves. */
export function withReversibility(plan: Plan, reversibility: Reversibility): Plan {
  if (plan.steps === undefined) return { ...plan, reversibility };
  const steps = plan.steps.map(({ operation, plan: step }) => {
    return { operation, plan: Object.assign({}, step, { reversibility }) };
  });
  return { ...plan, reversibility, steps };
}

/** A masked amount would pass every limit unseen. */
export function checkAmountsKnown(
  catalog: Catalog,
  masks: Masks,
  settings: PostgresSettings,
): void {
  const value = new ValueSum(settings, wholesOf(catalog));
  for (const table of [catalog.target, ...catalog.tables.values()]) {
    const amount = value.amountAmong(table.resource, masks.of(table));
    if (amount === null) continue;
    throw new Refused(
      'effect-unmeasurable',
      `the amount in \`${amount}\` would only be known at the commit, so no limit could judge it`,
    );
  }
}
