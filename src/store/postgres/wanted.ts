/** What has to be known before a batch of changes can be carried out. */
import { countedWrites } from '../../model/baseline-fact.ts';
import type { BaselineSubject } from '../../model/baseline.ts';
import { BUDGET_WINDOWS_MS } from '../../model/budget.ts';
import { LOG_ACT, type EntryBody } from '../../model/entry.ts';
import { proposalId, type CredentialId, type ProposalId, type TenantId } from '../../model/ids.ts';
import type { ActChange, Change, Sequencer } from '../../model/ports.ts';
import { begin } from '../../model/proposal.ts';
import { nameOf, type Line } from '../state/budgets.ts';
import { hashName, lineName, listName, placeName } from './loaded.ts';

/** A budget's line within a tenant. */
export interface TenantLine {
  readonly tenant: TenantId;
  readonly line: Line;
  readonly windowMs: number;
}

/** Each list without doubles. */
export interface Wanted {
  /** In their order, in which they are locked. */
  readonly tenants: readonly TenantId[];
  /** Latest entries of acts, of one type where it is not empty. */
  readonly entries: readonly {
    readonly tenant: TenantId;
    readonly act: string;
    readonly type: EntryBody['type'] | '';
  }[];
  /** Those that are there already. */
  readonly proposals: readonly { readonly tenant: TenantId; readonly id: ProposalId }[];
  /** Whose baselines, beside those that `proposals` count towards. */
  readonly subjects: readonly (BaselineSubject & { readonly tenant: TenantId })[];
  readonly derived: readonly { readonly tenant: TenantId; readonly key: string }[];
  readonly supplied: readonly {
    readonly tenant: TenantId;
    readonly agent: string;
    readonly key: string;
  }[];
  /** Whose reservations. */
  readonly holders: readonly { readonly tenant: TenantId; readonly id: ProposalId }[];
  readonly lines: readonly TenantLine[];
  /** When each change is: windows end at one of these. */
  readonly times: readonly { readonly tenant: TenantId; readonly at: number }[];
  /** Whose freezes that are on. */
  readonly guarded: readonly TenantId[];
  readonly freezes: readonly { readonly tenant: TenantId; readonly id: string }[];
  readonly credentials: readonly CredentialId[];
  readonly leases: readonly { readonly tenant: TenantId; readonly id: ProposalId }[];
  /** Whether a change stops every tenant. */
  readonly stopsAll: boolean;
}

export function wantedBy(changes: readonly Change[], sequencer: Sequencer): Wanted {
  const wanted = new Wants();
  for (const change of changes) {
    const { tenant, at } = change;
    wanted.tenants.add(tenant);
    wanted.times.add(`${tenant}/${at}`, { tenant, at });
    for (const act of change.acts) wantAct(wanted, change, act, sequencer);
    wantGuards(wanted, change);
    wantBudgets(wanted, change);
  }
  return wanted.all();
}

/** Items by name, each once. */
class Named<Item> {
  readonly #items = new Map<string, Item>();

  add(name: string, item: Item): void {
    this.#items.set(name, item);
  }

  get items(): readonly Item[] {
    return [...this.#items.values()];
  }
}

class Wants {
  readonly tenants = new Set<TenantId>();
  readonly entries = new Named<Wanted['entries'][number]>();
  readonly proposals = new Named<Wanted['proposals'][number]>();
  readonly subjects = new Named<Wanted['subjects'][number]>();
  readonly derived = new Named<Wanted['derived'][number]>();
  readonly supplied = new Named<Wanted['supplied'][number]>();
  readonly holders = new Named<Wanted['holders'][number]>();
  readonly lines = new Named<TenantLine>();
  readonly times = new Named<Wanted['times'][number]>();
  readonly guarded = new Set<TenantId>();
  readonly freezes = new Named<Wanted['freezes'][number]>();
  readonly credentials = new Set<CredentialId>();
  readonly leases = new Named<Wanted['leases'][number]>();
  stopsAll = false;

  entry(tenant: TenantId, act: string, type: EntryBody['type'] | ''): void {
    this.entries.add(hashName(tenant, act, type), { tenant, act, type });
  }

  subject(tenant: TenantId, { agent, target, operation }: BaselineSubject): void {
    const name = listName(tenant, agent, target, operation);
    this.subjects.add(name, { tenant, agent, target, operation });
  }

  all(): Wanted {
    return {
      tenants: [...this.tenants].toSorted(),
      entries: this.entries.items,
      proposals: this.proposals.items,
      subjects: this.subjects.items,
      derived: this.derived.items,
      supplied: this.supplied.items,
      holders: this.holders.items,
      lines: this.lines.items,
      times: this.times.items,
      guarded: [...this.guarded],
      freezes: this.freezes.items,
      credentials: [...this.credentials],
      leases: this.leases.items,
      stopsAll: this.stopsAll,
    };
  }
}

function wantAct(wanted: Wants, change: Change, act: ActChange, sequencer: Sequencer): void {
  const { tenant } = change;
  wanted.entry(tenant, act.act, '');
  const id = proposalId(act.act);
  if (act.expectStep > 0) {
    for (const { type } of act.entries) {
      const bound = sequencer.bindsTo(type);
      if (bound !== null) wanted.entry(tenant, act.act, bound);
    }
    if (id !== undefined) {
      wanted.proposals.add(placeName(tenant, id), { tenant, id });
      wanted.leases.add(placeName(tenant, id), { tenant, id });
    }
  }
  for (const body of act.entries) wantBody(wanted, change, id, body);
}

function wantBody(
  wanted: Wants,
  { tenant, at }: Change,
  id: ProposalId | undefined,
  body: EntryBody,
): void {
  switch (body.type) {
    case 'proposal': {
      if (id === undefined) return;
      const begun = begin(body, { act: id, tenant, at, index: 0 });
      for (const { subject } of countedWrites(begun)) wanted.subject(tenant, subject);
      return;
    }
    case 'freeze':
      wanted.stopsAll ||= body.freeze.scope.kind === 'all';
      return;
    case 'release':
      wanted.freezes.add(placeName(tenant, body.freezeId), { tenant, id: body.freezeId });
      return;
    case 'credential':
      wanted.credentials.add(body.credential.id);
      return;
    case 'genesis':
    case 'policy':
    case 'preview':
    case 'decision':
    case 'approval':
    case 'intent':
    case 'outcome':
    case 'rollback':
  }
}

function wantGuards(wanted: Wants, { tenant, guard }: Change): void {
  if (guard === undefined) return;
  if (guard.logStep !== undefined) wanted.entry(tenant, LOG_ACT, '');
  if (guard.notFrozen !== undefined) wanted.guarded.add(tenant);
  for (const pace of guard.paces ?? []) wanted.subject(tenant, pace);
  if (guard.lease !== undefined) {
    const id = guard.lease.proposalId;
    wanted.leases.add(placeName(tenant, id), { tenant, id });
  }
  if (guard.keys === undefined) return;
  const { keys, dropped = [], supplied } = guard.keys;
  for (const key of [...keys, ...dropped])
    wanted.derived.add(placeName(tenant, key), { tenant, key });
  if (supplied === null) return;
  const { agent, key } = supplied;
  wanted.supplied.add(listName(tenant, agent, key), { tenant, agent, key });
}

function wantBudgets(wanted: Wants, { tenant, reserve, settle, release }: Change): void {
  const holders = [reserve?.proposalId, settle, release].filter((id) => id !== undefined);
  for (const id of holders) wanted.holders.add(placeName(tenant, id), { tenant, id });
  for (const line of reserve?.lines ?? []) {
    for (const windowMs of [line.windowMs, BUDGET_WINDOWS_MS[line.window]]) {
      const wantedLine = { tenant, line: nameOf(line), windowMs };
      wanted.lines.add(`${lineName(tenant, line)}${windowMs}`, wantedLine);
    }
  }
}
