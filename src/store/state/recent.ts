/** What was read or written last, kept as it is in memory, up to a size; the oldest goes first. */
export class Recent<Value> {
  readonly #sizeMax: number;
  /** Least recently used first. */
  readonly #kept = new Map<string, { readonly value: Value; readonly size: number }>();
  #size = 0;

  constructor(sizeMax: number) {
    this.#sizeMax = sizeMax;
  }

  get(key: string): Value | undefined {
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept.value;
  }

  set(key: string, value: Value, size: number): void {
    this.#drop(key);
    this.#kept.set(key, { value, size });
    this.#size += size;
    for (const oldest of this.#kept.keys()) {
      if (this.#size <= this.#sizeMax) break;
      this.#drop(oldest);
    }
  }

  /** Forgets everything: it may hold what a rollback has just taken back. */
  forget(): void {
    this.#kept.clear();
    this.#size = 0;
  }

  #drop(key: string): void {
    const dropped = this.#kept.get(key);
    if (dropped === undefined) return;
    this.#kept.delete(key);
    this.#size -= dropped.size;
  }
}
