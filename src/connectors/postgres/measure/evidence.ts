/**
 * The visibility diff: both images of every row that the open transaction has changed in a table,
 * whatever made the change. Exact for heap tables, because it goes by physical versions:
 *
 * V1 An image after is a version that the writer sees and that it made itself. The writer's snapshot is
 *    older than its own transaction id, so a visible version with that id or a later one is its own, or
 *    of one of its subtransactions.
 * V2 An image before is a version that the snapshot sees and the writer no longer does. Such a version
 *    has an id of the writer in `xmax`, or, where others lock the row too, the id of a set of
 *    transactions (a multixact) that was made since. That alone is not enough: a lock sets it as well.
 * V3 Both are held against the server's counters by who calls.
 */
import pg from 'pg';
import { Refused } from '../../connector.ts';
import type { Column, Table } from '../catalog/catalog.ts';
import type { Change, RowImage } from './change.ts';
import { ROWS_MEASURED_MAX } from './images.ts';
import { Leftovers } from './leftovers.ts';
import { streamRows, type TextRow } from '../session/rows.ts';
import type { Session, Sessions } from '../session/session.ts';
import type { Snapshot } from '../session/snapshot.ts';
import type { Changed } from '../catalog/touched.ts';

/** An alias that no statement may use: a name that is a column would be taken for the column. */
export const ROW = '"writegate_row"';
export const BATCH_ROWS = 500;

/** What the versions of one transaction, or of one step of it, are known by. */
export interface Own {
  /** The transaction's id in its 32-bit form. */
  readonly id: string;
  /** How many ids were given out before the step began, counted from `id`; 0: the whole transaction. */
  readonly from: number;
  /** How many ids were given out since `id`, that included; later ones are not its subtransactions. */
  readonly span: number;
}

/** Both ends of the comparison. */
export interface Ends {
  readonly session: Session;
  readonly snapshot: Snapshot;
  readonly own: Own;
}

/** Which rows changed their key, where RETURNING told: by the key they have now, in key order. */
export type Renamed = ReadonlyMap<string, TextRow>;

/** How many images were found, and how many updates could not be told from a delete and a create. */
export interface Compared {
  readonly created: number;
  readonly updated: number;
  readonly deleted: number;
}

/** Reads the range of ids that the open transaction may have written with; `transaction` is its id. */
export async function readOwn(sessions: Sessions, transaction: string): Promise<Own> {
  const id = String(BigInt(transaction) & 0xffff_ffffn);
  // Outside of any transaction the age counts from the next id that will be given out.
  const [row] = await sessions.read({ text: 'SELECT age($1::xid)::text', values: [id] });
  const span = Number(row?.[0]);
  if (!Number.isSafeInteger(span) || span < 1) {
    throw new Refused('target-busy', 'the ids of the transaction cannot be told apart; try again', {
      permanent: false,
    });
  }
  return { id, from: 0, span };
}

/** How the two images of a row are found to belong together. */
export interface Pairing {
  readonly renamed: Renamed;
  readonly wholeKey: readonly string[];
  /** Whether a key that is there before and after is one row, also where the server counted no update. */
  readonly byKey?: boolean;
}

/** Finds every changed row of one table and hands it over, batch by batch. */
export async function compare(
  ends: Ends,
  changed: Changed,
  options: Pairing,
  take: (changes: readonly Change[]) => Promise<void>,
): Promise<Compared> {
  const comparison = new Comparison(ends, changed, options, take);
  const { counts } = changed;
  if (counts.created + counts.updated > 0) await comparison.readAfter();
  if (!comparison.isExplained()) await comparison.readBefore();
  return comparison.finish();
}

class Comparison {
  readonly #ends: Ends;
  readonly #changed: Changed;
  readonly #renamed: Renamed;
  readonly #renamedFrom: ReadonlySet<string>;
  readonly #take: (changes: readonly Change[]) => Promise<void>;
  /** Of the images whose keys match, how many are updates. */
  readonly #updatesMax: number;
  readonly #left: Leftovers;
  /** Physical addresses of the images before that have their image after. */
  readonly #paired = new Set<number>();
  readonly #found = { created: 0, updated: 0, deleted: 0 };

  constructor(
    ends: Ends,
    changed: Changed,
    options: Pairing,
    take: (changes: readonly Change[]) => Promise<void>,
  ) {
    this.#ends = ends;
    this.#changed = changed;
    this.#renamed = options.renamed;
    this.#renamedFrom = new Set([...options.renamed.values()].map((key) => JSON.stringify(key)));
    this.#take = take;
    this.#updatesMax = options.byKey === true ? Infinity : changed.counts.updated;
    this.#left = new Leftovers(changed.table, options.wholeKey);
  }

  /** Whether every image before is known: no more versions can be gone than the server counted. */
  isExplained(): boolean {
    const { counts } = this.#changed;
    return this.#paired.size === counts.updated + counts.deleted;
  }

  async readAfter(): Promise<void> {
    const { session, own } = this.#ends;
    const { table, from } = this.#changed;
    const text =
      `SELECT ${columnList(table)} FROM ${from.sql} AS ${ROW} ` +
      `WHERE ${from.where} AND ${ownRange(`${ROW}.xmin`)}`;
    const { resource } = table;
    const query = { text, values: ownValues(own), table: resource };
    await streamRows(session.client, query, async (rows) => {
      if (rows.length > 0) await this.#pairUp(rows.map((row) => row.slice(1)));
    });
  }

  async readBefore(): Promise<void> {
    const { snapshot, own } = this.#ends;
    const { table, from: source } = this.#changed;
    const text =
      `SELECT ${ROW}.ctid::text FROM ${source.sql} AS ${ROW} ` +
      `WHERE ${source.where} AND (${ownRange(`${ROW}.xmax`)} OR ${NEW_LOCKS})`;
    const gone: string[] = [];
    const client = await snapshot.client();
    const values = [...ownValues(own), snapshot.locksAge];
    await streamRows(client, { text, values }, async (rows) => {
      const places = rows.flatMap(([place]) => place ?? []);
      const candidates = places.filter((place) => !this.#paired.has(addressOf(place)));
      if (candidates.length === 0) return;
      const there = await stillThere(this.#ends.session, source, candidates);
      for (const place of candidates) if (!there.has(place)) gone.push(place);
      if (gone.length > ROWS_MEASURED_MAX) throw tooMany();
    });
    for (let from = 0; from < gone.length; from += BATCH_ROWS) {
      const rows = await snapshot.rows(
        `SELECT ${columnList(table)} FROM ${source.sql} AS ${ROW} ` +
          `WHERE ${source.where} AND ${ROW}.ctid = ANY ($1::tid[])`,
        [gone.slice(from, from + BATCH_ROWS)],
      );
      const changes = rows.flatMap((row) => this.#left.before(this.#image(row.slice(1))));
      await this.#give(changes);
    }
  }

  async finish(): Promise<Compared> {
    await this.#give(this.#left.rest(this.#changed.counts.updated - this.#found.updated));
    return this.#found;
  }

  /** Looks up the images before by the keys; what has none stays over. */
  async #pairUp(rows: readonly TextRow[]): Promise<void> {
    const images = rows.map((row) => this.#image(row));
    const { table } = this.#changed;
    const before = this.#updatesMax === 0 ? NOTHING : await this.#lookUp(images);
    const changes: Change[] = [];
    for (const after of images) {
      const found = before.get(JSON.stringify(this.#keyBefore(after)));
      const isUpdate = found !== undefined && this.#found.updated < this.#updatesMax;
      if (!isUpdate) {
        changes.push(...this.#left.after(after));
        continue;
      }
      this.#paired.add(found.address);
      if (this.#paired.size > ROWS_MEASURED_MAX) throw tooMany();
      changes.push({ kind: 'update', before: { table, values: found.values }, after });
      this.#found.updated += 1;
    }
    // `#give` counts what it hands over, and these updates are counted.
    this.#found.updated -= changes.filter((change) => change.kind === 'update').length;
    await this.#give(changes);
  }

  /** The key that a row had before, as far as is known; null where it was another row's. */
  #keyBefore(after: RowImage): TextRow | null {
    const key = keyOf(after);
    const text = JSON.stringify(key);
    const renamed = this.#renamed.get(text);
    if (renamed !== undefined) return renamed;
    return this.#renamedFrom.has(text) ? null : key;
  }

  async #lookUp(
    images: readonly RowImage[],
  ): Promise<ReadonlyMap<string, { readonly address: number; readonly values: TextRow }>> {
    const { table, from } = this.#changed;
    const keys = images.map((image) => this.#keyBefore(image)).filter((key) => key !== null);
    if (table.key.length === 0 || keys.length === 0) return NOTHING;
    const columns = table.key.map((name) => columnOf(table, name));
    const joins = columns.map(
      ({ name, type }, at) => `${ROW}.${pg.escapeIdentifier(name)} = wanted.k${at}::${type}`,
    );
    const rows = await this.#ends.snapshot.rows(
      `SELECT ${columnList(table)} FROM unnest(${columns.map((_, at) => `$${at + 1}::text[]`).join(', ')}) ` +
        `AS wanted(${columns.map((_, at) => `k${at}`).join(', ')}) ` +
        `JOIN ${from.sql} AS ${ROW} ON ${from.where} AND ${joins.join(' AND ')}`,
      columns.map((_, at) => keys.map((key) => key[at] ?? null)),
    );
    return new Map(
      rows.map(([place, ...values]) => {
        const found = { address: addressOf(place ?? ''), values };
        return [JSON.stringify(keyOf({ table, values })), found];
      }),
    );
  }

  async #give(changes: readonly Change[]): Promise<void> {
    if (changes.length === 0) return;
    for (const { kind } of changes) this.#found[`${kind}d`] += 1;
    await this.#take(changes);
  }

  #image(values: TextRow): RowImage {
    return { table: this.#changed.table, values };
  }
}

/** Which of these versions the writer still sees. */
export async function stillThere(
  { client }: Session,
  from: Changed['from'],
  places: readonly string[],
): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<string[]>({
    text:
      `SELECT ${ROW}.ctid::text FROM ${from.sql} AS ${ROW} ` +
      `WHERE ${from.where} AND ${ROW}.ctid = ANY ($1::tid[])`,
    values: [places],
    rowMode: 'array',
  });
  return new Set(rows.map(([place]) => place ?? ''));
}

const NOTHING: ReadonlyMap<string, { readonly address: number; readonly values: TextRow }> =
  new Map();

/** The address first, then each column as text. */
export function columnList(table: Table): string {
  const columns = table.columns.map((each) => `${ROW}.${pg.escapeIdentifier(each.name)}::text`);
  return [`${ROW}.ctid::text`, ...columns].join(', ');
}

/** Ages are taken relative to that of our own id: whatever they count from, it is the same for both. */
export function ownRange(id: string): string {
  return (
    `age(${id}) <= (SELECT age($1::xid) - $2::int4) AND ` +
    `age(${id}) > (SELECT age($1::xid) - $3::int4)`
  );
}

/** Of `ownRange`. */
export function ownValues({ id, from, span }: Own): readonly [string, number, number] {
  return [id, from, span];
}

/** Sets of transactions that were made since the snapshot; nothing says of `xmax` whether it is one. */
export const NEW_LOCKS: string = `mxid_age(${ROW}.xmax) BETWEEN 1 AND (SELECT mxid_age('1'::xid) - $4::int4)`;

/** `(block,offset)` as one number. */
function addressOf(place: string): number {
  const comma = place.indexOf(',');
  return Number(place.slice(1, comma)) * 65_536 + Number(place.slice(comma + 1, -1));
}

export function keyOf({ table, values }: RowImage): TextRow {
  return table.key.map(
    (name) => values[table.columns.findIndex((each) => each.name === name)] ?? null,
  );
}

function columnOf(table: Table, name: string): Pick<Column, 'name' | 'type'> {
  return table.columns.find((column) => column.name === name) ?? { name, type: 'text' };
}

export function tooMany(): Refused {
  return new Refused(
    'effect-unmeasurable',
    `the write changes more than ${ROWS_MEASURED_MAX} rows; propose it in parts`,
  );
}
