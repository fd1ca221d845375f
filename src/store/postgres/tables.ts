/** The columns of each table, and of what they are made. */
import { countedWrites } from '../../model/baseline-fact.ts';
import type { Payload } from '../../model/entry.ts';
import type { TenantId } from '../../model/ids.ts';
import type { Proposal } from '../../model/proposal.ts';
import type { Line, Spending } from '../state/budgets.ts';
import type { Lease } from '../state/leases.ts';
import type { TenantCredential } from '../state/tables.ts';
import type {
  Deadline,
  DerivedKey,
  ProposalLease,
  SuppliedKey,
  TenantBaseline,
  TenantFreeze,
} from './loaded.ts';
import type { StagedEntry, StagedPart } from './stage.ts';
import { bigint, bytea, jsonb, text, type Table } from './table.ts';

export const ENTRIES: Table<StagedEntry> = {
  name: 'entries',
  columns: [
    text('tenant', ({ tenant }) => tenant),
    bigint('entry_index', ({ entry }) => entry.index),
    text('act', ({ position }) => position.act),
    bigint('step', ({ position }) => position.step),
    text('type', ({ type }) => type),
    bigint('at', ({ position }) => position.at),
    bytea('leaf', ({ entry }) => entry.leaf),
    bytea('leaf_hash', ({ entry }) => Buffer.from(entry.leafHash, 'hex')),
  ],
};

export interface PayloadRow {
  readonly tenant: TenantId;
  readonly index: number;
  readonly position: number;
  readonly payload: Payload;
}

export const PAYLOADS: Table<PayloadRow> = {
  name: 'payloads',
  columns: [
    text('tenant', ({ tenant }) => tenant),
    bigint('entry_index', ({ index }) => index),
    bigint('position', ({ position }) => position),
    text('label', ({ payload }) => payload.label),
    bytea('nonce', ({ payload }) => payload.nonce),
    text('commitment', ({ payload }) => payload.commitment),
    text('value', ({ payload }) => payload.text ?? JSON.stringify(payload.value)),
  ],
};

export interface ProposalRow {
  readonly proposal: Proposal;
  /** JSON of the record, without effects. */
  readonly record: string;
}

export const PROPOSALS: Table<ProposalRow> = {
  name: 'proposals',
  columns: [
    text('tenant', ({ proposal }) => proposal.tenant),
    text('id', ({ proposal }) => proposal.id),
    text('state', ({ proposal }) => proposal.state),
    bigint('step', ({ proposal }) => proposal.step),
    bigint('settled_at', ({ proposal }) => proposal.settledAt),
    text('agent', ({ proposal: { proposer } }) =>
      proposer.kind === 'agent' ? proposer.name : null,
    ),
    text('run', ({ proposal }) => proposal.draft.run ?? null),
    jsonb('subjects', ({ proposal }) => JSON.stringify(subjectsOf(proposal))),
    text('record', ({ record }) => record),
  ],
  // The others never change.
  replaces: { by: ['tenant', 'id'], set: ['state', 'step', 'settled_at', 'record'] },
};

/** Target and operation of each baseline that it counts towards. */
function subjectsOf(proposal: Proposal): readonly (readonly [string, string])[] {
  const subjects = countedWrites(proposal).map(({ subject }) => subject);
  const byName = new Map(
    subjects.map(({ target, operation }) => [
      JSON.stringify([target, operation]),
      [target, operation] as const,
    ]),
  );
  return [...byName.values()];
}

export const EFFECTS: Table<StagedPart> = {
  name: 'effects',
  columns: [
    text('tenant', ({ tenant }) => tenant),
    text('proposal', ({ id }) => id),
    text('part', ({ part }) => part),
    text('effects', ({ effects }) => JSON.stringify(effects)),
  ],
  replaces: { by: ['tenant', 'proposal', 'part'], set: ['effects'] },
};

export const DERIVED_KEYS: Table<DerivedKey> = {
  name: 'derived_keys',
  columns: [
    text('tenant', ({ tenant }) => tenant),
    text('key', ({ key }) => key),
    text('proposal', ({ proposal }) => proposal),
  ],
  replaces: { by: ['tenant', 'key'], set: ['proposal'] },
};

/** Without a word on those that are there: a supplied key is taken once, for good. */
export const SUPPLIED_KEYS: Table<SuppliedKey> = {
  name: 'supplied_keys',
  columns: [
    text('tenant', ({ tenant }) => tenant),
    text('agent', ({ agent }) => agent),
    text('key', ({ key }) => key),
    text('proposal', ({ proposal }) => proposal),
  ],
};

export interface SpendingRow {
  readonly tenant: TenantId;
  readonly line: Line;
  readonly spending: Spending;
}

export const SPENDINGS: Table<SpendingRow> = {
  name: 'spendings',
  columns: [
    text('tenant', ({ tenant }) => tenant),
    text('budget', ({ line }) => line.budget),
    text('scope', ({ line }) => line.scope),
    text('measure', ({ line }) => line.measure),
    text('window', ({ line }) => line.window),
    bigint('settled_at', ({ spending }) => spending.settledAt),
    bigint('amount', ({ spending }) => spending.amount),
    bigint('sum', ({ spending }) => spending.sum),
  ],
};

export const BASELINES: Table<TenantBaseline> = {
  name: 'baselines',
  columns: [
    text('tenant', ({ tenant }) => tenant),
    text('agent', ({ subject }) => subject.agent),
    text('target', ({ subject }) => subject.target),
    text('operation', ({ subject }) => subject.operation),
    text('record', ({ baseline }) => JSON.stringify(baseline)),
  ],
  replaces: { by: ['tenant', 'agent', 'target', 'operation'], set: ['record'] },
};

export const FREEZES: Table<TenantFreeze> = {
  name: 'freezes',
  columns: [
    text('tenant', ({ tenant }) => tenant),
    text('id', ({ freeze }) => freeze.id),
    text('scope', ({ freeze }) => freeze.scope.kind),
    bigint('released_at', ({ freeze }) => freeze.releasedAt),
    text('record', ({ freeze }) => JSON.stringify(freeze)),
  ],
  replaces: { by: ['tenant', 'id'], set: ['released_at', 'record'] },
};

/** Of new ones, whose ids no tenant has: the primary key holds that. */
export const CREDENTIALS: Table<TenantCredential> = {
  name: 'credentials',
  columns: [
    text('id', ({ credential }) => credential.id),
    text('tenant', ({ tenant }) => tenant),
    text('record', ({ credential }) => JSON.stringify(credential)),
  ],
};

export const DEADLINES: Table<Deadline> = {
  name: 'deadlines',
  columns: [
    text('tenant', ({ tenant }) => tenant),
    text('proposal', ({ id }) => id),
    bigint('due_at', ({ dueAt }) => dueAt),
  ],
  replaces: { by: ['tenant', 'proposal'], set: ['due_at'] },
};

export type LeaseRow = ProposalLease & { readonly lease: Lease };

export const LEASES: Table<LeaseRow> = {
  name: 'leases',
  columns: [
    text('tenant', ({ tenant }) => tenant),
    text('proposal', ({ id }) => id),
    bigint('epoch', ({ lease }) => lease.epoch),
    text('holder', ({ lease }) => lease.holder),
    bigint('until', ({ lease }) => lease.until),
  ],
  replaces: { by: ['tenant', 'proposal'], set: ['epoch', 'holder', 'until'] },
};
