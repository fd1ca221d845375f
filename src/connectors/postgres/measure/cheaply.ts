/** Refuses what is over a limit by a count, before it is carried out. */
import { Refused } from '../../connector.ts';
import type { CarryContext } from './carry.ts';
import { readCatalog } from '../catalog/catalog.ts';
import { checkPermitted } from './permitted.ts';
import type { ProposedWrite } from '../proposed/proposed.ts';
import { isPlainError } from '../session/refusals.ts';
import type { Session } from '../session/session.ts';
import type { PostgresSettings } from '../settings.ts';

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
export async function refuseCheaply(
  session: Session,
  write: ProposedWrite,
  context: CarryContext,
): Promise<void> {
  const { settings, recordsMax } = context;
  const rowsMax = Math.min(settings.limits.rows ?? Infinity, recordsMax ?? Infinity);
  await refuseOver(write, { settings, rowsMax }, async (query) => {
    await session.reset();
    await session.client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    // The agent's own expressions run here, so the catalog clears them first, as before the write.
    checkPermitted(await readCatalog(session, write.statement, settings), context.permits);
    const rows = await countRows(session, query, write);
    await session.client.query('ROLLBACK');
    return rows;
  });
}

/**
 * As `refuseCheaply`, in the middle of a transaction, once the catalog and the agent's permissions have
 * cleared the statement: it counts what earlier steps of the transaction left.
 */
export async function refuseCheaplyWithin(
  session: Session,
  write: ProposedWrite,
  limit: { readonly settings: PostgresSettings; readonly rowsMax: number },
): Promise<void> {
  await refuseOver(write, limit, async (query) => {
    await session.client.query('SAVEPOINT writegate_counted; SET LOCAL transaction_read_only = on');
    const rows = await countRows(session, query, write);
    await session.client.query(
      'ROLLBACK TO SAVEPOINT writegate_counted; RELEASE SAVEPOINT writegate_counted',
    );
    return rows;
  });
}

async function refuseOver(
  { statement }: ProposedWrite,
  { settings, rowsMax }: { readonly settings: PostgresSettings; readonly rowsMax: number },
  count: (query: string) => Promise<number | null>,
): Promise<void> {
  if (statement.countQuery === null || rowsMax === Infinity) return;
  const known = small.get(settings) ?? new Set();
  small.set(settings, known);
  if (known.has(statement.text)) return;
  const rows = await count(statement.countQuery);
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

/** Null where the server would not count it: what it would say of the statement, the statement says itself. */
async function countRows(
  { client }: Session,
  query: string,
  { parameters }: ProposedWrite,
): Promise<number | null> {
  try {
    const counted = await client.query<{ rows: string }>({
      text: `SELECT count(*) AS rows FROM (${query}\nLIMIT ${COUNTED_MAX + 1}) AS writegate_row`,
      values: [...parameters],
    });
    return Number(counted.rows[0]?.rows ?? 0);
  } catch (error) {
    if (!isPlainError(error)) throw error;
    return null;
  }
}

function grouped(count: number): string {
  return String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ',');
}
