/** What an agent was seen to do: the figures that a draft is made from. Pure. */
import type { EffectClass, Money } from '../../model/plan.ts';
import type { Tier } from '../../model/policy.ts';

/** One write that was let through, or would have been. */
export interface SeenWrite {
  readonly agent: string;
  readonly environment: string;
  readonly target: string;
  readonly operation: string;
  readonly class: EffectClass;
  /** What it wrote to itself. */
  readonly resources: readonly string[];
  /** What its permission came to then. */
  readonly tier: Exclude<Tier, 'read-only'>;
  readonly records: number;
  readonly value: readonly Money[];
  /** Ms since the epoch. */
  readonly at: number;
}

/** The figure that at least this share of all is not above; 0 of none. Nearest rank. */
export function quantile(figures: readonly number[], share: number): number {
  const sorted = figures.toSorted((left, right) => left - right);
  return sorted[Math.max(Math.ceil(share * sorted.length) - 1, 0)] ?? 0;
}

/** The most that any window of this length holds, wherever it begins; `at` in order. */
export function mostWithin(
  seen: readonly { readonly at: number; readonly amount: number }[],
  windowMs: number,
): number {
  let [first, sum, most] = [0, 0, 0];
  for (const { at, amount } of seen) {
    sum += amount;
    for (;;) {
      const oldest = seen[first];
      if (oldest === undefined || oldest.at > at - windowMs) break;
      sum -= oldest.amount;
      first += 1;
    }
    most = Math.max(most, sum);
  }
  return most;
}

/** Rounds up to two digits, so that a bound reads as one: 1,234 becomes 1,300. */
export function roundedUp(figure: number): number {
  const whole = Math.ceil(figure);
  const unit = 10 ** Math.max(String(whole).length - 2, 0);
  return Math.ceil(whole / unit) * unit;
}
