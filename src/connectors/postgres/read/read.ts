/**
 * Reads: one SELECT of an agent, under the reader's role, in a read-only transaction that is taken back.
 *
 * 1. Nothing runs before its text, its names and what they stand for are cleared: an error would tell
 *    something too.
 * 2. No row is shown before the locks that it really took say that it touched nothing else.
 */
import pg from 'pg';
import { z } from 'zod';
import type { Clock, ReadAnswer, ReadRequest, TargetRefusal } from '../../../model/ports.ts';
import { refusal, Refused } from '../../connector.ts';
import type { Parser } from '../text/parse.ts';
import { openMasks } from './read-masks.ts';
import { checkTouched, lookUp, type Reached } from './read-reach.ts';
import { selectRows } from './read-rows.ts';
import { asRefusal, isDriverTimeout } from '../session/refusals.ts';
import type { Parameter } from '../session/rows.ts';
import type { Session, Sessions } from '../session/session.ts';
import type { PostgresSettings } from '../settings.ts';
import type { Query } from '../text/statement.ts';
import { checkTypes } from '../text/types.ts';

const PARAMETERS_MAX = 1_000;
const MINUTE_MS = 60_000;

const argumentsSchema = z.strictObject({
  statement: z.string().min(1),
  parameters: z
    .array(z.union([z.string(), z.number(), z.boolean(), z.null()]))
    .max(PARAMETERS_MAX)
    .default([]),
});

export interface ReadContext {
  readonly sessions: Pick<Sessions, 'has' | 'lend'>;
  readonly settings: PostgresSettings;
  readonly parser: Pick<Parser, 'parseRead'>;
  readonly clock: Pick<Clock, 'now'>;
}

/** Answers reads; holds nothing but the times of the last ones. Never throws for what the target did. */
export type Read = (request: ReadRequest, signal: AbortSignal) => Promise<ReadAnswer>;

export function openReads(context: ReadContext): Read {
  const rate = new Rate(context.settings.limits.readsPerMinute);
  return async (request, signal) => {
    try {
      if (!context.sessions.has('reader')) {
        throw new Refused(
          'target-refused',
          'this target has no role for reads; an operator must set `reader` to the URL of a role that ' +
            'holds SELECT alone',
        );
      }
      rate.take(context.clock.now());
      return await answer(context, request, signal);
    } catch (error) {
      return ofRead(error);
    }
  };
}

async function answer(
  { sessions, settings, parser }: ReadContext,
  request: ReadRequest,
  signal: AbortSignal,
): Promise<ReadAnswer> {
  const { statement, parameters } = parseArguments(request);
  const query = await parser.parseRead(statement, settings);
  if (query.parameters !== parameters.length) {
    throw new Refused(
      'arguments-invalid',
      `the statement uses ${query.parameters} parameters and ${parameters.length} were given`,
    );
  }
  const lent = await sessions.lend(signal, 'reader');
  try {
    const answered = await run(lent.session, { query, parameters, settings }, request, signal);
    await lent.done();
    return answered;
  } catch (error) {
    await lent.done(error);
    throw error;
  }
}

/** Our own look-ups are planned once for a connection; the agent's statement by its values. */
const PLAN_ONCE = 'SET plan_cache_mode = force_generic_plan';
const BEGIN = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = auto';

interface Asked {
  readonly query: Query;
  readonly parameters: readonly Parameter[];
  readonly settings: PostgresSettings;
}

async function run(
  session: Session,
  { query, parameters, settings }: Asked,
  request: ReadRequest,
  signal: AbortSignal,
): Promise<ReadAnswer> {
  await session.reset();
  await session.client.query(PLAN_ONCE);
  await checkTypes(session, query.types, settings);
  const reached = await lookUp(session, query, settings);
  checkPermitted(reached, request.permits);
  const isMasked = openMasks(settings, reached, query.shape);
  await session.client.query(BEGIN);
  const bounds = settings.limits;
  const found = await selectRows(
    session.client,
    { text: query.text, values: parameters },
    { ...bounds, isMasked },
    signal,
  );
  await checkTouched(session, reached, settings);
  await session.client.query('ROLLBACK');
  if (!reached.some((each) => each.hasCode)) session.trust();
  const columns = found.columns.map((each) => ({ name: each.name, isMasked: isMasked(each) }));
  const rows = columns.some((each) => each.isMasked)
    ? found.rows.map((row) =>
        row.map((value, at) => (columns[at]?.isMasked === false ? value : null)),
      )
    : found.rows;
  return {
    kind: 'read',
    columns,
    rows,
    resources: [...new Set(named(reached).map(resourceOf))].toSorted(),
    bytes: bytesOf(rows),
  };
}

function bytesOf(rows: readonly (readonly (string | null)[])[]): number {
  let bytes = 0;
  for (const row of rows) {
    for (const value of row) bytes += value === null ? 0 : Buffer.byteLength(value);
  }
  return bytes;
}

function parseArguments(request: ReadRequest): z.infer<typeof argumentsSchema> {
  const parsed = argumentsSchema.safeParse(request.arguments);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Refused(
      'arguments-invalid',
      `the arguments are wrong at \`/${(issue?.path ?? []).join('/')}\`: ${issue?.message ?? 'unexpected'}; ` +
        'expected `statement`, a text, and optionally `parameters`, a list of plain values',
    );
  }
  const spoilt = parsed.data.parameters.findIndex(
    (value) => typeof value === 'string' && (value.includes('\0') || !value.isWellFormed()),
  );
  if (spoilt < 0) return parsed.data;
  throw new Refused(
    'arguments-invalid',
    `parameter ${spoilt + 1} holds a NUL or half a character, which no text of the database can`,
  );
}

/** Asked for what the statement names; a permission on a table holds for its partitions. */
function checkPermitted(reached: readonly Reached[], permits: ReadRequest['permits']): void {
  const closed = named(reached).find(
    (each) => ![resourceOf(each), ...each.partOf].some((resource) => permits(resource)),
  );
  if (closed === undefined) return;
  throw new Refused(
    'not-permitted',
    `the agent holds no permission on \`${resourceOf(closed)}\`, so its rows are not shown; ` +
      'ask the operator for one',
  );
}

function named(reached: readonly Reached[]): readonly Reached[] {
  return reached.filter((each) => each.isNamed);
}

function resourceOf({ schema, name }: Reached): string {
  return `${schema}.${name}`;
}

/** Too much of something that the server itself would not make: the same as over our own limit. */
const TOO_LARGE = new Set(['53200', '53400', '54000', 'XX000']);

/** What an error means for a read; a function below a view may quote a row in what it raises. */
function ofRead(error: unknown): TargetRefusal {
  if (isDriverTimeout(error)) {
    return refusal(
      'statement-timeout',
      'the read took longer than the target allows; select less',
      {
        permanent: false,
      },
    );
  }
  if (!(error instanceof pg.DatabaseError)) return asRefusal(error);
  const state = error.code ?? '';
  if (TOO_LARGE.has(state)) {
    return refusal(
      'limit-exceeded',
      `the server would not make an answer of that size (${state}); select less`,
    );
  }
  if (/^(?:P0|23|44|54)/.test(state)) {
    return refusal('target-refused', `the database refused the read (${state})`);
  }
  return asRefusal(error);
}

/** At most so many reads in any minute; one that is over does not count. */
class Rate {
  readonly #max: number;
  #times: number[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  take(now: number): void {
    this.#times = this.#times.filter((each) => each > now - MINUTE_MS);
    const oldest = this.#times[0];
    if (this.#times.length >= this.#max && oldest !== undefined) {
      const waitMs = oldest + MINUTE_MS - now;
      throw new Refused(
        'limit-exceeded',
        `this target answers ${this.#max} reads a minute; try again in ${Math.ceil(waitMs / 1_000)} s`,
        { permanent: false },
      );
    }
    this.#times.push(now);
  }
}
