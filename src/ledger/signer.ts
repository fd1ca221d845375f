/** The log's key in a file of its own, and the signer port over it. */
import { open, readFile, stat } from 'node:fs/promises';
import { platform } from 'node:os';
import type { TenantId } from '../model/ids.ts';
import type { Random, Signer } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { formatSigningKey, parseSigningKey } from './note.ts';

const SEED_BYTES = 32;

/** Names the log of a tenant; the key has the same name. */
export function originOf(tenant: TenantId): string {
  return `writegate.local/${tenant}`;
}

/**
 * Makes a new key and writes it to `path`, readable by its owner alone (0600). Never overwrites.
 * A crash here leaves no file, or one that is not a key and that `openSigner` refuses.
 */
export async function createKeyFile(path: string, origin: string, random: Random): Promise<void> {
  const text = formatSigningKey(origin, random.bytes(SEED_BYTES));
  const file = await open(path, 'wx', 0o600).catch((cause: unknown) => {
    throw new Problem(
      'store-unusable',
      `the ledger key cannot be written to \`${path}\`; expected a folder that is writable and no file of that name`,
      { cause },
    );
  });
  try {
    await file.writeFile(`${text}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Opens the key file. Problem `store-unusable` where it is missing, open to others, or no key. */
export async function openSigner(path: string): Promise<Signer> {
  const [text, { mode }] = await Promise.all([readFile(path, 'utf8'), stat(path)]).catch(
    (cause: unknown) => {
      throw unusable(path, 'a file that can be read, found none', { cause });
    },
  );
  if (platform() !== 'win32' && (mode & 0o077) !== 0) {
    const found = (mode & 0o777).toString(8);
    throw unusable(path, `mode 600, found ${found}; run \`chmod 600 ${path}\` and rotate the key`);
  }
  const key = text.endsWith('\n') ? parseSigningKey(text.slice(0, -1)) : undefined;
  if (key === undefined) {
    throw unusable(path, 'one line `PRIVATE+KEY+<name>+<id>+<key>`, found something else');
  }
  return {
    name: key.name,
    vkey: key.vkey,
    sign: (message) => Promise.resolve(key.sign(message)),
  };
}

function unusable(path: string, expected: string, options: { cause?: unknown } = {}): Problem {
  return new Problem(
    'store-unusable',
    `the ledger key \`${path}\` cannot be used: expected ${expected}`,
    options,
  );
}
