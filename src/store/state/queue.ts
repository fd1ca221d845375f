import { Problem } from '../../model/problem.ts';
import { proposalId } from '../../model/ids.ts';
import type { Change, Commit } from '../../model/ports.ts';

/** How many changes share a transaction at most. */
const BATCH_MAX = 64;

/** How many turns of the event loop a batch that grows is waited for beyond the first. */
const GATHERING_TURNS_MAX = 4;

/** How many changes wait before no further proposal is begun: the store is slower than its callers. */
export const WAITING_MAX = 1_024;

/** How one change of a batch that was committed went. */
export type Settled =
  | { readonly kind: 'done'; readonly commit: Commit }
  | { readonly kind: 'thrown'; readonly error: unknown };

interface Waiting {
  readonly change: Change;
  readonly resolve: (commit: Commit) => void;
  readonly reject: (error: unknown) => void;
}

/** Carries out a batch, in its order; throws, or rejects, where none of it was committed. */
export type RunBatch = (
  changes: readonly Change[],
) => readonly Settled[] | Promise<readonly Settled[]>;

export interface QueueBounds {
  /** How many changes share a transaction at most; absent: 64. */
  readonly batchMax?: number;
  /** How many batches are under way at once at most, where a batch is waited for; absent: 1. */
  readonly runningMax?: number;
}

/**
 * Group commit: changes that arrive in one turn of the event loop share a transaction and so a
 * sync of the disk. Nobody is answered before that transaction is durable.
 */
export class CommitQueue {
  readonly #run: RunBatch;
  readonly #batchMax: number;
  readonly #runningMax: number;
  readonly #running = new Set<Promise<void>>();
  #waiting: Waiting[] = [];
  #isScheduled = false;

  constructor(run: RunBatch, { batchMax = BATCH_MAX, runningMax = 1 }: QueueBounds = {}) {
    this.#run = run;
    this.#batchMax = batchMax;
    this.#runningMax = runningMax;
  }

  /**
   * Rejects with `too-many-requests` where the queue is full and the change begins a proposal; it is then
   * not written. What was begun is always taken, and so is a person's stop: what waits of these is
   * bounded by what is in flight.
   */
  async add(change: Change): Promise<Commit> {
    if (this.#waiting.length >= WAITING_MAX && beginsProposal(change)) {
      const message = `more than ${WAITING_MAX} changes wait for the store; nothing was begun, try again`;
      throw new Problem('too-many-requests', message);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Commit>();
    this.#waiting.push({ change, resolve, reject });
    this.#schedule();
    return promise;
  }

  /**
   * Carries out everything that waits. Where no batch has to be waited for, all is done when the call
   * returns its promise.
   */
  async drain(): Promise<void> {
    while (this.#waiting.length > 0 || this.#running.size > 0) {
      if (this.#waiting.length > 0 && this.#running.size < this.#runningMax) this.#flush();
      else await Promise.race(this.#running);
    }
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0) return;
    if (this.#running.size >= this.#runningMax) return;
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
      if (count > found && count < this.#batchMax && turns < GATHERING_TURNS_MAX) {
        this.#gather(turns + 1, count);
        return;
      }
      this.#isScheduled = false;
      if (this.#running.size < this.#runningMax) this.#flush();
      // The next batch in the next turn: between two, the process answers others.
      this.#schedule();
    });
  }

  #flush(): void {
    const batch = this.#waiting.slice(0, this.#batchMax);
    if (batch.length === 0) return;
    this.#waiting = this.#waiting.slice(this.#batchMax);
    const settle = (settled: readonly Settled[]): void => {
      for (const [place, waiting] of batch.entries()) answer(waiting, settled[place]);
    };
    const refuse = (error: unknown): void => {
      for (const waiting of batch) waiting.reject(error);
    };
    try {
      const settled = this.#run(batch.map((waiting) => waiting.change));
      if (settled instanceof Promise) this.#wait(settled.then(settle, refuse));
      else settle(settled);
    } catch (error) {
      refuse(error);
    }
  }

  #wait(batch: Promise<void>): void {
    const running = batch.finally(() => {
      this.#running.delete(running);
      this.#schedule();
    });
    this.#running.add(running);
  }
}

function answer(waiting: Waiting, settled: Settled | undefined): void {
  if (settled?.kind === 'done') waiting.resolve(settled.commit);
  else waiting.reject(settled?.error);
}

function beginsProposal({ acts }: Change): boolean {
  return acts.some(({ act, expectStep }) => expectStep === 0 && proposalId(act) !== undefined);
}
