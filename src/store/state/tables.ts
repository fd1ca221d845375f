/**
 * What a change is held against and written to, whichever store holds it. Everything here answers
 * at once: within a transaction that is open, or from what was loaded in one.
 */
import type { Baseline, BaselineSubject } from '../../model/baseline.ts';
import type { EntryBody, EntryPosition, SealedEntry } from '../../model/entry.ts';
import type { Freeze } from '../../model/freeze.ts';
import type { CredentialId, ProposalId, TenantId } from '../../model/ids.ts';
import type { KeyClaim, TreeState } from '../../model/ports.ts';
import type { Credential } from '../../model/principal.ts';
import type { Proposal } from '../../model/proposal.ts';
import type { Budgets } from './budgets.ts';
import type { LeaseRows } from './leases.ts';

export interface Tables {
  readonly log: LogRows;
  readonly proposals: ProposalRows;
  readonly deadlines: DeadlineRows;
  readonly keys: KeyRows;
  readonly budgets: Budgets;
  readonly baselines: BaselineRows;
  readonly freezes: FreezeRows;
  readonly credentials: CredentialRows;
  readonly leases: LeaseRows;
}

/** A tenant's log before a commit: its tree, and the latest time that a commit carried. */
export interface LogHead {
  readonly tree: TreeState;
  readonly latestAt: number;
}

export const EMPTY_LOG: LogHead = { tree: { size: 0, range: [] }, latestAt: 0 };

export interface LogRows {
  head(tenant: TenantId): LogHead;
  /** The last step of a change: it is not taken back with the change alone. */
  setHead(tenant: TenantId, head: LogHead): void;
  /** How many entries the act has. */
  step(tenant: TenantId, act: string): number;
  /** Leaf hash of the act's latest entry, of one type where `type` is given; empty without one. */
  latestLeafHash(tenant: TenantId, act: string, type?: EntryBody['type']): string;
  add(
    tenant: TenantId,
    type: EntryBody['type'],
    position: Pick<EntryPosition, 'act' | 'step' | 'at'>,
    entry: SealedEntry,
  ): void;
}

/** How far a proposal is, for the question whether it holds a key. */
export type Standing = Pick<Proposal, 'id' | 'state' | 'settledAt'>;

/** Proposals as their entries fold to (G5). */
export interface ProposalRows {
  find(tenant: TenantId, id: ProposalId): Proposal | undefined;
  standing(tenant: TenantId, id: ProposalId): Standing | undefined;
  /** Writes the fold of a proposal's entries; `before` is what was stored, `undefined` for none. */
  save(proposal: Proposal, before: Proposal | undefined): void;
}

/** When waiting proposals are next looked at. */
export interface DeadlineRows {
  set(tenant: TenantId, id: ProposalId, dueAt: number): void;
  drop(tenant: TenantId, id: ProposalId): void;
}

/** Who holds the keys that make a repeated write a no-op. Which holder counts is not decided here. */
export interface KeyRows {
  /** The proposal that took the derived key last, whatever became of it. */
  derived(tenant: TenantId, key: string): ProposalId | undefined;
  supplied(tenant: TenantId, supplied: NonNullable<KeyClaim['supplied']>): ProposalId | undefined;
  take(tenant: TenantId, claim: KeyClaim): void;
}

/** What is usual for agents, as the entries of their proposals fold to (G5). */
export interface BaselineRows {
  find(tenant: TenantId, subject: BaselineSubject): Baseline | undefined;
  save(tenant: TenantId, subject: BaselineSubject, baseline: Baseline): void;
}

/** Freezes as their `freeze` and `release` entries fold to. */
export interface FreezeRows {
  add(tenant: TenantId, freeze: Freeze): void;
  find(tenant: TenantId, id: string): Freeze | undefined;
  save(tenant: TenantId, freeze: Freeze): void;
  /** Every freeze that is on for the tenant; oldest first. */
  inForce(tenant: TenantId): readonly Freeze[];
}

/** A credential and the tenant that it belongs to; its id is unique over all tenants. */
export interface TenantCredential {
  readonly tenant: TenantId;
  readonly credential: Credential;
}

/** Credentials as their `credential` entries fold to. */
export interface CredentialRows {
  add(tenant: TenantId, credential: Credential): void;
  find(id: CredentialId): TenantCredential | undefined;
  save(tenant: TenantId, credential: Credential): void;
}
