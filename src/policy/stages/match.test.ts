import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { matches, matchesPattern } from './match.ts';

const SUBJECT = {
  agent: 'bot',
  environment: 'production',
  target: 'crm',
  operation: 'sql',
  resource: 'public.customers',
  class: 'update',
} as const;

describe('a match', () => {
  test('holds for everything where it is empty', () => {
    assert.equal(matches({}, SUBJECT), true);
  });

  test('holds where each member names the subject, and not where one does not', () => {
    const match = {
      agent: ['bot'],
      environment: ['production'],
      target: ['crm', 'shop'],
      operation: ['sql'],
      resource: ['public.*'],
      class: ['create', 'update'],
    } as const;
    assert.equal(matches(match, SUBJECT), true);
    for (const other of [
      { agent: 'other' },
      { environment: 'staging' },
      { target: 'erp' },
      { operation: 'refund.create' },
      { resource: 'audit.log' },
      { class: 'delete' },
    ] as const) {
      assert.equal(matches(match, { ...SUBJECT, ...other }), false, JSON.stringify(other));
    }
  });

  test('that names what is not known of the subject does not hold', () => {
    const { agent: _agent, resource: _resource, class: _class, ...early } = SUBJECT;
    assert.equal(matches({ agent: ['*'] }, early), false);
    assert.equal(matches({ resource: ['*'] }, early), false);
    assert.equal(matches({ class: ['update'] }, early), false);
    assert.equal(matches({ target: ['crm'] }, early), true);
  });
});

describe('a pattern', () => {
  test('takes each star as any run of characters, the empty one too', () => {
    for (const [pattern, text, holds] of [
      ['*', '', true],
      ['public.*', 'public.customers', true],
      ['public.*', 'public', false],
      ['*.customers', 'public.customers', true],
      ['a*b*c', 'abc', true],
      ['a*b*c', 'a-b-b-c', true],
      ['a*b*c', 'acb', false],
      ['ab*ba', 'aba', false],
      ['a**a', 'aa', true],
      ['public.customers', 'public_customers', false],
      ['PUBLIC.*', 'public.customers', false],
    ] as const) {
      assert.equal(matchesPattern(pattern, text), holds, `${pattern} ${text}`);
    }
  });

  test('agrees with a regular expression on random patterns', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 });
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 10 });
    fc.assert(
      fc.property(letters, text, (pattern, subject) => {
        const expression = new RegExp(`^${pattern.replaceAll('*', '.*')}$`);
        assert.equal(matchesPattern(pattern, subject), expression.test(subject));
      }),
      { numRuns: 2_000 },
    );
  });

  test('is quick where backtracking would not be', () => {
    const started = process.hrtime.bigint();
    assert.equal(matchesPattern(`${'a*'.repeat(100)}b`, 'a'.repeat(10_000)), false);
    assert.ok(process.hrtime.bigint() - started < 200_000_000n);
  });
});
