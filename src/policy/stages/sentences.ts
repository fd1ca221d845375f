import { moneyText } from '../../lib/money.ts';

/** Made once: making a format is a hundred times the work of using it. */
const NUMBERS = new Intl.NumberFormat('en-US', { maximumFractionDigits: 2 });

/** Writes a count for people, with thousands apart: `1 record`, `47,000 records`. */
export function count(number: number, noun?: string): string {
  const digits = NUMBERS.format(number);
  if (noun === undefined) return digits;
  return `${digits} ${noun}${number === 1 ? '' : 's'}`;
}

/** Writes what a budget counts for people: money in major units, all else as a number. */
export function measureText(measure: string, figure: number): string {
  const currency = /^value:(.*)$/.exec(measure)?.[1];
  if (currency === undefined || !Number.isSafeInteger(figure)) return count(figure);
  return moneyText(BigInt(figure), currency);
}

/** Joins names for people: `a`, `a and b`, `a, b and c`. */
export function list(names: readonly string[]): string {
  if (names.length < 2) return names.join('');
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
}
