import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Coverage } from './coverage.ts';
import { MUST_REACH_KEYS, SEEDS_MIN, unreached } from './must-reach.ts';
import { leastReached, progressLine, summary } from './summary.ts';

function full(): Coverage {
  const coverage = new Coverage();
  for (const [place, key] of MUST_REACH_KEYS.entries()) coverage.counts.set(key, 1 + place * 7);
  return coverage;
}

describe('what is shown of a simulation', () => {
  for (const columns of [44, 100, 160]) {
    test(`fits into ${columns} columns, with every count in it`, () => {
      const coverage = full();
      const lines = [
        ...summary(coverage, columns),
        ...leastReached(MUST_REACH_KEYS, coverage, columns),
        progressLine({ done: 99_000, total: 100_000, elapsedMs: 1_000_000 }, columns),
      ];
      assert.ok(lines.every((line) => line.length <= columns));
      for (const count of coverage.counts.values()) {
        assert.ok(lines.some((line) => line.includes(` ${count.toLocaleString('en')}`)));
      }
    });
  }

  test('begins with what was reached most, and ends with what was reached least', () => {
    const coverage = new Coverage();
    coverage.reach('crash', 'before a', 1);
    coverage.reach('state', 'rare', 2);
    coverage.reach('state', 'often', 1_234);
    assert.deepEqual(summary(coverage, 12), [
      'States',
      '  oft… 1,234',
      '  rare     2',
      '',
      'Crashes, by the calls that were open',
      '  before a 1',
      '',
    ]);
    const keys = ['state:often', 'state:rare', 'state:never'];
    assert.deepEqual(leastReached(keys, coverage, 30), [
      'Least reached of 3 that must be',
      '  state:never     0',
      '  state:rare      2',
      '  state:often 1,234',
      '',
    ]);
  });
});

describe('what must be reached', () => {
  test('is named once each', () => {
    assert.equal(new Set(MUST_REACH_KEYS).size, MUST_REACH_KEYS.length);
  });

  test('is asked of many seeds alone, and what is missing is named', () => {
    const coverage = full();
    assert.deepEqual(unreached(SEEDS_MIN, coverage), []);
    coverage.counts.delete('crash:after target keep');
    assert.deepEqual(unreached(SEEDS_MIN, coverage), ['crash:after target keep']);
    assert.deepEqual(unreached(SEEDS_MIN - 1, coverage), []);
  });
});
