import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lot } from './lot.ts';

function drawn(lot: Lot): readonly number[] {
  return Array.from({ length: 50 }, () => lot.below(1_000));
}

test('the same seed gives the same choices, another seed others', () => {
  assert.deepEqual(drawn(new Lot(7)), drawn(new Lot(7)));
  assert.notDeepEqual(drawn(new Lot(7)), drawn(new Lot(8)));
  const chosen = drawn(new Lot(7));
  assert.ok(chosen.every((each) => Number.isInteger(each) && each >= 0 && each < 1_000));
});

test('what is asked of a fork does not move its lot, nor another fork', () => {
  const [asked, quiet] = [new Lot(7), new Lot(7)];
  drawn(asked.fork('a'));
  quiet.fork('a');
  assert.deepEqual(drawn(asked.fork('b')), drawn(quiet.fork('b')));
  assert.notDeepEqual(drawn(new Lot(7).fork('a')), drawn(new Lot(7).fork('b')));
});
