/** What befalls the servers that gateways stand on, and the ways to them. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Postgres } from '../../support/postgres.ts';
import { ask } from '../database.ts';
import type { Lot } from '../lot.ts';
import type { Proxy, Traffic } from '../proxy.ts';
import type { Fault, Scene } from './fault.ts';
import { FROZEN_MS } from './freeze.ts';

/** How long a server stays away, at most; and once in so many times. */
const AWAY_MS = 2_500;
const LONG_AWAY_MS = 12_000;
const LONG_ONCE_IN = 5;

/** Any connection of a gateway. */
const BACKEND = `
  SELECT pid FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname <> 'postgres'
  ORDER BY random() LIMIT 1`;

export const targetKilled: Fault = {
  about:
    'kill -9 of the target database, or of one backend of it, after which it recovers by itself',
  stores: ['sqlite', 'postgres'],
  gateways: 1,
  strikesMax: 2,
  strike: (scene) => killServer(scene, scene.lane.target),
};

export const storeKilled: Fault = {
  about: 'the same of the database that the store is in',
  stores: ['postgres'],
  gateways: 1,
  strikesMax: 2,
  strike: (scene) => killServer(scene, storeServer(scene)),
};

export const targetCut: Fault = {
  about: 'the way to the target is cut, loses requests, loses replies, or stalls',
  stores: ['sqlite', 'postgres'],
  gateways: 1,
  strikesMax: 2,
  async strike(scene) {
    const ways = scene.lane.ways.map(({ target }) => target);
    await lose(scene, ways, awayMs(scene.lot));
  },
};

export const storeCut: Fault = {
  about: 'the same of the way to the database that the store is in',
  stores: ['postgres'],
  gateways: 1,
  strikesMax: 2,
  async strike(scene) {
    const ways = scene.lane.ways.flatMap(({ store }) => store ?? []);
    await lose(scene, ways, awayMs(scene.lot));
  },
};

/** One gateway is alone for so long that others take over what it held; it is heard of again. */
export const cutOff: Fault = {
  about:
    'one gateway of several is cut off from the store, the target or both, longer than its lease',
  stores: ['postgres'],
  gateways: 2,
  strikesMax: 1,
  async strike(scene) {
    const { target, store } = scene.lot.pickOf(scene.lane.ways);
    const ways = scene.lot.pickOf([[target], [store], [target, store]]);
    await lose(
      scene,
      ways.flatMap((way) => way ?? []),
      FROZEN_MS,
    );
  },
};

async function killServer({ lot, moment }: Scene, server: Postgres): Promise<void> {
  const isWhole = !lot.once(3);
  const downMs = awayMs(lot);
  await moment();
  if (isWhole) {
    await server.kill();
    await pause(downMs);
    await server.restart();
    return;
  }
  const [backend] = await ask(server.url(), BACKEND);
  if (backend !== undefined) process.kill(Number(backend['pid']), 'SIGKILL');
  // Every connection ends, and it takes new ones once it has recovered.
  await answering(server.url());
}

async function answering(url: string): Promise<void> {
  for (;;) {
    try {
      await ask(url, 'SELECT 1');
      return;
    } catch {
      await pause(50);
    }
  }
}

export function storeServer({ lane }: Scene): Postgres {
  if (lane.storeServer === null) throw new Error('this store is no server');
  return lane.storeServer;
}

/** Mostly so short that gateways wait for it, now and then so long that they give up. */
function awayMs(lot: Lot): number {
  return lot.below(lot.once(LONG_ONCE_IN) ? LONG_AWAY_MS : AWAY_MS);
}

const LOSSES: readonly Traffic[] = ['refused', 'requests-lost', 'replies-lost', 'stalled'];

/** One thing befalls all these ways, for a time; what was lost to a connection ends with it. */
async function lose(
  { lot, moment }: Scene,
  proxies: readonly Proxy[],
  forMs: number,
): Promise<void> {
  const loss = lot.pickOf(LOSSES);
  await moment();
  for (const proxy of proxies) {
    proxy.traffic(loss);
    if (loss === 'refused') proxy.cut();
  }
  await pause(forMs);
  for (const proxy of proxies) {
    proxy.traffic('passes');
    if (loss !== 'stalled') proxy.cut();
  }
}
