/** Gateways that end without a word. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Gateway } from '../gateway.ts';
import type { Lot } from '../lot.ts';
import type { Fault, Scene } from './fault.ts';

/** In one start of so many the gateway is killed again before, or soon after, it answers. */
const KILLED_IN_START = 4;
/** So long after its code is loaded, at most: then it looks at what the one before it left. */
const START_MS = 600;

export const kill: Fault = {
  about:
    'kill -9 of a gateway, or of several at once, at a random time, at times again as it starts',
  stores: ['sqlite', 'postgres'],
  gateways: 1,
  strikesMax: 8,
  async strike(scene) {
    const { installation, lot } = scene;
    const struck = someOf(lot, installation.gateways);
    const plans = struck.map((gateway) => ({ gateway, lot: lot.fork(`${gateway.number}`) }));
    await scene.moment();
    await Promise.all(plans.map((plan) => killAndStart(scene, plan)));
  },
};

function someOf(lot: Lot, gateways: readonly Gateway[]): readonly Gateway[] {
  const count = lot.between(1, gateways.length);
  const first = lot.below(gateways.length);
  return Array.from(
    { length: count },
    (_, each) => gateways[(first + each) % gateways.length],
  ).flatMap((gateway) => gateway ?? []);
}

async function killAndStart(
  scene: Scene,
  { gateway, lot }: { readonly gateway: Gateway; readonly lot: Lot },
): Promise<void> {
  await gateway.kill();
  scene.killed();
  while (lot.once(KILLED_IN_START)) {
    const start = gateway.start().catch(() => undefined);
    await gateway.loaded();
    await pause(lot.below(START_MS));
    await gateway.kill();
    scene.killed();
    await start;
  }
  await gateway.start();
}
