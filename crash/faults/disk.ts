/** A disk that takes no more: the limits of the system on a process stand for it. */
import { execFile } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Postgres } from '../../support/postgres.ts';
import { fillDisk, noSmallDisk } from '../../support/small-disk.ts';
import type { Fault, Scene } from './fault.ts';
import { demoteStore } from './standby.ts';

const run = promisify(execFile);

/** How much may be written until the disk is full, at most. */
const ROOM_BYTES = 200_000;
const SERVER_ROOM_BYTES = 50_000;
const FULL_MS = 1_000;

/** Files grow so far and no further; a write can end in its middle. */
export const storeFull: Fault = {
  about:
    "files of a gateway and its store can grow no further, from some byte on; or the disk of the store's server is full",
  stores: ['sqlite', 'postgres'],
  whyNot: (store) => (store === 'sqlite' ? noLimits() : noSmallDisk()),
  gateways: 1,
  strikesMax: 1,
  strike: (scene) => {
    if (scene.lane.storeServer !== null) return filled(scene, scene.lane.storeServer);
    const log = `${join(scene.installation.data[0] ?? '', 'store.sqlite')}-wal`;
    const room = scene.lot.below(ROOM_BYTES);
    return limited(scene, () => statSync(log).size + room);
  },
};

export const storeReadOnly: Fault = {
  about:
    "nothing of a gateway can be written to its disk; the store's server is a standby for a time",
  stores: ['sqlite', 'postgres'],
  whyNot: (store) => (store === 'sqlite' ? noLimits() : null),
  gateways: 1,
  strikesMax: 1,
  strike: (scene) =>
    scene.lane.storeServer === null ? limited(scene, () => 0) : demoteStore(scene),
};

function noLimits(): string | null {
  return process.platform === 'linux' ? null : 'only Linux limits the files of another process';
}

/** Fills the disk under the store's tables until some time after a client has met it. */
async function filled({ lot, moment, trouble }: Scene, server: Postgres): Promise<void> {
  const room = lot.below(SERVER_ROOM_BYTES);
  const fullMs = lot.below(FULL_MS);
  await moment();
  const makeRoom = fillDisk(server.keeperPid, room);
  await trouble();
  await pause(fullMs);
  makeRoom();
}

/**
 * Limits the size of files for a time, and starts the gateway again: a store that a disk has let down
 * stops until its file was read anew.
 */
async function limited(scene: Scene, bytes: () => number): Promise<void> {
  const { installation, lot, moment, trouble } = scene;
  const gateway = lot.pickOf(installation.gateways);
  const limit = async (size: string): Promise<void> => {
    if (gateway.pid === undefined) return;
    // The hard limit stays: nobody needs a right to lift the soft one again.
    await run('prlimit', ['--pid', String(gateway.pid), `--fsize=${size}:`]);
  };
  const isKilled = lot.once(2);
  await moment();
  await limit(String(bytes()));
  await trouble();
  await pause(lot.below(FULL_MS));
  await limit('unlimited');
  if (isKilled) {
    await gateway.kill();
    scene.killed();
  } else {
    await gateway.stop();
  }
  await gateway.start();
}
