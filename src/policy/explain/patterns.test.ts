import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesPattern } from '../stages/match.ts';
import { ANY_OTHER, coversPattern, mayOverlap } from './patterns.ts';

const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 5 });

/** Every name over two letters that is long enough to tell such patterns apart. */
const NAMES: readonly string[] = Array.from({ length: 9 }, (_, length) =>
  Array.from({ length: 2 ** length }, (_name, bits) =>
    Array.from({ length }, (_letter, place) => ((bits >> place) & 1 ? 'a' : 'b')).join(''),
  ),
).flat();

test('two patterns overlap where some name matches both, and only there', () => {
  fc.assert(
    fc.property(pattern, pattern, (left, right) => {
      const both = NAMES.some((name) => matchesPattern(left, name) && matchesPattern(right, name));
      assert.equal(mayOverlap(left, right), both, `${left} and ${right}`);
    }),
    { numRuns: 2_000 },
  );
});

test('a pattern that covers another matches every name that the other matches', () => {
  fc.assert(
    fc.property(pattern, pattern, (outer, inner) => {
      if (!coversPattern(outer, inner)) return;
      const missed = NAMES.find(
        (name) => matchesPattern(inner, name) && !matchesPattern(outer, name),
      );
      assert.equal(missed, undefined, `${outer} over ${inner}`);
    }),
    { numRuns: 5_000 },
  );
});

test('of a wider pattern over a narrower one covering is seen', () => {
  for (const [outer, inner] of [
    ['*', 'public.*'],
    ['public.*', 'public.c*'],
    ['public.*', 'public.customers'],
    ['*.log', 'audit.*.log'],
  ] as const) {
    assert.ok(coversPattern(outer, inner), `${outer} over ${inner}`);
    assert.ok(!coversPattern(inner, outer), `${inner} over ${outer}`);
  }
});

test('no pattern but a star means every other name', () => {
  assert.ok(coversPattern('*', ANY_OTHER));
  assert.ok(!coversPattern('public.*', ANY_OTHER));
});

test('a pattern of many stars is compared at once', () => {
  const stars = '*a'.repeat(60);
  assert.ok(mayOverlap(stars, `${'a'.repeat(120)}*`));
  assert.ok(!mayOverlap(`${stars}c`, `${'a'.repeat(120)}*b`));
});
