/** The real clock and the real randomness. */
import { randomBytes } from 'node:crypto';
import type { Clock, Random } from '../model/ports.ts';

const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * A clock on the machine's wall time that never goes backwards within the process: while the wall
 * is behind what was once said, it says that again.
 */
export function wallClock(wall: () => number = Date.now): Clock {
  let latest = 0;
  return {
    now: () => {
      latest = Math.max(latest, wall());
      return latest;
    },
    sleep,
  };
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, Math.min(Math.max(ms, 0), TIMER_MS_MAX));
    signal?.addEventListener('abort', finish, { once: true });
  });
}

/** Bytes from the operating system's generator. */
export const systemRandom: Random = { bytes: (count) => new Uint8Array(randomBytes(count)) };
