/**
 * The leases of one run of a gateway, put around the store so that no stage knows of them (G8).
 *
 * 1. A commit with an intent or an outcome takes the proposal, or goes on at the epoch at which this
 *    run holds it; so does any other commit on a proposal that it holds.
 * 2. Who was taken over from stays so until its work on the proposal has ended: none of its commits
 *    goes through any more, and what it did is found by the other under the proposal's key.
 * 3. What is held here is in memory alone. A crash forgets it, and the lease runs out.
 */
import { replacing } from '../lib/around.ts';
import { proposalId, type ProposalId, type TenantId } from '../model/ids.ts';
import {
  isLeased,
  LEASE_MS,
  LEASED_STATES,
  type Claimed,
  type LeaseGuard,
} from '../model/lease.ts';
import type { ActChange, Change, Commit, Store } from '../model/ports.ts';

export interface Leases {
  /** The store, with this run's leases on what it commits. */
  readonly store: Store;
  /** Whether a proposal is this run's to carry on with, as far as it knows. */
  isHeld(id: ProposalId): boolean;
  /**
   * Takes the next proposals that nobody carries on with, oldest first, at most `limit`. Goes on
   * behind those of the last call; empty at the end, and then begins again.
   */
  next(limit: number): Promise<readonly Claimed[]>;
  /** Lets go of a proposal that is worked on no more. What cannot be let go of now runs out. */
  leave(id: ProposalId): Promise<void>;
  /** Holds on to all that is held for another `LEASE_MS`. */
  renew(): Promise<void>;
  /**
   * Lets go of all that is held, for a process that ends: another takes it up at once. What still comes
   * to its end here settles unless it was taken over. Renew no more behind it.
   */
  leaveAll(): Promise<void>;
}

interface HeldLease {
  readonly tenant: TenantId;
  readonly epoch: number;
  readonly isLost: boolean;
}

/** Begins with nothing held. `holder` is of this run alone. */
export function openLeases(store: Store, holder: string): Leases {
  const held = new Map<ProposalId, HeldLease>();
  let last: Claimed | undefined;

  function guardFor(change: Change): LeaseGuard | undefined {
    for (const act of change.acts) {
      const id = proposalId(act.act);
      if (id === undefined) continue;
      const epoch = held.get(id)?.epoch ?? null;
      if (epoch === null && !isTaking(act)) continue;
      return { proposalId: id, holder, epoch, forMs: LEASE_MS };
    }
    return undefined;
  }

  async function commit(change: Change): Promise<Commit> {
    const lease = guardFor(change);
    if (lease === undefined) return store.commit(change);
    const answer = await store.commit({ ...change, guard: { ...change.guard, lease } });
    note(change.tenant, lease, answer);
    return answer;
  }

  function note(tenant: TenantId, { proposalId: id }: LeaseGuard, answer: Commit): void {
    const before = held.get(id);
    if (answer.kind === 'conflict') {
      const isLost = answer.conflict.kind === 'leased';
      if (isLost && before !== undefined) held.set(id, { ...before, isLost });
      return;
    }
    const after = answer.proposals.find((proposal) => proposal.id === id);
    if (after === undefined || answer.lease === undefined) {
      throw new Error(`a commit on ${id} with a lease gave none back`);
    }
    if (isLeased(after.state)) held.set(id, { tenant, epoch: answer.lease, isLost: false });
    else held.delete(id);
  }

  async function claim(limit: number): Promise<readonly Claimed[]> {
    const behind = last === undefined ? {} : { after: last };
    const asked = { holder, states: LEASED_STATES, forMs: LEASE_MS, limit, ...behind };
    const claimed = await store.claim(asked);
    last = claimed.at(-1);
    return claimed;
  }

  async function hold(forMs: number): Promise<void> {
    const own = [...held].filter(([, { isLost }]) => !isLost);
    if (own.length === 0) return;
    const places = own.map(([id, { tenant }]) => ({ tenant, id }));
    await store.renew(holder, places, forMs);
  }

  return {
    store: replacing(store, { commit }),
    isHeld: (id) => held.get(id)?.isLost === false,
    async next(limit) {
      for (;;) {
        const claimed = await claim(limit);
        // Own ones are here too, where their time ran out under the work on them.
        const fresh = claimed.filter(({ id }) => !held.has(id));
        for (const { tenant, id, epoch } of fresh) held.set(id, { tenant, epoch, isLost: false });
        if (fresh.length > 0 || claimed.length === 0) return fresh;
      }
    },
    async leave(id) {
      const left = held.get(id);
      if (left === undefined) return;
      held.delete(id);
      await store.release(holder, [{ tenant: left.tenant, id }]).catch(() => undefined);
    },
    renew: () => hold(LEASE_MS),
    // It runs out: what still ends here may settle, as after any lease that did and nobody took.
    leaveAll: () => hold(0),
  };
}

/** Whether an act's entries are of one who carries the proposal out, or says how that ended. */
function isTaking({ entries }: ActChange): boolean {
  return entries.some(({ type }) => type === 'intent' || type === 'outcome');
}
