import { strict as assert } from 'node:assert';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import {
  BUDGET_WINDOWS_MS,
  type BudgetLine,
  type BudgetUse,
  type BudgetWindow,
} from '../../model/budget.ts';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import { BudgetLines, lineOf, nameOf, OF_LINE, type Line } from './budget-lines.ts';
import { integerOf } from './rows.ts';

/** How many rows that no window reaches any more one settling removes; more than it adds. */
const PRUNED_MAX = 64;

/**
 * What is reserved, and what was spent (G7). A reservation counts in full until it is settled, and
 * from then on for exactly the length of the window: at `settledAt + windowMs` it is free.
 *
 * Every `now` here is the latest time that the tenant has seen, never an earlier one: so spendings
 * come in the order of their time, and each carries the sum up to itself.
 */
export class BudgetTable {
  readonly #reserved: StatementSync;
  readonly #firstSpent: StatementSync;
  readonly #lastSpent: StatementSync;
  readonly #reserve: StatementSync;
  readonly #held: StatementSync;
  readonly #spend: StatementSync;
  readonly #release: StatementSync;
  readonly #prune: StatementSync;
  readonly #forget: StatementSync;
  readonly #rebase: StatementSync;
  readonly #sumUntil: StatementSync;
  readonly #lines: BudgetLines;

  constructor(database: DatabaseSync) {
    this.#reserved = database.prepare(`
      SELECT coalesce(sum(amount), 0) AS amount FROM reservations
      WHERE ${OF_LINE} AND proposal <> :except`);
    this.#firstSpent = database.prepare(`
      SELECT amount, sum, settled_at FROM spendings WHERE ${OF_LINE} AND settled_at > :since
      ORDER BY settled_at, rowid LIMIT 1`);
    this.#lastSpent = database.prepare(`
      SELECT sum FROM spendings WHERE ${OF_LINE} ORDER BY settled_at DESC, rowid DESC LIMIT 1`);
    this.#reserve = database.prepare(`
      INSERT INTO reservations (tenant, proposal, budget, scope, measure, "window", amount)
      VALUES (:tenant, :proposal, :budget, :scope, :measure, :window, :amount)
      ON CONFLICT DO UPDATE SET amount = excluded.amount`);
    this.#held = database.prepare(`
      SELECT budget, scope, measure, "window", amount FROM reservations
      WHERE tenant = ? AND proposal = ?`);
    this.#spend = database.prepare(`
      INSERT INTO spendings (tenant, budget, scope, measure, "window", settled_at, amount, sum)
      VALUES (:tenant, :budget, :scope, :measure, :window, :now, :amount, :sum)`);
    this.#release = database.prepare('DELETE FROM reservations WHERE tenant = ? AND proposal = ?');
    this.#prune = database.prepare(`
      DELETE FROM spendings WHERE rowid IN
      (SELECT rowid FROM spendings WHERE tenant = ? AND settled_at <= ?
       ORDER BY settled_at LIMIT ${PRUNED_MAX})`);
    this.#forget = database.prepare(
      `DELETE FROM spendings WHERE ${OF_LINE} AND settled_at <= :until`,
    );
    this.#rebase = database.prepare(`UPDATE spendings SET sum = sum - :base WHERE ${OF_LINE}`);
    this.#sumUntil = database.prepare(`
      SELECT sum FROM spendings WHERE ${OF_LINE} AND settled_at <= :until
      ORDER BY settled_at DESC, rowid DESC LIMIT 1`);
    this.#lines = new BudgetLines(database);
  }

  /** What is reserved now or was settled after `now - windowMs`, without the proposal `except`. */
  used(tenant: TenantId, line: BudgetLine, now: number, except: ProposalId | ''): number {
    // Beyond the longest window rows are pruned, and a longer one would miss them.
    assert(line.windowMs <= BUDGET_WINDOWS_MS.day, 'no window is longer than a day');
    return this.#inFlight(tenant, line, except) + this.#inWindow(tenant, line, now).spent;
  }

  /**
   * When so much has left the window that the line's amount fits. Null where what is reserved leaves
   * no room for it, however much does.
   */
  freeAt(tenant: TenantId, line: BudgetLine, now: number): number | null {
    const reserved = this.#inFlight(tenant, line, '');
    if (reserved + line.amount > line.max) return null;
    const { spent, sumBefore } = this.#inWindow(tenant, line, now);
    const wanted = sumBefore + reserved + spent + line.amount - line.max;
    if (wanted <= sumBefore) return now;
    // Spendings come in the order of their time, so the sums up to a time grow with it.
    let [from, to] = [now - line.windowMs + 1, now];
    while (from < to) {
      const middle = Math.floor((from + to) / 2);
      const row = this.#sumUntil.get({ tenant, ...nameOf(line), until: middle });
      if (row !== undefined && integerOf(row, 'sum') >= wanted) to = middle;
      else from = middle + 1;
    }
    return from + line.windowMs;
  }

  /** What has something in use, by name and scope, at most `limit`. */
  uses(tenant: TenantId, now: number, limit: number): readonly BudgetUse[] {
    const uses: BudgetUse[] = [];
    for (const line of this.#lines.all(tenant)) {
      if (uses.length >= limit) break;
      const window = windowOf(line);
      const windowMs = BUDGET_WINDOWS_MS[window];
      const inFlight = this.#inFlight(tenant, line, '');
      const { spent, oldestAt } = this.#inWindow(tenant, { ...line, windowMs }, now);
      if (inFlight === 0 && spent === 0) continue;
      const freesAt = oldestAt === null ? null : oldestAt + windowMs;
      uses.push({ ...line, window, inFlight, spent, freesAt });
    }
    return uses;
  }

  #inFlight(tenant: TenantId, line: Line, except: ProposalId | ''): number {
    return integerOf(this.#reserved.get({ tenant, ...nameOf(line), except }) ?? {}, 'amount');
  }

  /** What was settled after `now - windowMs`, when the oldest of it, and the sum before that. */
  #inWindow(
    tenant: TenantId,
    line: Line & { readonly windowMs: number },
    now: number,
  ): { readonly spent: number; readonly sumBefore: number; readonly oldestAt: number | null } {
    const since = now - line.windowMs;
    const first = this.#firstSpent.get({ tenant, ...nameOf(line), since });
    if (first === undefined) return { spent: 0, sumBefore: 0, oldestAt: null };
    const sumBefore = integerOf(first, 'sum') - integerOf(first, 'amount');
    const spent = this.#spent(tenant, line) - sumBefore;
    return { spent, sumBefore, oldestAt: integerOf(first, 'settled_at') };
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
  reserve(tenant: TenantId, proposal: ProposalId, lines: readonly BudgetLine[]): void {
    const names = new Set(lines.map((line) => JSON.stringify(nameOf(line))));
    assert(names.size === lines.length, 'no budget line comes twice');
    for (const line of lines) {
      this.#reserve.run({ tenant, proposal, ...nameOf(line), amount: line.amount });
    }
  }

  /** What the proposal has reserved becomes spent, now. */
  settle(tenant: TenantId, proposal: ProposalId, now: number): void {
    const held = this.#held.all(tenant, proposal);
    if (held.length === 0) return;
    for (const row of held) {
      const line = lineOf(row);
      const amount = integerOf(row, 'amount');
      const sum = this.#sumWith(tenant, line, amount, now);
      this.#spend.run({ tenant, ...line, now, amount, sum });
    }
    this.#release.run(tenant, proposal);
    this.#prune.run(tenant, now - BUDGET_WINDOWS_MS.day);
  }

  release(tenant: TenantId, proposal: ProposalId): void {
    this.#release.run(tenant, proposal);
  }

  /**
   * The sum that a spending of `amount` will carry. Before it would no longer be exact the line
   * begins anew: what has left the window is dropped, and the sums count from the first that is left.
   */
  #sumWith(tenant: TenantId, line: Line, amount: number, now: number): number {
    const sum = this.#spent(tenant, line) + amount;
    if (Number.isSafeInteger(sum)) return sum;
    const windowMs = BUDGET_WINDOWS_MS[windowOf(line)];
    const { sumBefore } = this.#inWindow(tenant, { ...line, windowMs }, now);
    this.#forget.run({ tenant, ...nameOf(line), until: now - windowMs });
    this.#rebase.run({ tenant, ...nameOf(line), base: sumBefore });
    const left = this.#spent(tenant, line) + amount;
    assert(Number.isSafeInteger(left), 'no window holds more than a maximum that loads (G7)');
    return left;
  }

  /** The sum that the line's latest spending carries. */
  #spent(tenant: TenantId, line: Line): number {
    const last = this.#lastSpent.get({ tenant, ...nameOf(line) });
    return last === undefined ? 0 : integerOf(last, 'sum');
  }
}

function windowOf({ window }: Line): BudgetWindow {
  assert(window === 'minute' || window === 'hour' || window === 'day', 'a window of the model');
  return window;
}
