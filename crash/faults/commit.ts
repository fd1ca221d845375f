/** A COMMIT is under way, to target or store, and nobody hears whether it arrived. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Gateway } from '../gateway.ts';
import type { Proxy } from '../proxy.ts';
import type { Fault, Scene } from './fault.ts';

/** How long a connection that carries nothing more is left open, at most. */
const SILENT_MS = 4_000;

export const killInCommit: Fault = {
  about:
    'kill -9 while a COMMIT is under way, to target or store: its request, or its reply, is lost',
  stores: ['sqlite', 'postgres'],
  gateways: 1,
  strikesMax: 3,
  async strike(scene) {
    const { gateway, way } = someWay(scene);
    await atCommit(scene, way, async () => {
      scene.killed();
      await gateway.kill();
    });
    if (!gateway.isRunning) await gateway.start();
  },
};

export const commitLost: Fault = {
  about: 'the same connection falls silent, then ends, and the gateway lives on',
  stores: ['sqlite', 'postgres'],
  gateways: 1,
  strikesMax: 3,
  async strike(scene) {
    const { way } = someWay(scene);
    const silentMs = scene.lot.once(2) ? 0 : scene.lot.below(SILENT_MS);
    await atCommit(scene, way, async () => {
      await pause(silentMs);
      way.cut();
    });
  },
};

function someWay({ installation, lane, lot }: Scene): {
  readonly gateway: Gateway;
  readonly way: Proxy;
} {
  const index = lot.below(installation.gateways.length);
  const gateway = installation.gateways[index];
  const ways = lane.ways[index];
  if (gateway === undefined || ways === undefined) throw new Error('each gateway has its ways');
  return { gateway, way: lot.once(2) ? (ways.store ?? ways.target) : ways.target };
}

/** Does it at the next COMMIT after the next moment; not at all where the load is over before. */
async function atCommit(
  { lot, moment, over, missed }: Scene,
  way: Proxy,
  harm: () => Promise<void>,
): Promise<void> {
  const lost = lot.pick(['request', 'reply'] as const);
  await moment();
  const struck = Promise.withResolvers<void>();
  let harmed: Promise<void> | undefined;
  way.atCommit(lost, () => {
    harmed = harm();
    struck.resolve();
  });
  await Promise.race([struck.promise, over]);
  way.disarm();
  if (harmed === undefined) missed();
  await harmed;
}
