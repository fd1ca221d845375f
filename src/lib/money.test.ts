import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { minorDigits, moneyText, toMinor } from './money.ts';

test('major units become minor ones by the digits of the currency', () => {
  assert.equal(toMinor('10000.00', 'GBP'), 1_000_000n);
  assert.equal(toMinor('0.1', 'EUR'), 10n);
  assert.equal(toMinor('5000', 'JPY'), 5_000n);
  assert.equal(toMinor('1.005', 'KWD'), 1_005n);
  assert.equal(toMinor('1', 'CLF'), 10_000n);
});

test('an amount finer than the minor unit, or no decimal, is no amount', () => {
  for (const [text, currency] of [
    ['1.005', 'GBP'],
    ['1.0', 'JPY'],
    ['-1', 'GBP'],
    ['1e3', 'GBP'],
    ['1,000', 'GBP'],
    ['.5', 'GBP'],
    ['', 'GBP'],
  ] as const) {
    assert.equal(toMinor(text, currency), undefined, text);
  }
});

test('an amount beyond exact numbers keeps its last digit', () => {
  assert.equal(toMinor('90071992547409.93', 'GBP'), 9_007_199_254_740_993n);
});

test('an amount is written with its currency, thousands apart', () => {
  assert.equal(moneyText(1_000_000n, 'GBP'), 'GBP 10,000.00');
  assert.equal(moneyText(5n, 'GBP'), 'GBP 0.05');
  assert.equal(moneyText(47_000n, 'JPY'), 'JPY 47,000');
});

test('what is written reads back as the same amount', () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 10n ** 20n }),
      fc.constantFrom('GBP', 'JPY', 'KWD', 'CLF'),
      (amount, currency) => {
        const text = moneyText(amount, currency).slice(4).replaceAll(',', '');
        assert.equal(toMinor(text, currency), amount);
        assert.equal(text.split('.')[1]?.length ?? 0, minorDigits(currency));
      },
    ),
  );
});
