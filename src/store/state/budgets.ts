import { strict as assert } from 'node:assert';
import { BUDGET_WINDOWS_MS, type BudgetLine, type BudgetWindow } from '../../model/budget.ts';
import type { ProposalId, TenantId } from '../../model/ids.ts';

/** What tells one budget from another. */
export interface Line {
  readonly budget: string;
  readonly scope: string;
  readonly measure: string;
  readonly window: string;
}

/** What one proposal spent of a line; `sum` adds up the line from its first row on. */
export interface Spending {
  readonly amount: number;
  readonly sum: number;
  readonly settledAt: number;
}

/**
 * The rows of budgets. Those of what was spent come in the order of their time, and each carries the
 * sum up to itself, so that a window is the difference of two however much is in it.
 */
export interface BudgetRows {
  /** What is reserved on the line, by others than the proposal `except`. */
  reserved(tenant: TenantId, line: Line, except: ProposalId | ''): number;
  /** What the proposal has reserved, by line. */
  held(
    tenant: TenantId,
    proposal: ProposalId,
  ): readonly { readonly line: Line; readonly amount: number }[];
  /** Reserves; what the proposal had reserved on the line is replaced. */
  hold(tenant: TenantId, proposal: ProposalId, line: BudgetLine, now: number): void;
  /** Ends all reservations of the proposal. */
  drop(tenant: TenantId, proposal: ProposalId): void;
  /** The line's first spending after `since`. */
  firstSpent(tenant: TenantId, line: Line, since: number): Spending | undefined;
  /** The sum that the line's latest spending carries, 0 without one. */
  lastSum(tenant: TenantId, line: Line): number;
  spend(tenant: TenantId, line: Line, spending: Spending): void;
  /** Removes some of what was spent at or before `until`, more of it than one settling adds. */
  prune(tenant: TenantId, until: number): void;
  /** Begins the line's sums anew: without what was spent at or before `until`, `base` less for the rest. */
  rebase(tenant: TenantId, line: Line, until: number, base: number): void;
}

/**
 * What is reserved, and what was spent (G7). A reservation counts in full until it is settled, and
 * from then on for exactly the length of the window: at `settledAt + windowMs` it is free.
 *
 * Every `now` here is the latest time that the tenant has seen, never an earlier one.
 */
export class Budgets {
  readonly #rows: BudgetRows;

  constructor(rows: BudgetRows) {
    this.#rows = rows;
  }

  /** What is reserved now or was settled after `now - windowMs`, without the proposal `except`. */
  used(tenant: TenantId, line: BudgetLine, now: number, except: ProposalId | ''): number {
    // Beyond the longest window rows are pruned, and a longer one would miss them.
    assert(line.windowMs <= BUDGET_WINDOWS_MS.day, 'no window is longer than a day');
    return this.#rows.reserved(tenant, line, except) + this.inWindow(tenant, line, now).spent;
  }

  /** What was settled after `now - windowMs`, when the oldest of it, and the sum before that. */
  inWindow(
    tenant: TenantId,
    line: Line & { readonly windowMs: number },
    now: number,
  ): { readonly spent: number; readonly sumBefore: number; readonly oldestAt: number | null } {
    const first = this.#rows.firstSpent(tenant, line, now - line.windowMs);
    if (first === undefined) return { spent: 0, sumBefore: 0, oldestAt: null };
    const sumBefore = first.sum - first.amount;
    const spent = this.#rows.lastSum(tenant, line) - sumBefore;
    return { spent, sumBefore, oldestAt: first.settledAt };
  }

  /** The first line that would pass its max if `proposal` reserved all of them now. */
  findExceeded(
    tenant: TenantId,
    lines: readonly BudgetLine[],
    now: number,
    proposal: ProposalId,
  ): { readonly line: BudgetLine; readonly used: number } | undefined {
    for (const line of lines) {
      assert(Number.isSafeInteger(line.amount) && line.amount >= 0, 'an amount is a count');
      const used = this.used(tenant, line, now, proposal);
      if (used + line.amount > line.max) return { line, used };
    }
    return undefined;
  }

  /**
   * Reserves lines that `findExceeded` let pass. What the same proposal has reserved already is
   * replaced and not added to: it takes effect at most once.
   */
  reserve(tenant: TenantId, proposal: ProposalId, lines: readonly BudgetLine[], now: number): void {
    const names = new Set(lines.map((line) => JSON.stringify(nameOf(line))));
    assert(names.size === lines.length, 'no budget line comes twice');
    for (const line of lines) this.#rows.hold(tenant, proposal, line, now);
  }

  /** What the proposal has reserved becomes spent, now. */
  settle(tenant: TenantId, proposal: ProposalId, now: number): void {
    const held = this.#rows.held(tenant, proposal);
    if (held.length === 0) return;
    for (const { line, amount } of held) {
      const sum = this.#sumWith(tenant, line, amount, now);
      this.#rows.spend(tenant, line, { amount, sum, settledAt: now });
    }
    this.#rows.drop(tenant, proposal);
    this.#rows.prune(tenant, now - BUDGET_WINDOWS_MS.day);
  }

  release(tenant: TenantId, proposal: ProposalId): void {
    this.#rows.drop(tenant, proposal);
  }

  /**
   * The sum that a spending of `amount` will carry. Before it would no longer be exact the line
   * begins anew: what has left the window is dropped, and the sums count from the first that is left.
   */
  #sumWith(tenant: TenantId, line: Line, amount: number, now: number): number {
    const sum = this.#rows.lastSum(tenant, line) + amount;
    if (Number.isSafeInteger(sum)) return sum;
    const windowMs = BUDGET_WINDOWS_MS[windowOf(line)];
    const { sumBefore } = this.inWindow(tenant, { ...line, windowMs }, now);
    this.#rows.rebase(tenant, line, now - windowMs, sumBefore);
    const left = this.#rows.lastSum(tenant, line) + amount;
    assert(Number.isSafeInteger(left), 'no window holds more than a maximum that loads (G7)');
    return left;
  }
}

export function nameOf({ budget, scope, measure, window }: Line): Record<keyof Line, string> {
  return { budget, scope, measure, window };
}

export function windowOf({ window }: Line): BudgetWindow {
  assert(window === 'minute' || window === 'hour' || window === 'day', 'a window of the model');
  return window;
}
