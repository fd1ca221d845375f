/**
 * Files that agents send ahead of a write: kept for a day in the data folder, 0600, by owner and content.
 * An upload has no effect: nothing is proposed with it, and no ledger tells of it until a write names it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat, utimes, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { UploadAnswer } from '../model/api.ts';
import { diskProblem } from '../model/disk.ts';
import type { Clock, Upload } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import {
  answerOf,
  emptyUpload,
  hashIn,
  ownerKey,
  overFile,
  overOwner,
  UPLOAD_BOUNDS,
  type UploadBounds,
  type UploadStore,
} from './uploads.ts';

interface OwnerInFlight {
  files: number;
  bytes: number;
}

/** Opens the uploads in a folder, which is made at the first one. */
export function openFolderUploads(
  folder: string,
  clock: Clock,
  bounds: UploadBounds = UPLOAD_BOUNDS,
): UploadStore {
  const inFlight = new Map<string, OwnerInFlight>();
  const folderOf = (owner: string): string => join(folder, ownerKey(owner));
  return {
    async put(owner, content) {
      const place = folderOf(owner);
      await mkdir(place, { recursive: true, mode: 0o700 });
      const mine = inFlight.get(owner) ?? { files: 0, bytes: 0 };
      inFlight.set(owner, mine);
      mine.files += 1;
      let taken = 0;
      try {
        const kept = await keptIn(place);
        if (kept.files + mine.files > bounds.ownerFilesMax) throw overOwner(bounds);
        return await receive(place, clock, content, (bytes) => {
          taken += bytes;
          mine.bytes += bytes;
          if (taken > bounds.fileBytesMax) throw overFile(bounds);
          if (kept.bytes + mine.bytes > bounds.ownerBytesMax) throw overOwner(bounds);
        });
      } finally {
        mine.files -= 1;
        mine.bytes -= taken;
        if (mine.files === 0) inFlight.delete(owner);
      }
    },
    async open(id, owner) {
      const sha256 = hashIn(id);
      if (sha256 === undefined) return undefined;
      const path = join(folderOf(owner), sha256);
      const found = await foundAt(path);
      if (found === undefined || found.mtimeMs < clock.now() - bounds.keptMs) return undefined;
      return uploadAt(path, found.size, sha256);
    },
    async sweep() {
      for (const owner of await namesIn(folder)) {
        for (const name of await namesIn(join(folder, owner))) {
          const path = join(folder, owner, name);
          const keptMs = name.endsWith('.part') ? bounds.partMs : bounds.keptMs;
          const found = await foundAt(path);
          if (found !== undefined && found.mtimeMs < clock.now() - keptMs) {
            await rm(path, { force: true });
          }
        }
      }
    },
  };
}

function uploadAt(path: string, bytes: number, sha256: string): Upload {
  return { bytes, sha256, stream: () => createReadStream(path) };
}

/** A crash here leaves a `.part` file, which the sweep removes. */
async function receive(
  place: string,
  clock: Clock,
  content: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): Promise<UploadAnswer> {
  const part = join(place, `${randomBytes(8).toString('hex')}.part`);
  const file = await open(part, 'wx', 0o600);
  try {
    const { bytes, sha256 } = await write(file, content, count);
    const now = clock.now() / 1_000;
    await file.close();
    await utimes(part, now, now);
    await rename(part, join(place, sha256));
    return answerOf(bytes, sha256);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(part, { force: true });
    if (diskProblem(error) === undefined) throw error;
    throw new Problem(
      'store-unusable',
      'the file was not kept: the gateway cannot write to its disk; an operator makes room there',
      { cause: error },
    );
  }
}

async function write(
  file: FileHandle,
  content: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): Promise<{ readonly bytes: number; readonly sha256: string }> {
  const digest = createHash('sha256');
  let bytes = 0;
  for await (const chunk of content) {
    count(chunk.length);
    bytes += chunk.length;
    digest.update(chunk);
    await file.writeFile(chunk);
  }
  if (bytes === 0) throw emptyUpload();
  await file.sync();
  return { bytes, sha256: digest.digest('hex') };
}

async function keptIn(place: string): Promise<OwnerInFlight> {
  let bytes = 0;
  const names = (await namesIn(place)).filter((name) => !name.endsWith('.part'));
  for (const name of names) bytes += (await foundAt(join(place, name)))?.size ?? 0;
  return { files: names.length, bytes };
}

async function namesIn(place: string): Promise<readonly string[]> {
  try {
    return await readdir(place);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

async function foundAt(
  path: string,
): Promise<{ readonly size: number; readonly mtimeMs: number } | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
