// A hundred thousand seeds, and what they met: `npm run simulate -- --seeds 100000` is the same alone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { playAll } from './farm.ts';
import { MUST_REACH_KEYS, unreached } from './must-reach.ts';
import { leastReached, progress, summary } from './summary.ts';

const SEEDS = Number(process.env['WRITEGATE_TEST_SEEDS'] ?? 100_000);

test(`${SEEDS} seeds hold G1 to G9 and L1, and meet all that they must`, async (context) => {
  const field = { from: 1, count: SEEDS, narrowing: { without: [] } };
  const { seeds, coverage, found } = await playAll(field, progress(SEEDS));
  assert.equal(
    found,
    null,
    `npm run simulate -- --seed ${found?.seed} shows it: ${found?.message}`,
  );
  assert.equal(seeds, SEEDS);
  for (const line of summary(coverage)) context.diagnostic(line);
  for (const line of leastReached(MUST_REACH_KEYS, coverage)) context.diagnostic(line);
  assert.deepEqual(unreached(seeds, coverage), [], 'it never came up');
});
