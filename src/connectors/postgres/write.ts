/** Carries out the agent's checked statement and hands over each changed row with both images. */
import pg from 'pg';
import { Refused } from '../connector.ts';
import type { Catalog, Table } from './catalog.ts';
import type { Change, RowImage } from './change.ts';
import { imageList, NEW, OLD, rowImage } from './images.ts';
import { streamRows, type Parameter, type TextRow } from './rows.ts';
import type { Session, Sessions } from './session.ts';
import type { Statement } from './statement.ts';

/** From this version on RETURNING gives the old row too. */
const RETURNS_OLD = 180_000;

export interface StatementWrite {
  readonly statement: Statement;
  readonly parameters: readonly Parameter[];
}

/**
 * Runs the statement as it was checked, with our RETURNING added, in the session's transaction.
 *
 * Before PostgreSQL 18 the image before an update is read on another connection: our transaction
 * holds the row's lock, so what is committed there is the very version that was updated.
 */
export async function runStatement(
  session: Session,
  sessions: Sessions,
  catalog: Catalog,
  write: StatementWrite,
  take: (changes: readonly Change[]) => void,
): Promise<void> {
  const { statement } = write;
  const { target } = catalog;
  const overwrites = statement.kind === 'update' || statement.updated.length > 0;
  const returnsBoth = overwrites && session.version >= RETURNS_OLD;
  if (overwrites && !returnsBoth) checkKeyStays(statement, target);
  const list = returnsBoth
    ? `WITH (OLD AS ${OLD}, NEW AS ${NEW}) ${imageList(target, OLD)}, ${imageList(target, NEW)}`
    : imageList(target, statement.alias);
  // The new line ends a comment that the statement may end in.
  const query = { text: `${statement.text}\nRETURNING ${list}`, values: write.parameters };
  await streamRows(session.client, query, async (rows) => {
    if (rows.length === 0) return;
    if (returnsBoth) take(rows.map((row) => both(catalog, statement, row)));
    else if (overwrites) take(await withLookedUp(sessions, catalog, statement, rows));
    else take(rows.map((row) => one(catalog, statement, row)));
  });
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
  sessions: Sessions,
  catalog: Catalog,
  statement: Statement,
  rows: readonly TextRow[],
): Promise<readonly Change[]> {
  const after = rows.map((row) => rowImage(catalog, row, 0));
  const before = await lookUp(sessions, catalog, after);
  return after.map((image) => {
    const found = image === null ? null : (before.get(identity(catalog, image)) ?? null);
    if (found === null && statement.kind === 'insert') {
      return { kind: 'create', before: null, after: image };
    }
    if (found === null && image !== null && image.table.key.length > 0) {
      throw new Refused(
        'effect-unmeasurable',
        'a row has no image before the write: a trigger changed its key, or hides the row',
      );
    }
    return { kind: 'update', before: found, after: image };
  });
}

/** Reads the committed versions of rows by their keys; rows of tables without a key are not looked for. */
async function lookUp(
  sessions: Sessions,
  catalog: Catalog,
  images: readonly (RowImage | null)[],
): Promise<ReadonlyMap<string, RowImage>> {
  const { target } = catalog;
  const keyed = images.filter((image) => image !== null && image.table.key.length > 0);
  if (target.key.length === 0 || keyed.length === 0) return new Map();
  const side = pg.escapeIdentifier(OLD);
  const joins = target.key.map((name, at) => {
    const type = target.columns.find((column) => column.name === name)?.type ?? 'text';
    return `${side}.${pg.escapeIdentifier(name)} = wanted.k${at}::${type}`;
  });
  const values = target.key.map((name) => keyed.map((image) => valueOf(target, image, name)));
  const rows = await sessions.read({
    text:
      `SELECT ${imageList(target, OLD)} FROM unnest(${values.map((_, at) => `$${at + 1}::text[]`).join(', ')}) ` +
      `AS wanted(${values.map((_, at) => `k${at}`).join(', ')}) ` +
      `JOIN ${target.sql} AS ${side} ON ${joins.join(' AND ')}`,
    values,
  });
  const found = new Map<string, RowImage>();
  for (const row of rows) {
    const image = rowImage(catalog, asText(row), 0);
    if (image !== null) found.set(identity(catalog, image), image);
  }
  return found;
}

function identity(catalog: Catalog, image: RowImage): string {
  const key = catalog.target.key.map((name) => valueOf(catalog.target, image, name));
  return JSON.stringify([image.table.oid, key]);
}

function valueOf(target: Table, image: RowImage | null, name: string): string | null {
  return image?.values[target.columns.findIndex((column) => column.name === name)] ?? null;
}

function asText(row: readonly unknown[]): TextRow {
  return row.map((value) => (typeof value === 'string' ? value : null));
}

function checkKeyStays(statement: Statement, target: Table): void {
  const moved = statement.updated.find(
    (each) => each.column !== null && target.key.includes(each.column),
  );
  if (moved !== undefined) {
    throw new Refused(
      'statement-unsupported',
      `\`${moved.column}\` is part of the key of \`${target.resource}\`; on a server before ` +
        'PostgreSQL 18 a change of the key cannot be measured',
    );
  }
  if (statement.kind === 'insert' && target.key.length === 0) {
    throw new Refused(
      'statement-unsupported',
      `ON CONFLICT DO UPDATE on \`${target.resource}\`, which has no primary key, cannot be measured`,
    );
  }
}
