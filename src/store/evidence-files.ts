/**
 * Evidence files: the images of writes that are too many for a plan, encrypted in a folder of the
 * data folder. `evidence-format.ts` says how one is laid out.
 *
 * 1. Nobody reads a file that is not finished: it is written under another name and gets its own
 *    once its bytes are on disk. What a crash leaves is a `.part` file, removed at the next start.
 * 2. What is read is what was written, or it is a problem: never other rows, never fewer of them.
 * 3. One frame of the file is in memory at a time, whatever the file's size.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { platform } from 'node:os';
import { dirname, join } from 'node:path';
import {
  evidenceId,
  madeAt,
  newEvidenceId,
  type EvidenceId,
  type ProposalId,
} from '../model/ids.ts';
import type { EvidenceFiles } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { HEADER_BYTES, KEY_BYTES, newHeader, parseHeader } from './evidence-format.ts';
import { openReader } from './evidence-reader.ts';
import { openWriter } from './evidence-writer.ts';

/** A file as the sweep looks at it. */
export interface EvidenceFile {
  readonly id: EvidenceId;
  /** The proposal that it was written for; null where none was named. */
  readonly owner: ProposalId | null;
  /** Ms since the epoch, by the clock that named it. */
  readonly createdAt: number;
}

/** Evidence files, and what a sweep needs beside. */
export interface EvidenceFolder extends EvidenceFiles {
  /** Every finished file; one whose head cannot be read is left out. */
  list(): Promise<readonly EvidenceFile[]>;
}

export interface EvidenceOptions {
  /** Made where it is missing, 0700. */
  readonly folder: string;
  /** The installation's key; made where it is missing, 0600. */
  readonly keyPath: string;
  /** Ms since the epoch. */
  readonly now: () => number;
}

const SUFFIX = '.evidence';
const PART = '.part';
const KEY_LINE = /^writegate-evidence-key-1 ([0-9a-f]{64})\n$/;

/**
 * Opens the folder and removes what was not finished. Problem `store-unusable` where the key is
 * gone while files are there, is open to others, or is no key.
 */
export async function openEvidenceFiles(options: EvidenceOptions): Promise<EvidenceFolder> {
  const { folder, keyPath, now } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const names = await readdir(folder);
  const unfinished = names.filter((name) => name.endsWith(PART));
  await Promise.all(unfinished.map((name) => rm(join(folder, name), { force: true })));
  const key = await installationKey(
    keyPath,
    names.some((name) => name.endsWith(SUFFIX)),
  );
  const pathOf = (id: EvidenceId): string => join(folder, `${id}${SUFFIX}`);
  return {
    async create(owner) {
      const id = newEvidenceId(now(), new Uint8Array(randomBytes(10)));
      const { header, fileKey } = newHeader(id, owner ?? null, key);
      const path = pathOf(id);
      const part = `${path}${PART}`;
      const file = await open(part, 'wx', 0o600);
      return openWriter({ file, header, fileKey, remove: () => rm(part, { force: true }) }, () =>
        keep(part, path),
      );
    },
    async open(id) {
      const file = await openExisting(pathOf(id));
      return file && openReader(file, id, key);
    },
    remove: (id) => rm(pathOf(id), { force: true }),
    async list() {
      const files: EvidenceFile[] = [];
      for (const name of await readdir(folder)) {
        const id = name.endsWith(SUFFIX) && evidenceId(name.slice(0, -SUFFIX.length));
        const header = id ? await headerOf(pathOf(id)) : undefined;
        if (header === undefined) continue;
        files.push({ id: header.id, owner: header.owner, createdAt: madeAt(header.id) });
      }
      return files;
    },
  };
}

/** The name becomes durable with the folder's own sync. */
async function keep(part: string, path: string): Promise<void> {
  await rename(part, path);
  if (platform() === 'win32') return;
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function headerOf(path: string): Promise<ReturnType<typeof parseHeader>> {
  const file = await openExisting(path);
  if (file === undefined) return undefined;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    return parseHeader(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

async function installationKey(path: string, hasFiles: boolean): Promise<Buffer> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw unusable(path, 'a file that can be read', error);
  });
  if (text === undefined) {
    if (hasFiles) {
      throw unusable(
        path,
        'the key that the evidence files were written with, found none; put it back from your copy, or move the files away: the writes they belong to can then no longer be rolled back',
      );
    }
    return createKey(path);
  }
  const { mode } = await stat(path);
  if (platform() !== 'win32' && (mode & 0o077) !== 0) {
    throw unusable(
      path,
      `mode 600, found ${(mode & 0o777).toString(8)}; run \`chmod 600 ${path}\``,
    );
  }
  const hex = KEY_LINE.exec(text)?.[1];
  if (hex === undefined) throw unusable(path, 'one line that this gateway wrote, found another');
  return Buffer.from(hex, 'hex');
}

/** A crash here leaves no key, or half of one under another name. */
async function createKey(path: string): Promise<Buffer> {
  const key = randomBytes(KEY_BYTES);
  const part = `${path}.${randomBytes(6).toString('hex')}${PART}`;
  const file = await open(part, 'wx', 0o600);
  try {
    await file.writeFile(`writegate-evidence-key-1 ${key.toString('hex')}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await keep(part, path);
  return key;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function unusable(path: string, expected: string, cause?: unknown): Problem {
  return new Problem(
    'store-unusable',
    `the evidence key \`${path}\` cannot be used: expected ${expected}`,
    { cause },
  );
}
