/** Which rows the statement itself changed, as its RETURNING told; by key, so that they are found again. */
import type { Catalog, Table } from '../catalog/catalog.ts';
import type { Change, RowImage } from './change.ts';
import { treeOf, valueIn } from './images.ts';
import type { TextRow } from '../session/rows.ts';

/** Keys remembered; with more rows, every change of the statement's kind in its table counts as direct. */
const KEYS_MAX = 200_000;

export interface DirectCount {
  created: number;
  updated: number;
  deleted: number;
}

/** What came back of the statement itself. */
export class DirectRows {
  readonly #target: Table;
  readonly #tree: ReadonlySet<number>;
  /** Keys that changed rows had, or have now. */
  readonly #keys = new Set<string>();
  /** New key to old key, of rows whose key changed. */
  readonly #renamed = new Map<string, TextRow>();
  readonly #counts = new Map<number, DirectCount>();
  readonly #left: DirectCount = { created: 0, updated: 0, deleted: 0 };
  /** False where some row came without one of its images. */
  isWhole = true;
  #isOver = false;

  constructor(catalog: Catalog) {
    this.#target = catalog.target;
    this.#tree = new Set(treeOf(catalog).map(({ oid }) => oid));
  }

  get counts(): ReadonlyMap<number, Readonly<DirectCount>> {
    return this.#counts;
  }

  /** By the key that a row of the target has now: the key that it had. */
  get renamed(): ReadonlyMap<string, TextRow> {
    return this.#renamed;
  }

  /** Whether the relation is the target or a part of it. */
  isOf(oid: number): boolean {
    return this.#tree.has(oid);
  }

  /** Takes a change that came back with all its images. */
  note(change: Change): void {
    const { before, after, kind } = change;
    if (before !== null && after !== null && before.table.oid !== after.table.oid) {
      this.#count(before.table.oid, 'delete');
      this.#count(after.table.oid, 'create');
    } else {
      this.#count((after ?? before)?.table.oid ?? 0, kind);
    }
    const from = before === null ? null : this.#keyText(before);
    const to = after === null ? null : this.#keyText(after);
    this.#remember(from);
    if (to !== from) this.#remember(to);
    if (this.#isOver || before === null || from === null || to === null || from === to) return;
    this.#renamed.set(JSON.stringify(this.#keyOf(after ?? before)), this.#keyOf(before));
  }

  /** Takes the image after of a row that came without the one before. */
  noteAfter(after: RowImage, kind: Change['kind']): void {
    this.isWhole = false;
    this.#count(after.table.oid, kind);
    this.#remember(this.#keyText(after));
  }

  /** Whether a change that was found is one that the statement made itself. */
  has(change: Change): boolean {
    const { before, after, kind } = change;
    const table = (after ?? before)?.table;
    if (table === undefined || !this.#tree.has(table.oid)) return false;
    if (this.#target.key.length === 0 || this.#isOver) return this.#takeOne(kind);
    if (after !== null && this.#keys.has(this.#keyText(after))) return true;
    if (before === null) return false;
    if (this.#keys.has(this.#keyText(before))) return true;
    // Without images before, a row that moved to another part shows as one that is gone.
    return !this.isWhole && this.#tree.size > 1 && after === null;
  }

  #takeOne(kind: Change['kind']): boolean {
    // A pair that was not made is a delete and a create of what came back as one update.
    const own = this.#left[`${kind}d`] > 0 ? kind : 'update';
    if (this.#left[`${own}d`] <= 0) return false;
    this.#left[`${own}d`] -= own === kind ? 1 : 0.5;
    return true;
  }

  #remember(key: string | null): void {
    if (key === null || this.#isOver || this.#target.key.length === 0) return;
    this.#keys.add(key);
    if (this.#keys.size <= KEYS_MAX) return;
    this.#isOver = true;
    this.#keys.clear();
    this.#renamed.clear();
  }

  #count(oid: number, kind: Change['kind']): void {
    const count = this.#counts.get(oid) ?? { created: 0, updated: 0, deleted: 0 };
    count[`${kind}d`] += 1;
    this.#counts.set(oid, count);
    this.#left[`${kind}d`] += 1;
  }

  #keyText(image: RowImage): string {
    const [only = '', ...others] = this.#target.key;
    if (others.length === 0) return valueIn(image, only) ?? '';
    return JSON.stringify(this.#keyOf(image));
  }

  #keyOf(image: RowImage): TextRow {
    return this.#target.key.map((name) => valueIn(image, name) ?? null);
  }
}
