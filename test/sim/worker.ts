/** Plays the seeds that it is handed, in a thread of its own. */
import { parentPort } from 'node:worker_threads';
import { Coverage } from './coverage.ts';
import { simulate } from './run.ts';
import type { Narrowing } from './shape.ts';

/** Seeds `from` to `to`, the latter not included. */
export interface Handed {
  readonly from: number;
  readonly to: number;
  readonly narrowing: Narrowing;
}

export interface Played extends Omit<Handed, 'narrowing'> {
  readonly steps: number;
  readonly coverage: readonly (readonly [string, number])[];
  /** The first that found something. */
  readonly found: { readonly seed: number; readonly message: string } | null;
}

async function play({ from, to, narrowing }: Handed): Promise<Played> {
  const coverage = new Coverage();
  let steps = 0;
  for (let seed = from; seed < to; seed += 1) {
    const outcome = await simulate(seed, narrowing);
    coverage.add(outcome.coverage.counts);
    steps += outcome.steps;
    if (outcome.violation === null) continue;
    const { message } = outcome.violation;
    return { from, to, steps, coverage: [...coverage.counts], found: { seed, message } };
  }
  return { from, to, steps, coverage: [...coverage.counts], found: null };
}

parentPort?.on('message', (handed: Handed) => {
  void play(handed).then((played) => parentPort?.postMessage(played));
});
