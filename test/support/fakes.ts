/** Ports whose faults a test chooses; the real ones cannot be made to have them at a chosen instant. */
import type { Clock, Random } from '../../src/model/ports.ts';

/** A clock that moves only when the test moves it; sleepers wake in order of their time. */
export function fakeClock(start = Date.UTC(2026, 0, 1)): Clock & { advance(ms: number): void } {
  let now = start;
  const sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();
  return {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        const sleeper = {
          at: now + ms,
          wake: () => {
            sleepers.delete(sleeper);
            resolve();
          },
        };
        if (signal?.aborted === true) resolve();
        else sleepers.add(sleeper);
        signal?.addEventListener('abort', sleeper.wake, { once: true });
      }),
    advance(ms) {
      now += ms;
      const due = [...sleepers].filter((sleeper) => sleeper.at <= now);
      for (const sleeper of due.toSorted((left, right) => left.at - right.at)) sleeper.wake();
    },
  };
}

/** Bytes that differ from call to call and are the same from run to run. */
export function countingRandom(start = 0): Random {
  let counter = start % 2 ** 31;
  return {
    bytes(count) {
      counter += 1;
      const bytes = new Uint8Array(count);
      new DataView(bytes.buffer).setUint32(Math.max(0, count - 4), counter);
      return bytes;
    },
  };
}
