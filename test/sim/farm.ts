/** Plays many seeds on all cores. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Coverage } from './coverage.ts';
import type { Narrowing } from './shape.ts';
import type { Handed, Played } from './worker.ts';

/** How many seeds are handed out at a time. */
const HANDED_MAX = 50;

export interface Harvest {
  readonly seeds: number;
  readonly steps: number;
  readonly coverage: Coverage;
  /** Of those that were played, the lowest seed that found something. */
  readonly found: { readonly seed: number; readonly message: string } | null;
}

/** Seeds `from` on, `count` of them. */
export interface Field {
  readonly from: number;
  readonly count: number;
  readonly narrowing: Narrowing;
}

/** Plays them all; ends early once one finds something. */
export async function playAll(
  { from, count, narrowing }: Field,
  onProgress: (done: number) => void = () => undefined,
): Promise<Harvest> {
  const coverage = new Coverage();
  const end = from + count;
  let [next, seeds, steps] = [from, 0, 0];
  let found: Harvest['found'] = null;
  const take = (): Handed | null => {
    if (found !== null || next >= end) return null;
    const handed = { from: next, to: Math.min(next + HANDED_MAX, end), narrowing };
    next = handed.to;
    return handed;
  };
  const note = (played: Played): void => {
    coverage.add(played.coverage);
    steps += played.steps;
    seeds += played.to - played.from;
    if (played.found !== null && (found === null || played.found.seed < found.seed)) {
      ({ found } = played);
    }
    onProgress(seeds);
  };
  const threads = Math.min(availableParallelism(), Math.ceil(count / HANDED_MAX));
  await Promise.all(Array.from({ length: threads }, () => runThread(take, note)));
  return { seeds, steps, coverage, found };
}

async function runThread(take: () => Handed | null, note: (played: Played) => void): Promise<void> {
  const worker = new Worker(new URL('worker.ts', import.meta.url));
  try {
    for (let handed = take(); handed !== null; handed = take()) note(await asked(worker, handed));
  } finally {
    await worker.terminate();
  }
}

function asked(worker: Worker, handed: Handed): Promise<Played> {
  const { promise, resolve, reject } = Promise.withResolvers<Played>();
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.postMessage(handed);
  return promise.finally(() => {
    worker.off('message', resolve);
    worker.off('error', reject);
  });
}
