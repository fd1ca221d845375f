/** Takes applied effects back from their images: guarded row by row, all or nothing. */
import pg from 'pg';
import type { Conflict } from '../../model/entry.ts';
import { DIFFERENCE_ROWS_MAX, type Effect, type Image } from '../../model/plan.ts';
import { Refused } from '../connector.ts';
import type { Catalog, Column, Table } from './catalog.ts';
import type { Change, RowImage } from './change.ts';
import { imageList, rowImage } from './images.ts';
import type { Session } from './session.ts';

/** Rows of one statement; each is a handful of text arrays. */
const BATCH_ROWS = 1_000;

/**
 * Runs the inverse of `effects` in the session's transaction and returns what it changed. Created rows
 * go first and deleted ones come back last, so that a key that moved is free again.
 *
 * Throws `rollback-conflict` with the rows that are no longer as the write left them, and
 * `rollback-impossible` where the images do not suffice or the database makes something else of them.
 * `exempt` names the columns that the database fills by itself, which need not come back.
 */
export async function runInverse(
  session: Session,
  catalog: Catalog,
  effects: readonly Effect[],
  exempt: ReadonlySet<string>,
): Promise<readonly Change[]> {
  const restored: Restored[] = [];
  const conflicts: Conflict[] = [];
  for (const kind of ['create', 'update', 'delete'] as const) {
    for (const [table, group] of byTable(catalog, effects, kind)) {
      for (let from = 0; from < group.length; from += BATCH_ROWS) {
        const batch = group.slice(from, from + BATCH_ROWS);
        const done = await takeBack(session, catalog, table, batch);
        restored.push(...done.restored);
        if (conflicts.length < DIFFERENCE_ROWS_MAX) conflicts.push(...done.conflicts);
      }
    }
  }
  if (conflicts.length > 0) {
    throw new Refused(
      'rollback-conflict',
      'rows are no longer as the write left them, so nothing was taken back; ' +
        'the conflicts say which and how they differ',
      { permanent: false, conflicts: conflicts.slice(0, DIFFERENCE_ROWS_MAX) },
    );
  }
  for (const each of restored) checkExact(catalog, each, exempt);
  return restored.map(({ change }) => change);
}

/** A change of the inverse and the effect that it takes back. */
interface Restored {
  readonly effect: Effect;
  readonly change: Change;
}

interface TakenBack {
  readonly restored: readonly Restored[];
  readonly conflicts: readonly Conflict[];
}

function byTable(
  catalog: Catalog,
  effects: readonly Effect[],
  kind: Effect['kind'],
): ReadonlyMap<Table, readonly Effect[]> {
  const groups = new Map<Table, Effect[]>();
  for (const effect of effects) {
    if (effect.kind !== kind) continue;
    const table = tableOf(catalog, effect.resource);
    if (table === undefined || table.key.length === 0) {
      throw new Refused(
        'rollback-impossible',
        table === undefined
          ? `\`${effect.resource}\` is no longer there or no longer part of its table`
          : `\`${effect.resource}\` has no primary key, so its rows cannot be found again`,
      );
    }
    groups.set(table, [...(groups.get(table) ?? []), effect]);
  }
  return groups;
}

/** A partition that is no longer there by its name may have handed its rows on: the whole finds them. */
function tableOf(catalog: Catalog, resource: string): Table | undefined {
  const { tables, target } = catalog;
  const named = [...tables.values()].find((each) => each.resource === resource);
  return named ?? (target.relationKind === 'p' ? target : undefined);
}

async function takeBack(
  session: Session,
  catalog: Catalog,
  table: Table,
  batch: readonly Effect[],
): Promise<TakenBack> {
  const kind = batch[0]?.kind ?? 'update';
  const query = { create: deletion, update: restoration, delete: insertion }[kind];
  const { rows } = await session.client.query<(string | null)[]>({
    ...query(catalog, table, batch),
    rowMode: 'array',
  });
  const images = rows.map((row) => rowImage(catalog, row, 0)).filter((image) => image !== null);
  const returned = new Map(images.map((image) => [keyText(catalog, table, image), image]));
  const missing: Effect[] = [];
  const restored: Restored[] = [];
  for (const effect of batch) {
    const key = JSON.stringify(table.key.map((name) => currentKey(effect)[name] ?? null));
    const back = returned.get(key);
    if (back === undefined) {
      missing.push(effect);
      continue;
    }
    restored.push({ effect, change: changeOf(catalog, effect, back) });
  }
  const conflicts = missing.length === 0 ? [] : await conflictsOf(session, catalog, table, missing);
  return { restored, conflicts };
}

function changeOf(catalog: Catalog, effect: Effect, back: RowImage): Change {
  if (effect.kind === 'create') return { kind: 'delete', before: back, after: null };
  if (effect.kind === 'delete') return { kind: 'create', before: null, after: back };
  const now = rowOf(catalog, back.table, effect.after);
  return { kind: 'update', before: now, after: back };
}

/** The image that a returned row's key is in: for an update that moved the key, the key it goes back to. */
function currentKey(effect: Effect): Image {
  return (effect.kind === 'create' ? effect.after : effect.before) ?? {};
}

function keyText(catalog: Catalog, table: Table, { values }: RowImage): string {
  return JSON.stringify(table.key.map((name) => values[columnAt(catalog, name)] ?? null));
}

function columnAt(catalog: Catalog, name: string): number {
  return catalog.target.columns.findIndex((column) => column.name === name);
}

function rowOf(catalog: Catalog, table: Table, image: Image | null): RowImage | null {
  if (image === null) return null;
  return { table, values: catalog.target.columns.map((column) => image[column.name] ?? null) };
}

/** The statement's pieces are names from the catalog, quoted; every value is a parameter. */
const ROW = 'writegate_row';
const GIVEN = 'writegate_given';

function columnSql(side: string, column: string): string {
  return `${side}.${pg.escapeIdentifier(column)}`;
}

function returning(catalog: Catalog): string {
  return imageList(catalog.target, ROW);
}

interface Given {
  /** `unnest($1::text[], …) AS writegate_given(…)`: one row for each effect. */
  readonly from: string;
  readonly values: readonly (readonly (string | null)[])[];
}

/** Hands columns of images to the server as text arrays; `a…` are of the image after, `b…` before. */
function given(
  columns: readonly { readonly alias: string; readonly texts: (string | null)[] }[],
): Given {
  const arrays = columns.map((_, at) => `$${at + 1}::text[]`).join(', ');
  const aliases = columns.map((column) => column.alias).join(', ');
  return {
    from: `unnest(${arrays}) AS ${GIVEN}(${aliases})`,
    values: columns.map((column) => column.texts),
  };
}

function texts(
  batch: readonly Effect[],
  side: 'before' | 'after',
  column: string,
): (string | null)[] {
  return batch.map((effect) => effect[side]?.[column] ?? null);
}

function guard(catalog: Catalog, table: Table): { where: string; columns: readonly Column[] } {
  const columns = catalog.target.columns.filter((column) => !column.isGenerated);
  const conditions = columns.map((column, at) => {
    const found = columnSql(ROW, column.name);
    const expected = `${GIVEN}.a${at}`;
    // The key is compared as its own type, so that its index is used.
    return table.key.includes(column.name)
      ? `${found} = ${expected}::${column.type}`
      : `${found}::text IS NOT DISTINCT FROM ${expected}`;
  });
  return { where: conditions.join(' AND '), columns };
}

function deletion(catalog: Catalog, table: Table, batch: readonly Effect[]): pg.QueryConfig {
  const { where, columns } = guard(catalog, table);
  const { from, values } = given(
    columns.map((column, at) => ({ alias: `a${at}`, texts: texts(batch, 'after', column.name) })),
  );
  return {
    text: `DELETE FROM ${table.sql} AS ${ROW} USING ${from} WHERE ${where} RETURNING ${returning(catalog)}`,
    values: [...values],
  };
}

function restoration(catalog: Catalog, table: Table, batch: readonly Effect[]): pg.QueryConfig {
  const { where, columns } = guard(catalog, table);
  const changed = columns.filter((column) =>
    batch.some((effect) => effect.before?.[column.name] !== effect.after?.[column.name]),
  );
  // Nothing differs: the update changed no value, and putting a key back to itself is just that.
  const restored =
    changed.length > 0 ? changed : columns.filter((each) => !each.isIdentity).slice(0, 1);
  const { from, values } = given([
    ...columns.map((column, at) => ({
      alias: `a${at}`,
      texts: texts(batch, 'after', column.name),
    })),
    ...restored.map((column, at) => ({
      alias: `b${at}`,
      texts: texts(batch, 'before', column.name),
    })),
  ]);
  const sets = restored.map(
    (column, at) => `${pg.escapeIdentifier(column.name)} = ${GIVEN}.b${at}::${column.type}`,
  );
  return {
    text:
      `UPDATE ${table.sql} AS ${ROW} SET ${sets.join(', ')} FROM ${from} ` +
      `WHERE ${where} RETURNING ${returning(catalog)}`,
    values: [...values],
  };
}

function insertion(catalog: Catalog, table: Table, batch: readonly Effect[]): pg.QueryConfig {
  const columns = catalog.target.columns.filter((column) => !column.isGenerated);
  const { from, values } = given(
    columns.map((column, at) => ({ alias: `b${at}`, texts: texts(batch, 'before', column.name) })),
  );
  const names = columns.map((column) => pg.escapeIdentifier(column.name)).join(', ');
  const items = columns.map((column, at) => `${GIVEN}.b${at}::${column.type}`).join(', ');
  return {
    text:
      `INSERT INTO ${table.sql} AS ${ROW} (${names}) OVERRIDING SYSTEM VALUE SELECT ${items} ` +
      `FROM ${from} ON CONFLICT DO NOTHING RETURNING ${returning(catalog)}`,
    values: [...values],
  };
}

/** Reads the rows that were not as expected, to say how they differ. */
async function conflictsOf(
  session: Session,
  catalog: Catalog,
  table: Table,
  missing: readonly Effect[],
): Promise<readonly Conflict[]> {
  const shown = missing.slice(0, DIFFERENCE_ROWS_MAX);
  const side = shown[0]?.kind === 'delete' ? 'before' : 'after';
  const { from, values } = given(
    table.key.map((column, at) => ({ alias: `k${at}`, texts: texts(shown, side, column) })),
  );
  const on = table.key.map((column, at) => {
    const type = catalog.target.columns[columnAt(catalog, column)]?.type ?? 'text';
    return `${columnSql(ROW, column)} = ${GIVEN}.k${at}::${type}`;
  });
  const { rows } = await session.client.query<(string | null)[]>({
    text: `SELECT ${returning(catalog)} FROM ${table.sql} AS ${ROW} JOIN ${from} ON ${on.join(' AND ')}`,
    values: [...values],
    rowMode: 'array',
  });
  const images = rows.map((row) => rowImage(catalog, row, 0)).filter((image) => image !== null);
  const found = new Map(images.map((image) => [keyText(catalog, table, image), image]));
  return shown.map((effect): Conflict => {
    const key = table.key.map((column) => effect[side]?.[column] ?? null);
    const row = found.get(JSON.stringify(key))?.values;
    const { resource } = effect;
    if (side === 'before') return { resource, key, problem: 'row-exists', columns: [] };
    if (row === undefined) return { resource, key, problem: 'row-missing', columns: [] };
    const columns = catalog.target.columns.flatMap((column, at) => {
      const expected = effect.after?.[column.name] ?? null;
      const now = row[at] ?? null;
      return expected === now ? [] : [{ column: column.name, expected, found: now }];
    });
    return { resource, key, problem: 'row-changed', columns };
  });
}

/** Holds what came back against the image: a trigger or a type may have made something else of it. */
function checkExact(
  catalog: Catalog,
  { effect, change }: Restored,
  exempt: ReadonlySet<string>,
): void {
  if (change.after === null) return;
  const { table, values } = change.after;
  for (const [at, { name }] of catalog.target.columns.entries()) {
    if (exempt.has(name) || effect.before?.[name] === (values[at] ?? null)) continue;
    throw new Refused(
      'rollback-impossible',
      `the database puts another value into \`${table.resource}.${name}\` than it had before`,
    );
  }
}
