/**
 * The full lane: any write that the parser lets through, and the inverse of applied effects.
 *
 * F1 The writer's transaction is REPEATABLE READ, and its snapshot is exported before anything of the
 *    agent's runs: what was before is read through it, whatever the write sets off.
 * F2 What differs between two runs of the same write is only known at the commit, so it is masked.
 *    Where a trigger, a rule or a default below may fill values in, the write is run again, after being
 *    taken back, until its masks are known; they are remembered by the statement's text.
 * F3 A write that another session got in the way of is begun again, `TRIES_MAX` times.
 */
import { checkPermitted } from './permitted.ts';
import pg from 'pg';
import type { EffectClass, Plan, Reversibility } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import type { Carried, CarryContext, Opening } from './carry.ts';
import { readCatalog, type Catalog, type Table } from '../catalog/catalog.ts';
import { runCopy } from '../proposed/copy.ts';
import type { DirectRows } from './direct.ts';
import { wholesOf } from './gathering.ts';
import type { Guarded } from './guards.ts';
import { softColumn } from './headline.ts';
import { masksOfStatement, type Masks } from './masks.ts';
import { proofOf } from '../undo/proof.ts';
import type { ProposedWrite } from '../proposed/proposed.ts';
import { sqlState } from '../session/refusals.ts';
import { namedOf } from './named.ts';
import { measureRun, type Doing, type Run } from './run.ts';
import type { Session } from '../session/session.ts';
import type { PostgresSettings } from '../settings.ts';
import { obstacle, planOf } from './summary.ts';
import type { Tallied } from './tally.ts';
import { prepareInverse } from '../undo/take-back.ts';
import { Teacher, type Write } from './teacher.ts';
import type { RelationName } from '../text/tree.ts';
import { ValueSum } from './value.ts';
import { runStatement, type Lane } from './write.ts';

const TRIES_MAX = 4;
/** Two to compare, and one with the masks that they showed; one more where the world moved meanwhile. */
const RUNS_MAX = 4;
/** A prepared statement of that name is there already. */
const PREPARED_TWICE = '42P05';

/**
 * Opens the transaction. Our look-ups before the write are planned once for all; the last of them, of the
 * catalog, sets that back, so that the write and what its triggers run are planned as anywhere. The
 * counters are flushed when it ends, so that the next one on this connection starts at nothing.
 */
const BEGIN =
  'BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE; ' +
  'SET LOCAL plan_cache_mode = force_generic_plan; SELECT pg_stat_force_next_flush()';

/** Carries a write out and measures it; its transaction is open on the session afterwards. */
export async function carryFull(
  session: Session,
  write: Write,
  opening: Opening,
  context: CarryContext,
): Promise<Carried | 'earlier'> {
  const teacher = new Teacher(write, context);
  for (let run = 1, tries = 1; ;) {
    let isTwice = false;
    try {
      const carried = await attempt(session, write, opening, { context, teacher });
      if (carried !== 'again') return carried;
      run += 1;
      if (run > RUNS_MAX) throw moving();
    } catch (error) {
      tries += 1;
      isTwice = sqlState(error) === PREPARED_TWICE;
      if ((sqlState(error) !== '40001' && !isTwice) || tries > TRIES_MAX) throw error;
    }
    await session.client.query('ROLLBACK');
    if (isTwice) await dropPrepared(session);
  }
}

/** What a trigger prepared outlives the transaction: it would find it there in the next run. */
async function dropPrepared(session: Session): Promise<void> {
  const { client } = session;
  const { rows } = await client.query<{ name: string }>('SELECT name FROM pg_prepared_statements');
  // Ours stay: the driver would go on to use them.
  const others = rows.filter(({ name }) => !name.startsWith('writegate_'));
  const drops = others.map(({ name }) => `DEALLOCATE ${pg.escapeIdentifier(name)}`);
  if (drops.length > 0) await client.query(drops.join('; '));
}

async function attempt(
  session: Session,
  write: Write,
  opening: Opening,
  { context, teacher }: { readonly context: CarryContext; readonly teacher: Teacher },
): Promise<Carried | 'earlier' | 'again'> {
  await session.reset();
  await session.client.query(BEGIN);
  if (opening.receipt !== null && !(await writeReceipt(session, opening.receipt, context))) {
    return 'earlier';
  }
  const snapshot = await context.witnesses.exportOf(session);
  const lane = { session, snapshot };
  try {
    const receipts = opening.receipt !== null && context.receipts.hasTable ? 1 : 0;
    const doing = await prepare(lane, write, { context, teacher, receipts });
    const run = await measureRun(lane, context, doing);
    if (!teacher.isSatisfied(run, doing.catalog)) {
      await run.gathering.discard();
      return 'again';
    }
    return await conclude(lane, write, opening, { context, doing, run });
  } finally {
    await snapshot.close();
  }
}

/** False where the key has its receipt already; then the transaction is taken back. */
async function writeReceipt(
  session: Session,
  receipt: NonNullable<Opening['receipt']>,
  context: CarryContext,
): Promise<boolean> {
  try {
    await context.receipts.write(session, receipt.key, receipt.planDigest);
    return true;
  } catch (error) {
    if (sqlState(error) !== '23505') {
      if (error instanceof Error) receiptErrors.add(error);
      throw error;
    }
    await session.client.query('ROLLBACK');
    return false;
  }
}

const receiptErrors = new WeakSet<Error>();

/** Whether an error came up while the receipt was written: then another attempt may hold the key. */
export function isOfReceipt(error: unknown): boolean {
  return error instanceof Error && receiptErrors.has(error);
}

interface Preparing {
  readonly context: CarryContext;
  readonly teacher: Teacher;
  readonly receipts: number;
}

function prepare(lane: Lane, write: Write, preparing: Preparing): Promise<Doing> {
  return write.kind === 'statement'
    ? prepareStatement(lane, write, preparing)
    : prepareInverse(lane, write.compensated, preparing);
}

async function prepareStatement(
  lane: Lane,
  write: ProposedWrite,
  { context, teacher, receipts }: Preparing,
): Promise<Doing> {
  const { statement } = write;
  const catalog = await readCatalog(lane.session, statement, context.settings);
  checkPermitted(catalog, context.permits);
  const masks = teacher.masksOf(masksOfStatement(statement, catalog), catalog);
  checkAmountsKnown(catalog, masks, context.settings);
  const tableOf = (relation: RelationName): Table | undefined => {
    const at = statement.written.findIndex(
      ({ schema, name }) => schema === relation.schema && name === relation.name,
    );
    return catalog.written[at];
  };
  const guarded: Guarded = { kind: 'agent', named: namedOf(statement.writes, tableOf) };
  return {
    catalog,
    written: statement.written,
    run: (own, take) => runProposed(own, catalog, write, take),
    receipts,
    gathering: { catalog, masks, guarded, sampled: true },
  };
}

/** The rows of a file do not come back from COPY: they are found like any others. */
async function runProposed(
  lane: Lane,
  catalog: Catalog,
  write: ProposedWrite,
  take: Parameters<Doing['run']>[1],
): Promise<DirectRows | null> {
  if (write.copy === undefined) return runStatement(lane, catalog, write, take);
  await runCopy(lane.session, catalog.target, write.copy);
  return null;
}

async function conclude(
  lane: Lane,
  write: Write,
  opening: Opening,
  found: { readonly context: CarryContext; readonly doing: Doing; readonly run: Run },
): Promise<Carried> {
  const { doing, run } = found;
  const { masks, catalog } = doing.gathering;
  run.gathering.guards.finish(run.counts, run.unseen);
  const tallied = await run.gathering.finish();
  const warnings = write.kind === 'statement' ? write.statement.warnings : [];
  for (const { resource, attribution } of run.counts) {
    const hasImages = tallied.counts.some((each) => each.table.resource === resource);
    // Changed rows that nobody saw may hold amounts.
    const isSeen = hasImages && !run.unseen.includes(resource);
    const partOf = partsOf(run, resource);
    if (!isSeen && attribution !== 'direct' && tallied.value.covers([resource, ...partOf])) {
      tallied.value.incomplete();
    }
  }
  const findings = {
    named: classOf(write),
    soft: write.kind === 'statement' ? softColumn(write.statement) : null,
    catalog,
    tallied,
    counts: run.counts,
    masks,
    footprint: run.footprint,
    warnings: [...run.gaps, ...warnings],
  };
  const plan = planOf({ ...findings, reversibility: UNTRIED });
  const isAgreed = opening.isAgreed?.(plan) === true;
  const reversibility = isAgreed ? UNTRIED : await proofFor(lane, found, plan, tallied);
  const isMasked = plan.maskedColumns.length > 0;
  return {
    plan: { ...plan, reversibility },
    filled: isMasked ? tallied.filled : null,
    filledEvidence: isMasked ? tallied.filledEvidence : null,
    transaction: run.footprint.transaction,
  };
}

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

async function proofFor(
  lane: Lane,
  found: { readonly context: CarryContext; readonly doing: Doing; readonly run: Run },
  plan: Plan,
  tallied: Tallied,
): Promise<Reversibility> {
  // Work that was repeated or undone has every image, so that trying tells.
  const { unseen, gaps } = found.run;
  const gap = unseen.length > 0 ? gaps.join('; ') : null;
  const reason = gap ?? obstacle(tallied, plan.counts);
  if (reason !== null) return { kind: 'one-way', reason };
  return proofOf(lane, found.context, { plan, tallied, receipts: found.doing.receipts });
}

const CLASSES = { insert: 'create', update: 'update', delete: 'delete', merge: 'update' } as const;

function classOf(write: Write): EffectClass {
  return write.kind === 'statement' ? CLASSES[write.statement.kind] : 'read';
}

/** A masked amount would pass every limit unseen. */
function checkAmountsKnown(catalog: Catalog, masks: Masks, settings: PostgresSettings): void {
  const value = new ValueSum(settings, wholesOf(catalog));
  for (const table of [catalog.target, ...catalog.tables.values()]) {
    const amount = value.amountAmong(table.resource, masks.of(table));
    if (amount !== null) throw hiddenAmount(amount);
  }
}

function hiddenAmount(amount: string): Refused {
  return new Refused(
    'effect-unmeasurable',
    `the amount in \`${amount}\` would only be known at the commit, so no limit could judge it`,
  );
}

function moving(): Refused {
  return new Refused('target-busy', 'the rows change while they are measured; try again later', {
    permanent: false,
  });
}
