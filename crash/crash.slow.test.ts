import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { FaultName } from './faults/fault.ts';
import { runCrash, type Amount, type CrashOptions, type Failure } from './run.ts';
import type { RoundReport } from './round.ts';
import { leftOut, possibleFaults } from './schedule.ts';

const ONE = { gateways: 1, store: 'sqlite' } as const;
const THREE = { gateways: 3, store: 'postgres' } as const;
const TIMEOUT = { timeout: 1_800_000 } as const;

test(
  'one gateway on SQLite lives through every fault there is: nothing is doubled, lost or stuck',
  TIMEOUT,
  (t) => everyFault(t, ONE),
);

test(
  'three gateways on one PostgreSQL live through every fault there is: nothing is doubled, lost or stuck',
  TIMEOUT,
  (t) => everyFault(t, THREE),
);

test('one gateway on SQLite lives through twenty kills', TIMEOUT, async () => {
  const reports = await played({ ...ONE, only: ['kill'] }, { kills: 20 });
  assert.ok(reports.reduce((sum, { kills }) => sum + kills, 0) >= 20);
});

async function everyFault(
  t: TestContext,
  plan: Pick<CrashOptions, 'gateways' | 'store'>,
): Promise<void> {
  for (const [name, why] of leftOut(plan)) t.diagnostic(`${name} is left out: ${why}`);
  const only = possibleFaults(plan);
  const reports = await played({ ...plan, only }, { rounds: only.length });
  const faults = new Set<FaultName>(reports.map(({ round }) => round.fault));
  assert.deepEqual([...faults].toSorted(), only.toSorted());
}

/** Plays it, and finds that everything was right. */
async function played(
  plan: Pick<CrashOptions, 'gateways' | 'store' | 'only'>,
  amount: Amount,
): Promise<readonly RoundReport[]> {
  const reports: RoundReport[] = [];
  const failures: Failure[] = [];
  await runCrash(
    { ...plan, amount, seed: 1, lanes: 2 },
    { onRound: (report) => reports.push(report), onFailure: (failure) => failures.push(failure) },
    new AbortController().signal,
  );
  assert.deepEqual(failures, []);
  return reports;
}
