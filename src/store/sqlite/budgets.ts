import { strict as assert } from 'node:assert';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { BUDGET_WINDOWS_MS, type BudgetLine } from '../../model/budget.ts';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import { integerOf, textOf, type Row } from './rows.ts';

/** How many rows that no window reaches any more one settling removes; more than it adds. */
const PRUNED_MAX = 64;

/** What tells one budget from another. */
type Line = Pick<BudgetLine, 'budget' | 'scope'> & {
  readonly measure: string;
  readonly window: string;
};

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

  constructor(database: DatabaseSync) {
    const ofLine =
      'tenant = :tenant AND budget = :budget AND scope = :scope' +
      ' AND measure = :measure AND "window" = :window';
    this.#reserved = database.prepare(`
      SELECT coalesce(sum(amount), 0) AS amount FROM reservations
      WHERE ${ofLine} AND proposal <> :except`);
    this.#firstSpent = database.prepare(`
      SELECT amount, sum FROM spendings WHERE ${ofLine} AND settled_at > :since
      ORDER BY settled_at, rowid LIMIT 1`);
    this.#lastSpent = database.prepare(`
      SELECT sum FROM spendings WHERE ${ofLine} ORDER BY settled_at DESC, rowid DESC LIMIT 1`);
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
  }

  /** What is reserved now or was settled after `now - windowMs`, without the proposal `except`. */
  used(tenant: TenantId, line: BudgetLine, now: number, except: ProposalId | ''): number {
    // Beyond the longest window rows are pruned, and a longer one would miss them.
    assert(line.windowMs <= BUDGET_WINDOWS_MS.day, 'no window is longer than a day');
    const named = { tenant, ...nameOf(line) };
    const reserved = integerOf(this.#reserved.get({ ...named, except }) ?? {}, 'amount');
    const first = this.#firstSpent.get({ ...named, since: now - line.windowMs });
    if (first === undefined) return reserved;
    const sumBefore = integerOf(first, 'sum') - integerOf(first, 'amount');
    return reserved + this.#spent(tenant, line) - sumBefore;
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
      const sum = this.#spent(tenant, line) + amount;
      this.#spend.run({ tenant, ...line, now, amount, sum });
    }
    this.#release.run(tenant, proposal);
    this.#prune.run(tenant, now - BUDGET_WINDOWS_MS.day);
  }

  release(tenant: TenantId, proposal: ProposalId): void {
    this.#release.run(tenant, proposal);
  }

  /** The sum that the line's latest spending carries. */
  #spent(tenant: TenantId, line: Line): number {
    const last = this.#lastSpent.get({ tenant, ...nameOf(line) });
    return last === undefined ? 0 : integerOf(last, 'sum');
  }
}

function nameOf({ budget, scope, measure, window }: Line) {
  return { budget, scope, measure, window };
}

function lineOf(row: Row): Line {
  return {
    budget: textOf(row, 'budget'),
    scope: textOf(row, 'scope'),
    measure: textOf(row, 'measure'),
    window: textOf(row, 'window'),
  };
}
