/** Money: what the mapped columns of the changed rows add up to, exactly. */
import { minorDigits } from '../../../lib/money.ts';
import type { Effect, Money } from '../../../model/plan.ts';
import { qualified, type PostgresSettings, type ValueColumn } from '../settings.ts';

/** Decimal places that amounts are kept with while they are added up. */
const SCALE = 20;
const DECIMAL = /^(-?)(\d{1,200})(?:\.(\d{1,20}))?$/;
const CURRENCY = /^[A-Z]{3}$/;

/** Gives a column's text; undefined where it cannot be known before the commit or is not there. */
type Row = (column: string) => string | null | undefined;

/**
 * Adds up magnitudes: an update counts by how far it moves the amount, an insert or delete by the
 * amount itself. They do not cancel out.
 */
export class ValueSum {
  readonly #columns: ReadonlyMap<string, readonly ValueColumn[]>;
  readonly #sums = new Map<string, bigint>();
  readonly #partOf: ReadonlyMap<string, readonly string[]>;
  #isComplete = true;

  /** `partOf` gives for a table what it is a partition or child of: an amount mapped there counts here. */
  constructor(settings: PostgresSettings, partOf: ReadonlyMap<string, readonly string[]>) {
    const columns = new Map<string, ValueColumn[]>();
    for (const each of settings.value) {
      const table = qualified(settings, each.table);
      columns.set(table, [...(columns.get(table) ?? []), each]);
    }
    this.#columns = columns;
    this.#partOf = partOf;
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
    this.#isComplete = false;
  }

  /** By currency, in minor units, a fraction of one rounded up; `complete` is false where some is unknown. */
  total(): { readonly value: readonly Money[]; readonly complete: boolean } {
    const value: Money[] = [];
    let complete = this.#isComplete;
    for (const currency of [...this.#sums.keys()].toSorted()) {
      const sum = this.#sums.get(currency) ?? 0n;
      const unit = 10n ** BigInt(SCALE);
      const amount = (sum + unit - 1n) / unit;
      if (amount > BigInt(Number.MAX_SAFE_INTEGER)) complete = false;
      if (amount > 0n) value.push({ currency, amountMinor: String(amount) });
    }
    return { value, complete };
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
      this.#put(currency, to.scaled - from.scaled);
      return;
    }
    this.#put(from.currency, from.scaled);
    this.#put(to.currency, to.scaled);
  }

  #put(currency: string, scaled: bigint): void {
    const magnitude = scaled < 0n ? -scaled : scaled;
    if (magnitude === 0n) return;
    this.#sums.set(currency, (this.#sums.get(currency) ?? 0n) + magnitude);
  }

  /** Null where the text is no amount. No row, and no amount in the row, is an amount of 0. */
  #amount(column: ValueColumn, row: Row | null): { currency: string; scaled: bigint } | null {
    const zero = { currency: column.currency ?? '', scaled: 0n };
    if (row === null) return zero;
    const text = row(column.column);
    if (text === undefined) return null;
    if (text === null) return zero;
    const currency = column.currency ?? row(column.currencyColumn ?? '')?.trim() ?? '';
    const parts = DECIMAL.exec(text);
    if (parts === null || !CURRENCY.test(currency)) return null;
    const digits = BigInt(`${parts[2] ?? ''}${(parts[3] ?? '').padEnd(SCALE, '0')}`);
    const signed = parts[1] === '-' ? -digits : digits;
    const minor = column.unit === 'minor' ? 1n : 10n ** BigInt(minorDigits(currency));
    return { currency, scaled: signed * minor };
  }
}
