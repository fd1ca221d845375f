import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCrash, type Failure } from './run.ts';
import type { RoundReport } from './round.ts';
import { possibleFaults } from './schedule.ts';

const PLAN = { gateways: 1, store: 'sqlite', lanes: 2 } as const;

for (const [about, rounds, only] of [
  ['every fault there is', 2 * possibleFaults(PLAN).length, possibleFaults(PLAN)],
  ['twenty kills', 20, ['kill']],
] as const) {
  test(
    `one gateway on SQLite lives through ${about}: nothing is doubled, lost or stuck`,
    { timeout: 1_800_000 },
    async () => {
      const reports: RoundReport[] = [];
      const failures: Failure[] = [];
      await runCrash(
        { ...PLAN, seed: 1, amount: { rounds }, only },
        {
          onRound: (report) => reports.push(report),
          onFailure: (failure) => failures.push(failure),
        },
        new AbortController().signal,
      );
      assert.deepEqual(failures, []);
      assert.equal(reports.length, rounds);
    },
  );
}
