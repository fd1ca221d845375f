/** Random writes through a `postgres` target, each held against dumps of the whole database. */
import { strict as assert } from 'node:assert';
import pg from 'pg';
import type { Postgres } from '../../support/postgres.ts';
import { openPostgresTarget } from '../../src/connectors/postgres.ts';
import { newProposalId } from '../../src/model/ids.ts';
import { planDigest, type Effect, type Image, type Plan } from '../../src/model/plan.ts';
import type { ApplyAnswer, PlanRequest, Target, TargetRefusal } from '../../src/model/ports.ts';
import { difference, digestTables, dumpTables, fixShapes, restoreDump, type Dump } from './dump.ts';
import { RANDOM_SCHEMA } from './random-schema.ts';
import { diceOf, randomWrite } from './random-writes.ts';

export interface RoundsOptions {
  readonly seed: number;
  readonly rounds: number;
  /** With a role that takes back with triggers off. */
  readonly hasUndo: boolean;
  /** The most writes that one transaction has; by default each has one of its own. */
  readonly stepsMax?: number;
  readonly progress?: (line: string) => void;
  /** Asked after each round; true ends the run early, as the number of rounds then tells. */
  readonly isOver?: () => boolean;
}

export interface RoundsReport {
  /** How many were tried. */
  readonly rounds: number;
  /** How often each thing happened, such as `undone proved`. */
  readonly seen: ReadonlyMap<string, number>;
  /** What must not be, each with its seed, round and statement. */
  readonly failures: readonly string[];
}

const ROLES = `
DO $$BEGIN
  CREATE ROLE random_writer LOGIN PASSWORD 'random'; CREATE ROLE random_evidence LOGIN BYPASSRLS PASSWORD 'random';
  CREATE ROLE random_undo LOGIN PASSWORD 'random';
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END$$;
GRANT SET ON PARAMETER session_replication_role TO random_undo;
REVOKE TEMP, CREATE ON DATABASE DATABASE_NAME FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO random_writer, random_undo;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO random_writer, random_undo;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO random_evidence;
`;

let databases = 0;
let proposals = 0;
let turn: Promise<unknown> = Promise.resolve();

/** Roles and rights on parameters are the whole server's: who changes them at once is refused. */
function inTurn<T>(change: () => Promise<T>): Promise<T> {
  const mine = turn.then(change);
  turn = mine.catch(() => undefined);
  return mine;
}

/** Runs the rounds on a database of its own; failures are collected, at most 20. */
export async function runRounds(server: Postgres, options: RoundsOptions): Promise<RoundsReport> {
  databases += 1;
  const name = `random_${databases}`;
  await server.createDatabase(name);
  const admin = new pg.Client({
    connectionString: server.url(name),
    options: '-c TimeZone=UTC -c row_security=off',
  });
  await admin.connect();
  await admin.query(RANDOM_SCHEMA);
  await inTurn(() => admin.query(ROLES.replaceAll('DATABASE_NAME', name)));
  const as = (role: string): string => server.url(name).replace(/\/\/[^@]*@/, `//${role}:random@`);
  const undo = options.hasUndo ? { undo: as('random_undo') } : {};
  await admin.query(
    'CREATE SCHEMA writegate; GRANT CREATE, USAGE ON SCHEMA writegate TO random_writer, random_undo',
  );
  const target = await openPostgresTarget(
    'random',
    { url: as('random_writer'), evidence: as('random_evidence'), ...undo, rowsMax: 10_000 },
    () => undefined,
  );
  if (options.hasUndo) {
    await admin.query(
      'GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA writegate TO random_undo',
    );
  }
  try {
    return await new Rounds(target, admin, options).run(randomWrites(options));
  } finally {
    await target.close();
    await admin.end();
    await server.dropDatabase(name);
  }
}

function* randomWrites({ seed, rounds, stepsMax = 1 }: RoundsOptions): Iterable<readonly string[]> {
  const dice = diceOf(seed);
  for (let round = 0; round < rounds; round += 1) {
    const steps = stepsMax === 1 ? 1 : dice.whole(2, stepsMax);
    yield Array.from({ length: steps }, () => randomWrite(dice));
  }
}

/** The same with statements that are given; each is taken back before the next. */
export function runStatements(
  target: Target,
  admin: pg.Client,
  statements: readonly string[],
): Promise<RoundsReport> {
  const rounds = statements.map((each) => [each]);
  return new Rounds(target, admin, { seed: 0, rounds: 0, hasUndo: false }).run(rounds);
}

const FAILURES_MAX = 20;
const SCHEMAS = ['public'];

interface State {
  readonly digest: string;
  readonly dump: Dump;
}

class Rounds {
  readonly #target: Target;
  readonly #admin: pg.Client;
  readonly #options: RoundsOptions;
  readonly #seen = new Map<string, number>();
  readonly #failures: string[] = [];
  #place = '';
  #base: State = { digest: '', dump: new Map() };

  constructor(target: Target, admin: pg.Client, options: RoundsOptions) {
    this.#target = target;
    this.#admin = admin;
    this.#options = options;
  }

  async run(all: Iterable<readonly string[]>): Promise<RoundsReport> {
    const { seed, rounds, progress } = this.#options;
    await fixShapes(this.#admin, SCHEMAS);
    this.#base = { digest: await this.#digest(), dump: await this.#dump() };
    const base = this.#base.dump;
    let round = 0;
    for (const statements of all) {
      if (this.#failures.length >= FAILURES_MAX) break;
      round += 1;
      this.#place = `seed ${seed}, round ${round}: ${statements.join('; ')}`;
      try {
        if (!(await this.#round(statements))) await restoreDump(this.#admin, base);
      } catch (error) {
        this.#fail(`threw ${String(error instanceof Error ? error.stack : error)}`);
        await this.#admin.query('ROLLBACK');
        await restoreDump(this.#admin, base);
      }
      if (this.#options.isOver?.() === true) break;
      if (round % 500 === 0) progress?.(`${round} of ${rounds} random writes`);
    }
    return { rounds: round, seen: this.#seen, failures: this.#failures };
  }

  /** Reports whether the database is as it was. */
  async #round(statements: readonly string[]): Promise<boolean> {
    const base = this.#base.dump;
    const request = this.#request(statements);
    const answer = await this.#target.plan(request, AbortSignal.timeout(60_000));
    await this.#same(this.#base, 'the preview left a change');
    if (answer.kind === 'refused') {
      this.#note(`refused ${answer.code}`);
      this.#note(`refused: ${answer.reason.slice(0, 160)}`);
      this.#checkRefused(answer, statements);
      return true;
    }
    const { plan } = answer;
    const applied = await this.#apply(request, plan);
    if (applied.kind !== 'applied') {
      this.#fail(`not applied: ${JSON.stringify(applied).slice(0, 600)}`);
      return false;
    }
    const after = { digest: await this.#digest(), dump: await this.#dump() };
    const effects = applied.effects ?? plan.effects;
    const really = difference(base, after.dump);
    this.#note(really.length === 0 ? 'applied, nothing changed' : 'applied');
    this.#checkImages(plan, effects, really);
    this.#checkCounts(plan, really);
    this.#checkSteps(plan, statements, really);
    if (really.length === 0) return true;
    return this.#undo({ request, plan, effects, applied }, after);
  }

  /**
   * Which rows `id % 2 = 0` finds among those that an earlier step made is known at the commit alone:
   * a step is refused for that where both are so, and nowhere else.
   */
  #checkRefused({ reason, step = 0 }: TargetRefusal, statements: readonly string[]): void {
    const table = /computed of `public\.(\w+)\.id`/.exec(reason)?.[1];
    if (table === undefined) return;
    const chooses = new RegExp(`^(?:UPDATE|DELETE FROM) ${table} .*WHERE id % `);
    const makes = new RegExp(`^INSERT INTO ${table} `);
    const earlier = statements.slice(0, step);
    const isDue =
      chooses.test(statements[step] ?? '') && earlier.some((statement) => makes.test(statement));
    if (!isDue) this.#fail(`refused in step ${step + 1} without cause: ${reason}`);
  }

  async #undo(
    done: {
      request: PlanRequest;
      plan: Plan;
      effects: readonly Effect[];
      applied: ApplyAnswer & { kind: 'applied' };
    },
    after: State,
  ): Promise<boolean> {
    const { plan, effects } = done;
    const { kind, except = [] } = plan.reversibility;
    if (kind !== 'proved') this.#note(`${kind}: ${plan.reversibility.reason.slice(0, 160)}`);
    const request = {
      ...this.#request([]),
      compensated: {
        proposalId: done.request.proposalId,
        plan,
        effects,
        evidence: done.applied.evidence ?? plan.evidence,
      },
    };
    const answer = await this.#target.plan(request, AbortSignal.timeout(60_000));
    await this.#same(after, 'the preview of the inverse left a change');
    const back = answer.kind === 'planned' ? await this.#apply(request, answer.plan) : answer;
    if (back.kind !== 'applied') {
      this.#note(`${kind}, undo refused`);
      if (back.kind === 'refused')
        this.#note(`refused: ${back.code}: ${back.reason.slice(0, 300)}`);
      else this.#note(`refused: ${JSON.stringify(back.plan.counts)}`);
      if (kind === 'proved') {
        this.#fail(`proved, and its undo was refused: ${JSON.stringify(back).slice(0, 600)}`);
      }
      await this.#same(after, 'a refused undo left a change');
      return false;
    }
    const isExact = (await this.#digest()) === this.#base.digest;
    const left = isExact ? [] : difference(this.#base.dump, await this.#dump());
    this.#note(`${kind}, undone ${left.length === 0 ? 'exactly' : 'but for what triggers own'}`);
    const strange = left.filter((effect) => !isExcepted(effect, except));
    if (strange.length > 0 || (kind === 'proved' && left.length > 0)) {
      this.#fail(`${kind}, and undone to something else: ${shown(strange)}`);
    }
    return left.length === 0;
  }

  #checkImages(plan: Plan, effects: readonly Effect[], really: readonly Effect[]): void {
    if (plan.warnings.length > 0) this.#note(`warning: ${plan.warnings.join('; ').slice(0, 120)}`);
    const [measured, real] = [netRows(effects), netRows(really)];
    for (const [row, count] of real) {
      if (measured.get(row) === count) continue;
      this.#fail(`changed and not measured: ${row}`);
      return;
    }
    for (const row of measured.keys()) {
      if (real.has(row)) continue;
      this.#fail(`measured and not changed: ${row}`);
      return;
    }
  }

  /** Rows created less rows deleted is what a table grew by; updates are at least those that remain. */
  #checkCounts(plan: Plan, really: readonly Effect[]): void {
    const resources = new Set([...plan.counts, ...really].map(({ resource }) => resource));
    for (const resource of resources) {
      const counts = plan.counts.filter((each) => each.resource === resource);
      const sum = (of: 'created' | 'updated' | 'deleted'): number =>
        counts.reduce((total, each) => total + each[of], 0);
      const rows = really.filter((each) => each.resource === resource);
      const of = (kind: Effect['kind']): number => rows.filter((each) => each.kind === kind).length;
      const grew = of('create') - of('delete');
      const all = sum('created') + sum('updated') + sum('deleted');
      if (sum('created') - sum('deleted') !== grew || all < of('update') + Math.abs(grew)) {
        this.#fail(
          `${resource} counted ${JSON.stringify(counts)}, really ${of('create')} created, ` +
            `${of('update')} updated, ${of('delete')} deleted`,
        );
      }
    }
  }

  /** What the steps say that they did, one after the other, is what really changed. */
  #checkSteps(plan: Plan, statements: readonly string[], really: readonly Effect[]): void {
    const { steps = [] } = plan;
    if (steps.length !== (statements.length > 1 ? statements.length : 0)) {
      this.#fail(`${statements.length} steps, and plans of ${steps.length}`);
    }
    if (steps.length === 0 || plan.maskedColumns.length > 0) return;
    const told = netRows(steps.flatMap((step) => step.plan.effects));
    const real = netRows(really);
    const rows = [...new Set([...told.keys(), ...real.keys()])];
    const wrong = rows.find((row) => told.get(row) !== real.get(row));
    if (wrong !== undefined) {
      this.#fail(`the steps say ${told.get(wrong) ?? 0}, really ${real.get(wrong) ?? 0}: ${wrong}`);
    }
  }

  async #apply(request: PlanRequest, plan: Plan): Promise<ApplyAnswer> {
    const digest = (each: Plan): ReturnType<typeof planDigest> =>
      planDigest('random', request.operation, each);
    return this.#target.apply(
      { ...request, key: request.proposalId, planDigest: digest(plan), digest },
      AbortSignal.timeout(60_000),
    );
  }

  /** For one write, for several in one transaction, or for none: an inverse. */
  #request(statements: readonly string[]): PlanRequest {
    proposals += 1;
    const steps = statements.map((statement) => {
      return { operation: 'sql', arguments: { statement }, permits: () => true };
    });
    return {
      proposalId: newProposalId(proposals, new Uint8Array(10)),
      operation: 'sql',
      arguments: steps[0]?.arguments ?? {},
      permits: () => true,
      ...(steps.length > 1 ? { steps } : {}),
      compensated: null,
    };
  }

  #dump(): Promise<Dump> {
    return dumpTables(this.#admin, SCHEMAS);
  }

  #digest(): Promise<string> {
    return digestTables(this.#admin, SCHEMAS);
  }

  async #same(expected: State, problem: string): Promise<void> {
    if ((await this.#digest()) === expected.digest) return;
    this.#fail(`${problem}: ${shown(difference(expected.dump, await this.#dump()))}`);
  }

  #note(what: string): void {
    this.#seen.set(what, (this.#seen.get(what) ?? 0) + 1);
  }

  #fail(what: string): void {
    this.#failures.push(`${this.#place}\n    ${what}`);
  }
}

/** Row images with signs; an update that changes nothing cancels itself out. */
function netRows(effects: readonly Effect[]): ReadonlyMap<string, number> {
  const rows = new Map<string, number>();
  const add = (resource: string, image: Image | null, sign: number): void => {
    if (image === null) return;
    const row = `${resource} ${JSON.stringify(image, Object.keys(image).toSorted())}`;
    const count = (rows.get(row) ?? 0) + sign;
    if (count === 0) rows.delete(row);
    else rows.set(row, count);
  };
  for (const { resource, before, after } of effects) {
    add(resource, before, -1);
    add(resource, after, 1);
  }
  return rows;
}

/** Whether the proof had named what is left: rows of a table, or every column that differs. */
function isExcepted({ resource, kind, before, after }: Effect, except: readonly string[]): boolean {
  if (kind === 'create') return except.includes(resource);
  if (before === null || after === null) return false;
  const differing = Object.keys(before).filter((column) => before[column] !== after[column]);
  return differing.every((column) => except.includes(`${resource}.${column}`));
}

function shown(effects: readonly Effect[]): string {
  return JSON.stringify(effects.slice(0, 2)).slice(0, 600);
}

/** Fails with every failure; says what was seen. */
export function assertRounds(report: RoundsReport, say: (line: string) => void): void {
  for (const [what, count] of report.seen) say(`${count} ${what}`);
  assert.deepEqual(report.failures, []);
}
