import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Decimal } from './decimal.ts';

function decimal(value: string | number | bigint): Decimal {
  const found = Decimal.of(value);
  assert.ok(found !== undefined, String(value));
  return found;
}

test('a decimal is read and written exactly, in its shortest form', () => {
  for (const [text, shortest] of [
    ['0', '0'],
    ['-0.00', '0'],
    ['+1.50', '1.5'],
    ['007', '7'],
    ['1e+20', '100000000000000000000'],
    ['1.5e-07', '0.00000015'],
    ['90071992547409930000000000.0000000000001', '90071992547409930000000000.0000000000001'],
  ] as const) {
    assert.equal(String(decimal(text)), shortest);
  }
  assert.equal(String(decimal(0.1)), '0.1');
  assert.equal(String(decimal(1e21)), '1000000000000000000000');
});

test('what is no decimal, or too long for one, is not read', () => {
  const texts = ['', ' 1', '1 ', '.5', '5.', '1,000', '$1', 'NaN', 'Infinity', '0x1f', '1e99999'];
  for (const text of [...texts, '1e9999', '9'.repeat(1_001), '--1', '1_000']) {
    assert.equal(Decimal.of(text), undefined, text);
  }
  assert.equal(Decimal.of(NaN), undefined);
  assert.equal(Decimal.of(Infinity), undefined);
});

const parts = fc.tuple(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.nat({ max: 20 }));

test('sums, differences, products and comparisons are those of the fractions', () => {
  fc.assert(
    fc.property(parts, parts, ([a, m], [b, n]) => {
      const [left, right] = [new Decimal(a, m), new Decimal(b, n)];
      const [x, y] = [a * 10n ** BigInt(n), b * 10n ** BigInt(m)];
      assert.deepEqual(left.plus(right), new Decimal(x + y, m + n));
      assert.deepEqual(left.minus(right), new Decimal(x - y, m + n));
      assert.deepEqual(left.times(right), new Decimal(a * b, m + n));
      assert.equal(Math.sign(left.compare(right)), x < y ? -1 : Number(x > y));
      assert.deepEqual(decimal(String(left)), left);
    }),
  );
});

test('a number grows no further than its bound', () => {
  assert.equal(decimal('9'.repeat(1_000)).isLong(), false);
  assert.equal(decimal('9'.repeat(1_000)).plus(decimal(1n)).isLong(), true);
  assert.equal(decimal('1e-1000').times(decimal('0.1')).isLong(), true);
});
