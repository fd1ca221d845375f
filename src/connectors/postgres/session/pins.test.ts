import assert from 'node:assert/strict';
import { test } from 'node:test';
import { transactionTimeoutMs } from './pins.ts';

test('a transaction may be open for as long as a statement of its role may take', () => {
  const settings = { statementTimeoutMs: 7_000, limits: { readTimeoutMs: 60_000 } };
  assert(transactionTimeoutMs(settings, 'reader') > settings.limits.readTimeoutMs);
  assert.equal(transactionTimeoutMs(settings, 'writer'), 15_000);
});
