import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CheckResult } from './check.ts';
import { runConformance } from './run.ts';

test(
  'the gateway passes every check of AG-302, tests 8.3 and 8.6',
  { timeout: 600_000 },
  async () => {
    const failed: CheckResult[] = [];
    const results = await runConformance({
      progress: () => undefined,
      onResult: (result) => {
        if (!result.passed) failed.push(result);
      },
    });
    assert.deepEqual(failed, []);
    assert.ok(results.length >= 35);
  },
);
