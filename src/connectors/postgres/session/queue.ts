/** One at a time for each key: bulk previews of one table would only stand in each other's way. */

/** Runs work in the order it came, for each key apart. */
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<void>>();

  /** Waits for what came before with the same key; rejects with the signal's reason when it aborts first. */
  async run<Answer>(
    key: string,
    signal: AbortSignal,
    work: () => Promise<Answer>,
  ): Promise<Answer> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    let leave = (): void => undefined;
    const tail = new Promise<void>((resolve) => (leave = resolve));
    const whole = before.then(() => tail);
    this.#tails.set(key, whole);
    try {
      await orAborted(before, signal);
      return await work();
    } finally {
      leave();
      if (this.#tails.get(key) === whole) this.#tails.delete(key);
    }
  }
}

/** Statements that were found to change many rows, so that the next preview of one waits its turn. */
export class BulkShapes {
  readonly #shapes = new Set<string>();

  has(shape: string): boolean {
    return this.#shapes.has(shape);
  }

  add(shape: string): void {
    this.#shapes.add(shape);
    const [oldest] = this.#shapes;
    if (this.#shapes.size > SHAPES_MAX && oldest !== undefined) this.#shapes.delete(oldest);
  }
}

const SHAPES_MAX = 500;

function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    void promise.then(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    });
  });
}
