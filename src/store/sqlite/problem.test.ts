import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Problem } from '../../model/problem.ts';
import { openingProblem } from './problem.ts';

/** As `node:sqlite` throws it. */
function sqliteError(errcode: number): Error {
  return Object.assign(new Error('of the storage'), { code: 'ERR_SQLITE_ERROR', errcode });
}

test('a store that cannot be opened says whether the disk is full or something else is wrong', () => {
  const noSpace = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', syscall: 'open' });
  for (const [error, advice] of [
    [sqliteError(13), /make room on the disk/],
    [noSpace, /make room on the disk/],
    [sqliteError(14), /check its permissions/],
  ] as const) {
    const problem = openingProblem(error, '/data/store.sqlite');
    assert.ok(problem instanceof Problem);
    assert.equal(problem.code, 'store-unusable');
    assert.match(problem.message, advice);
  }
});

test('a store that another gateway holds says what a second folder would mean', () => {
  const problem = openingProblem(sqliteError(5), '/data/store.sqlite');
  assert.ok(problem instanceof Problem);
  assert.equal(problem.code, 'store-locked');
  assert.match(problem.message, /stop it\. Another data folder would be another gateway/);
});
