import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changesBetween, counted, rowText } from './snapshot.ts';

test('a snapshot tells a row from another by any bit of it, and counts rows that are the same', () => {
  const rows = [
    { a: 'null', b: null },
    { a: null, b: 'null' },
    { b: null, a: 'null' },
  ].map(rowText);
  assert.equal(rows[0], rows[2]);
  assert.notEqual(rows[0], rows[1]);
  const [first = '', second = ''] = rows;
  const before = new Map([['public.t', counted([first, first, second])]]);
  const after = new Map([['public.t', counted([first, second, second])]]);
  assert.deepEqual(changesBetween(before, after), [
    { table: 'public.t', gone: [first], came: [second] },
  ]);
  assert.deepEqual(changesBetween(before, before), []);
});
