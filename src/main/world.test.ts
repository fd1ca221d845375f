import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Opened } from './closing.ts';
import { takeTurns } from './turns.ts';
import { wallClock } from './world.ts';

test('the clock never goes backwards, whatever the wall does', () => {
  const wall = [100, 200, 150, 199, 201].values();
  const clock = wallClock(() => wall.next().value ?? 0);
  const told = Array.from({ length: 5 }, () => clock.now());
  assert.deepEqual(told, [100, 200, 200, 200, 201]);
});

test('a sleep ends as soon as it is called off', async () => {
  const controller = new AbortController();
  const slept = wallClock().sleep(3_600_000, controller.signal);
  controller.abort();
  await slept;
  await wallClock().sleep(3_600_000, controller.signal);
});

test('a turn that goes wrong is told, and the next one comes all the same', async () => {
  const stop = new AbortController();
  const told: unknown[] = [];
  let turns = 0;
  await takeTurns(
    {
      clock: { now: () => 0, sleep: () => Promise.resolve() },
      intervalMs: 1,
      stop: stop.signal,
      onError: (error) => told.push(error),
    },
    () => {
      turns += 1;
      if (turns === 3) stop.abort();
      return turns === 1 ? Promise.reject(new Error('the first')) : Promise.resolve();
    },
  );
  assert.equal(turns, 3);
  assert.deepEqual(told, [new Error('the first')]);
});

test('what was opened is let go in the reverse order, once, whatever one of them does', async () => {
  const closed: string[] = [];
  const opened = new Opened();
  opened.add(() => Promise.resolve(closed.push('store')));
  opened.add(() => Promise.reject(new Error('target')));
  opened.add(() => Promise.resolve(closed.push('app')));
  await assert.rejects(opened.close(), new Error('target'));
  await assert.rejects(opened.close(), new Error('target'));
  assert.deepEqual(closed, ['app', 'store']);
});
