/** Changes in memory that can be taken back: what one change did, without those before it. */

/** What was done, as how to take it back. */
export class Journal {
  readonly #undo: (() => void)[] = [];

  /** A place to come back to. */
  get mark(): number {
    return this.#undo.length;
  }

  did(undo: () => void): void {
    this.#undo.push(undo);
  }

  /** Takes back everything after `mark`, the latest first. */
  backTo(mark: number): void {
    while (this.#undo.length > mark) this.#undo.pop()?.();
  }
}

/** Values by name: those that were loaded, and over them those that were set. */
export class StagedMap<Value extends object | string | number> {
  readonly #journal: Journal;
  readonly #loaded: ReadonlyMap<string, Value>;
  readonly #own = new Map<string, Value>();

  constructor(journal: Journal, loaded: ReadonlyMap<string, Value> = new Map()) {
    this.#journal = journal;
    this.#loaded = loaded;
  }

  get(name: string): Value | undefined {
    return this.#own.get(name) ?? this.#loaded.get(name);
  }

  set(name: string, value: Value): void {
    const before = this.#own.get(name);
    this.#own.set(name, value);
    this.#journal.did(() => {
      if (before === undefined) this.#own.delete(name);
      else this.#own.set(name, before);
    });
  }

  /** What was set, with what was loaded, in the order of first setting. */
  changed(): readonly { readonly value: Value; readonly loaded: Value | undefined }[] {
    return [...this.#own].map(([name, value]) => ({ value, loaded: this.#loaded.get(name) }));
  }

  /** What is there now. */
  *values(): Generator<Value> {
    for (const [name, value] of this.#loaded) if (!this.#own.has(name)) yield value;
    yield* this.#own.values();
  }
}

/** A list that grows. */
export class StagedList<Item> {
  readonly #journal: Journal;
  readonly #items: Item[] = [];

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  get items(): readonly Item[] {
    return this.#items;
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#journal.did(() => void this.#items.pop());
  }
}
