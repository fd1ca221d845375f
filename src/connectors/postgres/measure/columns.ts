/** What became of each column over all updated rows, told while the rows stream by. */
import { valueOfField } from '../../../model/effect-lines.ts';
import { PLAN_BOUNDS, type ColumnChange } from '../../../model/plan.ts';
import type { Table } from '../catalog/catalog.ts';
import { byName, type Fields, type RowImage } from './change.ts';

/** Different changes told apart in one column; those that come up later are only counted as rows. */
const PAIRS_MAX = 256;

interface Pair {
  readonly before: string | null;
  readonly after: string | null;
  rows: number;
}

interface Diff {
  rows: number;
  readonly pairs: Map<string, Pair>;
  /** The change that came last as it was copied out, which is often the next one's too. */
  last: { readonly bytes: Buffer; readonly split: number; readonly pair: Pair } | null;
}

/** Counts, for each column, the rows that changed in it, and remembers the commonest changes. */
export class ColumnDiffs {
  readonly #tables = new Map<Table, (Diff | undefined)[]>();

  /** Takes one updated row. Of a masked column it is only told that it changed. */
  add(before: RowImage, after: RowImage, masked: ReadonlySet<string>): void {
    const { table } = after;
    let diffs = this.#tables.get(table);
    if (diffs === undefined) this.#tables.set(table, (diffs = []));
    if (before.fields !== undefined && after.fields !== undefined) {
      return addFields(diffs, table, { from: before.fields, to: after.fields, masked });
    }
    for (let at = 0; at < table.columns.length; at += 1) {
      const from = before.values[at] ?? null;
      const to = after.values[at] ?? null;
      if (from === to) continue;
      const diff = (diffs[at] ??= { rows: 0, pairs: new Map(), last: null });
      diff.rows += 1;
      if (!masked.has(table.columns[at]?.name ?? '')) note(diff, cut(from), cut(to));
    }
  }

  /** In the order of resources and columns; at most `PLAN_BOUNDS.columnsMax`. */
  changes(): readonly ColumnChange[] {
    const changes: ColumnChange[] = [];
    const tables = [...this.#tables].toSorted(([a], [b]) => (a.resource < b.resource ? -1 : 1));
    for (const [{ resource, columns }, diffs] of tables) {
      for (const [at, { name }] of columns.entries()) {
        const diff = diffs[at];
        if (diff === undefined) continue;
        changes.push({ resource, column: name, rows: diff.rows, examples: commonest(diff) });
      }
    }
    return changes.slice(0, PLAN_BOUNDS.columnsMax);
  }
}

/** As for values: two fields are the same where their values are. */
function addFields(
  diffs: (Diff | undefined)[],
  table: Table,
  { from, to, masked }: { from: Fields; to: Fields; masked: ReadonlySet<string> },
): void {
  const order = byName(table);
  for (let place = 0; place < order.length; place += 1) {
    const was = fieldAt(from, place);
    const is = fieldAt(to, place);
    if (was.to - was.from === is.to - is.from && isSame(was.bytes, was.from, is)) continue;
    const at = order[place] ?? 0;
    const diff = (diffs[at] ??= { rows: 0, pairs: new Map(), last: null });
    diff.rows += 1;
    if (masked.has(table.columns[at]?.name ?? '')) continue;
    noteFields(diff, was, is);
  }
}

interface Field {
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

function fieldAt({ bytes, starts }: Fields, place: number): Field {
  return { bytes, from: starts[place] ?? 0, to: (starts[place + 1] ?? 0) - 1 };
}

/** Fields are short: a call out of the language, or a view of them, would cost more than the loop. */
function isSame(left: Buffer, at: number, { bytes, from, to }: Field): boolean {
  const length = to - from;
  if (length > LONG) return left.compare(bytes, from, to, at, at + length) === 0;
  for (let by = 0; by < length; by += 1) if (left[at + by] !== bytes[from + by]) return false;
  return true;
}

const LONG = 64;

function noteFields(diff: Diff, from: Field, to: Field): void {
  const { last } = diff;
  const split = from.to - from.from;
  const length = split + to.to - to.from;
  const isLast =
    last !== null &&
    last.split === split &&
    last.bytes.length === length &&
    isSame(last.bytes, 0, from) &&
    isSame(last.bytes, split, to);
  if (isLast) {
    last.pair.rows += 1;
    return;
  }
  const pair = note(diff, cut(valueOf(from)), cut(valueOf(to)));
  // What is long is seldom the same twice, nor is what comes when so many were different.
  diff.last = null;
  if (length > LONG || pair === null) return;
  const bytes = Buffer.allocUnsafe(length);
  from.bytes.copy(bytes, 0, from.from, from.to);
  to.bytes.copy(bytes, split, to.from, to.to);
  diff.last = { bytes, split, pair };
}

function valueOf({ bytes, from, to }: Field): string | null {
  return valueOfField(bytes.toString('utf8', from, to));
}

function note(diff: Diff, before: string | null, after: string | null): Pair | null {
  const key = `${before === null ? '0' : `1${before}`}\0${after === null ? '0' : `1${after}`}`;
  const known = diff.pairs.get(key);
  if (known !== undefined) {
    known.rows += 1;
    return known;
  }
  if (diff.pairs.size >= PAIRS_MAX) return null;
  const pair = { before, after, rows: 1 };
  diff.pairs.set(key, pair);
  return pair;
}

function commonest(diff: Diff): ColumnChange['examples'] {
  const pairs = [...diff.pairs.values()];
  return pairs.toSorted((a, b) => b.rows - a.rows).slice(0, PLAN_BOUNDS.examplesMax);
}

/** A longer value is cut where no character is cut in half. */
function cut(value: string | null): string | null {
  if (value === null || value.length <= PLAN_BOUNDS.exampleMax) return value;
  return value.slice(0, PLAN_BOUNDS.exampleMax).toWellFormed();
}
