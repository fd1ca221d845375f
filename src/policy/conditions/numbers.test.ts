import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Decimal } from '../../lib/decimal.ts';
import { compileCondition, whyErrored } from './conditions.ts';
import { factsOf, row } from '../../../test/support/policy.ts';

function answer(text: string, column: string | null, args: { n?: string | number } = {}): string {
  const condition = compileCondition(text);
  assert.ok(condition.kind === 'compiled', JSON.stringify(condition));
  const before = { price: '100', id: '9' };
  const after = { price: column, id: '10' };
  try {
    return String(condition.holds(factsOf({ args, plan: { effects: [row({ before, after })] } })));
  } catch (thrown) {
    return whyErrored(thrown);
  }
}

describe('a column beside a number', () => {
  test('is read as a number, in every comparison and calculation', () => {
    for (const [text, column] of [
      ['effect.rows.all(r, r.after.price >= 0)', '0'],
      ['effect.rows.all(r, 0 <= r.after.price)', '0.00'],
      ['effect.rows.all(r, r.after.price > 9)', '10'],
      ['effect.rows.all(r, r.after.price == 5)', '5.00'],
      ['effect.rows.all(r, r.after.price != 5)', '5.01'],
      ['effect.rows.all(r, r.after.price == 5.5)', '5.50'],
      ['effect.rows.all(r, r.after.price in [1, 2])', '2'],
      ['effect.rows.all(r, r.after.price * 2 == 21)', '10.5'],
      ['effect.rows.all(r, r.after.price + 0.1 == 0.3)', '0.2'],
      ['effect.rows.all(r, 1 - r.after.price < 0)', '1.01'],
      ['effect.rows.all(r, -r.after.price < 0)', '1'],
      ['effect.rows.all(r, r.after.price / 2 == 3 && r.after.price % 2 == 1)', '7'],
      ['effect.rows.all(r, r.after.price - r.before.price < 20)', '119.99'],
      ['effect.rows.all(r, r.after.price * 2 + r.before.price * 3 == 310)', '5'],
      ['effect.rows.map(r, r.after.price).all(p, p >= 0)', '1e+20'],
      ['cel.bind(p, effect.rows[0].after.price, p > 9.5)', '10'],
      ['[effect.rows[0].after.price] == [10]', '10.0'],
      ['int(effect.rows[0].after.price) > 100', '101'],
      ['int(effect.rows[0].after.price * 2) == 21', '10.75'],
      ['string(effect.rows[0].after.price * 2) == "21.5"', '10.75'],
      ['double(effect.rows[0].after.price * 2) == 21.5', '10.75'],
    ] as const) {
      assert.equal(answer(text, column), 'true', `${text} ${column}`);
    }
  });

  test('denies where it is null, or no number', () => {
    for (const text of [
      'effect.rows.all(r, r.after.price >= 0)',
      'effect.rows[0].after.price == 0',
      'effect.rows[0].after.price != 0',
      'effect.rows[0].after.price * 2 > 0',
      'effect.rows[0].after.price - effect.rows[0].before.price > 0',
    ]) {
      for (const column of [null, '', 'NaN', 'abc', '1,000', '$5', '0x10', 'Infinity', ' 5']) {
        assert.match(answer(text, column), /^its condition met `no_such_overload` at/, text);
      }
    }
  });

  test('is never rounded on the way', () => {
    for (const [text, column] of [
      ['effect.rows[0].after.price > 9007199254740992', '9007199254740993'],
      ['effect.rows[0].after.price == 9007199254740993', '9007199254740993'],
      ['effect.rows[0].after.price > 0.1', '0.1000000000000000000000001'],
      ['effect.rows[0].after.price < 100000.0', '99999.99999999999999999999999'],
      ['effect.rows[0].after.price != 9007199254740992.0', '9007199254740993'],
      ['effect.rows[0].after.price > 9223372036854775807', '9223372036854775808'],
      ['effect.rows[0].after.price * 10 == 3', '0.3'],
    ] as const) {
      assert.equal(answer(text, column), 'true', text);
    }
  });

  test('compares as the exact decimals do, whatever they are', () => {
    const number = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 }),
      fc.maxSafeInteger(),
    );
    fc.assert(
      fc.property(fc.bigInt(-(10n ** 20n), 10n ** 20n), fc.nat(18), number, (units, scale, n) => {
        const column = new Decimal(units, scale);
        const bound = Decimal.of(n);
        fc.pre(bound !== undefined);
        const expected = String(column.compare(bound) >= 0);
        assert.equal(
          answer('effect.rows[0].after.price >= args.n', String(column), { n }),
          expected,
        );
      }),
      { numRuns: 300 },
    );
  });

  test('has no quotient that would have to be rounded, and no digits without end', () => {
    assert.match(answer('effect.rows[0].after.price / 3 > 1', '10.5'), /no_such_overload/);
    assert.match(answer('effect.rows[0].after.price / 0 > 1', '10'), /no_such_overload/);
    assert.match(answer('effect.rows[0].after.price > 1', '9'.repeat(1_001)), /no_such_overload/);
    const grown = `cel.bind(a, effect.rows[0].after.price * 1, ${'cel.bind(a, a * a, '.repeat(6)}a > 0${')'.repeat(7)}`;
    assert.match(answer(grown, '9'.repeat(99)), /no_such_overload/);
  });
});

test('between two texts a comparison goes by letters, and `+` joins them', () => {
  const rows = 'effect.rows[0]';
  assert.equal(answer(`${rows}.after.id < ${rows}.before.id`, '1'), 'true');
  assert.equal(answer(`${rows}.after.price == "5.0"`, '5.00'), 'false');
  assert.equal(answer(`${rows}.after.price in ["5"]`, '5.0'), 'false');
  assert.equal(answer(`${rows}.after.price + "0" == "50"`, '5'), 'true');
});

test('a text that cannot be a number is no number: what does not type-check does not load', () => {
  for (const text of [
    'principal.name > 5',
    'operation.class == 1',
    '"5" * 2 == 10',
    'run - 1 > 0',
  ]) {
    assert.equal(compileCondition(text).kind, 'invalid', text);
  }
});
