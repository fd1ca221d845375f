/** Money: what the mapped columns of the changed rows add up to, exactly. */
import type { Effect } from '../../../model/plan.ts';
import { amountOf, larger, MoneySum, type Amount, type Measured } from '../../amounts.ts';
import { qualified, type PostgresSettings, type ValueColumn } from '../settings.ts';

/** Gives a column's text; undefined where it cannot be known before the commit or is not there. */
export type Row = (column: string) => string | null | undefined;

/**
 * Adds up magnitudes: an update counts by how far it moves the amount, an insert or delete by the
 * amount itself. They do not cancel out.
 */
export class ValueSum {
  readonly #columns: ReadonlyMap<string, readonly ValueColumn[]>;
  readonly #sum = new MoneySum();
  readonly #partOf: ReadonlyMap<string, readonly string[]>;
  readonly #stated: Measured | null;

  /**
   * `partOf` gives for a table what it is a partition or child of: an amount mapped there counts here.
   * `stated` is what the arguments say of the same money.
   */
  constructor(
    settings: PostgresSettings,
    partOf: ReadonlyMap<string, readonly string[]>,
    stated: Measured | null = null,
  ) {
    const columns = new Map<string, ValueColumn[]>();
    for (const each of settings.value) {
      const table = qualified(settings, each.table);
      columns.set(table, [...(columns.get(table) ?? []), each]);
    }
    this.#columns = columns;
    this.#partOf = partOf;
    this.#stated = stated;
  }

  /** Whether amounts of one of these tables are mapped; then an indirect change makes the sum incomplete. */
  covers(resources: readonly string[]): boolean {
    return resources.some((resource) => this.#columns.has(resource));
  }

  /** The amount that cannot be known before the commit where these columns cannot: `schema.table.column`. */
  amountAmong(resource: string, columns: ReadonlySet<string>): string | null {
    const hidden = this.#mapped(resource).find(
      (each) => columns.has(each.column) || columns.has(each.currencyColumn ?? ''),
    );
    return hidden === undefined ? null : `${resource}.${hidden.column}`;
  }

  add(resource: string, before: Row | null, after: Row | null, kind: Effect['kind']): void {
    const mapped = this.#mapped(resource);
    if (mapped.length === 0) return;
    // A change without one of its images cannot be measured; a create has none before, a delete none after.
    if (before === null && kind !== 'create') return this.incomplete();
    if (after === null && kind !== 'delete') return this.incomplete();
    for (const column of mapped) this.#one(column, before, after);
  }

  incomplete(): void {
    this.#sum.incomplete();
  }

  /** By currency, in minor units: what the columns show, or what the arguments state where that is more. */
  total(): Measured {
    return larger(this.#sum.total(), this.#stated);
  }

  #mapped(resource: string): readonly ValueColumn[] {
    const byColumn = new Map<string, ValueColumn>();
    for (const table of [resource, ...(this.#partOf.get(resource) ?? [])]) {
      for (const each of this.#columns.get(table) ?? []) {
        if (!byColumn.has(each.column)) byColumn.set(each.column, each);
      }
    }
    return [...byColumn.values()];
  }

  #one(column: ValueColumn, before: Row | null, after: Row | null): void {
    const from = this.#amount(column, before);
    const to = this.#amount(column, after);
    if (from === null || to === null) return this.incomplete();
    if (from.currency === to.currency || from.scaled === 0n || to.scaled === 0n) {
      const currency = to.scaled === 0n ? from.currency : to.currency;
      this.#sum.add({ currency, scaled: to.scaled - from.scaled });
      return;
    }
    this.#sum.add(from);
    this.#sum.add(to);
  }

  /** Null where the text is no amount. No row, and no amount in the row, is an amount of 0. */
  #amount(column: ValueColumn, row: Row | null): Amount | null {
    const zero = { currency: column.currency ?? '', scaled: 0n };
    if (row === null) return zero;
    const text = row(column.column);
    if (text === undefined) return null;
    if (text === null) return zero;
    const currency = column.currency ?? row(column.currencyColumn ?? '')?.trim() ?? '';
    return amountOf(text, currency, column.unit);
  }
}
