import { setTimeout as pause } from 'node:timers/promises';
import { LEASE_MS } from '../../src/model/lease.ts';
import type { Fault } from './fault.ts';

/** Longer than a gateway's lease on what it carries out. */
export const FROZEN_MS = LEASE_MS + 2_000;

/** A gateway that believes that it still holds what others have taken over meanwhile. */
export const freeze: Fault = {
  about: 'SIGSTOP of a gateway for longer than its lease, then SIGCONT',
  stores: ['sqlite', 'postgres'],
  gateways: 1,
  strikesMax: 1,
  async strike({ installation, lot, moment }) {
    const gateway = lot.pickOf(installation.gateways);
    await moment();
    gateway.freeze();
    await pause(FROZEN_MS);
    gateway.thaw();
  },
};
