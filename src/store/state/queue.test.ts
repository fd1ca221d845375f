/** The commit queue: what is over its bound has begun nothing, and what was begun is taken. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '../../model/problem.ts';
import {
  beginChange,
  freezeChange,
  freezeOf,
  goOn,
  outcomeEntry,
  proposalOf,
} from '../conformance/fixtures.ts';
import { CommitQueue, WAITING_MAX, type Settled } from './queue.ts';

test('a full queue begins no proposal, and still takes an outcome and a stop', async () => {
  const open = Promise.withResolvers<void>();
  const taken: string[] = [];
  const queue = new CommitQueue(async (changes) => {
    await open.promise;
    taken.push(...changes.flatMap(({ acts }) => acts.map(({ act }) => act)));
    const commit = { kind: 'committed', entries: [], proposals: [] } as const;
    return changes.map((): Settled => ({ kind: 'done', commit }));
  });
  const begun = Array.from({ length: WAITING_MAX }, (_, number) =>
    queue.add(beginChange(proposalOf(number), 'executing')),
  );
  const over = proposalOf(WAITING_MAX);
  const refused = queue.add(beginChange(over, 'executing'));
  await assert.rejects(
    refused,
    (error) => error instanceof Problem && error.code === 'too-many-requests',
  );
  const settles = queue.add(goOn(over, 4, [outcomeEntry('applied')]));
  const stops = queue.add(freezeChange(freezeOf(1), { kind: 'all' }));
  open.resolve();
  await Promise.all([...begun, settles, stops]);
  assert.equal(taken.length, WAITING_MAX + 2);
  assert.deepEqual(taken.slice(-2), [over, freezeOf(1)]);
  await queue.add(beginChange(proposalOf(-1), 'executing'));
});
