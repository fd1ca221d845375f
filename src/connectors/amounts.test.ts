import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { JsonObject } from '../lib/json.ts';
import {
  amountOf,
  amountsInArguments,
  argumentAmount,
  larger,
  MoneySum,
  type Measured,
} from './amounts.ts';

const gbp = (amountMinor: string, complete = true): Measured => ({
  value: [{ currency: 'GBP', amountMinor }],
  complete,
});
const NONE: Measured = { value: [], complete: true };

function stated(mapping: JsonObject, args: JsonObject): Measured | null {
  const read = argumentAmount.parse({ operation: 'pay', ...mapping });
  return amountsInArguments([read], 'pay', args);
}

describe('an amount in the arguments', () => {
  const at = (argument: string) => ({ argument, currency: 'GBP' });

  test('is read where the pointer says, as a text or a number, whatever its sign', () => {
    for (const amount of ['12.34', 12.34, '-12.34', -12.34, '012.340']) {
      assert.deepEqual(stated(at('/amount'), { amount }), gbp('1234'), String(amount));
    }
    assert.deepEqual(stated(at('/parameters/1'), { parameters: [9, '7'] }), gbp('700'));
    assert.deepEqual(stated(at('/a~1b/~0'), { 'a/b': { '~': 1 } }), gbp('100'));
  });

  test('is not known where it is missing, or is no plain decimal', () => {
    const tricks = ['', ' 1', '1e3', '1,000', '£5', 'NaN', 'Infinity', '0x10', '١', '1_0', '+1'];
    const others = [null, true, 1e21, 2 ** 53, 1e-7, {}, [], { increment: 5 }];
    for (const amount of [...tricks, ...others]) {
      assert.equal(stated(at('/amount'), { amount })?.complete, false, JSON.stringify(amount));
    }
    for (const pointer of [
      '/b',
      '/a/b',
      '/list/1',
      '/list/00',
      '/list/-',
      '/toString',
      '/list/length',
    ]) {
      assert.equal(stated(at(pointer), { a: '1', list: ['1'] })?.complete, false, pointer);
    }
  });

  test('is that of each item where a step is `*`, and one that is missing is not known', () => {
    const rows = [{ total: '1.00' }, { total: '2.50' }, { total: '-3' }];
    assert.deepEqual(stated(at('/rows/*/total'), { rows }), gbp('650'));
    const partly = stated(at('/rows/*/total'), { rows: [...rows, { other: '9' }] });
    assert.deepEqual(partly, gbp('650', false));
    assert.deepEqual(stated(at('/rows/*/total'), { rows: [] }), NONE);
    assert.equal(stated(at('/rows/*/total'), { rows: { 0: { total: '1' } } })?.complete, false);
    assert.deepEqual(stated(at('/a/*/*'), { a: [[1], [2, 3]] }), gbp('600'));
  });

  test('takes the currency of the same item, and is not known without one', () => {
    const mapping = { argument: '/rows/*/amount', currencyArgument: '/rows/*/currency' };
    const rows = [
      { amount: '5', currency: 'JPY' },
      { amount: '5', currency: 'GBP' },
      { amount: '7', currency: 'GBP' },
    ];
    assert.deepEqual(stated(mapping, { rows }), {
      value: [
        { currency: 'GBP', amountMinor: '1200' },
        { currency: 'JPY', amountMinor: '5' },
      ],
      complete: true,
    });
    for (const currency of ['gbp', 'GB', 'POUND', '', null, 826]) {
      const measured = stated(mapping, { rows: [{ amount: '5', currency }] });
      assert.deepEqual(measured, { ...NONE, complete: false }, JSON.stringify(currency));
    }
  });

  test('in minor units stays what it is, and a fraction is rounded up', () => {
    const minor = { argument: '/amount', currency: 'GBP', unit: 'minor' };
    assert.deepEqual(stated(minor, { amount: 1234 }), gbp('1234'));
    assert.deepEqual(stated(minor, { amount: '1234.01' }), gbp('1235'));
  });

  test('is of its own operation alone', () => {
    const read = argumentAmount.parse({ operation: 'pay', ...at('/amount') });
    assert.equal(amountsInArguments([read], 'refund', { amount: '5' }), null);
  });

  test('is mapped with one currency, by a pointer', () => {
    for (const mapping of [
      { argument: '/a' },
      { ...at('/a'), currencyArgument: '/b' },
      at('a'),
      at(''),
      at('/a~2'),
      { argument: '/a', currency: 'gbp' },
    ]) {
      assert.equal(argumentAmount.safeParse({ operation: 'pay', ...mapping }).success, false);
    }
  });
});

test('of two measures of one money the larger counts, by currency, and what one does not know is not known', () => {
  const both: Measured = {
    value: [...gbp('5').value, { currency: 'EUR', amountMinor: '9' }],
    complete: true,
  };
  assert.deepEqual(larger(gbp('7'), both), {
    value: [
      { currency: 'EUR', amountMinor: '9' },
      { currency: 'GBP', amountMinor: '7' },
    ],
    complete: true,
  });
  assert.deepEqual(larger(gbp('7'), null), gbp('7'));
  assert.equal(larger(gbp('7'), gbp('1', false)).complete, false);
});

test('a sum of money is at least each of its parts, whatever their signs and order', () => {
  const amount = fc.tuple(fc.integer({ min: -10_000, max: 10_000 }), fc.constantFrom('GBP', 'JPY'));
  fc.assert(
    fc.property(fc.array(amount), (amounts) => {
      const sum = new MoneySum();
      for (const [minor, currency] of amounts) {
        const read = amountOf(String(minor), currency, 'minor');
        assert(read !== null);
        sum.add(read);
      }
      for (const currency of ['GBP', 'JPY']) {
        const expected = amounts
          .filter(([, each]) => each === currency)
          .reduce((total, [minor]) => total + Math.abs(minor), 0);
        const found = sum.total().value.find((each) => each.currency === currency);
        assert.equal(Number(found?.amountMinor ?? 0), expected);
      }
    }),
  );
});
