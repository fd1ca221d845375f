/** Columns whose value is only known at the commit: clock, sequence, random, or a trigger's doing. */
import { Refused } from '../connector.ts';
import type { Catalog, Column } from './catalog.ts';
import type { Change } from './change.ts';
import type { Statement } from './statement.ts';
import type { Assignment } from './walk.ts';

/** Rows compared between two runs to find what a trigger makes up. */
export const SAMPLE_ROWS = 1_000;

/** A default that gives the same value each time: a literal, with or without a cast. */
const CONSTANT = /^\(?(?:NULL|true|false|-?\d+(?:\.\d+)?|'(?:[^']|'')*')\)?(?:::[\w ".()[\],]+)*$/;

/** What the statement itself and the columns' defaults say. */
export function masksOfStatement(statement: Statement, catalog: Catalog): ReadonlySet<string> {
  const { columns } = catalog.target;
  const masked = new Set<string>();
  const given = new Set<string>();
  const note = (assignment: Assignment, name: string | undefined): void => {
    const column = columns.find((each) => each.name === name);
    if (column === undefined) return;
    given.add(column.name);
    const isChanging = assignment.changing || (assignment.byDefault && hasChangingDefault(column));
    if (isChanging) masked.add(column.name);
  };
  for (const each of statement.inserted) {
    note(each, each.column ?? columns[each.position]?.name);
  }
  if (statement.kind === 'insert') {
    for (const column of columns) {
      if (!given.has(column.name) && hasChangingDefault(column)) masked.add(column.name);
    }
  }
  for (const each of statement.updated) note(each, each.column ?? undefined);
  checkHidesNothing(masked, statement, catalog);
  return withGenerated(masked, catalog);
}

/** A column is masked in every row, so the statement may not give it a plain value in any. */
function checkHidesNothing(
  masked: ReadonlySet<string>,
  statement: Statement,
  { target: { columns } }: Catalog,
): void {
  for (const each of [...statement.inserted, ...statement.updated]) {
    const position = 'position' in each ? each.position : -1;
    const column = columns.find(({ name }) => name === (each.column ?? columns[position]?.name));
    if (column === undefined || !masked.has(column.name)) continue;
    if (each.plain || (each.byDefault && !hasChangingDefault(column))) throw hiding(column.name);
  }
}

function hiding(column: string): Refused {
  return new Refused(
    'statement-unsupported',
    `\`${column}\` gets a value of the statement and one that only the commit knows, which would hide ` +
      'it; propose them as two statements, or leave the column to the database',
  );
}

/** Whether a trigger may put values into the rows of a write, so that it takes two runs to see which. */
export function needsRehearsal(kind: Statement['kind'], catalog: Catalog): boolean {
  return kind !== 'delete' && [...catalog.tables.values()].some((table) => table.hasBeforeTrigger);
}

/**
 * Compares two runs of the same write at different times: a column differs by the run alone where it
 * differs in a row that was the same before. Inserted rows are compared in the order they came. A column
 * that the statement itself gives a plain value may not be among them: the mask would hide that value.
 */
export function masksOfRuns(
  first: readonly Change[],
  second: readonly Change[],
  statement: Statement,
  catalog: Catalog,
): ReadonlySet<string> {
  const masked = new Set<string>();
  const earlier = new Map(first.map((change, place) => [identity(change, place), change]));
  for (const [place, change] of second.entries()) {
    const other = earlier.get(identity(change, place));
    for (const [at, column] of catalog.target.columns.entries()) {
      if (other?.after?.values[at] !== change.after?.values[at] && other !== undefined) {
        masked.add(column.name);
      }
    }
  }
  checkHidesNothing(masked, statement, catalog);
  return withGenerated(masked, catalog);
}

function identity(change: Change, place: number): string {
  return change.before === null ? String(place) : JSON.stringify(change.before.values);
}

function hasChangingDefault(column: Column): boolean {
  if (column.isGenerated) return false;
  return column.isIdentity || (column.fallback !== null && !CONSTANT.test(column.fallback));
}

/** Adds generated columns that hang on a masked one: the expression then holds its name. */
function withGenerated(masked: Set<string>, catalog: Catalog): ReadonlySet<string> {
  const names = [...masked].map((name) => name.replaceAll('"', '""'));
  for (const { isGenerated, fallback, name } of catalog.target.columns) {
    if (isGenerated && names.some((each) => fallback?.includes(each))) masked.add(name);
  }
  return masked;
}
