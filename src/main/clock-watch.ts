/**
 * Whether this machine's clock goes with the store's. Leases run by the store's clock alone; windows in
 * which equal writes are one, deadlines and budgets are judged by the clock of the gateway that is asked,
 * and by the latest time in the ledger: one clock far ahead moves them for every gateway.
 */
import type { Clock } from '../model/ports.ts';
import type { Log } from '../server/problem.ts';
import type { Shared } from '../store/shared.ts';

/** More than clocks that are kept by NTP differ. */
const OFF_MS_MAX = 2_000;

export interface ClockWatchPorts {
  readonly shared: Pick<Shared, 'now'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Returns what compares the two, and tells the operator once each time that they begin to differ. */
export function watchClock({ shared, clock, log }: ClockWatchPorts): () => Promise<void> {
  let isOff = false;
  return async () => {
    const before = clock.now();
    const stores = await shared.now();
    if (stores === null) return;
    const offMs = offBy(stores, before, clock.now());
    const wasOff = isOff;
    isOff = Math.abs(offMs) > OFF_MS_MAX;
    if (isOff && !wasOff) log(offText(offMs), undefined);
  };
}

/** In ms, above 0 where ours is ahead. When the store looked is only known to lie between the two. */
function offBy(stores: number, before: number, after: number): number {
  if (stores < before) return before - stores;
  return stores > after ? after - stores : 0;
}

function offText(offMs: number): string {
  const seconds = Math.round(Math.abs(offMs) / 1_000);
  const how = offMs > 0 ? 'ahead of' : 'behind';
  return `warning: the clock of this machine is ${seconds} s ${how} the store's; windows, deadlines and budgets go by it: have both kept by NTP`;
}
