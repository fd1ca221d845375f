/** Which operations and columns of each table a write may touch, by the `tables` setting. */
import { strict as assert } from 'node:assert';
import type { ResourceCount } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import type { Table } from '../catalog/catalog.ts';
import type { Change, RowImage } from './change.ts';
import { both, type Named } from './named.ts';
import {
  qualified,
  rulesOf,
  type PostgresSettings,
  type SoftDelete,
  type TableRules,
} from '../settings.ts';

export interface Rights {
  check(change: Change): void;
  /** As `check`, for what only a count tells of. */
  checkCount(count: ResourceCount): void;
}

type Operation = 'insert' | 'update' | 'delete';

/** What holds for one table, put together once. */
interface Lease {
  readonly rules: TableRules | undefined;
  readonly softDelete: SoftDelete | undefined;
  /** What the statement names that this is, or is a part of. */
  readonly named: Named | undefined;
}

/**
 * Opens the rights for a write. Throws `not-permitted` where it names an operation or a column that it may
 * not: also one that is given the value it has, since that tells what the value is. What it does beyond
 * its words is judged by what changes.
 */
export function openRights(settings: PostgresSettings, named: readonly Named[]): Rights {
  const views = named.filter((each) => each.isView);
  for (const each of named) checkNamed(settings, each);
  const leases = new Map<number, Lease>();
  const judged = new Set<string>();
  const leaseOf = (table: Table): Lease => {
    const known = leases.get(table.oid);
    if (known !== undefined) return known;
    const lease = makeLease(settings, named, table);
    leases.set(table.oid, lease);
    if (lease.rules !== undefined) judged.add(table.resource);
    return lease;
  };
  return {
    check(change) {
      const by = change.by?.attribution ?? 'direct';
      if (by === 'trigger' || by === 'indirect') return;
      const image = change.after ?? change.before;
      assert(image !== null, 'a changed row has an image');
      const lease = leaseOf(image.table);
      if (lease.rules === undefined) {
        // By cascade, or through a view that may be written, also what no rule names is reached.
        if (by === 'cascade' || (by === 'direct' && views.length > 0)) return;
        throw forbidden(image.table.resource, UNNAMED);
      }
      checkRow(change, image.table, lease, lease.rules);
    },
    checkCount(count) {
      // A rule rewrites the statement: what it does is what the statement does.
      if (count.attribution !== 'rule' || settings.tables === undefined) return;
      if (count.created + count.updated + count.deleted === 0) return;
      // A partition may go by what it is a part of, which only its rows say.
      const isKnown = judged.has(count.resource) || rulesOf(settings, count.resource) !== undefined;
      if (!isKnown) throw forbidden(count.resource, UNNAMED);
    },
  };
}

const UNNAMED = 'it is not one of the tables that may be changed';

/**
 * As the server has it, a row is judged by what the statement names, whichever part it lies in: an entry
 * for the part, which may only open it to reads, takes nothing away from the whole. By a cascade no table
 * is named: a partition then goes by what it is a partition of, anything else by itself.
 */
function makeLease(settings: PostgresSettings, named: readonly Named[], table: Table): Lease {
  const names = [table.resource, ...table.partOf];
  const matching = named.filter((each) => names.includes(each.resource));
  const [first] = matching;
  const fallback = table.isPartition ? names.toReversed() : names;
  const chain = first === undefined ? fallback : [first.resource, ...first.partOf, ...names];
  return {
    rules: nearestRules(settings, chain),
    softDelete: softDeleteAmong(settings, names),
    named: first === undefined ? undefined : matching.reduce(both),
  };
}

function nearestRules(
  settings: PostgresSettings,
  names: readonly string[],
): TableRules | undefined {
  return names.map((name) => rulesOf(settings, name)).find((each) => each !== undefined);
}

function softDeleteAmong(
  settings: PostgresSettings,
  names: readonly string[],
): SoftDelete | undefined {
  const found = Object.entries(settings.softDelete).find(([name]) =>
    names.includes(qualified(settings, name)),
  );
  return found?.[1];
}

function checkRow(change: Change, table: Table, lease: Lease, rules: TableRules): void {
  switch (change.kind) {
    case 'create':
      checkInsert(table, lease, rules);
      return;
    case 'delete':
      if (!rules.delete) throw forbidden(table.resource, 'no row of it may be deleted');
      if (lease.softDelete !== undefined && change.by === undefined) {
        throw forbidden(
          table.resource,
          `a row of it is deleted by its \`${lease.softDelete.column}\` alone; propose a plain ` +
            'DELETE on the table itself, which becomes that',
        );
      }
      return;
    case 'update':
      checkUpdate(change, table, lease, rules);
      return;
  }
}

function checkInsert(table: Table, { named }: Lease, { insert }: TableRules): void {
  if (insert === true) return;
  if (insert === false) throw forbidden(table.resource, 'no row may be inserted into it');
  const given =
    named?.inserted ?? table.columns.filter((each) => !each.isGenerated).map(({ name }) => name);
  const closed = given.find((column) => !insert.includes(column));
  if (closed === undefined) return;
  throw forbidden(
    table.resource,
    `a new row of it may not be given \`${closed}\`; name the columns: ${spoken(insert)}`,
  );
}

function checkUpdate(change: Change, table: Table, lease: Lease, rules: TableRules): void {
  const { update } = rules;
  if (update === true) return;
  const allowed = update === false ? [] : update;
  const isHidden = isSoftlyDeleted(change, lease, rules);
  for (const column of changedColumns(change.before, change.after, table)) {
    if (allowed.includes(column)) continue;
    if (isHidden && column === lease.softDelete?.column) continue;
    if (isOwnDoing(column, table, lease, change)) continue;
    throw update === false
      ? forbidden(table.resource, 'no row of it may be updated')
      : forbidden(
          table.resource,
          `\`${column}\` of it may not be updated; expected ${spoken(update)}`,
        );
  }
}

/** What the database fills by itself: generated columns, and what a trigger sets that nobody assigned. */
function isOwnDoing(column: string, table: Table, { named }: Lease, change: Change): boolean {
  const found = table.columns.find((each) => each.name === column);
  if (found?.isGenerated === true) return true;
  if (change.by !== undefined || named === undefined || !table.hasBeforeTrigger) return false;
  return !named.updated.includes(column);
}

/** A soft delete is a delete, and the right to delete is what it takes; taking one back is none. */
function isSoftlyDeleted(
  { before, after }: Change,
  { softDelete }: Lease,
  rules: TableRules,
): boolean {
  if (softDelete === undefined || !rules.delete || before === null || after === null) return false;
  const from = valueOf(before, softDelete.column) ?? null;
  const to = valueOf(after, softDelete.column) ?? null;
  if (softDelete.value === 'now') return from === null && to !== null;
  return from !== softDelete.value && to === softDelete.value;
}

/** The columns whose value differs; every one where an image is missing. */
function changedColumns(
  before: RowImage | null,
  after: RowImage | null,
  table: Table,
): readonly string[] {
  if (before === null || after === null) return table.columns.map(({ name }) => name);
  const isSame = before.table.oid === after.table.oid;
  const changed: string[] = [];
  for (const [at, { name }] of after.table.columns.entries()) {
    const from = isSame ? before.values[at] : valueOf(before, name);
    if (from !== after.values[at]) changed.push(name);
  }
  return changed;
}

function valueOf(image: RowImage, column: string): string | null | undefined {
  return image.values[image.table.columns.findIndex((each) => each.name === column)];
}

/** Judges what the statement says it does to one relation; of a view, which has no images, that is all. */
function checkNamed(settings: PostgresSettings, named: Named): void {
  const names = [named.resource, ...named.partOf];
  const rules = nearestRules(settings, names);
  // Who may delete may mark as deleted; in what way is judged row by row.
  const soft = rules?.delete === true ? softDeleteAmong(settings, names)?.column : undefined;
  for (const operation of named.operations) {
    const right = rules?.[operation] ?? false;
    if (right === true) continue;
    const given = operation === 'insert' ? named.inserted : named.updated;
    const columns = operation === 'update' ? given?.filter((each) => each !== soft) : given;
    const isMarking = columns?.length === 0 && given?.length !== 0;
    if (right === false) {
      if (isMarking) continue;
      throw forbidden(named.resource, WITHOUT[operation]);
    }
    const closed = columns?.find((column) => !right.includes(column));
    if (closed === undefined && (given !== null || !named.isView)) continue;
    const which = closed === undefined ? 'a column' : `\`${closed}\``;
    throw forbidden(named.resource, `${which} of it may not be given; expected ${spoken(right)}`);
  }
}

const WITHOUT: Readonly<Record<Operation, string>> = {
  insert: 'no row may be inserted into it',
  update: 'no row of it may be updated',
  delete: 'no row of it may be deleted',
};

function spoken(columns: readonly string[]): string {
  return columns
    .map((column) => `\`${column}\``)
    .join(', ')
    .slice(0, 1_000);
}

function forbidden(resource: string, why: string): Refused {
  return new Refused('not-permitted', `\`${resource}\` may not be changed like that: ${why}`);
}
