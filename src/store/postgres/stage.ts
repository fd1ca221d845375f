/**
 * A batch in memory: what it found, and over that what it does. The changes are carried out on it by
 * the code that every store shares; what comes of them is then written in a few statements.
 */
import { strict as assert } from 'node:assert';
import type { Baseline, BaselineSubject } from '../../model/baseline.ts';
import type { EntryBody, EntryPosition, SealedEntry } from '../../model/entry.ts';
import type { Freeze } from '../../model/freeze.ts';
import type { CredentialId, ProposalId, TenantId } from '../../model/ids.ts';
import type { KeyClaim } from '../../model/ports.ts';
import type { Credential } from '../../model/principal.ts';
import type { Proposal } from '../../model/proposal.ts';
import { Budgets } from '../state/budgets.ts';
import type { Lease, LeaseRows } from '../state/leases.ts';
import { EFFECT_SIDES, nestedEffects } from '../state/nested-effects.ts';
import { anothers } from '../state/records.ts';
import type {
  BaselineRows,
  CredentialRows,
  DeadlineRows,
  FreezeRows,
  KeyRows,
  LogHead,
  LogRows,
  ProposalRows,
  Standing,
  Tables,
  TenantCredential,
} from '../state/tables.ts';
import {
  hashName,
  listName,
  placeName,
  type Deadline,
  type DerivedKey,
  type Loaded,
  type ProposalLease,
  type SuppliedKey,
  type TenantBaseline,
  type TenantFreeze,
  type TenantHead,
} from './loaded.ts';
import { StagedBudgets } from './staged-budgets.ts';
import { Journal, StagedList, StagedMap } from './staged.ts';

export class Stage implements Tables {
  readonly loaded: Loaded;
  readonly journal: Journal = new Journal();
  readonly log: StagedLog;
  readonly proposals: StagedProposals;
  readonly keys: StagedKeys;
  readonly budgets: Budgets;
  readonly budgetRows: StagedBudgets;
  readonly baselines: StagedBaselines;
  readonly freezes: StagedFreezes;
  readonly credentials: StagedCredentials;
  readonly leases: StagedLeases;
  readonly deadlines: StagedDeadlines;

  constructor(loaded: Loaded) {
    const { journal } = this;
    this.loaded = loaded;
    this.log = new StagedLog(journal, loaded);
    this.proposals = new StagedProposals(journal, loaded);
    this.keys = new StagedKeys(journal, loaded);
    this.budgetRows = new StagedBudgets(journal, loaded);
    this.budgets = new Budgets(this.budgetRows);
    this.baselines = new StagedBaselines(journal, loaded);
    this.freezes = new StagedFreezes(journal, loaded);
    this.credentials = new StagedCredentials(journal, loaded);
    this.leases = new StagedLeases(journal, loaded);
    this.deadlines = new StagedDeadlines(journal);
  }
}

export interface StagedEntry {
  readonly tenant: TenantId;
  readonly type: EntryBody['type'];
  readonly position: Pick<EntryPosition, 'act' | 'step' | 'at'>;
  readonly entry: SealedEntry;
}

class StagedLog implements LogRows {
  readonly heads: StagedMap<TenantHead>;
  readonly entries: StagedList<StagedEntry>;
  readonly #steps: StagedMap<number>;
  readonly #hashes: StagedMap<string>;

  constructor(journal: Journal, loaded: Loaded) {
    this.heads = new StagedMap(journal, loaded.heads);
    this.entries = new StagedList(journal);
    this.#steps = new StagedMap(journal, loaded.steps);
    this.#hashes = new StagedMap(journal, loaded.hashes);
  }

  head(tenant: TenantId): LogHead {
    const found = this.heads.get(tenant);
    assert(found !== undefined, 'the tenant is locked');
    return found.head;
  }

  setHead(tenant: TenantId, head: LogHead): void {
    this.heads.set(tenant, { tenant, head });
  }

  step(tenant: TenantId, act: string): number {
    return this.#steps.get(placeName(tenant, act)) ?? 0;
  }

  latestLeafHash(tenant: TenantId, act: string, type?: EntryBody['type']): string {
    return this.#hashes.get(hashName(tenant, act, type ?? '')) ?? '';
  }

  add(
    tenant: TenantId,
    type: EntryBody['type'],
    position: Pick<EntryPosition, 'act' | 'step' | 'at'>,
    entry: SealedEntry,
  ): void {
    const { act, step } = position;
    this.entries.push({ tenant, type, position, entry });
    this.#steps.set(placeName(tenant, act), step);
    for (const each of ['', type]) this.#hashes.set(hashName(tenant, act, each), entry.leafHash);
  }
}

/** A row of `effects`. */
export interface StagedPart {
  readonly tenant: TenantId;
  readonly id: ProposalId;
  readonly part: string;
  readonly effects: unknown;
}

class StagedProposals implements ProposalRows {
  readonly rows: StagedMap<Proposal>;
  readonly parts: StagedMap<StagedPart>;
  readonly #standings: ReadonlyMap<string, Standing>;

  constructor(journal: Journal, loaded: Loaded) {
    this.rows = new StagedMap(journal, loaded.proposals);
    this.parts = new StagedMap(journal);
    this.#standings = loaded.standings;
  }

  find(tenant: TenantId, id: ProposalId): Proposal | undefined {
    return this.rows.get(placeName(tenant, id));
  }

  standing(tenant: TenantId, id: ProposalId): Standing | undefined {
    return this.find(tenant, id) ?? this.#standings.get(placeName(tenant, id));
  }

  save(proposal: Proposal, before: Proposal | undefined): void {
    const { tenant, id, assessment, outcome } = proposal;
    const name = placeName(tenant, id);
    this.rows.set(name, proposal);
    for (const side of EFFECT_SIDES) {
      const isNew =
        side === 'plan' ? assessment !== before?.assessment : outcome !== before?.outcome;
      if (!isNew) continue;
      const effects = side === 'plan' ? assessment?.plan.effects : outcome?.effects;
      const put = (part: string, value: unknown): void =>
        this.parts.set(`${name}/${part}`, { tenant, id, part, effects: value });
      if (effects) put(side, effects);
      const lists = nestedEffects(proposal, side);
      if (lists.length > 0) put(`${side}-parts`, lists);
    }
  }
}

class StagedKeys implements KeyRows {
  readonly holders: StagedMap<DerivedKey>;
  readonly taken: StagedMap<SuppliedKey>;

  constructor(journal: Journal, loaded: Loaded) {
    this.holders = new StagedMap(journal, loaded.derived);
    this.taken = new StagedMap(journal, loaded.supplied);
  }

  derived(tenant: TenantId, key: string): ProposalId | undefined {
    return this.holders.get(placeName(tenant, key))?.proposal ?? undefined;
  }

  supplied(
    tenant: TenantId,
    { agent, key }: NonNullable<KeyClaim['supplied']>,
  ): ProposalId | undefined {
    return this.taken.get(listName(tenant, agent, key))?.proposal;
  }

  take(tenant: TenantId, { proposalId, keys, dropped = [], supplied }: KeyClaim): void {
    for (const key of dropped) {
      const isOwn = this.derived(tenant, key) === proposalId;
      if (isOwn) this.holders.set(placeName(tenant, key), { tenant, key, proposal: null });
    }
    for (const key of keys) {
      this.holders.set(placeName(tenant, key), { tenant, key, proposal: proposalId });
    }
    if (supplied === null) return;
    const { agent, key } = supplied;
    const name = listName(tenant, agent, key);
    assert(this.taken.get(name) === undefined, 'a supplied key is taken once, for good');
    this.taken.set(name, { tenant, agent, key, proposal: proposalId });
  }
}

class StagedBaselines implements BaselineRows {
  readonly rows: StagedMap<TenantBaseline>;

  constructor(journal: Journal, loaded: Loaded) {
    this.rows = new StagedMap(journal, loaded.baselines);
  }

  find(tenant: TenantId, { agent, target, operation }: BaselineSubject): Baseline | undefined {
    return this.rows.get(listName(tenant, agent, target, operation))?.baseline;
  }

  save(tenant: TenantId, subject: BaselineSubject, baseline: Baseline): void {
    const { agent, target, operation } = subject;
    const row = { tenant, subject: { agent, target, operation }, baseline };
    this.rows.set(listName(tenant, agent, target, operation), row);
  }
}

class StagedFreezes implements FreezeRows {
  readonly rows: StagedMap<TenantFreeze>;

  constructor(journal: Journal, loaded: Loaded) {
    this.rows = new StagedMap(journal, loaded.freezes);
  }

  add(tenant: TenantId, freeze: Freeze): void {
    this.save(tenant, freeze);
  }

  find(tenant: TenantId, id: string): Freeze | undefined {
    return this.rows.get(placeName(tenant, id))?.freeze;
  }

  save(tenant: TenantId, freeze: Freeze): void {
    this.rows.set(placeName(tenant, freeze.id), { tenant, freeze });
  }

  inForce(tenant: TenantId): readonly Freeze[] {
    return [...this.rows.values()]
      .filter(({ freeze }) => freeze.releasedAt === null)
      .filter((each) => each.tenant === tenant || each.freeze.scope.kind === 'all')
      .map(({ tenant: owner, freeze }) => (owner === tenant ? freeze : anothers(freeze)))
      .toSorted((left, right) => (left.id < right.id ? -1 : 1));
  }
}

class StagedCredentials implements CredentialRows {
  readonly rows: StagedMap<TenantCredential>;

  constructor(journal: Journal, loaded: Loaded) {
    this.rows = new StagedMap(journal, loaded.credentials);
  }

  add(tenant: TenantId, credential: Credential): void {
    assert(this.find(credential.id) === undefined, 'a credential is added once');
    this.save(tenant, credential);
  }

  find(id: CredentialId): TenantCredential | undefined {
    return this.rows.get(id);
  }

  save(tenant: TenantId, credential: Credential): void {
    this.rows.set(credential.id, { tenant, credential });
  }
}

class StagedLeases implements LeaseRows {
  readonly rows: StagedMap<ProposalLease>;
  readonly #loaded: Loaded;

  constructor(journal: Journal, loaded: Loaded) {
    this.rows = new StagedMap(journal, loaded.leases);
    this.#loaded = loaded;
  }

  now(): number {
    assert(this.#loaded.now > 0, 'the clock was read');
    return this.#loaded.now;
  }

  find(tenant: TenantId, id: ProposalId): Lease | undefined {
    return this.rows.get(placeName(tenant, id))?.lease ?? undefined;
  }

  save(tenant: TenantId, id: ProposalId, lease: Lease): void {
    this.rows.set(placeName(tenant, id), { tenant, id, lease });
  }

  end(tenant: TenantId, id: ProposalId): void {
    if (this.find(tenant, id) === undefined) return;
    this.rows.set(placeName(tenant, id), { tenant, id, lease: null });
  }
}

/** Set and dropped unseen: they follow from the proposal. */
class StagedDeadlines implements DeadlineRows {
  readonly rows: StagedMap<Deadline>;

  constructor(journal: Journal) {
    this.rows = new StagedMap(journal);
  }

  set(tenant: TenantId, id: ProposalId, dueAt: number): void {
    this.rows.set(placeName(tenant, id), { tenant, id, dueAt });
  }

  drop(tenant: TenantId, id: ProposalId): void {
    this.rows.set(placeName(tenant, id), { tenant, id, dueAt: null });
  }
}
