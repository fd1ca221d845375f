/**
 * Several statements in one transaction, each measured as it would be alone, by a gathering of its own.
 *
 * P1 Before the first of them runs, all have passed the catalog, the permissions and the named rights.
 * P2 Each runs in a subtransaction: the ids of its row versions tell what it changed, and what it found.
 * P3 Counts, value and bytes of the whole are the sums of the steps: no work is hidden by undoing it.
 *    The images of the whole are what the transaction leaves, as the snapshot before it shows.
 * P4 What is deferred to the commit runs after the last step and is counted with it.
 */
import { mergePlans } from '../../../model/merge.ts';
import { measure, PLAN_BOUNDS, type Plan, type StepPlan } from '../../../model/plan.ts';
import { amountsInArguments } from '../../amounts.ts';
import { Refused } from '../../connector.ts';
import { atStep, Faults } from './at-step.ts';
import type { Carried, CarryContext, Opening } from './carry.ts';
import { readCatalog, type Catalog } from '../catalog/catalog.ts';
import { refuseCheaplyWithin } from './cheaply.ts';
import { measured, proofFor, withReversibility } from './conclude.ts';
import { openGuards } from './guards.ts';
import { ROWS_MEASURED_MAX } from './images.ts';
import { checkLearnt, type Masks } from './masks.ts';
import { netOf } from './net.ts';
import { checkPermitted } from './permitted.ts';
import { guardedOf, runProposed, type Preparing } from './prepare.ts';
import { Courses, Progress } from './progress.ts';
import { measureRun, type Doing, type Run } from './run.ts';
import type { PostgresSettings } from '../settings.ts';
import { masksOfSteps, type StepsMasks } from './step-masks.ts';
import type { Tallied } from './tally.ts';
import type { Lesson, StepWrite, Write } from './teacher.ts';
import { Unknowns } from './unknowns.ts';
import type { Lane } from './write.ts';

type StepsWrite = Extract<Write, { kind: 'steps' }>;

/** A step that passed, and what became of it. */
interface Stepped {
  readonly write: StepWrite;
  readonly doing: Doing;
  readonly run: Run;
  readonly plan: Plan;
}

/** One try of the whole; its transaction is open afterwards. */
export async function runSteps(
  lane: Lane,
  write: StepsWrite,
  opening: Opening,
  preparing: Preparing,
): Promise<Carried | 'again'> {
  const { context, teacher, receipts } = preparing;
  const catalogs = await clear(lane, write, preparing);
  const ofSteps = await masksOfSteps(write, catalogs, preparing);
  const { masks } = ofSteps;
  const courses = new Courses();
  const progress = new Progress(lane, context, receipts);
  const unknowns = new Unknowns();
  const going = { lane, context, receipts, ofSteps, progress, courses, unknowns };
  const done: Stepped[] = [];
  for (const [at, step] of write.steps.entries()) {
    const catalog = catalogs[at];
    if (catalog === undefined) throw new Error('each step has its catalog');
    const isLast = at === write.steps.length - 1;
    const isCounted = opening.isAgreed === undefined;
    done.push(await atStep(at, () => carryStep(going, done, { step, catalog, isLast, isCounted })));
  }
  if (!teacher.isSatisfied(lessonOf(done, masks))) return 'again';
  const { session } = lane;
  await session.resetWithin();
  const { footprint } = progress;
  if (footprint === null) throw new Error('steps that ran have a footprint');
  const net = await netOf(lane, context, { footprint, courses, catalogs, masks });
  const plan = wholeOf(done, net.tallied, masks);
  const isAgreed = opening.isAgreed?.(plan) === true;
  const runs = [...done.map(({ run }) => run), net];
  const found = { plan, tallied: net.tallied, receipts, runs };
  const reversibility = isAgreed ? plan.reversibility : await proofFor(lane, context, found);
  const isMasked = plan.maskedColumns.length > 0;
  return {
    plan: withReversibility(plan, reversibility),
    filled: isMasked ? net.tallied.filled : null,
    filledEvidence: isMasked ? net.tallied.filledEvidence : null,
    transaction: footprint.transaction,
  };
}

/** Reads the catalog for all steps, and refuses what any of them may not name or read. */
async function clear(
  { session }: Lane,
  { steps }: StepsWrite,
  { context: { settings } }: Preparing,
): Promise<readonly Catalog[]> {
  const faults = new Faults();
  const catalogs: Catalog[] = [];
  for (const [at, { statement, request }] of steps.entries()) {
    await faults.check(at, async () => {
      // Each look-up sets back what the transaction began with: planned anew it takes ten times as long.
      await session.client.query('SET LOCAL plan_cache_mode = force_generic_plan');
      const catalog = await readCatalog(session, statement, settings);
      checkPermitted(catalog, request.permits);
      openGuards(settings, guardedOf(statement, catalog));
      catalogs.push(catalog);
    });
  }
  faults.throwAny();
  return catalogs;
}

/** What the steps of one try share. */
interface Going {
  readonly lane: Lane;
  readonly context: CarryContext;
  readonly receipts: number;
  readonly ofSteps: StepsMasks;
  readonly progress: Progress;
  readonly courses: Courses;
  readonly unknowns: Unknowns;
}

interface StepGoing {
  readonly step: StepWrite;
  readonly catalog: Catalog;
  readonly isLast: boolean;
  /** Whether it is counted before it runs. */
  readonly isCounted: boolean;
}

/** Carries one step out, after those that are done, and measures it. */
async function carryStep(
  going: Going,
  done: readonly Stepped[],
  { step, catalog, isLast, isCounted }: StepGoing,
): Promise<Stepped> {
  const { lane, context, receipts, ofSteps, progress, courses, unknowns } = going;
  const { settings } = context;
  const { client } = lane.session;
  unknowns.check({ statement: step.statement, catalog });
  if (done.length > 0) await lane.session.resetWithin();
  const since = await progress.begin({
    named: catalog.written.map(({ resource }) => resource),
    isLast,
  });
  if (isCounted) await refuseCheaplyWithin(lane.session, step, limitOf(going, done, step));
  await client.query('SAVEPOINT writegate_step');
  const doing: Doing = {
    catalog,
    written: step.statement.written,
    run: (own, take, isAgain) => runProposed(own, catalog, step, { take, isAgain }),
    receipts,
    gathering: {
      catalog,
      masks: ofSteps.masks,
      guarded: guardedOf(step.statement, catalog),
      sampled: true,
      step: {
        watch: (changes) => courses.note(changes),
        isAgain: ({ oid }) => progress.isChanged(oid),
        roomBytes: Math.max(0, PLAN_BOUNDS.imageBytesMax - sumOf(done, ({ bytes }) => bytes)),
      },
    },
    since,
  };
  const kept = sumOf(done, ({ effects }) => effects.length);
  const room = { ...settings, rowsMax: Math.max(0, settings.rowsMax - kept) };
  // The images of a step are in its plan or nowhere: those of the whole are kept.
  const { operation, arguments: args } = step.request;
  const stated = amountsInArguments(settings.amounts, operation, args);
  const own = { ...context, settings: room, stated, evidence: undefined };
  const run = await measureRun(lane, own, doing);
  const { plan } = await measured({ doing, run, write: step });
  await client.query('RELEASE SAVEPOINT writegate_step');
  await progress.end(run.footprint);
  courses.endStep();
  unknowns.note(run.gathering.counts, (table) => ofSteps.filledBy(done.length, table));
  const stepped = { write: step, doing, run, plan };
  checkTogether([...done, stepped], settings);
  return stepped;
}

/** How many records the step may have, by every limit that is known. */
function limitOf(
  { context: { settings, recordsMax } }: Going,
  done: readonly Stepped[],
  { request }: StepWrite,
): Parameters<typeof refuseCheaplyWithin>[2] {
  const together = Math.min(settings.limits.rows ?? Infinity, recordsMax ?? Infinity);
  const left = Math.max(0, together - sumOf(done, recordsOf));
  return { settings, rowsMax: Math.min(left, request.recordsMax ?? Infinity) };
}

function recordsOf(plan: Plan): number {
  return measure(plan).records;
}

function sumOf(done: readonly Stepped[], of: (plan: Plan) => number): number {
  return done.reduce((sum, { plan }) => sum + of(plan), 0);
}

/** The bounds of the target hold for all steps together. */
function checkTogether(done: readonly Stepped[], { limits }: PostgresSettings): void {
  const records = sumOf(done, recordsOf);
  const rowsMax = limits.rows ?? ROWS_MEASURED_MAX;
  if (records > rowsMax) {
    throw new Refused(
      'limit-exceeded',
      `the steps so far change ${records} rows, those by cascade and trigger counted; expected at ` +
        `most ${rowsMax} of all steps together; propose fewer of them, or narrower ones`,
    );
  }
  if (sumOf(done, ({ bytes }) => bytes) <= limits.imageBytes) return;
  throw new Refused(
    'limit-exceeded',
    `the rows changed so far have more than ${limits.imageBytes} bytes; propose the steps in parts`,
  );
}

/**
 * Where any value is only known at the commit, a later step may have carried it on, so all new values
 * are compared.
 */
function lessonOf(done: readonly Stepped[], masks: Masks): Lesson {
  const filled = new Set(done.flatMap(({ run }) => run.filled));
  if (filled.size > 0 || masks.names().length > 0) {
    for (const { run } of done) {
      for (const { resource, created, updated } of run.counts) {
        if (created + updated > 0) filled.add(resource);
      }
    }
  }
  const changed = done.flatMap(({ run }) => run.gathering.counts.map(({ table }) => table));
  return {
    filled: [...filled],
    samples: done.map(({ run }) => run.gathering.sample),
    check(learnt) {
      for (const { write, doing } of done) {
        const described = { statement: write.statement, catalog: doing.catalog };
        checkLearnt(learnt, described, changed);
      }
    },
  };
}

/** The plan of the whole: what the steps come to together, with the images of what they leave. */
function wholeOf(done: readonly Stepped[], net: Tallied, masks: Masks): Plan {
  const sizes = done.flatMap(({ plan }) => plan.resourceSize ?? []);
  let columnsLeft: number = PLAN_BOUNDS.columnsMax;
  const steps = done.map(({ write, plan }): StepPlan => {
    const columns = plan.columns.slice(0, columnsLeft);
    columnsLeft -= columns.length;
    return { operation: write.request.operation, plan: { ...plan, columns } };
  });
  return {
    ...mergePlans(done.map(({ plan }) => ({ target: '', plan }))),
    effects: net.effects,
    effectsOmitted: net.effectsOmitted,
    effectsDigest: net.effectsDigest,
    evidence: net.evidence,
    columns: net.columns,
    maskedColumns: masks.names(),
    // The share of the smallest is the largest.
    resourceSize: sizes.length === 0 ? null : Math.min(...sizes),
    steps,
  };
}
