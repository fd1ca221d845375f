/** Numbers of a statement's text, each in one spelling. Pure. */

/** Digits that a number is written out with; one that would have more stays as it is. */
const DIGITS_MAX = 400;
/** Every whole number up to this is exact in the narrowest type of the server that has fractions. */
const SMALL_MAX = 16_777_216;
const INT8 = { min: -(2n ** 63n), max: 2n ** 63n - 1n } as const;

const DECIMAL = /^(-?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,6}))?$/;
const RADIX = /^(-?)(0[xXoObB][0-9a-fA-F]+)$/;

/**
 * The decimal of a literal that the server takes for `integer` or `bigint`, as it writes it out; null
 * for any other.
 */
export function integerText(literal: string | null): string | null {
  const text = (literal ?? '').replaceAll('_', '');
  const radix = RADIX.exec(text);
  if (radix === null && !/^-?\d{1,30}$/.test(text)) return null;
  const size = BigInt(radix?.[2] ?? text.replace('-', ''));
  const value = text.startsWith('-') ? -size : size;
  return value < INT8.min || value > INT8.max ? null : String(value);
}

/**
 * A number written out as a plain decimal: by `value` alone, `1.50` and `15e-1` as `1.5`; or with its
 * `scale`, the decimals that the server counts to a `numeric`, `1.50` apart from `1.5`. Null for what
 * is none, or is too long.
 */
export function numberText(literal: string, by: 'value' | 'scale'): string | null {
  const whole = integerText(literal);
  if (whole !== null) return whole;
  const parts = DECIMAL.exec(literal.replaceAll('_', ''));
  if (parts === null) return null;
  const [, sign = '', head = '', tail = '', exponent = '0'] = parts;
  const point = head.length + Number(exponent);
  const digits = head + tail;
  if (digits === '' || Math.abs(point) > DIGITS_MAX || digits.length > DIGITS_MAX) return null;
  const before = digits.slice(0, Math.max(0, point)).padEnd(point, '0');
  const after = point < 0 ? '0'.repeat(-point) + digits : digits.slice(point);
  const fraction = by === 'value' ? after.replace(/0+$/, '') : after;
  const size = before.replace(/^0+(?=\d)/, '') || '0';
  const isZero = /^0*$/.test(size + fraction);
  return `${isZero ? '' : sign}${size}${fraction === '' ? '' : `.${fraction}`}`;
}

/** Whether a decimal is a whole number that every type with fractions holds exactly. */
export function isSmallWhole(decimal: string): boolean {
  return /^(?:0|-?[1-9]\d{0,7})$/.test(decimal) && Math.abs(Number(decimal)) <= SMALL_MAX;
}
