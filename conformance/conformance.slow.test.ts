import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runConformance } from './run.ts';

test(
  'the gateway passes every check of AG-302, tests 8.3 and 8.6',
  { timeout: 3_600_000 },
  async () => {
    const results = await runConformance(['evidence'], {
      progress: () => undefined,
      onResult: () => undefined,
    });
    assert.deepEqual(
      results.filter(({ passed }) => !passed),
      [],
    );
    assert.ok(results.length >= 35);
  },
);
