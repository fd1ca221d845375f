// The simulation notices what would break the product, and says which promise it breaks.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Noticed } from './mutant-worker.ts';
import { MUTANTS } from './mutants.ts';

const SEEDS_MAX = 200;

async function noticed(name: string): Promise<Noticed> {
  const { promise, resolve, reject } = Promise.withResolvers<Noticed>();
  const worker = new Worker(new URL('mutant-worker.ts', import.meta.url), {
    workerData: { name, seeds: SEEDS_MAX },
  });
  worker.once('message', resolve);
  worker.once('error', reject);
  try {
    return await promise;
  } finally {
    await worker.terminate();
  }
}

describe(`within ${SEEDS_MAX} seeds it is noticed where`, { concurrency: 2 }, () => {
  for (const { name, caughtBy } of MUTANTS) {
    test(name, async (context) => {
      const found = await noticed(name);
      assert.ok(found !== null, 'no seed noticed it');
      context.diagnostic(`seed ${found.seed}: ${found.message}`);
      assert.ok(
        caughtBy.some((each) => each === found.invariant),
        `expected ${caughtBy.join(' or ')} to notice it, found ${found.message}`,
      );
    });
  }
});
