/** Columns whose value is only known at the commit: clock, sequence, random, or a trigger's doing. */
import { strict as assert } from 'node:assert';
import { Refused } from '../../connector.ts';
import type { Catalog, Column, Table } from '../catalog/catalog.ts';
import { treeOf } from './images.ts';
import type { Statement } from '../text/statement.ts';
import type { Assignment, TableWrite } from '../text/assign.ts';

/** A default that gives the same value each time: a literal, with or without a cast. */
const CONSTANT = /^\(?(?:NULL|true|false|-?\d+(?:\.\d+)?|'(?:[^']|'')*')\)?(?:::[\w ".()[\],]+)*$/;

const NONE: ReadonlySet<string> = new Set();

/** One table that is named to be written, and what is masked in it and its parts. */
interface Root {
  readonly target: Table;
  readonly parts: readonly Table[];
  readonly masked: ReadonlySet<string>;
}

/** The masked columns of one write: those of its targets, which hold for all parts of them, and others. */
export class Masks {
  readonly #roots: readonly Root[];
  readonly #others: ReadonlyMap<string, ReadonlySet<string>>;

  private constructor(roots: readonly Root[], others: ReadonlyMap<string, ReadonlySet<string>>) {
    this.#roots = roots;
    this.#others = others;
  }

  /** `own` are columns of the catalog's target, `others` are by resource. */
  static over(
    catalog: Catalog,
    own: ReadonlySet<string>,
    others: ReadonlyMap<string, ReadonlySet<string>> = new Map(),
  ): Masks {
    const { target } = catalog;
    return new Masks([{ target, parts: treeOf(catalog), masked: own }], others);
  }

  /** What is masked in one of several is masked in all of them. */
  static all(masks: readonly Masks[]): Masks {
    const others = new Map<string, ReadonlySet<string>>();
    for (const each of masks) addInto(others, each.#others);
    return new Masks(
      masks.flatMap((each) => each.#roots),
      others,
    );
  }

  of({ oid, resource }: Table): ReadonlySet<string> {
    const roots = this.#roots.filter(({ parts }) => parts.some((part) => part.oid === oid));
    const [first, ...more] = roots.map(({ masked }) => masked);
    if (first === undefined) return this.#others.get(resource) ?? NONE;
    return more.reduce(union, first);
  }

  /** `resource.column`, sorted; columns of a part go by the name of the target. */
  names(): readonly string[] {
    const names = new Set<string>();
    for (const { target, masked } of this.#roots) {
      for (const column of masked) names.add(`${target.resource}.${column}`);
    }
    for (const [resource, columns] of this.#others) {
      for (const column of columns) names.add(`${resource}.${column}`);
    }
    return [...names].toSorted();
  }

  /** What is masked too because two runs of the write differed in it. */
  with(learnt: ReadonlyMap<string, ReadonlySet<string>>): Masks {
    const isOf = ({ parts }: Root, resource: string): boolean =>
      parts.some((part) => part.resource === resource);
    const roots = this.#roots.map((root) => {
      const found = [...learnt].filter(([resource]) => isOf(root, resource));
      const own = found.map(([, columns]) => columns).reduce(union, root.masked);
      return { target: root.target, parts: root.parts, masked: withGenerated(own, root.target) };
    });
    const others = new Map(this.#others);
    addInto(
      others,
      new Map([...learnt].filter(([name]) => !roots.some((root) => isOf(root, name)))),
    );
    return new Masks(roots, others);
  }
}

function union(left: ReadonlySet<string>, right: ReadonlySet<string>): ReadonlySet<string> {
  return new Set([...left, ...right]);
}

function addInto(
  into: Map<string, ReadonlySet<string>>,
  more: ReadonlyMap<string, ReadonlySet<string>>,
): void {
  for (const [resource, columns] of more) {
    into.set(resource, union(into.get(resource) ?? NONE, columns));
  }
}

/** What the statement itself and the columns' defaults say. */
export function masksOfStatement(statement: Statement, catalog: Catalog): Masks {
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
  if (statement.kind === 'insert' || statement.inserted.length > 0) {
    for (const column of columns) {
      if (!given.has(column.name) && hasChangingDefault(column)) masked.add(column.name);
    }
  }
  for (const each of statement.updated) note(each, each.column ?? undefined);
  checkHidesNothing(masked, catalog.target, { statement, catalog });
  return Masks.over(catalog, withGenerated(masked, catalog.target));
}

/** A statement, and what the catalog says of its tables. */
export interface Described {
  readonly statement: Statement;
  readonly catalog: Catalog;
}

/**
 * A column is masked in every row, so no part of the statement may give it a plain value in any. `masked`
 * are columns of `of`, a target or a part of one; a view's columns go by the same names below it.
 */
export function checkHidesNothing(
  masked: ReadonlySet<string>,
  of: Table,
  { statement, catalog }: Described,
): void {
  for (const write of statement.writes) {
    const table = tableOf(write, statement, catalog);
    if (isRelated(table, of)) checkGives(write, table, masked, of);
  }
}

/** As `checkHidesNothing`, for what two runs showed: also in tables that the statement does not name. */
export function checkLearnt(
  learnt: ReadonlyMap<string, ReadonlySet<string>>,
  described: Described,
  changed: readonly Table[],
): void {
  for (const masked of changed) {
    checkHidesNothing(learnt.get(masked.resource) ?? NONE, masked, described);
  }
}

function tableOf({ relation }: TableWrite, statement: Statement, { written }: Catalog): Table {
  const at = statement.written.findIndex(
    ({ schema, name }) => schema === relation.schema && name === relation.name,
  );
  const table = written[at];
  assert(table !== undefined, 'the catalog look-up lost a table that is written to');
  return table;
}

/** What a table is known by beside others that may hold the same rows. */
export type Related = Pick<Table, 'resource' | 'partOf' | 'shows'>;

/** Whether a row may lie in both: views show those of tables, and parts share those of their whole. */
export function isRelated(one: Related, other: Related): boolean {
  const names = [other.resource, ...other.partOf, ...(other.shows ?? [])];
  const own = [one.resource, ...one.partOf, ...(one.shows ?? [])];
  return own.some((each) => names.includes(each));
}

/** Refuses a write to `table` that gives a value of its own to a masked column of `other`. */
function checkGives(
  { inserted, updated }: TableWrite,
  table: Table,
  masked: ReadonlySet<string>,
  other: Table,
): void {
  if (masked.size === 0) return;
  for (const each of [...inserted, ...updated]) {
    const name = each.column ?? table.columns[each.position]?.name;
    const column = table.columns.find((known) => known.name === name);
    if (column === undefined) continue;
    const isPlain = each.plain || (each.byDefault && !hasChangingDefault(column));
    if (!isPlain) continue;
    if (mayBe(column.name, table, masked, other)) throw hiding(column.name);
  }
}

/** Whether a column of `one` may lie in one of the columns of `other`; what a view computes may be any. */
function mayBe(column: string, one: Table, columns: ReadonlySet<string>, other: Table): boolean {
  if (one.oid === other.oid) return columns.has(column);
  const own = shownBy(one, column);
  const shown = [...columns].map((each) => shownBy(other, each));
  if (own.length === 0 || shown.some((each) => each.length === 0)) return true;
  return shown.flat().some((each) => own.includes(each));
}

/** The columns of tables that a column shows as they are; of a table itself, that column. */
export function shownBy({ relationKind, origins }: Table, column: string): readonly string[] {
  if (relationKind !== 'v') return [column];
  return (origins ?? []).filter(([name]) => name === column).map(([, shown]) => shown);
}

function hiding(column: string): Refused {
  return new Refused(
    'statement-unsupported',
    `\`${column}\` gets a value of the statement and one that only the commit knows, which would hide ` +
      'it; propose them as two writes, or leave the column to the database',
  );
}

function hasChangingDefault(column: Column): boolean {
  if (column.isGenerated) return false;
  return column.isIdentity || (column.fallback !== null && !CONSTANT.test(column.fallback));
}

/** Adds generated columns that hang on a masked one: the expression then holds its name. */
export function withGenerated(
  masked: ReadonlySet<string>,
  { columns }: Table,
): ReadonlySet<string> {
  const names = [...masked].map((name) => name.replaceAll('"', '""'));
  const generated = columns.filter(
    ({ isGenerated, fallback }) =>
      isGenerated && names.some((each) => fallback?.includes(each) === true),
  );
  return new Set([...masked, ...generated.map(({ name }) => name)]);
}
