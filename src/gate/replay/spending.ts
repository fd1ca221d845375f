import type { BudgetLine } from '../../model/budget.ts';
import type { ProposalId } from '../../model/ids.ts';

/** One budget: what is reserved, and what was spent within its window, oldest first. */
interface Purse {
  readonly windowMs: number;
  reserved: number;
  spent: number;
  /** Spendings from `first` on are in the window. */
  readonly spendings: { readonly at: number; readonly amount: number }[];
  first: number;
}

/** How many spendings that no window reaches any more are kept before they are let go of. */
const STALE_MAX = 1_024;

/**
 * Budgets in memory, as the store keeps them (G7): a reservation counts in full until it is settled,
 * and from then on for exactly the length of the window. Time only goes forward.
 */
export class Spending {
  readonly #purses = new Map<string, Purse>();
  readonly #held = new Map<ProposalId, readonly BudgetLine[]>();
  #latest = 0;

  /** What is reserved, or was spent after `now - windowMs`. */
  used(line: BudgetLine, now: number): number {
    const purse = this.#purse(line);
    this.#expire(purse, now);
    return purse.reserved + purse.spent;
  }

  reserve(id: ProposalId, lines: readonly BudgetLine[]): void {
    for (const line of lines) this.#purse(line).reserved += line.amount;
    this.#held.set(id, lines);
  }

  /** What the proposal holds is spent, now. */
  settle(id: ProposalId, now: number): void {
    const at = this.#forward(now);
    for (const line of this.#held.get(id) ?? []) {
      const purse = this.#purse(line);
      purse.reserved -= line.amount;
      purse.spent += line.amount;
      purse.spendings.push({ at, amount: line.amount });
    }
    this.#held.delete(id);
  }

  release(id: ProposalId): void {
    for (const line of this.#held.get(id) ?? []) this.#purse(line).reserved -= line.amount;
    this.#held.delete(id);
  }

  #forward(now: number): number {
    this.#latest = Math.max(this.#latest, now);
    return this.#latest;
  }

  #purse({ budget, scope, measure, window, windowMs }: BudgetLine): Purse {
    const key = JSON.stringify([budget, scope, measure, window]);
    const known = this.#purses.get(key);
    if (known !== undefined) return known;
    const made: Purse = { windowMs, reserved: 0, spent: 0, spendings: [], first: 0 };
    this.#purses.set(key, made);
    return made;
  }

  #expire(purse: Purse, now: number): void {
    const since = this.#forward(now) - purse.windowMs;
    for (;;) {
      const oldest = purse.spendings[purse.first];
      if (oldest === undefined || oldest.at > since) break;
      purse.spent -= oldest.amount;
      purse.first += 1;
    }
    if (purse.first <= STALE_MAX) return;
    purse.spendings.splice(0, purse.first);
    purse.first = 0;
  }
}
