import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashOf } from './learn.ts';

test('sums of hashes tell sets of clocks and of numbers apart that differ in their last digits', () => {
  const sum = (values: readonly string[]): number =>
    values.reduce((total, value) => total + hashOf(value), 0);
  const clock = '2026-11-20 18:40:00.1234';
  for (let digit = 0; digit < 60; digit += 4) {
    const at = (offset: number): string => `${clock}${String(10 + digit + offset)}`;
    assert.notEqual(sum([at(0), at(3)]), sum([at(1), at(2)]));
  }
  assert.notEqual(sum(['100', '103']), sum(['101', '102']));
  assert.equal(sum(['a', 'b', 'c']), sum(['c', 'a', 'b']));
});
