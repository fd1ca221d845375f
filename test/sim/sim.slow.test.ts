// A hundred thousand seeds, and what they met.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playAll } from './farm.ts';
import { unreached } from './must-reach.ts';
import { progress, summary } from './summary.ts';

const SEEDS = 100_000;

test('a hundred thousand seeds hold G1 to G9 and L1, and meet all that they must', async (context) => {
  const field = { from: 1, count: SEEDS, narrowing: { without: [] } };
  const { seeds, coverage, found } = await playAll(field, progress(SEEDS));
  assert.equal(
    found,
    null,
    `npm run simulate -- --seed ${found?.seed} shows it: ${found?.message}`,
  );
  assert.equal(seeds, SEEDS);
  for (const line of summary(coverage)) context.diagnostic(line);
  assert.deepEqual(unreached(seeds, coverage), []);
});
