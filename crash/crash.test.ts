// One round of each of the faults that matter most; `crash.slow.test.ts` and `npm run crash` play
// all of them, and more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCrash, type Failure } from './run.ts';
import type { RoundReport } from './round.ts';

test('G1, G3, G7, L1: a gateway under a load is killed, and its target is: nothing is doubled, lost or stuck', async () => {
  const reports: RoundReport[] = [];
  const failures: Failure[] = [];
  await runCrash(
    {
      amount: { rounds: 5 },
      // Each of them strikes once.
      seed: 106,
      gateways: 1,
      store: 'sqlite',
      lanes: 1,
      only: ['kill', 'kill-in-commit', 'target-killed', 'target-cut', 'store-read-only'],
    },
    { onRound: (report) => reports.push(report), onFailure: (failure) => failures.push(failure) },
    new AbortController().signal,
  );
  assert.deepEqual(failures, []);
  assert.equal(new Set(reports.map(({ round }) => round.fault)).size, 5);
  for (const { effects, round } of reports) assert.ok(effects > 0, `${round.fault} had effects`);
});
