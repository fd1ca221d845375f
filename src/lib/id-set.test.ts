import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import fc from 'fast-check';
import { IdSet } from './id-set.ts';

const id = fc
  .array(fc.integer({ min: 0, max: 3 }), { minLength: 4, maxLength: 4 })
  .map((words) => words.map((word) => word.toString(16).padStart(8, '0')).join(''));

test('a set of ids knows what it was given, as a set of strings does', () => {
  fc.assert(
    fc.property(fc.array(id, { maxLength: 400 }), (ids) => {
      const set = new IdSet();
      const strings = new Set<string>();
      for (const each of ids) {
        assert.equal(set.add(each), !strings.has(each));
        strings.add(each);
        assert.equal(set.size, strings.size);
      }
    }),
  );
});

test('a set of ids grows, and takes ids that count up', () => {
  const set = new IdSet();
  const ids = Array.from({ length: 20_000 }, (_, at) => at.toString(16).padStart(32, '0'));
  for (const each of ids) assert.equal(set.add(each), true);
  for (const each of ids) assert.equal(set.add(each), false);
  assert.equal(set.size, ids.length);
});
