import { Problem } from '../../model/problem.ts';
import type { Change, Commit } from '../../model/ports.ts';

/** How many changes share a transaction at most. */
const BATCH_MAX = 64;

/** How many turns of the event loop a batch that grows is waited for beyond the first. */
const GATHERING_TURNS_MAX = 4;

/** How many changes wait at most; beyond it the gateway is slower than its callers and says so. */
const WAITING_MAX = 10_000;

/** How one change of a batch that was committed went. */
export type Settled =
  | { readonly kind: 'done'; readonly commit: Commit }
  | { readonly kind: 'thrown'; readonly error: unknown };

interface Waiting {
  readonly change: Change;
  readonly resolve: (commit: Commit) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit: changes that arrive in one turn of the event loop share a transaction and so a
 * sync of the disk. Nobody is answered before that transaction is durable.
 */
export class CommitQueue {
  readonly #run: (changes: readonly Change[]) => readonly Settled[];
  #waiting: Waiting[] = [];
  #isScheduled = false;

  /** `run` carries out a batch; it throws where none of it was committed. */
  constructor(run: (changes: readonly Change[]) => readonly Settled[]) {
    this.#run = run;
  }

  /** Rejects with `too-many-requests` where the queue is full; the change is then not written. */
  async add(change: Change): Promise<Commit> {
    if (this.#waiting.length >= WAITING_MAX) {
      const message = `more than ${WAITING_MAX} writes wait for the store; try again later`;
      throw new Problem('too-many-requests', message);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Commit>();
    this.#waiting.push({ change, resolve, reject });
    this.#schedule();
    return promise;
  }

  /** Carries out everything that waits, before it returns. */
  drain(): void {
    while (this.#waiting.length > 0) this.#flush();
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0) return;
    this.#isScheduled = true;
    this.#gather(0, 1);
  }

  /**
   * Flushes in a later turn. While more and more arrive it waits a turn longer, a few times: a sync takes
   * as long as many turns. A change that comes alone waits for none.
   */
  #gather(turns: number, found: number): void {
    setImmediate(() => {
      const count = this.#waiting.length;
      if (count > found && count < BATCH_MAX && turns < GATHERING_TURNS_MAX) {
        this.#gather(turns + 1, count);
        return;
      }
      this.#isScheduled = false;
      this.#flush();
      // The next batch in the next turn: between two, the process answers others.
      this.#schedule();
    });
  }

  #flush(): void {
    const batch = this.#waiting.slice(0, BATCH_MAX);
    if (batch.length === 0) return;
    this.#waiting = this.#waiting.slice(BATCH_MAX);
    try {
      const settled = this.#run(batch.map((waiting) => waiting.change));
      for (const [place, waiting] of batch.entries()) answer(waiting, settled[place]);
    } catch (error) {
      for (const waiting of batch) waiting.reject(error);
    }
  }
}

function answer(waiting: Waiting, settled: Settled | undefined): void {
  if (settled?.kind === 'done') waiting.resolve(settled.commit);
  else waiting.reject(settled?.error);
}
