import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  binOf,
  binOfRank,
  counted,
  EMPTY_HISTOGRAM,
  largestOf,
  smallestOf,
  type Histogram,
} from './histogram.ts';

const whole = fc.oneof(
  fc.nat({ max: 40 }),
  fc.nat({ max: 100_000 }),
  fc.maxSafeNat(),
  fc.constantFrom(0, 7, 8, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER),
);

function histogramOf(values: readonly number[], bounds = { totalMax: 1_000, binsMax: 400 }) {
  return values.reduce<Histogram>((all, value) => counted(all, value, bounds), EMPTY_HISTOGRAM);
}

describe('a bin', () => {
  test('holds each number between its smallest and its largest, within a quarter', () => {
    fc.assert(
      fc.property(whole, (value) => {
        const bin = binOf(value);
        assert.ok(smallestOf(bin) <= value && value <= largestOf(bin));
        assert.ok(largestOf(bin) - smallestOf(bin) <= value / 4);
      }),
    );
  });

  test('follows the one before it without a gap, up to the largest whole number', () => {
    const last = binOf(Number.MAX_SAFE_INTEGER);
    for (let bin = 0; bin < last; bin += 1) {
      assert.equal(largestOf(bin) + 1, smallestOf(bin + 1));
      assert.equal(binOf(smallestOf(bin)), bin);
    }
    assert.equal(largestOf(last), Number.MAX_SAFE_INTEGER);
  });

  test('is the lowest for what is no number of things, and the highest for what is beyond all', () => {
    for (const value of [Number.NaN, -1, -Infinity, -0.5]) assert.equal(binOf(value), 0);
    const last = binOf(Number.MAX_SAFE_INTEGER);
    for (const value of [Infinity, 1e300]) assert.equal(binOf(value), last);
  });
});

describe('a histogram', () => {
  test('gives the rank of what was counted, whatever the order of counting', () => {
    fc.assert(
      fc.property(fc.array(whole, { minLength: 1, maxLength: 60 }), (values) => {
        const sorted = values.toSorted((left, right) => left - right);
        const histogram = histogramOf(values);
        assert.deepEqual(histogram, histogramOf(sorted));
        for (const [place, value] of sorted.entries()) {
          assert.equal(binOfRank(histogram, place + 1), binOf(value));
        }
      }),
    );
  });

  test('stays within its bounds, and joins no number to a larger one', () => {
    fc.assert(
      fc.property(fc.array(whole, { maxLength: 300 }), (values) => {
        const histogram = histogramOf(values, { totalMax: 100, binsMax: 6 });
        assert.ok(histogram.bins.length <= 6);
        assert.ok(histogram.total < 100);
        const largest = Math.max(0, ...values);
        for (const [bin] of histogram.bins) assert.ok(smallestOf(bin) <= largest);
      }),
    );
  });

  test('forgets, when it is full, what it met once', () => {
    const full = histogramOf([...Array.from({ length: 9 }, () => 3), 500], {
      totalMax: 10,
      binsMax: 8,
    });
    assert.deepEqual(full, { bins: [[3, 4]], total: 4 });
  });
});
