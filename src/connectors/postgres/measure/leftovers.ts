/** Images of one table that no primary key pairs: held back as long as they are few, then paired or not. */
import type { Table } from '../catalog/catalog.ts';
import type { Change, RowImage } from './change.ts';

/** Images held back on each side; with more, none is paired. */
const HELD_ROWS_MAX = 1_000;

/**
 * Takes images one by one and gives back changes as soon as it is sure that they are not to be paired.
 * A row whose key changed, or of a table without one, would otherwise be a delete and a create.
 */
export class Leftovers {
  readonly #places: readonly number[];
  readonly #befores: RowImage[] = [];
  readonly #afters: RowImage[] = [];
  #isOver = false;

  /** `wholeKey` is the key of what the table is a part of: a child table has none of its own. */
  constructor(table: Table, wholeKey: readonly string[]) {
    const places = wholeKey.map((name) => table.columns.findIndex((each) => each.name === name));
    this.#places = places.includes(-1) ? [] : places;
  }

  before(image: RowImage): readonly Change[] {
    if (this.#isOver) return [deleted(image)];
    this.#befores.push(image);
    return this.#befores.length > HELD_ROWS_MAX ? this.#flush() : [];
  }

  after(image: RowImage): readonly Change[] {
    if (this.#isOver) return [created(image)];
    this.#afters.push(image);
    return this.#afters.length > HELD_ROWS_MAX ? this.#flush() : [];
  }

  /** What is left, at most `updates` of it paired. */
  rest(updates: number): readonly Change[] {
    const changes: Change[] = [];
    if (updates > 0 && this.#places.length > 0) this.#pairByKey(updates, changes);
    const [before] = this.#befores;
    const [after] = this.#afters;
    const isSingle = this.#befores.length === 1 && this.#afters.length === 1;
    if (isSingle && changes.length < updates && before !== undefined && after !== undefined) {
      this.#befores.length = 0;
      this.#afters.length = 0;
      changes.push({ kind: 'update', before, after });
    }
    return [...changes, ...this.#flush()];
  }

  #pairByKey(updates: number, changes: Change[]): void {
    const before = uniqueBy(this.#befores, this.#places);
    const after = uniqueBy(this.#afters, this.#places);
    for (const [key, image] of after) {
      const found = before.get(key);
      if (found === undefined || changes.length >= updates) continue;
      changes.push({ kind: 'update', before: found, after: image });
      this.#befores.splice(this.#befores.indexOf(found), 1);
      this.#afters.splice(this.#afters.indexOf(image), 1);
    }
  }

  #flush(): readonly Change[] {
    this.#isOver = true;
    const changes = [...this.#befores.map(deleted), ...this.#afters.map(created)];
    this.#befores.length = 0;
    this.#afters.length = 0;
    return changes;
  }
}

/** By key, without those that share one: which of them is which cannot be told. */
function uniqueBy(
  images: readonly RowImage[],
  places: readonly number[],
): ReadonlyMap<string, RowImage> {
  const found = new Map<string, RowImage>();
  const shared = new Set<string>();
  for (const image of images) {
    const key = JSON.stringify(places.map((at) => image.values[at] ?? null));
    if (found.has(key)) shared.add(key);
    found.set(key, image);
  }
  for (const key of shared) found.delete(key);
  return found;
}

function deleted(before: RowImage): Change {
  return { kind: 'delete', before, after: null };
}

function created(after: RowImage): Change {
  return { kind: 'create', before: null, after };
}
