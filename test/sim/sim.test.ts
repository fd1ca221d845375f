// The simulation: seeds that find nothing, and a seed that is the same whenever it is played.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { simulate } from './run.ts';

/** Of a single gateway. */
const NARROWING = { without: ['second-gateway'] };

describe('the simulation', () => {
  test('holds G1 to G9 after every step of a hundred seeds, and L1 at their end', async () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      const { violation, trace } = await simulate(seed, NARROWING);
      assert.equal(violation, null, `seed ${seed}\n${trace.readable().join('\n')}`);
    }
  });

  test('plays a seed the same way each time', async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const [first, second] = [await simulate(seed, NARROWING), await simulate(seed, NARROWING)];
      assert.deepEqual(first.trace.lines, second.trace.lines);
      assert.equal(first.hash, second.hash);
    }
  });
});
