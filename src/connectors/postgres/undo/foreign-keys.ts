/** Foreign keys of rows that were taken back: does what they point to, and what points to them, hold. */
import pg from 'pg';
import type { Conflict } from '../../../model/entry.ts';
import { DIFFERENCE_ROWS_MAX, type Image } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import type { Session } from '../session/session.ts';
import type { ForeignKey, KeyEnd, UndoTable } from './undo-tables.ts';

/** One statement on another connection, in a snapshot of its own. */
export type FreshRead = (query: pg.QueryConfig) => Promise<readonly (readonly unknown[])[]>;

/**
 * The rows that images of `table` point to and that are not there. What is there is locked as the
 * server's own check locks it, so that it stays until the end of the transaction. Throws
 * `rollback-impossible` where the role may not do that.
 */
export async function missingParents(
  session: Session,
  table: UndoTable,
  images: readonly Image[],
): Promise<readonly Conflict[]> {
  const conflicts: Conflict[] = [];
  for (const key of table.outbound) {
    const values = valuesOf(images, key, key.from);
    if (values.length === 0) continue;
    checkChecked(key);
    if (!key.to.mayRead || !key.to.mayLock) throw closed(key, key.to, 'lock rows of');
    const { rows } = await session.client.query<string[]>({
      text:
        `SELECT writegate_given.place::text FROM ${key.to.sql} AS writegate_row ` +
        `JOIN ${given(key.to)} ON ${matching(key.to)} FOR KEY SHARE OF writegate_row`,
      values: transposed(values, key.to),
      rowMode: 'array',
    });
    const found = new Set(rows.map(([place]) => Number(place) - 1));
    for (const [place, value] of values.entries()) {
      if (found.has(place)) continue;
      const { resource } = key.to;
      conflicts.push({ resource, key: value, problem: 'row-missing', columns: [] });
    }
  }
  return conflicts.slice(0, DIFFERENCE_ROWS_MAX);
}

export interface Dangling {
  /** Only keys of which deleting changes rows that point there, and values that may still be there. */
  readonly isBefore: boolean;
  /** Sees what was committed since the session's own snapshot; rows that the session changed are left out. */
  readonly fresh: FreshRead | null;
}

/**
 * The rows that point to images of `table`, of which `isBefore` or not there is no row (any more).
 * Throws `rollback-impossible` where the role may not read them.
 */
export async function danglingRows(
  session: Session,
  table: UndoTable,
  images: readonly Image[],
  options: Dangling,
): Promise<readonly Conflict[]> {
  const conflicts = new Map<string, Conflict>();
  for (const key of table.inbound) {
    if (options.isBefore && !key.isSilent) continue;
    const removed = valuesOf(images, key, key.to);
    const values = options.isBefore ? removed : await without(session, key, removed);
    if (values.length === 0) continue;
    checkChecked(key);
    if (!key.from.mayRead) throw closed(key, key.from, 'read');
    for (const conflict of await pointing(session, key, values, options.fresh)) {
      conflicts.set(JSON.stringify([conflict.resource, conflict.key]), conflict);
    }
  }
  return [...conflicts.values()].slice(0, DIFFERENCE_ROWS_MAX);
}

/** Images of which the table now has more rows than one with the same values of a deferrable unique constraint. */
export async function doubledRows(
  session: Session,
  table: UndoTable,
  images: readonly Image[],
): Promise<readonly Conflict[]> {
  const conflicts: Conflict[] = [];
  for (const columns of table.deferrable) {
    const typed = table.columns.filter(({ name }) => columns.includes(name));
    const whole = images.filter((image) =>
      typed.every(({ name }) => (image[name] ?? null) !== null),
    );
    const same = typed.map(
      ({ name, type }, at) => `r.${pg.escapeIdentifier(name)} = g.k${at}::${type}`,
    );
    const { rows } = await session.client.query<string[]>({
      text:
        `SELECT g.place::text FROM unnest(${typed.map((_, at) => `$${at + 1}::text[]`).join(', ')}) ` +
        `WITH ORDINALITY AS g(${typed.map((_, at) => `k${at}`).join(', ')}, place) ` +
        `WHERE 1 < (SELECT count(*) FROM ${table.rootSql} AS r WHERE ${same.join(' AND ')})`,
      values: typed.map(({ name }) => whole.map((image) => image[name] ?? null)),
      rowMode: 'array',
    });
    for (const [place] of rows) {
      const image = whole[Number(place) - 1] ?? {};
      const key = table.key.map((name) => image[name] ?? null);
      conflicts.push({ resource: table.resource, key, problem: 'row-exists', columns: [] });
    }
  }
  return conflicts;
}

async function pointing(
  session: Session,
  key: ForeignKey,
  values: readonly (readonly string[])[],
  fresh: FreshRead | null,
): Promise<readonly Conflict[]> {
  const named = key.from.key.length > 0 ? key.from.key : key.from.columns.map(({ name }) => name);
  const list = named.map((name) => `writegate_row.${pg.escapeIdentifier(name)}::text`).join(', ');
  const text =
    `SELECT ${list} FROM ${key.from.sql} AS writegate_row ` +
    `JOIN ${given(key.from)} ON ${matching(key.from)}`;
  const parameters = transposed(values, key.from);
  const limit = ` LIMIT ${DIFFERENCE_ROWS_MAX}`;
  const own = await session.client.query<unknown[]>({
    text: text + limit,
    values: parameters,
    rowMode: 'array',
  });
  const rows: (readonly unknown[])[] = [...own.rows];
  if (fresh !== null) {
    const { rows: identity } = await session.client.query<{ xid: string }>(
      'SELECT pg_current_xact_id()::xid::text AS xid',
    );
    const foreign = `${text} WHERE writegate_row.xmax::text <> $${parameters.length + 1}${limit}`;
    rows.push(...(await fresh({ text: foreign, values: [...parameters, identity[0]?.xid] })));
  }
  return rows.map((row) => ({
    resource: key.from.resource,
    key: row.map((value) => (typeof value === 'string' ? value : null)),
    problem: 'row-exists',
    columns: [],
  }));
}

/** Those of the values that no row has (any more). */
async function without(
  session: Session,
  key: ForeignKey,
  values: readonly (readonly string[])[],
): Promise<readonly (readonly string[])[]> {
  if (values.length === 0) return values;
  const { rows } = await session.client.query<string[]>({
    text:
      `SELECT writegate_given.place::text FROM ${given(key.to)} WHERE NOT EXISTS ` +
      `(SELECT FROM ${key.to.sql} AS writegate_row WHERE ${matching(key.to)})`,
    values: transposed(values, key.to),
    rowMode: 'array',
  });
  return rows.flatMap(([place]) => {
    const value = values[Number(place) - 1];
    return value === undefined ? [] : [value];
  });
}

function checkChecked(key: ForeignKey): void {
  if (!key.isPeriod) return;
  throw new Refused(
    'rollback-impossible',
    `the foreign key \`${key.name}\` goes by periods, which cannot be checked afterwards`,
  );
}

function closed(key: ForeignKey, end: KeyEnd, what: string): Refused {
  return new Refused(
    'rollback-impossible',
    `the foreign key \`${key.name}\` cannot be checked: the role may not ${what} \`${end.resource}\``,
  );
}

/** The distinct values that images have on one end of a key; a null points nowhere. */
function valuesOf(
  images: readonly Image[],
  key: ForeignKey,
  end: KeyEnd,
): readonly (readonly string[])[] {
  const found = new Map<string, readonly string[]>();
  for (const image of images) {
    const value = end.columns.map(({ name }) => image[name] ?? null);
    const whole = value.filter((each) => each !== null);
    if (whole.length === key.to.columns.length) found.set(JSON.stringify(whole), whole);
  }
  return [...found.values()];
}

function given(end: KeyEnd): string {
  const aliases = end.columns.map((_, at) => `k${at}`);
  const arrays = aliases.map((_, at) => `$${at + 1}::text[]`).join(', ');
  return `unnest(${arrays}) WITH ORDINALITY AS writegate_given(${aliases.join(', ')}, place)`;
}

function matching(end: KeyEnd): string {
  return end.columns
    .map(
      ({ name, type }, at) =>
        `writegate_row.${pg.escapeIdentifier(name)} = writegate_given.k${at}::${type}`,
    )
    .join(' AND ');
}

function transposed(values: readonly (readonly string[])[], end: KeyEnd): string[][] {
  return end.columns.map((_, at) => values.map((value) => value[at] ?? ''));
}
