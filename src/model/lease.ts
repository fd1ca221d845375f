/**
 * Leases: which gateway process carries on with a proposal. They say who works, not what happened:
 * they are no entries, and to lose them all loses time and nothing else.
 */
import type { ProposalId, TenantId } from './ids.ts';
import type { State } from './lifecycle.ts';

/** How long a lease holds unless it is renewed, in ms of the store's own clock. */
export const LEASE_MS = 15_000;

/** The states in which a proposal is somebody's to carry on with. */
export const LEASED_STATES: readonly State[] = ['executing', 'in_doubt', 'stale'];

/** Reports whether a proposal in this state is somebody's to carry on with. */
export function isLeased(state: State): boolean {
  return LEASED_STATES.includes(state);
}

/** Whose a proposal is, as a commit that concerns it must find it, and is to leave it. */
export interface LeaseGuard {
  /** One that the commit changes. */
  readonly proposalId: ProposalId;
  /** One run of one gateway, `gateway/run`. */
  readonly holder: string;
  /** The epoch at which the caller took it; null takes it anew, at the next. */
  readonly epoch: number | null;
  /** How long it is held from the commit on. */
  readonly forMs: number;
}

/** Where a proposal is. */
export interface ProposalPlace {
  readonly tenant: TenantId;
  readonly id: ProposalId;
}

/** What a gateway with its hands free asks for. */
export interface LeaseClaim {
  readonly holder: string;
  readonly states: readonly State[];
  readonly forMs: number;
  readonly limit: number;
  /** Only those behind this one, by id, then tenant. */
  readonly after?: ProposalPlace;
}

/** A proposal that was claimed, and the epoch at which it is held. */
export interface Claimed extends ProposalPlace {
  readonly epoch: number;
}
