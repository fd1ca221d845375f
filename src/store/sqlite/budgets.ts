import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { BUDGET_WINDOWS_MS, type BudgetLine, type BudgetUse } from '../../model/budget.ts';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import {
  Budgets,
  nameOf,
  windowOf,
  type BudgetRows,
  type Line,
  type Spending,
} from '../state/budgets.ts';
import { BudgetLines, lineOf, OF_LINE } from './budget-lines.ts';
import { integerOf } from './rows.ts';

/** How many rows that no window reaches any more one settling removes; more than it adds. */
const PRUNED_MAX = 64;

export class BudgetTable implements BudgetRows {
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
      VALUES (:tenant, :budget, :scope, :measure, :window, :settledAt, :amount, :sum)`);
    this.#release = database.prepare('DELETE FROM reservations WHERE tenant = ? AND proposal = ?');
    this.#prune = database.prepare(`
      DELETE FROM spendings WHERE rowid IN
      (SELECT rowid FROM spendings WHERE tenant = ? AND settled_at <= ?
       ORDER BY settled_at LIMIT ${PRUNED_MAX})`);
    this.#forget = database.prepare(
      `DELETE FROM spendings WHERE ${OF_LINE} AND settled_at <= :until`,
    );
    this.#rebase = database.prepare(`UPDATE spendings SET sum = sum - :base WHERE ${OF_LINE}`);
  }

  reserved(tenant: TenantId, line: Line, except: ProposalId | ''): number {
    return integerOf(this.#reserved.get({ tenant, ...nameOf(line), except }) ?? {}, 'amount');
  }

  held(tenant: TenantId, proposal: ProposalId): ReturnType<BudgetRows['held']> {
    return this.#held
      .all(tenant, proposal)
      .map((row) => ({ line: lineOf(row), amount: integerOf(row, 'amount') }));
  }

  hold(tenant: TenantId, proposal: ProposalId, line: BudgetLine): void {
    this.#reserve.run({ tenant, proposal, ...nameOf(line), amount: line.amount });
  }

  drop(tenant: TenantId, proposal: ProposalId): void {
    this.#release.run(tenant, proposal);
  }

  firstSpent(tenant: TenantId, line: Line, since: number): Spending | undefined {
    const row = this.#firstSpent.get({ tenant, ...nameOf(line), since });
    if (row === undefined) return undefined;
    return {
      amount: integerOf(row, 'amount'),
      sum: integerOf(row, 'sum'),
      settledAt: integerOf(row, 'settled_at'),
    };
  }

  lastSum(tenant: TenantId, line: Line): number {
    const last = this.#lastSpent.get({ tenant, ...nameOf(line) });
    return last === undefined ? 0 : integerOf(last, 'sum');
  }

  spend(tenant: TenantId, line: Line, { amount, sum, settledAt }: Spending): void {
    this.#spend.run({ tenant, ...nameOf(line), settledAt, amount, sum });
  }

  prune(tenant: TenantId, until: number): void {
    this.#prune.run(tenant, until);
  }

  rebase(tenant: TenantId, line: Line, until: number, base: number): void {
    this.#forget.run({ tenant, ...nameOf(line), until });
    this.#rebase.run({ tenant, ...nameOf(line), base });
  }
}

/** What people ask of budgets between commits. */
export class BudgetReads {
  readonly #rows: BudgetTable;
  readonly #budgets: Budgets;
  readonly #sumUntil: StatementSync;
  readonly #lines: BudgetLines;

  constructor(database: DatabaseSync, rows: BudgetTable) {
    this.#rows = rows;
    this.#budgets = new Budgets(rows);
    this.#sumUntil = database.prepare(`
      SELECT sum FROM spendings WHERE ${OF_LINE} AND settled_at <= :until
      ORDER BY settled_at DESC, rowid DESC LIMIT 1`);
    this.#lines = new BudgetLines(database);
  }

  /**
   * When so much has left the window that the line's amount fits. Null where what is reserved leaves
   * no room for it, however much does.
   */
  freeAt(tenant: TenantId, line: BudgetLine, now: number): number | null {
    const reserved = this.#rows.reserved(tenant, line, '');
    if (reserved + line.amount > line.max) return null;
    const { spent, sumBefore } = this.#budgets.inWindow(tenant, line, now);
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
      const inFlight = this.#rows.reserved(tenant, line, '');
      const { spent, oldestAt } = this.#budgets.inWindow(tenant, { ...line, windowMs }, now);
      if (inFlight === 0 && spent === 0) continue;
      const freesAt = oldestAt === null ? null : oldestAt + windowMs;
      uses.push({ ...line, window, inFlight, spent, freesAt });
    }
    return uses;
  }
}
