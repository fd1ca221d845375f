/** The store's server takes no writes: it came back as a standby, as after a change of primaries. */
import { chownSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ask } from '../database.ts';
import type { Scene } from './fault.ts';
import { storeServer } from './servers.ts';

const STANDBY_MS = 4_000;

/** Every connection ends and the next meets a server that only reads; then it is promoted, or restarted. */
export async function demoteStore(scene: Scene): Promise<void> {
  const { lot, moment } = scene;
  const server = storeServer(scene);
  const isPromoted = lot.once(2);
  const forMs = lot.below(STANDBY_MS);
  await moment();
  const [row] = await ask(server.url(), 'SHOW data_directory');
  const folder = String(row?.['data_directory']);
  const signal = join(folder, 'standby.signal');
  await server.kill();
  writeFileSync(signal, '');
  const { uid, gid } = statSync(folder);
  if (process.getuid?.() === 0) chownSync(signal, uid, gid);
  await server.restart();
  await pause(forMs);
  if (isPromoted) {
    await ask(server.url(), 'SELECT pg_promote(true)');
    return;
  }
  await server.kill();
  rmSync(signal);
  await server.restart();
}
