import type { ProposalId } from '../model/ids.ts';

/** Which proposals this process is at work on. */
export interface InFlight {
  has(id: ProposalId): boolean;
  /** Holds a proposal while the work on it runs; several may hold the same one. */
  during<Answer>(id: ProposalId, work: () => Promise<Answer>): Promise<Answer>;
  /** Resolves once no work runs, or `signal` aborts; with how many pieces of it still run. */
  idle(signal?: AbortSignal): Promise<number>;
}

/**
 * Begins with nothing in flight; a crash forgets it, and what was held is then reconciled. `left` is
 * called when the last work on a proposal has ended, as the last part of it.
 */
export function openInFlight(left: (id: ProposalId) => Promise<void>): InFlight {
  const running = new Set<Promise<unknown>>();
  const counts = new Map<ProposalId, number>();
  const count = (id: ProposalId, by: number): number => {
    const sum = (counts.get(id) ?? 0) + by;
    if (sum === 0) counts.delete(id);
    else counts.set(id, sum);
    return sum;
  };
  return {
    has: (id) => counts.has(id),
    async during(id, work) {
      // Held before the work begins: its first commit may already be one to reconcile.
      const { promise, resolve } = Promise.withResolvers<void>();
      running.add(promise);
      count(id, 1);
      try {
        return await work();
      } finally {
        if (count(id, -1) === 0) await left(id);
        running.delete(promise);
        resolve();
      }
    },
    async idle(signal) {
      const over = signal === undefined ? [] : [aborted(signal)];
      while (running.size > 0) {
        if (signal?.aborted === true) break;
        await Promise.race([Promise.all(running), ...over]);
      }
      return running.size;
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
}
