/** The statements of an inverse. Names come from the catalog, quoted; every value is a parameter. */
import pg from 'pg';
import type { Effect, Image } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import type { UndoColumn, UndoTable } from './undo-tables.ts';

/** Aliases that no column can be taken for. */
const ROW = 'writegate_row';
const GIVEN = 'writegate_given';

/** What is done to one row; its `before` and `after` are those of the effect that is taken back. */
export interface Step {
  readonly kind: 'remove' | 'restore' | 'put-back';
  readonly table: UndoTable;
  readonly effect: Effect;
}

type Side = 'before' | 'after';

/** Columns that are written or compared: generated ones follow from the others. */
export function ownColumns(table: UndoTable, image: Image | null): readonly UndoColumn[] {
  const columns = table.columns.filter((column) => !column.isGenerated);
  for (const name of Object.keys(image ?? {})) {
    if (table.columns.some((column) => column.name === name)) continue;
    throw new Refused(
      'rollback-impossible',
      `the column \`${table.resource}.${name}\` is no longer there`,
    );
  }
  return columns.filter((column) => image !== null && column.name in image);
}

/** Columns in which before and after differ. */
export function changedColumns(table: UndoTable, effect: Effect): readonly UndoColumn[] {
  return ownColumns(table, effect.before).filter(
    ({ name }) => effect.before?.[name] !== effect.after?.[name],
  );
}

/** Each statement returns the places (from 1) in `steps` of the rows that it changed. */
export function statementOf(steps: readonly Step[]): pg.QueryConfig {
  const [first] = steps;
  if (first === undefined) throw new Error('a statement of no steps');
  const { kind, table } = first;
  if (kind === 'put-back') return insertion(table, steps);
  const guard = guardOf(table, steps, 'after');
  if (kind === 'remove') {
    return {
      text: `DELETE FROM ${table.sql} AS ${ROW} USING ${guard.from} WHERE ${guard.where} RETURNING ${GIVEN}.place`,
      values: guard.values,
    };
  }
  const changed = changedColumns(table, first.effect);
  const sets = changed.map(
    ({ name, type }, at) => `${pg.escapeIdentifier(name)} = ${GIVEN}.b${at}::${type}`,
  );
  return {
    text:
      `UPDATE ${table.sql} AS ${ROW} SET ${sets.join(', ')} FROM ${guard.from} ` +
      `WHERE ${guard.where} RETURNING ${GIVEN}.place`,
    values: guard.values,
  };
}

/** Finds the rows that are as the images of one side say. */
export function search(table: UndoTable, steps: readonly Step[], side: Side): pg.QueryConfig {
  const guard = guardOf(table, steps, side);
  return {
    text: `SELECT ${GIVEN}.place FROM ${table.sql} AS ${ROW}, ${guard.from} WHERE ${guard.where}`,
    values: guard.values,
  };
}

/**
 * Whether this transaction wrote the row: what is not older than its id and visible, is its own, but
 * only where no other's commit becomes visible meanwhile.
 */
const IS_OWN = `(age(${ROW}.xmin) <= 0 AND current_setting('transaction_isolation') <> 'read committed')`;

/**
 * Reads rows as they are now by the key of the images of one side: place, whether this transaction
 * wrote it, then each column as text.
 */
export function present(table: UndoTable, steps: readonly Step[], side: Side): pg.QueryConfig {
  const key = keyColumns(table);
  const values = key.map(({ name }) => texts(steps, side, name));
  const on = key.map(
    ({ name, type }, at) => `${ROW}.${pg.escapeIdentifier(name)} = ${GIVEN}.a${at}::${type}`,
  );
  const list = table.columns.map(({ name }) => `${ROW}.${pg.escapeIdentifier(name)}::text`);
  return {
    text:
      `SELECT ${GIVEN}.place::text, ${IS_OWN}::text, ${list.join(', ')} FROM ${table.sql} AS ${ROW} ` +
      `JOIN ${unnested(key.map((_, at) => `a${at}`))} ON ${on.join(' AND ')}`,
    values,
  };
}

function keyColumns(table: UndoTable): readonly UndoColumn[] {
  return table.key.flatMap((name) => table.columns.filter((column) => column.name === name));
}

interface Guard {
  readonly from: string;
  readonly where: string;
  readonly values: (string | null)[][];
}

/**
 * Binds each row to its image by every column. A table with a key is joined by it, so that its index
 * is used; without one, equal rows are told apart by nothing, and any of them will do.
 */
function guardOf(table: UndoTable, steps: readonly Step[], side: Side): Guard {
  const columns = ownColumns(table, steps[0]?.effect[side] ?? null);
  const changed =
    steps[0]?.kind === 'restore' && side === 'after' ? changedColumns(table, steps[0].effect) : [];
  const aliases = [...columns.map((_, at) => `a${at}`), ...changed.map((_, at) => `b${at}`)];
  const values = [
    ...columns.map(({ name }) => texts(steps, side, name)),
    ...changed.map(({ name }) => texts(steps, 'before', name)),
  ];
  if (table.key.length === 0) return { ...keyless(table, columns, aliases), values };
  const conditions = columns.flatMap(({ name, type }, at) => {
    const found = `${ROW}.${pg.escapeIdentifier(name)}`;
    const exact = `${found}::text IS NOT DISTINCT FROM ${GIVEN}.a${at}`;
    return table.key.includes(name) ? [`${found} = ${GIVEN}.a${at}::${type}`, exact] : [exact];
  });
  return { from: unnested(aliases), where: conditions.join(' AND '), values };
}

function keyless(
  table: UndoTable,
  columns: readonly UndoColumn[],
  aliases: readonly string[],
): Omit<Guard, 'values'> {
  const found = columns.map(({ name }) => `f.${pg.escapeIdentifier(name)}::text`).join(', ');
  const given = columns.map((_, at) => `${GIVEN}.a${at}`).join(', ');
  const turn = 'row_number() OVER (PARTITION BY whole)';
  return {
    from:
      `(SELECT found.address, found.relation, g.* FROM ` +
      `(SELECT address, relation, whole, ${turn} AS turn FROM (SELECT f.ctid AS address, ` +
      `f.tableoid AS relation, ROW(${found})::text AS whole FROM ${table.sql} AS f) AS f) AS found ` +
      `JOIN (SELECT *, ${turn} AS turn FROM (SELECT *, ROW(${given})::text AS whole ` +
      `FROM ${unnested(aliases)}) AS g) AS g USING (whole, turn)) AS ${GIVEN}`,
    where: `${ROW}.ctid = ${GIVEN}.address AND ${ROW}.tableoid = ${GIVEN}.relation`,
  };
}

function insertion(table: UndoTable, steps: readonly Step[]): pg.QueryConfig {
  const columns = ownColumns(table, steps[0]?.effect.before ?? null);
  const names = columns.map(({ name }) => pg.escapeIdentifier(name)).join(', ');
  const items = columns.map(({ type }, at) => `${GIVEN}.b${at}::${type}`).join(', ');
  // An INSERT returns none but its own columns: its places are counted by who asked.
  return {
    text:
      `INSERT INTO ${table.sql.replace(/^ONLY /, '')} (${names}) OVERRIDING SYSTEM VALUE ` +
      `SELECT ${items} FROM ${unnested(columns.map((_, at) => `b${at}`))}`,
    values: columns.map(({ name }) => texts(steps, 'before', name)),
  };
}

function unnested(aliases: readonly string[]): string {
  const arrays = aliases.map((_, at) => `$${at + 1}::text[]`).join(', ');
  return `unnest(${arrays}) WITH ORDINALITY AS ${GIVEN}(${[...aliases, 'place'].join(', ')})`;
}

function texts(steps: readonly Step[], side: Side, column: string): (string | null)[] {
  return steps.map(({ effect }) => effect[side]?.[column] ?? null);
}
