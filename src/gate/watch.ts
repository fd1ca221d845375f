import { WAIT_MS_MAX } from '../model/api.ts';
import { isTerminal } from '../model/lifecycle.ts';
import type { Clock, Store } from '../model/ports.ts';
import type { Principal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import type { ProposalId } from '../model/ids.ts';
import type { Proposal } from '../model/proposal.ts';

/** How often a waiting call looks by itself; a change in this process wakes it at once. */
const LOOK_EVERY_MS = 500;

/** Reads a proposal that the principal may see: agents their own, people their tenant's. */
export async function visible(
  store: Store,
  principal: Principal,
  id: ProposalId,
): Promise<Proposal> {
  const proposal = await store.proposal(principal.tenant, id);
  const isOwn = proposal?.proposer.kind === 'agent' && proposal.proposer.name === principal.name;
  if (proposal === undefined || (principal.kind === 'agent' && !isOwn)) {
    throw new Problem('proposal-unknown', `there is no proposal \`${id}\` that you may see`);
  }
  return proposal;
}

/** Wakes calls that wait for a proposal to settle. Lives in the process; loses nothing durable. */
export interface Watch {
  changed(id: ProposalId): void;
  /** Returns the proposal once it is settled, or as it is when the time is over. */
  settled(principal: Principal, id: ProposalId, wait: WaitFor): Promise<Proposal>;
}

interface WaitFor {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export function openWatch(ports: { readonly store: Store; readonly clock: Clock }): Watch {
  const sleepers = new Map<ProposalId, Set<AbortController>>();
  const changed = (id: ProposalId): void => {
    for (const sleeper of sleepers.get(id) ?? []) sleeper.abort();
  };
  // For as long as the store is open.
  ports.store.changes?.((_tenant, ids) => ids.forEach(changed));
  return {
    changed,
    async settled(principal, id, wait) {
      const until = ports.clock.now() + Math.min(wait.timeoutMs, WAIT_MS_MAX);
      for (;;) {
        const sleeper = new AbortController();
        const beside = sleepers.get(id) ?? new Set();
        sleepers.set(id, beside.add(sleeper));
        try {
          const proposal = await visible(ports.store, principal, id);
          const leftMs = until - ports.clock.now();
          const isOver = leftMs <= 0 || wait.signal.aborted;
          if (isTerminal(proposal.state) || isOver) return proposal;
          const signal = AbortSignal.any([wait.signal, sleeper.signal]);
          await ports.clock.sleep(Math.min(leftMs, LOOK_EVERY_MS), signal);
        } finally {
          beside.delete(sleeper);
          if (beside.size === 0) sleepers.delete(id);
        }
      }
    },
  };
}
