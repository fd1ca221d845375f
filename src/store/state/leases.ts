import type { ProposalId, TenantId } from '../../model/ids.ts';
import { isLeased, type LeaseGuard } from '../../model/lease.ts';
import { isTerminal } from '../../model/lifecycle.ts';
import type { CommitConflict } from '../../model/ports.ts';
import type { Proposal } from '../../model/proposal.ts';

export interface Lease {
  readonly epoch: number;
  /** Null: nobody's. */
  readonly holder: string | null;
  readonly until: number;
}

/** Who works on which proposal. A row ends with its proposal, and keeps the epoch until then. */
export interface LeaseRows {
  /** The only clock by which leases run, in ms. */
  now(): number;
  find(tenant: TenantId, id: ProposalId): Lease | undefined;
  save(tenant: TenantId, id: ProposalId, lease: Lease): void;
  /** For a proposal that is settled. */
  end(tenant: TenantId, id: ProposalId): void;
}

/** The conflict of a commit whose lease is another's; undefined where there is none. */
export function findLostLease(
  leases: LeaseRows,
  tenant: TenantId,
  guard: LeaseGuard,
): CommitConflict | undefined {
  const { proposalId: id, holder, epoch } = guard;
  const found = leases.find(tenant, id);
  const isLost =
    epoch === null
      ? isAnothers(found, holder, leases.now())
      : found?.epoch !== epoch || found.holder !== holder;
  return isLost ? { kind: 'leased', proposalId: id, epoch: found?.epoch ?? 0 } : undefined;
}

/**
 * Leaves a proposal as a commit with the guard does that found no conflict, save for `end`. Returns
 * the epoch.
 */
export function leaveLease(
  leases: LeaseRows,
  { tenant, id, state }: Proposal,
  guard: LeaseGuard,
): number {
  const epoch = guard.epoch ?? nextEpoch(leases.find(tenant, id));
  if (isTerminal(state)) return epoch;
  const holder = isLeased(state) ? guard.holder : null;
  leases.save(tenant, id, { epoch, holder, until: leases.now() + guard.forMs });
  return epoch;
}

export function nextEpoch(lease: Lease | undefined): number {
  return (lease?.epoch ?? 0) + 1;
}

function isAnothers(found: Lease | undefined, holder: string, now: number): boolean {
  if (found === undefined || found.holder === null || found.holder === holder) return false;
  return found.until > now;
}
