/** Carries a write out in the lane that fits it: fast where nothing but its own rows can change. */
import { Refused } from '../../connector.ts';
import type { Carried, CarryContext, Opening } from './carry.ts';
import { readCatalog } from '../catalog/catalog.ts';
import { carryFull } from './full.ts';
import { checkPermitted } from './permitted.ts';
import { isPlainError } from '../session/refusals.ts';
import { openSealed } from './sealed.ts';
import type { Session } from '../session/session.ts';
import type { PostgresSettings } from '../settings.ts';
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
  if (write.kind === 'statement') {
    if (opening.isAgreed === undefined) await refuseCheaply(session, write, context);
    const sealed =
      write.copy === undefined ? await openSealed(session, write, opening, context) : null;
    if (sealed !== null) return sealed;
  }
  return carryFull(session, write, opening, context);
}

/** Beyond this the count says "more than". */
const COUNTED_MAX = 1_000_000;

/** Texts that were counted before and found small: a shape that is used again is not counted again. */
const SMALL_MAX = 1_000;
const small = new WeakMap<PostgresSettings, Set<string>>();

/**
 * Counts, with no lock and nothing written, the rows that the statement would touch, where a limit on
 * them is known: what is over it is refused, with the figure, before it costs anything. A text that was
 * found small once is taken for small: what it measures is held to the limit all the same.
 */
async function refuseCheaply(
  session: Session,
  write: Extract<Write, { kind: 'statement' }>,
  context: CarryContext,
): Promise<void> {
  const { statement } = write;
  const { settings, recordsMax } = context;
  const rowsMax = Math.min(settings.limits.rows ?? Infinity, recordsMax ?? Infinity);
  if (statement.countQuery === null || rowsMax === Infinity) return;
  const known = small.get(settings) ?? new Set();
  small.set(settings, known);
  if (known.has(statement.text)) return;
  const rows = await countRows(session, statement.countQuery, write, context);
  if (rows === null) return;
  if (rows <= rowsMax) {
    if (known.size >= SMALL_MAX) known.clear();
    if (rows <= rowsMax / 2) known.add(statement.text);
    return;
  }
  const figure = rows > COUNTED_MAX ? `more than ${grouped(COUNTED_MAX)}` : grouped(rows);
  throw new Refused(
    'limit-exceeded',
    `the statement by itself would change ${figure} records; expected at most ${grouped(rowsMax)}, ` +
      'so it was counted and not carried out; propose a narrower write',
  );
}

/**
 * Null where the server would not count it: what it would say of the statement, the statement says itself.
 * The agent's own expressions run here, so the catalog clears them first, as before the write.
 */
async function countRows(
  session: Session,
  query: string,
  { statement, parameters }: Extract<Write, { kind: 'statement' }>,
  { settings, permits }: CarryContext,
): Promise<number | null> {
  await session.reset();
  await session.client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  checkPermitted(await readCatalog(session, statement, settings), permits);
  let rows: number | null = null;
  try {
    const counted = await session.client.query<{ rows: string }>({
      text: `SELECT count(*) AS rows FROM (${query}\nLIMIT ${COUNTED_MAX + 1}) AS writegate_row`,
      values: [...parameters],
    });
    rows = Number(counted.rows[0]?.rows ?? 0);
  } catch (error) {
    if (!isPlainError(error)) throw error;
  }
  await session.client.query('ROLLBACK');
  return rows;
}

function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}
