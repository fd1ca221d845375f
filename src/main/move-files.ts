/**
 * Copies evidence and uploads from a data folder into a PostgreSQL store, byte for byte. What is there
 * already is left, so that a run that was broken off is gone on with by another.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Problem } from '../model/problem.ts';
import { BlobTable, CHUNK_BYTES, type BlobName, type BlobTablePorts } from '../store/blob-table.ts';
import { EVIDENCE_SUFFIX } from '../store/evidence-files.ts';
import type { DataFolder } from './folder.ts';

/** A file to copy, and what it is called in the store. */
interface Moving extends BlobName {
  readonly kind: BlobTablePorts['kind'];
  readonly path: string;
  readonly sizeBytes: number;
  readonly madeAt: number;
}

export interface FileCounts {
  readonly evidence: number;
  readonly uploads: number;
  readonly bytes: number;
}

/** Every finished file of the data folder. */
export async function filesToMove(folder: DataFolder): Promise<readonly Moving[]> {
  const evidence = await filesIn(folder.evidence, 'evidence', (name) =>
    name.endsWith(EVIDENCE_SUFFIX)
      ? { owner: '', name: name.slice(0, -EVIDENCE_SUFFIX.length) }
      : undefined,
  );
  const uploads: Moving[] = [];
  for (const owner of await namesIn(folder.uploads)) {
    const own = await filesIn(join(folder.uploads, owner), 'upload', (name) =>
      /^[0-9a-f]{64}$/.test(name) ? { owner, name } : undefined,
    );
    uploads.push(...own);
  }
  return [...evidence, ...uploads];
}

export function countsOf(files: readonly Moving[]): FileCounts {
  const evidence = files.filter(({ kind }) => kind === 'evidence').length;
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return { evidence, uploads: files.length - evidence, bytes };
}

/** Copies what is not there, and reads each back. Problem `store-unusable` where one came out other. */
export async function moveFiles(
  files: readonly Moving[],
  ports: Omit<BlobTablePorts, 'kind' | 'now'>,
  progress: (done: number, of: number) => void,
): Promise<void> {
  for (const [done, file] of files.entries()) {
    progress(done, files.length);
    const table = new BlobTable({ ...ports, kind: file.kind, now: () => file.madeAt });
    const found = await table.find(file);
    if (found?.sizeBytes !== file.sizeBytes) await copy(table, file);
    await check(table, file);
  }
  progress(files.length, files.length);
}

async function copy(table: BlobTable, file: Moving): Promise<void> {
  const blob = await table.begin(file.owner);
  const content: AsyncIterable<Uint8Array> = createReadStream(file.path);
  for await (const part of content) await blob.append(part);
  await blob.keep(file);
}

async function check(table: BlobTable, file: Moving): Promise<void> {
  const found = await table.find(file);
  if (found !== undefined) {
    const [there, here] = [createHash('sha256'), createHash('sha256')];
    const { id, sizeBytes } = found;
    for (let offset = 0; offset < sizeBytes; offset += CHUNK_BYTES) {
      there.update(await table.read(id, offset, CHUNK_BYTES));
    }
    const content: AsyncIterable<Uint8Array> = createReadStream(file.path);
    for await (const part of content) here.update(part);
    if (there.digest('hex') === here.digest('hex')) return;
  }
  throw new Problem(
    'store-unusable',
    `\`${file.path}\` is not in the store as it is on the disk; remove it there, or the schema of the store, and run this again`,
  );
}

async function filesIn(
  place: string,
  kind: Moving['kind'],
  nameOf: (name: string) => BlobName | undefined,
): Promise<readonly Moving[]> {
  const files: Moving[] = [];
  for (const each of await namesIn(place)) {
    const named = nameOf(each);
    if (named === undefined) continue;
    const path = join(place, each);
    const { size, mtimeMs } = await stat(path);
    files.push({ ...named, kind, path, sizeBytes: size, madeAt: Math.round(mtimeMs) });
  }
  return files;
}

async function namesIn(place: string): Promise<readonly string[]> {
  return readdir(place).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  });
}
