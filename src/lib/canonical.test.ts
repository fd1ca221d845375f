import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson, digestJson } from './canonical.ts';
import type { Json } from './json.ts';

test('members are sorted by UTF-16 code units, at every depth (RFC 8785, 3.2.3)', () => {
  const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\u{1f600}': 5, '\u0080': 6, ö: 7 };
  assert.equal(
    canonicalJson({ z: [value], a: {} }),
    '{"a":{},"z":[{"\\r":2,"1":4,"\u0080":6,"ö":7,"\u20ac":1,"\u{1f600}":5,"\ufb33":3}]}',
  );
});

test('numbers and texts are spelt as ECMAScript does (RFC 8785, 3.2.2)', () => {
  const numbers = [1e30, 4.5, 2e-3, 1e-27, -0, 0, 1e21];
  assert.equal(canonicalJson(numbers), '[1e+30,4.5,0.002,1e-27,0,0,1e+21]');
  assert.equal(canonicalJson('\u20ac$\u000f\nA\'B"\\/'), '"€$\\u000f\\nA\'B\\"\\\\/"');
  assert.equal(canonicalJson([true, false, null, [], {}]), '[true,false,null,[],{}]');
});

test('what JSON cannot express is refused, wherever it stands', () => {
  const refused: readonly unknown[] = [Number.NaN, Infinity, '\ud800', undefined, 1n, () => 1];
  for (const value of refused) {
    for (const where of [value, [value]]) {
      assert.throws(() => canonicalJson(where as Json), TypeError);
    }
  }
  assert.throws(() => canonicalJson({ '\ud800': 1 }), TypeError);
  assert.throws(() => canonicalJson({ a: Number.NaN }), TypeError);
});

test('a member that is undefined is left out', () => {
  assert.equal(canonicalJson({ a: undefined, b: 1 } as unknown as Json), '{"b":1}');
});

test('the canonical form reads back as the same value, and is its own canonical form', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'grapheme' }), (value) => {
      // `jsonValue` gives JSON, and its type says `unknown`.
      const json = value as Json;
      const text = canonicalJson(json);
      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(json)));
      assert.equal(canonicalJson(JSON.parse(text) as Json), text);
    }),
  );
});

test('a digest is the SHA-256 of the canonical form', () => {
  assert.equal(
    digestJson({}),
    'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
  );
});
