/** The key of an installation, which wraps those of its evidence: one file, the same on each gateway. */
import { randomBytes } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { platform } from 'node:os';
import { renameDurably } from '../lib/durable.ts';
import { Problem } from '../model/problem.ts';
import { isMissing } from './blobs-folder.ts';
import { KEY_BYTES } from './evidence-format.ts';

const KEY_LINE = /^writegate-evidence-key-1 ([0-9a-f]{64})\n$/;

/** Reads the key; undefined where there is none. Problem where it is open to others, or is no key. */
export async function readEvidenceKey(path: string): Promise<Buffer | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw unusableKey(path, 'a file that can be read', error);
  });
  if (text === undefined) return undefined;
  const { mode } = await stat(path);
  if (platform() !== 'win32' && (mode & 0o077) !== 0) {
    const found = (mode & 0o777).toString(8);
    throw unusableKey(path, `mode 600, found ${found}; run \`chmod 600 ${path}\``);
  }
  const hex = KEY_LINE.exec(text)?.[1];
  if (hex === undefined) throw unusableKey(path, 'one line that this gateway wrote, found another');
  return Buffer.from(hex, 'hex');
}

/** Makes a key, 0600. A crash here leaves no key, or half of one under another name. */
export async function createEvidenceKey(path: string): Promise<Buffer> {
  const key = randomBytes(KEY_BYTES);
  const part = `${path}.${randomBytes(6).toString('hex')}.part`;
  const file = await open(part, 'wx', 0o600);
  try {
    await file.writeFile(`writegate-evidence-key-1 ${key.toString('hex')}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await renameDurably(part, path);
  return key;
}

/** Problem `store-unusable`, of the key. */
export function unusableKey(path: string, expected: string, cause?: unknown): Problem {
  return new Problem(
    'store-unusable',
    `the evidence key \`${path}\` cannot be used: expected ${expected}`,
    { cause },
  );
}
