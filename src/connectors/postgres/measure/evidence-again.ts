/**
 * The visibility diff of one step over a table that an earlier step of the same transaction changed.
 * No snapshot shows what was there just before the step, so it is put together of two parts:
 *
 * A1 Versions that were there before the transaction: as V2 of `evidence.ts`. A set of transactions that
 *    locked the row may be an earlier step's, so its members say whether this step is the one that changed it.
 * A2 Versions that earlier steps made: a cursor that was opened before the step ran still sees them.
 */
import pg from 'pg';
import { Refused } from '../../connector.ts';
import type { Change, RowImage } from './change.ts';
import { imageBytes } from './change.ts';
import {
  BATCH_ROWS,
  columnList,
  keyOf,
  NEW_LOCKS,
  ownRange,
  ownValues,
  ROW,
  stillThere,
  type Compared,
  type Ends,
  type Own,
  type Pairing,
} from './evidence.ts';
import { Leftovers } from './leftovers.ts';
import { streamRows, type TextRow } from '../session/rows.ts';
import type { Session } from '../session/session.ts';
import type { Changed } from '../catalog/touched.ts';

/** They are paired in memory, as only their keys tell which belong together. */
const HELD = { rowsMax: 100_000, bytesMax: 67_108_864 } as const;

/**
 * Opens a cursor over what the transaction has written so far to each of these tables; they are closed
 * with the transaction, or by `CLOSE ALL`.
 */
export async function holdVersions(
  { client }: Session,
  tables: readonly Changed[],
  own: Own,
): Promise<void> {
  const [id, from, span] = ownValues(own);
  const declared = tables.map(({ table, from: source }) => {
    // A text without parameters, so that all of them go in one round trip; numbers of our own.
    const range = ownRange(`${ROW}.xmin`)
      .replaceAll('$1', `'${BigInt(id)}'`)
      .replaceAll('$2', String(from))
      .replaceAll('$3', String(span));
    return (
      `DECLARE ${cursorOf(table.oid)} NO SCROLL CURSOR FOR SELECT ${columnList(table)} ` +
      `FROM ${source.sql} AS ${ROW} WHERE ${source.where} AND ${range}`
    );
  });
  if (declared.length > 0) await client.query(declared.join('; '));
}

function cursorOf(oid: number): string {
  return pg.escapeIdentifier(`writegate_before_${oid}`);
}

/** As `compare`, where `holdVersions` was called for the table before the step ran. */
export async function compareAgain(
  ends: Ends,
  changed: Changed,
  options: Pairing,
  take: (changes: readonly Change[]) => Promise<void>,
): Promise<Compared> {
  const { counts, table } = changed;
  const before: Before[] = [];
  const held = new Held(table.resource);
  const gone = counts.updated + counts.deleted;
  if (gone > 0)
    await ownBefore(ends, changed, (image) => before.push({ image: held.of(image), isOwn: true }));
  if (gone > before.length) {
    await earlierBefore(ends, changed, (image) =>
      before.push({ image: held.of(image), isOwn: false }),
    );
  }
  const after: RowImage[] = [];
  if (counts.created + counts.updated > 0) {
    await ownAfter(ends, changed, (image) => after.push(held.of(image)));
  }
  const changes = paired(changed, options, before, after);
  const found = { created: 0, updated: 0, deleted: 0 };
  for (const { kind } of changes) found[`${kind}d`] += 1;
  if (changes.length > 0) await take(changes);
  return found;
}

interface Before {
  readonly image: RowImage;
  readonly isOwn: boolean;
}

/** Counts what is held. */
class Held {
  readonly #resource: string;
  #rows = 0;
  #bytes = 0;

  constructor(resource: string) {
    this.#resource = resource;
  }

  of(image: RowImage): RowImage {
    this.#rows += 1;
    this.#bytes += imageBytes(image);
    if (this.#rows <= HELD.rowsMax && this.#bytes <= HELD.bytesMax) return image;
    throw new Refused(
      'effect-unmeasurable',
      `the step changes more rows of \`${this.#resource}\`, which an earlier step had changed, than ` +
        'can be held against what they were in between; propose it by itself',
    );
  }
}

type Found = (image: RowImage) => void;

async function ownBefore({ session }: Ends, { table, from }: Changed, found: Found): Promise<void> {
  for (;;) {
    const { rows } = await session.client.query<(string | null)[]>({
      text: `FETCH FORWARD ${BATCH_ROWS} FROM ${cursorOf(table.oid)}`,
      rowMode: 'array',
    });
    if (rows.length === 0) return;
    const there = await stillThere(session, from, placesOf(rows));
    for (const [place, ...values] of rows) {
      if (!there.has(place ?? '')) found({ table, values });
    }
  }
}

async function earlierBefore(
  { session, snapshot, own }: Ends,
  { table, from }: Changed,
  found: Found,
): Promise<void> {
  const members =
    `SELECT FROM pg_catalog.pg_get_multixact_members(${ROW}.xmax) AS writegate_member ` +
    `WHERE writegate_member.mode IN ('nokeyupd', 'upd') AND ${ownRange('writegate_member.xid')}`;
  const text =
    `SELECT ${columnList(table)} FROM ${from.sql} AS ${ROW} WHERE ${from.where} AND ` +
    `(${ownRange(`${ROW}.xmax`)} OR CASE WHEN ${NEW_LOCKS} THEN EXISTS (${members}) ELSE false END)`;
  const client = await snapshot.client();
  const values = [...ownValues(own), snapshot.locksAge];
  const query = { text, values, table: table.resource };
  await streamRows(client, query, async (rows) => {
    if (rows.length === 0) return;
    const there = await stillThere(session, from, placesOf(rows));
    for (const [place, ...image] of rows) {
      if (!there.has(place ?? '')) found({ table, values: image });
    }
  });
}

async function ownAfter(
  { session, own }: Ends,
  { table, from }: Changed,
  found: Found,
): Promise<void> {
  const text =
    `SELECT ${columnList(table)} FROM ${from.sql} AS ${ROW} ` +
    `WHERE ${from.where} AND ${ownRange(`${ROW}.xmin`)}`;
  const query = { text, values: ownValues(own), table: table.resource };
  await streamRows(session.client, query, (rows) => {
    for (const [, ...values] of rows) found({ table, values });
  });
}

function placesOf(rows: readonly TextRow[]): readonly string[] {
  return rows.map(([place]) => place ?? '');
}

/** By key where the server counted an update at all; what is left as `Leftovers` has it. */
function paired(
  { table, counts }: Changed,
  { renamed, wholeKey }: Pairing,
  before: readonly Before[],
  after: readonly RowImage[],
): readonly Change[] {
  const byKey = new Map<string, RowImage>();
  if (table.key.length > 0 && counts.updated > 0) {
    for (const { image } of before) byKey.set(JSON.stringify(keyOf(image)), image);
  }
  const moved = new Set([...renamed.values()].map((key) => JSON.stringify(key)));
  const used = new Set<RowImage>();
  const changes: Change[] = [];
  const left = new Leftovers(table, wholeKey);
  for (const image of after) {
    const key = JSON.stringify(keyOf(image));
    const was = renamed.get(key);
    const from = was === undefined ? key : JSON.stringify(was);
    const found = was === undefined && moved.has(key) ? undefined : byKey.get(from);
    if (found === undefined) changes.push(...left.after(image));
    else {
      byKey.delete(from);
      used.add(found);
      changes.push({ kind: 'update', before: found, after: image });
    }
  }
  const updated = changes.filter(({ kind }) => kind === 'update').length;
  for (const { image } of before) if (!used.has(image)) changes.push(...left.before(image));
  changes.push(...left.rest(counts.updated - updated));
  const own = new Set(before.filter(({ isOwn }) => isOwn).map(({ image }) => image));
  return changes.map((change) => {
    const { kind, before: was, after: is } = change;
    const isAgain = was !== null && own.has(was);
    return isAgain ? { kind, before: was, after: is, again: true } : change;
  });
}
