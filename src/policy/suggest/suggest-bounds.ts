import { minorDigits } from '../../lib/money.ts';
import { BUDGET_WINDOWS_MS } from '../../model/budget.ts';
import type { Policy } from '../../model/policy.ts';
import { mostWithin, quantile, roundedUp, type SeenWrite } from './seen.ts';
import { count } from '../stages/sentences.ts';

/** A line of the draft, and the figures that it came from. */
export interface DraftLine {
  readonly value: object;
  readonly seen: string;
}

export interface DraftBounds {
  readonly limits: readonly DraftLine[];
  readonly thresholds: readonly DraftLine[];
  readonly budgets: readonly DraftLine[];
}

/** What is above so many writes in a hundred is for people; twice that, or the most seen, for nobody. */
const USUAL_SHARE = 0.99;
const LIMIT_ROOM = 2;
const BUDGET_ROOM = 1.5;
/** What the file takes in an amount of a currency without decimals: fifteen digits. */
const MINOR_MAX = 999_999_999_999_999n;

/** Drafts bounds from high quantiles of what an agent wrote, with room above them. */
export function boundsOf(policy: Policy, agent: string, writes: readonly SeenWrite[]): DraftBounds {
  const nameOf = namesFor(policy, agent);
  const match = { agent };
  const records = writes.map((write) => write.records);
  const [p99, max] = [quantile(records, USUAL_SHARE), Math.max(...records)];
  const seen = `seen ${count(writes.length, 'write')}, p99 ${count(p99, 'record')}, most ${count(max)}`;
  const value = valueBounds(writes);
  const limit = {
    name: nameOf('limits'),
    match,
    recordsMax: Math.max(roundedUp(p99 * LIMIT_ROOM), max, 1),
    ...(value === null ? {} : { valueMax: value.max }),
  };
  const threshold = {
    name: nameOf('thresholds'),
    match,
    recordsOver: p99,
    ...(value === null ? {} : { valueOver: value.over }),
  };
  return {
    limits: [{ value: limit, seen: [seen, ...(value?.seen ?? [])].join('; ') }],
    thresholds: [{ value: threshold, seen: [seen, ...(value?.seen ?? [])].join('; ') }],
    budgets: budgetLines(agent, writes, nameOf),
  };
}

function budgetLines(
  agent: string,
  writes: readonly SeenWrite[],
  nameOf: (section: 'budgets', suffix: string) => string,
): readonly DraftLine[] {
  const ordered = writes.toSorted((left, right) => left.at - right.at);
  return (['minute', 'hour', 'day'] as const).flatMap((window) =>
    (['writes', 'records'] as const).map((measure): DraftLine => {
      const amounts = ordered.map(({ at, records }) => ({
        at,
        amount: measure === 'writes' ? 1 : records,
      }));
      const most = mostWithin(amounts, BUDGET_WINDOWS_MS[window]);
      const name = nameOf('budgets', `-${measure}-${window}`);
      const max = Math.max(roundedUp(most * BUDGET_ROOM), 1);
      return {
        value: { name, match: { agent }, per: 'agent', measure, window, max },
        seen: `seen at most ${count(most)} ${measure} in any ${window}`,
      };
    }),
  );
}

/** Bounds by currency; null where no value was seen. */
function valueBounds(writes: readonly SeenWrite[]): {
  readonly max: Readonly<Record<string, string>>;
  readonly over: Readonly<Record<string, string>>;
  readonly seen: readonly string[];
} | null {
  const byCurrency = new Map<string, bigint[]>();
  for (const { value } of writes) {
    const sums = new Map<string, bigint>();
    for (const { currency, amountMinor } of value) {
      sums.set(currency, (sums.get(currency) ?? 0n) + BigInt(amountMinor));
    }
    for (const [currency, sum] of sums) {
      if (/^[A-Z]{3}$/.test(currency)) {
        byCurrency.set(currency, [...(byCurrency.get(currency) ?? []), sum]);
      }
    }
  }
  if (byCurrency.size === 0) return null;
  const found = [...byCurrency].map(([currency, sums]) => {
    const sorted = sums.toSorted((left, right) => (left < right ? -1 : 1));
    const p99 = sorted[Math.max(Math.ceil(USUAL_SHARE * sorted.length) - 1, 0)] ?? 0n;
    const most = sorted.at(-1) ?? 0n;
    const max = p99 * BigInt(LIMIT_ROOM) > most ? p99 * BigInt(LIMIT_ROOM) : most;
    return { currency, p99, max };
  });
  const texts = (amountOf: (each: (typeof found)[number]) => bigint) =>
    Object.fromEntries(
      found.map((each) => [each.currency, amountText(amountOf(each), each.currency)]),
    );
  return {
    max: texts(({ max }) => max),
    over: texts(({ p99 }) => p99),
    seen: found.map(({ currency, p99 }) => `p99 ${amountText(p99, currency)} ${currency}`),
  };
}

/** In major units as the file takes them. */
function amountText(amountMinor: bigint, currency: string): string {
  const digits = minorDigits(currency);
  const bounded = amountMinor > MINOR_MAX ? MINOR_MAX : amountMinor;
  const text = String(bounded).padStart(digits + 1, '0');
  const whole = text.slice(0, text.length - digits);
  return digits === 0 ? whole : `${whole}.${text.slice(text.length - digits)}`;
}

const NAME_LENGTH_MAX = 90;

/** Names that no line of the section has. */
function namesFor(policy: Policy, agent: string) {
  return (section: 'limits' | 'thresholds' | 'budgets', suffix = ''): string => {
    const taken = new Set(policy[section].map(({ name }) => name));
    const base = `seen-${agent.slice(0, NAME_LENGTH_MAX)}${suffix}`;
    for (let turn = 1; ; turn += 1) {
      const name = turn === 1 ? base : `${base}-${turn}`;
      if (!taken.has(name)) return name;
    }
  };
}
