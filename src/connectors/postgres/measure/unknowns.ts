/**
 * Columns in which the steps so far left values that only the commit knows. A later step may compare
 * such a column; what it computes of it comes out differently at every run, and so do the rows that are
 * chosen by it: the plan would be drift at each commit, and a new one as well.
 */
import { Refused } from '../../connector.ts';
import type { Catalog, Table } from '../catalog/catalog.ts';
import type { Statement } from '../text/statement.ts';
import type { RelationName } from '../text/tree.ts';
import { isRelated, shownBy, type Described, type Related } from './masks.ts';
import type { Counted } from './tally.ts';

/** Types whose values move on so slowly that what is computed of one is mostly the same at the commit. */
const CLOCKED = /^(?:timestamp|date\b|time\b|interval\b)/;

interface Left {
  readonly table: Table;
  readonly columns: ReadonlySet<string>;
}

/** One for each try of a transaction. */
export class Unknowns {
  readonly #left = new Map<number, Left>();

  /** Notes what a step did; `masked` are the columns that it may have given such values. */
  note(counts: readonly Counted[], masked: (table: Table) => ReadonlySet<string>): void {
    for (const { table, created, updated } of counts) {
      if (created + updated === 0) continue;
      const known = this.#left.get(table.oid)?.columns ?? [];
      this.#left.set(table.oid, { table, columns: new Set([...known, ...masked(table)]) });
    }
  }

  /** Refuses a step that chooses rows by something computed of one of them, as far as it is plain to see. */
  check({ statement, catalog }: Described): void {
    if (this.#left.size === 0) return;
    for (const { column, levels } of statement.computed) {
      const named = levels.map((level) => level.map((each) => namedAs(each, statement, catalog)));
      // The nearest query that has such a column is the one that is meant.
      const found = named
        .map((level) => level.flatMap((each) => each?.shownAs(column) ?? []))
        .find((level) => level.length > 0);
      for (const each of found ?? []) this.#checkOne(each);
    }
  }

  #checkOne({ of, columns }: Shown): void {
    for (const left of this.#left.values()) {
      if (!isRelated(of, left.table)) continue;
      const unknown = left.table.columns.find(
        ({ name, type }) => columns.includes(name) && left.columns.has(name) && !CLOCKED.test(type),
      );
      if (unknown !== undefined) throw scattered(`${left.table.resource}.${unknown.name}`);
    }
  }
}

/** Columns of a table, as a name in a statement shows them. */
interface Shown {
  readonly of: Related;
  readonly columns: readonly string[];
}

interface NamedTable {
  /** Null where it has no such column. */
  shownAs(column: string): Shown | null;
}

function namedAs(
  relation: RelationName,
  statement: Statement,
  { written, reads }: Catalog,
): NamedTable | undefined {
  const table = written[statement.written.findIndex((each) => isSame(each, relation))];
  if (table !== undefined) {
    return {
      shownAs: (column) =>
        table.columns.some(({ name }) => name === column)
          ? { of: table, columns: shownBy(table, column) }
          : null,
    };
  }
  const read = reads[statement.reads.findIndex((each) => isSame(each, relation))];
  if (read === undefined) return undefined;
  return {
    shownAs: (column) => (read.columns.includes(column) ? { of: read, columns: [column] } : null),
  };
}

function isSame(one: RelationName, other: RelationName): boolean {
  return one.schema === other.schema && one.name === other.name;
}

function scattered(column: string): Refused {
  return new Refused(
    'statement-unsupported',
    `rows are chosen by what is computed of \`${column}\`, in which an earlier step leaves values that ` +
      'only the commit knows, so that it would choose others; compare the column as it is, give its ' +
      'values in the earlier step, or propose this step when the others are applied',
  );
}
