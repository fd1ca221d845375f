import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson } from '../lib/canonical.ts';
import { DRAFT_BOUNDS } from '../model/draft.ts';
import { Problem } from '../model/problem.ts';
import { parseDraft, toDraft } from './draft.ts';

const DRAFT = { target: 'crm', operation: 'sql', arguments: {} };

test('whatever JSON comes in, a draft is taken as it is or refused as draft-invalid', () => {
  const drafts = fc.record({
    target: fc.oneof(fc.string(), fc.constant('crm')),
    operation: fc.oneof(fc.string({ unit: 'binary' }), fc.constant('sql')),
    arguments: fc.oneof(
      fc.json().map((text): unknown => JSON.parse(text)),
      fc.dictionary(fc.string(), fc.jsonValue()),
    ),
  });
  fc.assert(
    fc.property(fc.oneof(drafts, fc.jsonValue()), (input) => {
      try {
        const body = parseDraft(input);
        assert.deepEqual(body, input);
        const { arguments: given } = toDraft(body);
        canonicalJson(given);
        assert.deepEqual(given, 'steps' in body ? { steps: body.steps } : body.arguments);
      } catch (error) {
        assert.ok(error instanceof Problem, String(error));
        assert.equal(error.code, 'draft-invalid');
      }
    }),
  );
});

test('arguments of the greatest size and depth are taken, and one more of each is not', () => {
  const { argumentsBytesMax, depthMax } = DRAFT_BOUNDS;
  const sized = (bytes: number) => ({
    ...DRAFT,
    arguments: { a: 'x'.repeat(bytes - '{"a":""}'.length) },
  });
  parseDraft(sized(argumentsBytesMax));
  assert.throws(() => parseDraft(sized(argumentsBytesMax + 1)), {
    code: 'draft-invalid',
    at: '/arguments',
  });

  const nested = (depth: number) => ({
    ...DRAFT,
    arguments: JSON.parse('{"a":'.repeat(depth - 1) + '{}' + '}'.repeat(depth - 1)) as unknown,
  });
  parseDraft(nested(depthMax));
  assert.throws(() => parseDraft(nested(depthMax + 1)), {
    code: 'draft-invalid',
    at: '/arguments',
  });
});

test('a chain has 2 to 50 steps, each a write, and no more arguments than a write may have', () => {
  const { stepsMin, stepsMax, argumentsBytesMax } = DRAFT_BOUNDS;
  const steps = (count: number) => ({ steps: Array.from({ length: count }, () => DRAFT) });
  for (const count of [stepsMin, stepsMax]) {
    const draft = toDraft(parseDraft(steps(count)));
    assert.equal(draft.steps?.length, count);
    assert.equal(draft.operation, 'chain');
    assert.deepEqual(draft.arguments, steps(count));
  }
  const half = { ...DRAFT, arguments: { a: 'x'.repeat(argumentsBytesMax / 2) } };
  const table: readonly [string, unknown][] = [
    ['/steps', steps(stepsMin - 1)],
    ['/steps', steps(stepsMax + 1)],
    ['/steps', { steps: [half, half] }],
    ['/steps/1/arguments/n', { steps: [DRAFT, { ...DRAFT, arguments: { n: 2 ** 53 } }] }],
    ['/steps/0', { steps: [{ ...DRAFT, compensates: 'prop_1' }, DRAFT] }],
    ['', { ...DRAFT, ...steps(2) }],
  ];
  for (const [at, input] of table) {
    assert.throws(() => parseDraft(input), { code: 'draft-invalid', at });
  }
});

test('a refusal points to the place', () => {
  const table: readonly [string, unknown][] = [
    ['/arguments/a~1b/1', { ...DRAFT, arguments: { 'a/b': [1, 2 ** 53] } }],
    ['/arguments/a', { ...DRAFT, arguments: { a: '\ud800' } }],
    ['/reason', { ...DRAFT, reason: '\udc00' }],
    ['/target', { ...DRAFT, target: 'a\u2028b' }],
    ['', { ...DRAFT, tenant: 'other' }],
  ];
  for (const [at, input] of table) {
    assert.throws(() => parseDraft(input), { code: 'draft-invalid', at });
  }
});

test('foreign names in a refusal are short and inert', () => {
  const name = `\u202e${'x'.repeat(100_000)}`;
  for (const input of [
    { ...DRAFT, [name]: 1 },
    { ...DRAFT, arguments: { [name]: '\ud800' } },
  ]) {
    assert.throws(
      () => parseDraft(input),
      (error: unknown) =>
        error instanceof Problem &&
        error.message.length < 400 &&
        (error.at ?? '').length <= 500 &&
        !error.message.includes('\u202e'),
    );
  }
});

test('what a draft compensates never comes from outside', () => {
  assert.throws(() => parseDraft({ ...DRAFT, compensates: 'prop_0' }), { code: 'draft-invalid' });
  assert.equal(toDraft(parseDraft(DRAFT)).compensates, undefined);
});
