import { setTimeout as pause } from 'node:timers/promises';
import { LEASE_MS } from '../../src/model/lease.ts';
import type { Installation } from '../installation.ts';
import type { Fault } from './fault.ts';

/** Longer than a gateway's lease on what it carries out. */
export const FROZEN_MS = LEASE_MS + 2_000;

/** How long the others may take to carry on with what the lease of one that is frozen let go. */
const TAKEN_OVER_MS = 30_000;
const LOOK_MS = 500;

/** A gateway that believes that it still holds what others have taken over meanwhile. */
export const freeze: Fault = {
  about:
    'SIGSTOP of a gateway for longer than its lease, until others have carried on with what it held; then SIGCONT',
  stores: ['sqlite', 'postgres'],
  gateways: 1,
  strikesMax: 1,
  async strike({ installation, lot, moment, found }) {
    const index = lot.below(installation.gateways.length);
    const gateway = installation.gateways[index];
    await moment();
    gateway?.freeze();
    await pause(FROZEN_MS);
    if (installation.gateways.length > 1) {
      const until = performance.now() + TAKEN_OVER_MS;
      let open = await openWithout(installation, index);
      while (open > 0 && performance.now() < until) {
        await pause(LOOK_MS);
        open = await openWithout(installation, index);
      }
      if (open > 0) {
        const about = `nobody carried on with ${open} proposals while gateway ${index + 1} was frozen`;
        found({ kind: 'stuck', about });
      }
    }
    gateway?.thaw();
  },
};

/** How many proposals are in somebody's hands, as another gateway than this one says. */
async function openWithout({ doors }: Installation, index: number): Promise<number> {
  const door = doors[(index + 1) % doors.length];
  const listed = await door?.client('olga').list({ state: ['executing', 'in_doubt', 'stale'] });
  return listed?.items.length ?? 0;
}
