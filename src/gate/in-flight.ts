import type { ProposalId } from '../model/ids.ts';

/** Which proposals this process is at work on, so that its reconciler leaves them alone. */
export interface InFlight {
  has(id: ProposalId): boolean;
  /** Holds a proposal while the work on it runs; several may hold the same one. */
  during<Answer>(id: ProposalId, work: () => Promise<Answer>): Promise<Answer>;
  /** Resolves once no work runs. */
  idle(): Promise<void>;
}

/** Begins with nothing in flight; a crash forgets it, and what was held is then reconciled. */
export function openInFlight(): InFlight {
  const running = new Map<Promise<unknown>, ProposalId>();
  return {
    has: (id) => [...running.values()].includes(id),
    async during(id, work) {
      // Held before the work begins: its first commit may already be one to reconcile.
      const { promise, resolve } = Promise.withResolvers<void>();
      running.set(promise, id);
      try {
        return await work();
      } finally {
        running.delete(promise);
        resolve();
      }
    },
    async idle() {
      while (running.size > 0) await Promise.all(running.keys());
    },
  };
}
