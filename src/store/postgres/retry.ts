import { setTimeout as pause } from 'node:timers/promises';
import { isAway, isWorthAgain, storageProblem } from './problem.ts';

const RETRY_BOUNDS = {
  /** How long a server that has gone away is waited for. */
  awayMs: 5_000,
  pauseFromMs: 20,
  pauseToMs: 1_000,
} as const;

/** Asks again while no server answers, for some seconds. Throws as `storageProblem` has it. */
export async function persistently<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  const since = performance.now();
  for (let again = 0; ; again += 1) {
    try {
      return await ask();
    } catch (error) {
      const isLate = performance.now() - since > RETRY_BOUNDS.awayMs;
      if (isLate || !(isAway(error) || isWorthAgain(error))) throw storageProblem(error);
    }
    await pausing(again);
  }
}

/** Waits longer and longer. */
export function pausing(again: number): Promise<void> {
  return pause(Math.min(RETRY_BOUNDS.pauseFromMs * 2 ** again, RETRY_BOUNDS.pauseToMs));
}
