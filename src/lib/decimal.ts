/** Digits that a decimal may have, before and after the point together; exponents reach as far. */
const DIGITS_MAX = 1_000;

const DECIMAL = /^([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d{1,4}))?$/;

/** An exact decimal: `unscaled` ÷ 10^`scale`, in its shortest form. */
export class Decimal {
  readonly unscaled: bigint;
  readonly scale: number;

  constructor(unscaled: bigint, scale: number) {
    let [digits, places] = [unscaled, scale];
    if (places < 0) [digits, places] = [digits * 10n ** BigInt(-places), 0];
    while (places > 0 && digits % 10n === 0n) [digits, places] = [digits / 10n, places - 1];
    this.unscaled = digits;
    this.scale = places;
  }

  /**
   * Reads `-12`, `0.50` or `1e-07`, exactly; a double by its shortest decimals, which is what was
   * written. Undefined where it is no number, or one of more than a thousand digits.
   */
  static of(value: string | number | bigint): Decimal | undefined {
    if (typeof value === 'bigint') return new Decimal(value, 0);
    const text = String(value);
    if (text.length > DIGITS_MAX) return undefined;
    const parts = DECIMAL.exec(text);
    if (parts === null) return undefined;
    const [, sign, whole = '', fraction = '', exponent = '0'] = parts;
    const scale = fraction.length - Number(exponent);
    if (Math.abs(scale) > DIGITS_MAX) return undefined;
    const unscaled = BigInt(whole + fraction);
    return new Decimal(sign === '-' ? -unscaled : unscaled, scale);
  }

  /** Negative where this is less, 0 where equal, positive where more. */
  compare(other: Decimal): number {
    const [left, right] = aligned(this, other);
    return left < right ? -1 : Number(left > right);
  }

  plus(other: Decimal): Decimal {
    const [left, right, scale] = aligned(this, other);
    return new Decimal(left + right, scale);
  }

  minus(other: Decimal): Decimal {
    return this.plus(other.negated());
  }

  times(other: Decimal): Decimal {
    return new Decimal(this.unscaled * other.unscaled, this.scale + other.scale);
  }

  negated(): Decimal {
    return new Decimal(-this.unscaled, this.scale);
  }

  /** The whole number that it is, or undefined. */
  whole(): bigint | undefined {
    return this.scale === 0 ? this.unscaled : undefined;
  }

  /** Without what is behind the point. */
  truncated(): bigint {
    return this.unscaled / 10n ** BigInt(this.scale);
  }

  /** Whether it has so many digits that more work on it would be without a bound. */
  isLong(): boolean {
    const limit = 10n ** BigInt(DIGITS_MAX);
    return this.scale > DIGITS_MAX || this.unscaled >= limit || this.unscaled <= -limit;
  }

  toString(): string {
    const digits = String(this.unscaled < 0n ? -this.unscaled : this.unscaled);
    const padded = digits.padStart(this.scale + 1, '0');
    const point = padded.length - this.scale;
    const sign = this.unscaled < 0n ? '-' : '';
    return `${sign}${padded.slice(0, point)}${this.scale === 0 ? '' : `.${padded.slice(point)}`}`;
  }

  /** The nearest double; what is exact compares with `compare`. */
  valueOf(): number {
    return Number(this.toString());
  }
}

function aligned(left: Decimal, right: Decimal): readonly [bigint, bigint, number] {
  const scale = Math.max(left.scale, right.scale);
  const raised = (each: Decimal) => each.unscaled * 10n ** BigInt(scale - each.scale);
  return [raised(left), raised(right), scale];
}
