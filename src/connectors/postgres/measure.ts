/** Carries a write out in an open transaction and measures what it did; who calls ends the transaction. */
import type { Effect, EffectClass, Plan } from '../../model/plan.ts';
import type { Compensated, PlanRequest } from '../../model/ports.ts';
import { Refused } from '../connector.ts';
import { readCatalog, type Catalog } from './catalog.ts';
import type { Change } from './change.ts';
import { readCauses, readFootprint, reconcile, type Causes, type Extra } from './footprint.ts';
import { Tally, type Direct } from './images.ts';
import { runInverse } from './inverse.ts';
import { masksOfRuns, masksOfStatement, needsRehearsal, SAMPLE_ROWS } from './masks.ts';
import type { Session, Sessions } from './session.ts';
import type { PostgresSettings } from './settings.ts';
import type { RelationName } from './tree.ts';
import { planOf } from './summary.ts';
import { ValueSum } from './value.ts';
import { runStatement, type StatementWrite } from './write.ts';

/** What is carried out: the agent's checked statement, or the inverse of applied effects. */
export type Write =
  | ({ readonly kind: 'statement' } & StatementWrite)
  | { readonly kind: 'inverse'; readonly compensated: Compensated };

export interface Rehearsal {
  readonly kind: 'rehearsal';
  readonly sample: readonly Change[];
}

export interface Measured {
  readonly kind: 'measured';
  readonly plan: Plan;
  /** The kept effects with the real values of masked columns; null where no column is masked. */
  readonly filled: readonly Effect[] | null;
  readonly catalog: Catalog;
  readonly direct: Direct;
  readonly extras: readonly Extra[];
  /** The transaction's id; null where nothing was written. */
  readonly transaction: string | null;
}

export interface MeasureContext {
  readonly sessions: Sessions;
  readonly settings: PostgresSettings;
  /** Rows of the receipt table that this transaction has written itself. */
  readonly receipts: number;
  /** An earlier run of the same write, for the columns that a trigger fills; null where there was none. */
  readonly rehearsal: readonly Change[] | null;
  readonly permits: PlanRequest['permits'];
}

/**
 * Measures a write. Where a trigger may fill in columns it takes two runs at different times to see
 * which: then the first run is only a rehearsal, to be taken back and handed in with the second.
 */
export async function measureWrite(
  session: Session,
  write: Write,
  context: MeasureContext,
): Promise<Measured | Rehearsal> {
  const { settings } = context;
  const catalog = await readCatalog(session, subjectOf(write, settings), settings);
  checkPermitted(catalog, context.permits);
  if (write.kind === 'statement' && context.rehearsal === null) {
    if (needsRehearsal(write.statement.kind, catalog)) {
      return { kind: 'rehearsal', sample: await rehearse(session, write, catalog, context) };
    }
  }
  const { direct, masked } = await carryOut(session, write, catalog, context);
  const footprint = await readFootprint(session, settings, context.receipts);
  const extras = reconcile(footprint, direct);
  if (write.kind === 'inverse') checkIsInverse(write.compensated, extras);
  const causes = extras.length === 0 ? NO_CAUSES : await readCauses(session, footprint);
  const plan = planOf(classOf(write), catalog, { direct, masked, extras, causes, footprint });
  const filled = masked.size === 0 ? null : direct.filled;
  return {
    kind: 'measured',
    plan,
    filled,
    catalog,
    direct,
    extras,
    transaction: footprint.transaction,
  };
}

/** A preview shows rows, so nothing is carried out on, or with, a table that is not the proposer's. */
function checkPermitted({ target, reads }: Catalog, permits: PlanRequest['permits']): void {
  const isTargets = [target.resource, ...target.partOf].some(permits);
  const closed = isTargets ? reads.find((resource) => !permits(resource)) : target.resource;
  if (closed === undefined) return;
  throw new Refused(
    'not-permitted',
    `the agent holds no permission on \`${closed}\`, so its rows are not shown; ` +
      'ask the operator for one',
  );
}

async function rehearse(
  session: Session,
  write: StatementWrite,
  catalog: Catalog,
  context: MeasureContext,
): Promise<readonly Change[]> {
  const sample: Change[] = [];
  await runStatement(session, context.sessions, catalog, write, (changes) => {
    sample.push(...changes.slice(0, SAMPLE_ROWS - sample.length));
  });
  return sample;
}

const CLASSES = { insert: 'create', update: 'update', delete: 'delete' } as const;

function classOf(write: Write): EffectClass {
  return write.kind === 'statement' ? CLASSES[write.statement.kind] : 'read';
}

const NO_CAUSES: Causes = { keys: [], triggers: [], rules: [] };

function subjectOf(write: Write, settings: PostgresSettings): Parameters<typeof readCatalog>[1] {
  if (write.kind === 'statement') return write.statement;
  const { resource } = write.compensated.plan;
  const target = relationOf(resource, settings);
  return { target, reads: [], functions: [], operators: [], fields: [] };
}

function relationOf(resource: string, settings: PostgresSettings): RelationName {
  const schema = settings.schemas.find((each) => resource.startsWith(`${each}.`));
  if (schema === undefined) {
    throw new Refused('rollback-impossible', `\`${resource}\` is no longer governed`);
  }
  return { schema, name: resource.slice(schema.length + 1), at: -1 };
}

interface CarriedOut {
  readonly direct: Direct;
  readonly masked: ReadonlySet<string>;
}

async function carryOut(
  session: Session,
  write: Write,
  catalog: Catalog,
  context: MeasureContext,
): Promise<CarriedOut> {
  const { settings, rehearsal } = context;
  const tallyOf = (masked: ReadonlySet<string>): Tally =>
    new Tally(catalog, masked, {
      rowsMax: settings.rowsMax,
      value: new ValueSum(settings, wholesOf(catalog)),
    });
  if (write.kind === 'inverse') {
    const masked = exemptOf(write.compensated.plan);
    const tally = tallyOf(masked);
    const effects = imagesToTakeBack(write.compensated);
    for (const change of await runInverse(session, catalog, effects, masked)) {
      tally.add(change.before, change.after, change.kind);
    }
    return { direct: tally.finish(), masked };
  }
  const masked = new Set(masksOfStatement(write.statement, catalog));
  checkAmountsKnown(catalog, masked, settings);
  const held: Change[] = [];
  let tally = rehearsal === null ? tallyOf(masked) : null;
  const settle = (): Tally => {
    for (const column of masksOfRuns(rehearsal ?? [], held, write.statement, catalog))
      masked.add(column);
    checkAmountsKnown(catalog, masked, settings);
    const made = tallyOf(masked);
    for (const change of held) made.add(change.before, change.after, change.kind);
    return made;
  };
  await runStatement(session, context.sessions, catalog, write, (changes) => {
    for (const change of changes) {
      if (tally === null && held.length < SAMPLE_ROWS) {
        held.push(change);
        continue;
      }
      tally ??= settle();
      tally.add(change.before, change.after, change.kind);
    }
  });
  return { direct: (tally ?? settle()).finish(), masked };
}

function wholesOf({ tables }: Catalog): ReadonlyMap<string, readonly string[]> {
  return new Map([...tables.values()].map((table) => [table.resource, table.partOf]));
}

/** A masked amount would pass every limit unseen. */
function checkAmountsKnown(
  catalog: Catalog,
  masked: ReadonlySet<string>,
  settings: PostgresSettings,
): void {
  const value = new ValueSum(settings, wholesOf(catalog));
  for (const { resource } of [catalog.target, ...catalog.tables.values()]) {
    const amount = value.amountAmong(resource, masked);
    if (amount === null) continue;
    throw new Refused(
      'effect-unmeasurable',
      `the amount in \`${amount}\` would only be known at the commit, so no limit could judge it`,
    );
  }
}

/** Columns that the database filled by itself in the write that is taken back. */
function exemptOf(plan: Plan): ReadonlySet<string> {
  const prefix = `${plan.resource}.`;
  const columns = plan.maskedColumns.filter((each) => each.startsWith(prefix));
  return new Set(columns.map((each) => each.slice(prefix.length)));
}

/** The effects to take back; refuses where they do not say all that was changed. */
function imagesToTakeBack({ plan, effects }: Compensated): readonly Effect[] {
  const lost = plan.counts.filter(
    (count) => count.attribution !== 'direct' && count.updated + count.deleted > 0,
  );
  const changed = lost.reduce((sum, count) => sum + count.updated + count.deleted, 0);
  const isWhole = effects.every(
    (effect) =>
      (effect.kind === 'create' || effect.before !== null) &&
      (effect.kind === 'delete' || effect.after !== null),
  );
  const reason =
    changed > 0
      ? `${changed} rows that changed as a consequence have no images`
      : plan.effectsOmitted > 0
        ? `${plan.effectsOmitted} of the changed rows have no images`
        : effects.length === 0
          ? 'nothing was changed'
          : isWhole
            ? null
            : 'some of the changed rows have no image before the write';
  if (reason !== null) throw new Refused('rollback-impossible', `${reason}; restore from a backup`);
  return effects;
}

/** An inverse may write no more than its rows, but for what triggers add where they had added before. */
function checkIsInverse(compensated: Compensated, extras: readonly Extra[]): void {
  const hadAdded = compensated.plan.counts.some(
    (count) => count.attribution !== 'direct' && count.created > 0,
  );
  for (const extra of extras) {
    if (hadAdded && extra.updated + extra.deleted === 0) continue;
    const { schema, name } = extra.relation;
    throw new Refused(
      'rollback-impossible',
      `taking the write back would itself change other rows of \`${schema}.${name}\` ` +
        `(${extra.created} created, ${extra.updated} updated, ${extra.deleted} deleted)`,
    );
  }
}
