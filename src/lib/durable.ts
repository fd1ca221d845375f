import { open, rename } from 'node:fs/promises';
import { platform } from 'node:os';
import { dirname } from 'node:path';

/**
 * Gives a file its name, in place of what had it; the name is durable when this resolves, with the
 * folder's own sync. The bytes are for whoever wrote them to sync.
 */
export async function renameDurably(from: string, to: string): Promise<void> {
  await rename(from, to);
  if (platform() === 'win32') return;
  const folder = await open(dirname(to), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
