import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { BulkShapes, KeyedQueue } from './queue.ts';

const never = new AbortController().signal;

test('work of one key runs in its order, of another beside it, and an end by error lets the next begin', async () => {
  const queue = new KeyedQueue();
  const seen: string[] = [];
  const gate = Promise.withResolvers<undefined>();
  const first = queue.run('a', never, async () => {
    await gate.promise;
    seen.push('a1');
    throw new Error('broken');
  });
  const second = queue.run('a', never, () => Promise.resolve(seen.push('a2')));
  await queue.run('b', never, () => Promise.resolve(seen.push('b')));
  gate.resolve(undefined);
  await assert.rejects(first, /broken/);
  await second;
  assert.deepEqual(seen, ['b', 'a1', 'a2']);
});

test('who gives up while waiting leaves the queue to the others', async () => {
  const queue = new KeyedQueue();
  const gate = Promise.withResolvers<undefined>();
  const first = queue.run('a', never, () => gate.promise);
  const controller = new AbortController();
  const second = queue.run('a', controller.signal, () => Promise.resolve('ran'));
  const third = queue.run('a', never, () => Promise.resolve('third'));
  controller.abort();
  await assert.rejects(second, { name: 'AbortError' });
  gate.resolve(undefined);
  await first;
  assert.equal(await third, 'third');
});

test('only so many statements are remembered as large', () => {
  const bulk = new BulkShapes();
  for (let at = 0; at <= 500; at += 1) bulk.add(`statement ${at}`);
  assert.deepEqual([bulk.has('statement 0'), bulk.has('statement 500')], [false, true]);
});
