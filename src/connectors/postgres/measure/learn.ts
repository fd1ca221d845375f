/** What two runs of the same write tell of its masks: a column whose values differ by the run alone. */
import type { Table } from '../catalog/catalog.ts';
import type { Change } from './change.ts';
import type { TextRow } from '../session/rows.ts';

/** Updated rows that are compared one by one; of created ones every row counts. */
const SAMPLE_ROWS = 1_000;

/** Statement shapes whose masks are remembered, the one not used for longest makes room. */
const SHAPES_MAX = 500;

/** Columns by resource. A resource without any was looked at and has none. */
export type Learnt = ReadonlyMap<string, ReadonlySet<string>>;

interface Seen {
  readonly table: Table;
  created: number;
  /** For each column a sum over the created rows' values that does not hang on their order. */
  readonly sums: number[];
  /** Images after by image before. */
  readonly updated: Map<string, Change>;
}

/** The images of one run, as far as they tell something of the masks. */
export class Sample {
  readonly #tables = new Map<number, Seen>();

  add(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.after === null) continue;
      const { table, values } = change.after;
      const seen = this.#tables.get(table.oid) ?? newlySeen(table);
      this.#tables.set(table.oid, seen);
      if (change.before === null) {
        seen.created += 1;
        addUp(seen.sums, values);
      } else if (seen.updated.size < SAMPLE_ROWS) {
        seen.updated.set(JSON.stringify(change.before.values), change);
      }
    }
  }

  /** The columns in which this run differs from an earlier one. */
  against(earlier: Sample): Learnt {
    const learnt = new Map<string, Set<string>>();
    for (const [oid, seen] of this.#tables) {
      const columns = learnt.get(seen.table.resource) ?? new Set<string>();
      learnt.set(seen.table.resource, columns);
      const other = earlier.#tables.get(oid);
      if (other !== undefined) compareInto(columns, seen, other);
    }
    return learnt;
  }
}

function newlySeen(table: Table): Seen {
  return { table, created: 0, sums: [], updated: new Map() };
}

function compareInto(columns: Set<string>, seen: Seen, other: Seen): void {
  for (const [at, { name }] of seen.table.columns.entries()) {
    // Where the number of rows differs the world moved between the runs, and nothing can be told.
    if (seen.created === other.created && seen.sums[at] !== other.sums[at]) columns.add(name);
  }
  for (const [before, change] of seen.updated) {
    const after = other.updated.get(before)?.after;
    if (after === null || after === undefined) continue;
    for (const [at, { name }] of seen.table.columns.entries()) {
      if (after.values[at] !== change.after?.values[at]) columns.add(name);
    }
  }
  compareAgain(columns, seen, other);
}

/** What an earlier step left may differ by the run as well, so its rows are compared all together. */
function compareAgain(columns: Set<string>, seen: Seen, other: Seen): void {
  const mine = onlyIn(seen, other);
  const theirs = onlyIn(other, seen);
  if (mine.rows !== theirs.rows) return;
  for (const [at, { name }] of seen.table.columns.entries()) {
    if (mine.sums[at] !== theirs.sums[at]) columns.add(name);
  }
}

function onlyIn(
  one: Seen,
  other: Seen,
): { readonly rows: number; readonly sums: readonly number[] } {
  const sums: number[] = [];
  let rows = 0;
  for (const [before, { again, after }] of one.updated) {
    if (again !== true || after === null || other.updated.has(before)) continue;
    rows += 1;
    addUp(sums, after.values);
  }
  return { rows, sums };
}

function addUp(sums: number[], values: TextRow): void {
  for (const [at, value] of values.entries()) {
    sums[at] = ((sums[at] ?? 0) + hashOf(value)) % 2 ** 52;
  }
}

/**
 * FNV-1a, then mixed (MurmurHash3's last step): sums of the bare hash would be equal for values that
 * differ in their last digits alone, as clocks and sequences do. A collision leaves a column unmasked,
 * which shows as drift and not as a hidden value.
 */
export function hashOf(value: string | null): number {
  if (value === null) return 1;
  let sum = 0x811c_9dc5;
  for (let at = 0; at < value.length; at += 1) {
    sum = Math.imul(sum ^ value.charCodeAt(at), 0x0100_0193);
  }
  sum = Math.imul(sum ^ (sum >>> 16), 0x85eb_ca6b);
  sum = Math.imul(sum ^ (sum >>> 13), 0xc2b2_ae35);
  return (sum ^ (sum >>> 16)) >>> 0;
}

/** Remembers masks by statement, so that a commit need not rehearse what its preview did. */
export class LearntMasks {
  readonly #shapes = new Map<string, Learnt>();

  of(shape: string): Learnt | undefined {
    const known = this.#shapes.get(shape);
    if (known !== undefined) this.#put(shape, known);
    return known;
  }

  add(shape: string, learnt: Learnt): void {
    const known = this.#shapes.get(shape);
    this.#put(shape, known === undefined ? learnt : merged(known, learnt));
    const [oldest] = this.#shapes.keys();
    if (this.#shapes.size > SHAPES_MAX && oldest !== undefined) this.#shapes.delete(oldest);
  }

  #put(shape: string, learnt: Learnt): void {
    this.#shapes.delete(shape);
    this.#shapes.set(shape, learnt);
  }
}

export function merged(left: Learnt, right: Learnt): Learnt {
  const both = new Map(left);
  for (const [resource, columns] of right) {
    both.set(resource, new Set([...(both.get(resource) ?? []), ...columns]));
  }
  return both;
}
