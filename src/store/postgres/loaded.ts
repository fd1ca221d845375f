import type { Baseline, BaselineSubject } from '../../model/baseline.ts';
import type { Freeze } from '../../model/freeze.ts';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import type { Proposal } from '../../model/proposal.ts';
import type { Line, Spending } from '../state/budgets.ts';
import type { Lease } from '../state/leases.ts';
import type { LogHead, Standing, TenantCredential } from '../state/tables.ts';

/** A budget's line as it is before the batch. */
export interface LoadedLine {
  readonly reserved: number;
  /** The sum and the time of its latest spending. */
  readonly lastSum: number;
  readonly lastAt: number;
}

export interface TenantFreeze {
  readonly tenant: TenantId;
  readonly freeze: Freeze;
}

export interface TenantHead {
  readonly tenant: TenantId;
  readonly head: LogHead;
}

/** Null: nobody holds it any more. */
export interface DerivedKey {
  readonly tenant: TenantId;
  readonly key: string;
  readonly proposal: ProposalId | null;
}

export interface SuppliedKey {
  readonly tenant: TenantId;
  readonly agent: string;
  readonly key: string;
  readonly proposal: ProposalId;
}

export interface TenantBaseline {
  readonly tenant: TenantId;
  readonly subject: BaselineSubject;
  readonly baseline: Baseline;
}

/** Null: its proposal is settled. */
export interface ProposalLease {
  readonly tenant: TenantId;
  readonly id: ProposalId;
  readonly lease: Lease | null;
}

/** Null: it does not wait any more. */
export interface Deadline {
  readonly tenant: TenantId;
  readonly id: ProposalId;
  readonly dueAt: number | null;
}

/** What a proposal has reserved. */
export interface Holding {
  readonly tenant: TenantId;
  readonly id: ProposalId;
  readonly held: readonly { readonly line: Line; readonly amount: number }[];
}

/** What a batch found, by names that are made by the functions below. */
export interface Loaded {
  readonly heads: Map<string, TenantHead>;
  /** How many entries acts have, by `placeName`; one that is not here has none. */
  readonly steps: Map<string, number>;
  /** Leaf hashes of latest entries, by `hashName`. */
  readonly hashes: Map<string, string>;
  readonly proposals: Map<string, Proposal>;
  /** Of the holders of keys. */
  readonly standings: Map<string, Standing>;
  readonly derived: Map<string, DerivedKey>;
  readonly supplied: Map<string, SuppliedKey>;
  readonly held: Map<string, Holding>;
  /** By `lineName`. */
  readonly lines: Map<string, LoadedLine>;
  /** First spendings after a time, by `firstName`; null where there is none. */
  readonly firsts: Map<string, Spending | null>;
  /** By `listName` of tenant, agent, target and operation. */
  readonly baselines: Map<string, TenantBaseline>;
  readonly freezes: Map<string, TenantFreeze>;
  readonly credentials: Map<string, TenantCredential>;
  readonly leases: Map<string, ProposalLease>;
  /** The server's clock, in ms; 0 where no lease is asked for. */
  now: number;
}

export function nothingLoaded(): Loaded {
  return {
    heads: new Map(),
    steps: new Map(),
    hashes: new Map(),
    proposals: new Map(),
    standings: new Map(),
    derived: new Map(),
    supplied: new Map(),
    held: new Map(),
    lines: new Map(),
    firsts: new Map(),
    baselines: new Map(),
    freezes: new Map(),
    credentials: new Map(),
    leases: new Map(),
    now: 0,
  };
}

/** Of an act, proposal or key within a tenant; a tenant's name has no slash. */
export function placeName(tenant: TenantId, name: string): string {
  return `${tenant}/${name}`;
}

export function hashName(tenant: TenantId, act: string, type: string): string {
  return `${tenant}/${act}/${type}`;
}

export function listName(...parts: readonly string[]): string {
  return JSON.stringify(parts);
}

export function lineName(tenant: TenantId, line: Line): string {
  return listName(tenant, line.budget, line.scope, line.measure, line.window);
}

export function firstName(line: string, since: number): string {
  return `${line}@${since}`;
}
