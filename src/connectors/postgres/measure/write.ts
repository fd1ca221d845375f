/** Carries out the agent's checked statement and hands over what it returns of the rows it changed. */
import pg from 'pg';
import type { Catalog, Table } from '../catalog/catalog.ts';
import type { Change, RowImage } from './change.ts';
import { DirectRows } from './direct.ts';
import { imageList, isWhole, NEW, OLD, rowImage, treeOf, valueIn } from './images.ts';
import { streamRows, type Parameter, type TextRow } from '../session/rows.ts';
import type { Session } from '../session/session.ts';
import type { Snapshot } from '../session/snapshot.ts';
import type { Statement } from '../text/statement.ts';

/** From this version on RETURNING gives the old row too. */
const RETURNS_OLD = 180_000;

export interface StatementWrite {
  readonly statement: Statement;
  readonly parameters: readonly Parameter[];
}

/** The writer, and what saw the rows before. */
export interface Lane {
  readonly session: Session;
  readonly snapshot: Snapshot;
}

export type Take = (changes: readonly Change[]) => Promise<void>;

/** Who takes what comes back, and whether an earlier step of the transaction changed the table. */
export interface Taking {
  readonly take: Take;
  readonly isAgain: boolean;
}

/**
 * Runs the statement as it was checked, in the session's transaction, where it can with our RETURNING
 * added. Null where nothing comes back: a view, a table with rules, MERGE, writes inside WITH.
 *
 * Before PostgreSQL 18 the images before an update are looked up by key in the snapshot. Where that
 * cannot tell (a key that changes, a table without one) the answer is not whole, and nothing is to be
 * taken of what was handed over. With `isAgain` the snapshot is older than what the statement finds, so
 * nothing is looked up there.
 */
export async function runStatement(
  lane: Lane,
  catalog: Catalog,
  write: StatementWrite,
  { take, isAgain }: Taking,
): Promise<DirectRows | null> {
  const { statement, parameters } = write;
  const { client } = lane.session;
  const list = returning(lane.session, statement, catalog);
  if (list === null) {
    await streamRows(client, { text: statement.text, values: parameters }, () => undefined);
    return null;
  }
  const direct = new DirectRows(catalog);
  direct.isWhole = treeOf(catalog).every((part) => isWhole(catalog.target, part));
  // The new line ends a comment that the statement may end in.
  const query = { text: `${statement.text}\nRETURNING ${list.text}`, values: parameters };
  const { resource } = catalog.target;
  await streamRows(client, { ...query, table: resource }, async (rows) => {
    if (rows.length === 0) return;
    const found = { rows, list, direct, canLookUp: !isAgain };
    const changes = await changesOf(lane, catalog, statement, found);
    for (const change of changes) direct.note(change);
    if (direct.isWhole) await take(changes);
  });
  return direct;
}

interface Returning {
  readonly text: string;
  readonly kind: 'both' | 'looked-up' | 'one';
}

/** What is asked of the statement; null where it may not be asked. */
function returning(session: Session, statement: Statement, catalog: Catalog): Returning | null {
  const { target } = catalog;
  const hasRules = treeOf(catalog).some((table) => table.rules.length > 0);
  if (!statement.isPlain || !'rp'.includes(target.relationKind) || hasRules) return null;
  const overwrites = statement.kind === 'update' || statement.updated.length > 0;
  if (!overwrites) return { kind: 'one', text: imageList(target, statement.alias) };
  if (session.version < RETURNS_OLD) {
    return { kind: 'looked-up', text: imageList(target, statement.alias) };
  }
  const lists = [imageList(target, OLD), imageList(target, NEW)].join(', ');
  return { kind: 'both', text: `WITH (OLD AS ${OLD}, NEW AS ${NEW}) ${lists}` };
}

interface Looking {
  readonly direct: DirectRows;
  /** Whether the snapshot has the rows as the statement found them. */
  readonly canLookUp: boolean;
}

/** The changes that have all their images; of the others `direct` is told. */
async function changesOf(
  lane: Lane,
  catalog: Catalog,
  statement: Statement,
  {
    rows,
    list,
    ...looking
  }: Looking & {
    readonly rows: readonly TextRow[];
    readonly list: Returning;
  },
): Promise<readonly Change[]> {
  switch (list.kind) {
    case 'both':
      return rows.map((row) => both(catalog, statement, row));
    case 'one':
      return rows.map((row) => one(catalog, statement, row));
    case 'looked-up': {
      const images = rows.flatMap((row) => rowImage(catalog, row, 0) ?? []);
      return withLookedUp(lane, catalog, statement, { images, ...looking });
    }
  }
}

function both(catalog: Catalog, statement: Statement, row: TextRow): Change {
  const before = rowImage(catalog, row, 0);
  const after = rowImage(catalog, row, catalog.target.columns.length + 1);
  const isNew = statement.kind === 'insert' && before === null;
  return { kind: isNew ? 'create' : 'update', before, after };
}

function one(catalog: Catalog, statement: Statement, row: TextRow): Change {
  const image = rowImage(catalog, row, 0);
  return statement.kind === 'delete'
    ? { kind: 'delete', before: image, after: null }
    : { kind: 'create', before: null, after: image };
}

async function withLookedUp(
  lane: Lane,
  catalog: Catalog,
  statement: Statement,
  { images, direct, canLookUp }: Looking & { readonly images: readonly RowImage[] },
): Promise<readonly Change[]> {
  const { target } = catalog;
  const movesKey = statement.updated.some(
    (each) => each.column === null || target.key.includes(each.column),
  );
  const canTell = canLookUp && direct.isWhole && target.key.length > 0 && !movesKey;
  const found: ReadonlyMap<string, RowImage> = canTell
    ? await lookUp(lane.snapshot, catalog, images)
    : new Map();
  const changes: Change[] = [];
  for (const after of images) {
    const before = found.get(keyText(target, after)) ?? null;
    if (before !== null) changes.push({ kind: 'update', before, after });
    else if (canTell && statement.kind === 'insert') {
      changes.push({ kind: 'create', before: null, after });
    } else direct.noteAfter(after, 'update');
  }
  return changes;
}

/** Reads the rows as they were before the write, by their keys. */
async function lookUp(
  snapshot: Snapshot,
  catalog: Catalog,
  images: readonly RowImage[],
): Promise<ReadonlyMap<string, RowImage>> {
  const { target } = catalog;
  const side = pg.escapeIdentifier(OLD);
  const joins = target.key.map((name, at) => {
    const type = target.columns.find((column) => column.name === name)?.type ?? 'text';
    return `${side}.${pg.escapeIdentifier(name)} = wanted.k${at}::${type}`;
  });
  const values = target.key.map((name) => images.map((image) => valueIn(image, name) ?? null));
  const rows = await snapshot.rows(
    `SELECT ${imageList(target, OLD)} FROM unnest(${values.map((_, at) => `$${at + 1}::text[]`).join(', ')}) ` +
      `AS wanted(${values.map((_, at) => `k${at}`).join(', ')}) ` +
      `JOIN ${target.sql} AS ${side} ON ${joins.join(' AND ')}`,
    values,
  );
  const found = new Map<string, RowImage>();
  for (const row of rows) {
    const image = rowImage(catalog, row, 0);
    if (image !== null) found.set(keyText(target, image), image);
  }
  return found;
}

function keyText(target: Table, image: RowImage): string {
  return JSON.stringify(target.key.map((name) => valueIn(image, name) ?? null));
}
