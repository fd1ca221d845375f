import assert from 'node:assert/strict';
import { test } from 'node:test';
import { watchClock } from './clock-watch.ts';

/** A store that takes `tookMs` to answer, with a clock that is `offMs` behind ours. */
function setting() {
  const world = { now: 1_000_000, offMs: 0, tookMs: 10, said: [] as string[] };
  const look = watchClock({
    clock: { now: () => world.now, sleep: () => Promise.resolve() },
    log: (line) => void world.said.push(line),
    shared: {
      now: () => {
        world.now += world.tookMs;
        return Promise.resolve(world.now - world.offMs);
      },
    },
  });
  return { world, look };
}

test('a clock that is ahead or behind is told of once, and again after it was right', async () => {
  const { world, look } = setting();
  await look();
  assert.deepEqual(world.said, []);
  world.offMs = 3_600_000;
  await look();
  await look();
  assert.equal(world.said.length, 1);
  assert.match(world.said[0] ?? '', /3600 s ahead of the store's/);
  world.offMs = 0;
  await look();
  world.offMs = -5_000;
  await look();
  assert.equal(world.said.length, 2);
  assert.match(world.said[1] ?? '', /5 s behind the store's/);
});

test('an answer that took long says nothing against the clock', async () => {
  const { world, look } = setting();
  world.tookMs = 60_000;
  world.offMs = 30_000;
  await look();
  assert.deepEqual(world.said, []);
});

test('a store without a clock of its own is not asked further', async () => {
  const said: string[] = [];
  const look = watchClock({
    clock: { now: () => 1, sleep: () => Promise.resolve() },
    log: (line) => void said.push(line),
    shared: { now: () => Promise.resolve(null) },
  });
  await look();
  assert.deepEqual(said, []);
});
