import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../lib/json.ts';
import { parsePostgresSettings } from './settings.ts';

const parsed = (settings: JsonObject) =>
  parsePostgresSettings('shop', { url: 'postgres://nowhere', ...settings });

test('value is of columns and of arguments, told apart', () => {
  const column = { table: 'orders', column: 'total', currency: 'GBP' };
  const argument = { operation: 'insert', argument: '/rows/*/total', currency: 'GBP' };
  const { value, amounts, recipients } = parsed({ value: [column, argument] });
  assert.deepEqual(value, [{ ...column, unit: 'major' }]);
  assert.deepEqual(amounts, [{ ...argument, unit: 'major' }]);
  assert.deepEqual(recipients, []);
});

test('what is wrong with a line of value is told of the kind that was meant, with its place', () => {
  const fault = (line: JsonObject) => {
    const good = { table: 'orders', column: 'total', currency: 'GBP' };
    try {
      parsed({ value: [good, line] });
    } catch (error) {
      return error;
    }
    return assert.fail(JSON.stringify(line));
  };
  const wrong = [
    [{ table: 'orders', column: 'total' }, '/value/1', /exactly one of `currency` and `currencyC/],
    [
      { operation: 'insert', argument: '/a' },
      '/value/1',
      /exactly one of `currency` and `currencyA/,
    ],
    [{ operation: 'insert', argument: 'a', currency: 'GBP' }, '/value/1/argument', /JSON pointer/],
    [{ argument: '/a', currency: 'GBP' }, '/value/1/operation', /./],
    [{ argument: '/a', operation: 'insert', currency: 'gbp' }, '/value/1/currency', /ISO 4217/],
    [
      { argument: '/a', operation: 'insert', currency: 'GBP', column: 'b' },
      '/value/1/column',
      /not a setting/,
    ],
    [
      { table: 'orders', column: 'total', currency: 'GBP', typo: 1 },
      '/value/1/typo',
      /not a setting/,
    ],
  ] as const;
  for (const [line, at, message] of wrong) {
    const found = fault(line);
    assert.ok(found instanceof Error && 'at' in found);
    assert.equal(found.at, at, JSON.stringify(line));
    assert.match(found.message, message);
  }
});
