/** What befalls the target, and the way to it. */
import { setTimeout as pause } from 'node:timers/promises';
import { ask } from '../database.ts';
import type { Traffic } from '../proxy.ts';
import type { Fault, Scene } from './fault.ts';

/** How long a target stays away, at most. */
const AWAY_MS = 2_500;

const BACKENDS = `
  SELECT pid FROM pg_stat_activity
  WHERE application_name = 'writegate' AND datname = 'shop' ORDER BY random() LIMIT 1`;

export const targetKilled: Fault = {
  about: 'kill -9 of the target database, or of one backend of it, which then recovers by itself',
  stores: ['sqlite', 'postgres'],
  gateways: 1,
  async strike({ lane, lot, moment }) {
    const isWhole = !lot.once(3);
    const awayMs = lot.below(AWAY_MS);
    await moment();
    if (isWhole) {
      await lane.target.kill();
      await pause(awayMs);
      await lane.target.restart();
    } else {
      const [backend] = await ask(lane.target.url(), BACKENDS);
      if (backend !== undefined) process.kill(Number(backend['pid']), 'SIGKILL');
      // Every connection ends, and the server takes new ones once it has recovered.
      await answering(lane.target.url());
    }
  },
};

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

const LOSSES: readonly [Traffic, ...Traffic[]] = [
  'refused',
  'requests-lost',
  'replies-lost',
  'stalled',
];

export const targetCut: Fault = {
  about: 'the way to the target is cut, loses requests, loses replies, or stalls',
  stores: ['sqlite', 'postgres'],
  gateways: 1,
  strike: (scene) =>
    cutOff(
      scene,
      scene.lane.ways.map(({ target }) => target),
    ),
};

/** One thing befalls all these ways, for a time; what was lost to a connection ends with it. */
export async function cutOff(
  { lot, moment }: Pick<Scene, 'lot' | 'moment'>,
  proxies: readonly { traffic(traffic: Traffic): void; cut(): void }[],
): Promise<void> {
  const loss = lot.pick(LOSSES);
  const awayMs = lot.below(AWAY_MS);
  await moment();
  for (const proxy of proxies) {
    proxy.traffic(loss);
    if (loss === 'refused') proxy.cut();
  }
  await pause(awayMs);
  for (const proxy of proxies) {
    proxy.traffic('passes');
    if (loss !== 'stalled') proxy.cut();
  }
}
