/** Recipients: how many distinct values the mapped columns of the changed rows have. */
import { hash } from 'node:crypto';
import { qualified, type PostgresSettings } from '../settings.ts';
import type { Row } from './value.ts';

/** A longer value is kept as its hash. */
const LENGTH_MAX = 64;

/** What was counted, and what keeps it from being all. */
export interface Recipients {
  readonly count: number;
  /** A sentence each; none where every recipient was counted. */
  readonly gaps: readonly string[];
}

/**
 * Counts who a write reaches: each value before and after, so that who is taken out of a row counts as
 * who comes into it does. The same value in two mapped columns counts twice, since it may be two things.
 */
export class RecipientCount {
  readonly #columns = new Map<string, Set<string>>();
  readonly #partOf: ReadonlyMap<string, readonly string[]>;
  readonly #seen = new Set<string>();
  readonly #gaps = new Set<string>();

  /** `partOf` as for `ValueSum`. */
  constructor(settings: PostgresSettings, partOf: ReadonlyMap<string, readonly string[]>) {
    for (const { table, column } of settings.recipients) {
      const resource = qualified(settings, table);
      const columns = this.#columns.get(resource) ?? new Set();
      this.#columns.set(resource, columns.add(column));
    }
    this.#partOf = partOf;
  }

  /** Whether recipients of one of these tables are mapped. */
  covers(resources: readonly string[]): boolean {
    return resources.some((resource) => this.#columns.has(resource));
  }

  /** Takes both images of a changed row; a value that is not known before the commit is a gap. */
  add(resource: string, before: Row | null, after: Row | null): void {
    if (this.#columns.size === 0) return;
    for (const table of [resource, ...(this.#partOf.get(resource) ?? [])]) {
      for (const column of this.#columns.get(table) ?? []) {
        for (const row of [before, after]) {
          if (row !== null) this.#one(`${table}.${column}`, row(column));
        }
      }
    }
  }

  /** Rows of it changed that nobody saw. */
  unseen(resource: string): void {
    this.#gaps.add(`the recipients in ${resource} could not all be counted`);
  }

  total(): Recipients {
    return { count: this.#seen.size, gaps: [...this.#gaps] };
  }

  #one(column: string, value: string | null | undefined): void {
    if (value === undefined) {
      this.#gaps.add(`the recipients in ${column} are only known at the commit`);
    } else if (value !== null) {
      const kept = value.length > LENGTH_MAX ? hash('sha256', value) : value;
      this.#seen.add(JSON.stringify([column, kept]));
    }
  }
}
