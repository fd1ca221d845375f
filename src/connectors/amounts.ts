/** The kit's part about money: exact sums, and amounts that stand in the arguments of an operation. */
import { z } from 'zod';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import { minorDigits } from '../lib/money.ts';
import type { Money } from '../model/plan.ts';

/** Decimal places that amounts are kept with while they are added up. */
const SCALE = 20;
const DECIMAL = /^(-?)(\d{1,200})(?:\.(\d{1,20}))?$/;
const CURRENCY = /^[A-Z]{3}$/;

/** Value by currency; `complete` is false where some of it is not known for sure. */
export interface Measured {
  readonly value: readonly Money[];
  readonly complete: boolean;
}

/** An amount with its sign, in units of 10^-20 of the minor unit. */
export interface Amount {
  readonly currency: string;
  readonly scaled: bigint;
}

/** Reads a plain decimal; null where it is none, or the currency is not of three capital letters. */
export function amountOf(text: string, currency: string, unit: 'major' | 'minor'): Amount | null {
  const parts = DECIMAL.exec(text);
  if (parts === null || !CURRENCY.test(currency)) return null;
  const digits = BigInt(`${parts[2] ?? ''}${(parts[3] ?? '').padEnd(SCALE, '0')}`);
  const signed = parts[1] === '-' ? -digits : digits;
  const minor = unit === 'minor' ? 1n : 10n ** BigInt(minorDigits(currency));
  return { currency, scaled: signed * minor };
}

/** Adds up magnitudes by currency: they do not cancel out. */
export class MoneySum {
  readonly #sums = new Map<string, bigint>();
  #isComplete = true;

  add({ currency, scaled }: Amount): void {
    const magnitude = scaled < 0n ? -scaled : scaled;
    if (magnitude === 0n) return;
    this.#sums.set(currency, (this.#sums.get(currency) ?? 0n) + magnitude);
  }

  incomplete(): void {
    this.#isComplete = false;
  }

  /** In minor units, a fraction of one rounded up. */
  total(): Measured {
    const value: Money[] = [];
    let complete = this.#isComplete;
    for (const currency of [...this.#sums.keys()].toSorted()) {
      const sum = this.#sums.get(currency) ?? 0n;
      const unit = 10n ** BigInt(SCALE);
      const amount = (sum + unit - 1n) / unit;
      if (amount > BigInt(Number.MAX_SAFE_INTEGER)) complete = false;
      if (amount > 0n) value.push({ currency, amountMinor: String(amount) });
    }
    return { value, complete };
  }
}

/**
 * Of two measures of one value the larger, by currency. They are never added up: what a column shows
 * and what an argument says is the same money.
 */
export function larger(left: Measured, right: Measured | null): Measured {
  if (right === null) return left;
  const most = new Map<string, bigint>();
  for (const { currency, amountMinor } of [...left.value, ...right.value]) {
    const amount = BigInt(amountMinor);
    if (amount > (most.get(currency) ?? 0n)) most.set(currency, amount);
  }
  const value = [...most.keys()].toSorted().map((currency): Money => ({
    currency,
    amountMinor: String(most.get(currency) ?? 0n),
  }));
  return { value, complete: left.complete && right.complete };
}

/** An argument that is an amount: with exactly one of `currency` and `currencyArgument`. */
export interface ArgumentAmount {
  readonly operation: string;
  /** A JSON pointer into the arguments; a step `*` means each item of a list. */
  readonly argument: string;
  readonly currency?: string | undefined;
  /** As `argument`; its n-th `*` is the same item as the n-th of that. */
  readonly currencyArgument?: string | undefined;
  readonly unit: 'major' | 'minor';
}

const POINTER = z
  .string()
  .max(500)
  .regex(/^(?:\/(?:[^~/]|~[01])*)+$/, 'expected a JSON pointer such as `/parameters/1`');

/** What a connector takes among its settings for it. */
export const argumentAmount: z.ZodType<ArgumentAmount> = z
  .strictObject({
    operation: z.string().min(1).max(128),
    argument: POINTER,
    currency: z.string().regex(CURRENCY, 'expected an ISO 4217 code such as `GBP`').optional(),
    currencyArgument: POINTER.optional(),
    unit: z.enum(['major', 'minor']).default('major'),
  })
  .refine((each) => (each.currency === undefined) !== (each.currencyArgument === undefined), {
    message: 'expected exactly one of `currency` and `currencyArgument`',
  });

/**
 * Adds up the amounts that the arguments of an operation state. Null where none is mapped for it. What
 * is not there, is no plain decimal or states no currency makes the sum incomplete.
 */
export function amountsInArguments(
  mapped: readonly ArgumentAmount[],
  operation: string,
  args: JsonObject,
): Measured | null {
  const ours = mapped.filter((each) => each.operation === operation);
  if (ours.length === 0) return null;
  const sum = new MoneySum();
  for (const { argument, currency, currencyArgument, unit } of ours) {
    for (const { value, items } of foundAt(args, stepsOf(argument))) {
      const name = currency ?? currencyAt(args, currencyArgument ?? '', items);
      const amount = name === null ? null : amountOf(decimalOf(value), name, unit);
      if (amount === null) sum.incomplete();
      else sum.add(amount);
    }
  }
  return sum.total();
}

function stepsOf(pointer: string): readonly string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

interface Found {
  /** Undefined where the pointer leads nowhere. */
  readonly value: Json | undefined;
  /** Which item each `*` means. */
  readonly items: readonly number[];
}

/** Everything that a pointer means; a list without items has no amounts, what is no list is not known. */
function foundAt(args: Json, steps: readonly string[]): readonly Found[] {
  let found: readonly Found[] = [{ value: args, items: [] }];
  for (const step of steps) {
    found = found.flatMap(({ value, items }): readonly Found[] => {
      if (step !== '*') return [{ value: memberOf(value, step), items }];
      if (!isList(value)) return [{ value: undefined, items }];
      return value.map((each, at) => ({ value: each, items: items.concat(at) }));
    });
  }
  return found;
}

function currencyAt(args: Json, pointer: string, items: readonly number[]): string | null {
  let at = -1;
  const steps = stepsOf(pointer).map((step) => {
    if (step !== '*') return step;
    at += 1;
    return String(items[at] ?? '');
  });
  const [found] = foundAt(args, steps);
  return typeof found?.value === 'string' ? found.value : null;
}

function memberOf(value: Json | undefined, step: string): Json | undefined {
  if (isList(value)) return /^(?:0|[1-9]\d{0,9})$/.test(step) ? value[Number(step)] : undefined;
  if (!isJsonObject(value)) return undefined;
  return Object.hasOwn(value, step) ? value[step] : undefined;
}

/** A number beyond 2^53 has lost digits; one that is written with an exponent is no plain decimal. */
function decimalOf(value: Json | undefined): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'number') return '';
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? '' : String(value);
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}
