/** Looks after each step whether all is as it must be. */
import { isDeepStrictEqual } from 'node:util';
import { openEntry } from '../../../src/ledger/entry.ts';
import { leafHash } from '../../../src/ledger/tree.ts';
import { createSequencer } from '../../../src/ledger/sequencer.ts';
import { hexOf } from '../../../src/lib/bytes.ts';
import { proposalId } from '../../../src/model/ids.ts';
import type { State } from '../../../src/model/lifecycle.ts';
import type { Claimed, LeaseClaim, ProposalPlace } from '../../../src/model/lease.ts';
import type { Change, Commit, Store, TreeState } from '../../../src/model/ports.ts';
import { begin, fold, type Proposal } from '../../../src/model/proposal.ts';
import type { Coverage } from '../coverage.ts';
import { TENANT } from '../principals.ts';
import type { StoreWatch } from '../ports.ts';
import type { Caller, Scheduler } from '../scheduler.ts';
import type { System } from '../system.ts';
import { Hearsay } from '../testimony.ts';
import { attemptOf, ENDED, keysOf, type Act } from './act.ts';
import { opened } from './bodies.ts';
import { LeaseWatch } from './lease-watch.ts';
import { Model } from './model.ts';
import { hold, INVARIANTS, Violation } from './violation.ts';

const ENTRIES_READ_MAX = 100;
const USES_READ_MAX = 1_000;

export interface AuditParts {
  readonly systems: readonly System[];
  readonly store: () => Store;
  readonly coverage: Coverage;
  readonly now: () => number;
}

export class Audit implements StoreWatch {
  readonly model: Model;
  readonly heard: Hearsay;
  readonly #parts: AuditParts;
  readonly #push = createSequencer({ gateway: { id: 'audit' } });
  readonly #seen = new Map<System, number>();
  readonly #last = new Map<string, string>();
  readonly #trees = new Map<number, TreeState>([[0, { size: 0, range: [] }]]);
  #tree: TreeState = { size: 0, range: [] };
  readonly #leases: LeaseWatch;
  readonly #answers: { readonly id: string; readonly end: State }[] = [];
  #bug: Violation | null = null;

  constructor(parts: AuditParts) {
    this.#parts = parts;
    this.#leases = new LeaseWatch(parts.now, parts.coverage);
    this.heard = new Hearsay(() => this.model.acts);
    this.model = new Model(this.heard, parts.coverage);
  }

  get size(): number {
    return this.#tree.size;
  }

  get root(): string {
    return this.#tree.range.join();
  }

  /** The tree as it was seen at the end of a commit. */
  treeAt(size: number): TreeState | undefined {
    return this.#trees.get(size);
  }

  /** Keeps in view who was let take what; what was asked and answered is of the port's types. */
  carriedOut(caller: Caller, name: string, given: readonly unknown[], answer: unknown): void {
    const [first, second, third] = given;
    try {
      switch (name) {
        case 'commit':
          return this.#leases.committed(caller, first as Change, answer as Commit);
        case 'claim':
          return this.#leases.claimed(caller, first as LeaseClaim, answer as readonly Claimed[]);
        case 'renew':
          return this.#leases.renewed(caller, second as readonly ProposalPlace[], Number(third));
        case 'release':
          return this.#leases.released(caller, second as readonly ProposalPlace[]);
        case 'endLeases':
          return this.#leases.ended(String(first));
      }
    } catch (error) {
      this.bug(error, name);
    }
  }

  /** Something was thrown that nobody can do anything about. */
  bug(error: unknown, where: string): void {
    this.#bug ??= violationOf(error, where);
  }

  /** What a caller was told is what the ledger says. */
  answered(answer: unknown): string {
    if (typeof answer !== 'object' || answer === null || !('state' in answer)) return 'done';
    const { state } = answer;
    const id = 'proposalId' in answer ? String(answer.proposalId) : '';
    this.#parts.coverage.reach('result', String(state));
    // What has not ended may have gone on while the answer was under way.
    const end = ENDED.find((each) => each === state);
    if (end !== undefined) this.#answers.push({ id, end });
    return `${id} ${String(state)}`;
  }

  async check(): Promise<void> {
    await this.#readEntries();
    for (const system of this.#parts.systems) {
      const seen = this.#seen.get(system) ?? 0;
      for (const booked of system.book.slice(seen)) this.model.effects.add(booked, this.model.acts);
      this.#seen.set(system, system.book.length);
    }
    for (const { id, end } of this.#answers.splice(0)) {
      const state = this.model.acts.get(id)?.state;
      hold('G5', state === undefined || state === end, () => {
        return `${id} is ${String(state)}, and was said to be ${end}`;
      });
    }
    if (this.#bug !== null) throw this.#bug;
  }

  async #readEntries(): Promise<void> {
    const store = this.#parts.store();
    const tree = await store.tree(TENANT);
    if (tree.size === this.#tree.size) return;
    const changed = new Set<string>();
    let isBudgetMoved = false;
    while (this.#tree.size < tree.size) {
      const entries = await store.entries(TENANT, this.#tree.size, ENTRIES_READ_MAX);
      hold('ledger', entries.length > 0, () => 'the ledger has fewer entries than its tree');
      for (const entry of entries) {
        const { act, index, at, leaf } = entry;
        const { body, previous } = opened(entry);
        const isOwn = index === this.#tree.size && hexOf(leafHash(leaf)) === entry.leafHash;
        hold('ledger', isOwn && previous === (this.#last.get(act) ?? null), () => {
          return `entry ${index} is not the one that follows`;
        });
        this.#last.set(act, entry.leafHash);
        this.#tree = this.#push.push(this.#tree, entry.leafHash);
        this.model.read(act, body, at);
        changed.add(act);
        isBudgetMoved ||= body.type === 'intent' || body.type === 'outcome';
      }
    }
    this.#trees.set(tree.size, this.#tree);
    hold('ledger', tree.range.join() === this.root, () => 'the tree is not that of the entries');
    for (const id of changed) await this.#checkRow(id);
    if (isBudgetMoved) await this.#checkBudgets();
  }

  /** What the store counts is what the entries come to (G7). */
  async #checkBudgets(): Promise<void> {
    const at = this.model.latestAt;
    const uses = await this.#parts.store().budgetUses(TENANT, at, USES_READ_MAX);
    const told = uses.map(({ budget, scope, measure, window, inFlight, spent }) => {
      return `${budget} ${scope} ${measure} ${window}: ${inFlight} ${spent}`;
    });
    const counted = this.model.budgets.inUse(at);
    hold('G7', told.toSorted().join() === counted.join(), () => {
      return `the store has ${told.join()} in use, by the entries it is ${counted.join()}`;
    });
  }

  /** The record in the store is what the entries come to (G5). */
  async #checkRow(name: string): Promise<void> {
    const act = this.model.acts.get(name);
    const id = proposalId(name);
    if (act === undefined || id === undefined) return;
    const row = await this.#parts.store().proposal(TENANT, id);
    const told = [
      [row?.state, act.state],
      [row?.step, act.step],
      [row?.attempt, attemptOf(act)],
      [row?.assessment?.planDigest ?? null, act.digest],
      [row?.compensatedBy, act.compensatedBy],
      [row?.expiresAt, act.expiresAt],
      [row?.waitingSince, act.waitingSince],
      [row?.settledAt, act.settledAt],
      [row?.approvals.length, act.approvals.length],
      [row?.outcome?.code ?? null, act.outcome?.code ?? null],
    ];
    const wrong = told.find(([left, right]) => left !== right);
    hold(
      'G5',
      wrong === undefined,
      () => `the row of ${name} has ${String(wrong?.[0])} for ${String(wrong?.[1])}`,
    );
    this.#checkLink(act);
  }

  /** What was taken back says by what. */
  #checkLink(act: Act): void {
    const { compensates } = act.draft;
    if (act.state !== 'applied' || compensates === undefined) return;
    const original = this.model.acts.get(compensates);
    hold(
      'G6',
      original?.compensatedBy !== null,
      () => `${compensates} was taken back, and does not say so`,
    );
  }

  /** Every record is what the product's own fold makes of the entries, however they are kept (G5). */
  async checkFold(): Promise<void> {
    const store = this.#parts.store();
    const folded = new Map<string, Proposal>();
    for (let from = 0; from < this.size; from += ENTRIES_READ_MAX) {
      for (const entry of await store.entries(TENANT, from, ENTRIES_READ_MAX)) {
        const id = proposalId(entry.act);
        if (id === undefined) continue;
        const body = openEntry(entry.leaf, entry.payloads);
        const place = { act: id, tenant: TENANT, at: entry.at, index: entry.index };
        const before = folded.get(id);
        if (body.type === 'proposal') folded.set(id, begin(body, place));
        else if (before !== undefined) folded.set(id, fold(before, body, place));
      }
    }
    for (const [name, proposal] of folded) {
      const id = proposalId(name);
      const row = id && (await store.proposal(TENANT, id));
      hold('G5', isDeepStrictEqual(row, proposal), () => `the row of ${name} is not its fold`);
    }
  }

  /** When the first effect of a proposal that stands was, by the world's clock. */
  effectAt(id: string): number | undefined {
    const own = this.#parts.systems.flatMap(({ book }) =>
      book.filter(({ key }) => key.startsWith(id)),
    );
    return own.length === 0 ? undefined : Math.min(...own.map(({ at }) => at));
  }

  /** How a proposal ended, as who looks at the targets sees it. */
  lookedAt(act: Act, scheduler: Scheduler): 'applied' | 'refused' | undefined {
    if (scheduler.isOnTheWay(act.id)) return undefined;
    const isOpen = this.#parts.systems.some(({ openSessions }) =>
      openSessions.some(({ key }) => key.startsWith(act.id)),
    );
    if (isOpen) return undefined;
    const keys = keysOf(act);
    const standing = keys.filter((key) => this.model.effects.stands(key));
    if (standing.length === keys.length) return 'applied';
    return standing.length === 0 ? 'refused' : undefined;
  }
}

/** An assertion of the product's own that names an invariant speaks of that one. */
function violationOf(error: unknown, where: string): Violation {
  if (error instanceof Violation) return error;
  const causes: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  const message = causes.map(String).join('; ');
  const named = /\((G\d)\)/.exec(message)?.[1];
  const invariant = INVARIANTS.find((each) => each === named) ?? 'bug';
  return new Violation(invariant, `${where} threw ${message}`, { cause: error });
}
