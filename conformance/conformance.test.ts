import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SCOPE_CHECKS } from './scope/checks.ts';
import { openScopeWorld, type ScopeWorld } from './scope/world.ts';
import { tableOf } from './table.ts';

describe('AG-302, attacked on a running gateway:', () => {
  let world: ScopeWorld;
  before(async () => {
    world = await openScopeWorld(() => undefined);
  });
  after(() => world.close());

  for (const check of SCOPE_CHECKS) {
    const numbers =
      check.test === null ? check.requirement : `${check.test} (${check.requirement})`;
    test(`${numbers}: ${check.name}`, { timeout: 120_000 }, async () => {
      await check.run(world);
    });
  }
});

test('the table has a row for each requirement and test, and no verdict without a check', () => {
  const result = { name: 'x', figures: {}, failure: null };
  const table = tableOf([
    { ...result, test: '8.1', requirement: '4.2', passed: true },
    { ...result, test: '8.1', requirement: '4.2', passed: false },
    { ...result, test: '8.5', requirement: '4.8', passed: true },
  ]);
  const verdicts = new Map(table.map(({ number, verdict }) => [number, verdict]));
  assert.equal(verdicts.size, 16);
  assert.equal(verdicts.get('4.2'), 'fail');
  assert.equal(verdicts.get('8.1'), 'fail');
  assert.equal(verdicts.get('8.5'), 'pass');
  assert.equal(verdicts.get('8.7'), 'not yet');
});
