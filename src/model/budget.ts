/** What a budget counts. `value:GBP` counts minor units of one currency. */
export type BudgetMeasure = 'writes' | 'records' | 'recipients' | `value:${string}`;

export const BUDGET_WINDOWS_MS = {
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
} as const;
export type BudgetWindow = keyof typeof BUDGET_WINDOWS_MS;

/** What one budget has in use: reserved by what is under way, and settled within its window. */
export interface BudgetUse {
  /** As in `BudgetLine`. */
  readonly budget: string;
  readonly scope: string;
  readonly measure: string;
  readonly window: BudgetWindow;
  readonly inFlight: number;
  readonly spent: number;
  /** When the oldest of what is spent leaves the window; null where nothing is. */
  readonly freesAt: number | null;
}

/**
 * One conditional reservation: `amount` of `measure` under `scope`, allowed while what is reserved
 * or settled in the last `windowMs` plus `amount` is at most `max` (G7).
 */
export interface BudgetLine {
  /** `budgets.<name>` of the policy. */
  readonly budget: string;
  /** What shares the budget, spelled out: `agent=ledger-bot`, `tenant=acme`, `run=42`. */
  readonly scope: string;
  readonly measure: BudgetMeasure;
  readonly window: BudgetWindow;
  readonly windowMs: number;
  readonly amount: number;
  readonly max: number;
}
