/**
 * Blobs as files of a folder, 0600. One that is written has another name, and gets its own once its
 * bytes are on disk.
 */
import { chmod, mkdir, open, readdir, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { renameDurably } from '../lib/durable.ts';
import type { BlobHead, BlobReader, Blobs, BlobWriter } from './blobs.ts';

const PART = '.part';

/** Opens the folder, which is made where it is missing, 0700, and removes what was not finished. */
export async function openFolderBlobs(folder: string, suffix: string): Promise<Blobs> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const unfinished = (await readdir(folder)).filter((name) => name.endsWith(PART));
  await Promise.all(unfinished.map((name) => rm(join(folder, name), { force: true })));
  const pathOf = (name: string): string => join(folder, `${name}${suffix}`);
  return {
    create: (name) => begin(pathOf(name)),
    async open(name) {
      const file = await openExisting(pathOf(name));
      return file && reader(file);
    },
    remove: (name) => rm(pathOf(name), { force: true }),
    // Whoever opens the folder has it alone, and has removed them.
    removeUnkept: () => Promise.resolve(),
    async list(headBytes) {
      const heads: BlobHead[] = [];
      for (const each of await readdir(folder)) {
        if (!each.endsWith(suffix)) continue;
        const head = await headOf(join(folder, each), headBytes);
        if (head !== undefined) heads.push({ name: each.slice(0, -suffix.length), head });
      }
      return heads;
    },
  };
}

async function begin(path: string): Promise<BlobWriter> {
  const part = `${path}${PART}`;
  const file = await open(part, 'wx', 0o600);
  return {
    append: (bytes) => file.appendFile(bytes),
    async keep() {
      await file.datasync();
      await file.close();
      await renameDurably(part, path);
    },
    async drop() {
      await file.close();
      await rm(part, { force: true });
    },
  };
}

async function reader(file: FileHandle): Promise<BlobReader> {
  const { size } = await file.stat();
  return {
    sizeBytes: size,
    read: (offset, length) => read(file, offset, length),
    close: () => file.close(),
  };
}

async function read(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let got = 0;
  while (got < length) {
    const { bytesRead } = await file.read(bytes, got, length - got, offset + got);
    if (bytesRead === 0) break;
    got += bytesRead;
  }
  return bytes.subarray(0, got);
}

async function headOf(path: string, length: number): Promise<Buffer | undefined> {
  const file = await openExisting(path);
  if (file === undefined) return undefined;
  try {
    return await read(file, 0, length);
  } finally {
    await file.close();
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

/** Reports whether an error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
