/** ISO 4217 currencies whose minor unit is not a hundredth of the major one. */
const DIGITS: ReadonlyMap<string, number> = new Map([
  ...['BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'UYI'].map(
    (currency) => [currency, 0] as const,
  ),
  ...['VND', 'VUV', 'XAF', 'XOF', 'XPF'].map((currency) => [currency, 0] as const),
  ...['BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND'].map((currency) => [currency, 3] as const),
  ...['CLF', 'UYW'].map((currency) => [currency, 4] as const),
]);

const DECIMAL = /^([0-9]{1,30})(?:\.([0-9]{1,10}))?$/;

/** Returns how many decimal places the currency has: 2 for GBP, 0 for JPY, 3 for KWD. */
export function minorDigits(currency: string): number {
  return DIGITS.get(currency) ?? 2;
}

/**
 * Converts a decimal in major units to minor ones, exactly: `10000.00` GBP is 1000000.
 * Undefined where the text is no decimal, or finer than the currency's minor unit.
 */
export function toMinor(text: string, currency: string): bigint | undefined {
  const parts = DECIMAL.exec(text);
  if (parts === null) return undefined;
  const digits = minorDigits(currency);
  const fraction = parts[2] ?? '';
  if (fraction.length > digits) return undefined;
  return BigInt(`${parts[1]}${fraction.padEnd(digits, '0')}`);
}

/** Writes minor units for people: 1000000 GBP is `GBP 10,000.00`. */
export function moneyText(amountMinor: bigint, currency: string): string {
  const digits = minorDigits(currency);
  const text = amountMinor.toString().padStart(digits + 1, '0');
  const whole = BigInt(text.slice(0, text.length - digits)).toLocaleString('en-US');
  const fraction = text.slice(text.length - digits);
  return digits === 0 ? `${currency} ${whole}` : `${currency} ${whole}.${fraction}`;
}
