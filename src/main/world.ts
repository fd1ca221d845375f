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

/** One call of the generator gives as much: each has a cost of its own, however little it asks for. */
const POOL_BYTES = 4_096;

/** Bytes from the operating system's generator, none of them given out twice. */
export const systemRandom: Random = pooledRandom((count) => randomBytes(count));

/** Hands out what `generate` makes in larger portions; what was given out is wiped from the pool. */
export function pooledRandom(generate: (count: number) => Uint8Array): Random {
  let pool = new Uint8Array();
  let used = 0;
  return {
    bytes: (count) => {
      if (count > POOL_BYTES) return new Uint8Array(generate(count));
      if (used + count > pool.length) {
        pool = new Uint8Array(generate(POOL_BYTES));
        used = 0;
      }
      const bytes = pool.slice(used, used + count);
      pool.fill(0, used, used + count);
      used += count;
      return bytes;
    },
  };
}
