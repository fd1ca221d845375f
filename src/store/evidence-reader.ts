import { isRecord } from '../lib/record.ts';
import type { EvidenceId } from '../model/ids.ts';
import { effectsOfLines, type EffectLines, type EffectMaking } from '../model/effect-lines.ts';
import type { Effect } from '../model/plan.ts';
import type { EvidenceReader } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import type { BlobReader } from './blobs.ts';
import {
  fileKeyOf,
  HEADER_BYTES,
  keyIdOf,
  openFrame,
  parseHeader,
  TRAILER_BYTES,
  type FileKey,
  type FrameKind,
} from './evidence-format.ts';

interface Frame {
  readonly kind: FrameKind;
  readonly offset: number;
  readonly sizeBytes: number;
  readonly rows: number;
}

/** Opens a finished file; problem `store-unusable` where it is not as it was written. */
export async function openReader(
  file: BlobReader,
  id: EvidenceId,
  installationKey: Buffer,
): Promise<EvidenceReader> {
  try {
    const fileKey = await unlocked(file, id, installationKey);
    const { rows, frames } = await indexOf(file, fileKey);
    const read = (number: number, frame: Frame): Promise<readonly Effect[]> =>
      effectsOf(file, fileKey, number, frame);
    return {
      rows,
      page: (from, limit) => page(frames, from, limit, read),
      async *batches() {
        for (const [number, frame] of frames.entries()) yield await read(number, frame);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function page(
  frames: readonly Frame[],
  from: number,
  limit: number,
  read: (number: number, frame: Frame) => Promise<readonly Effect[]>,
): Promise<readonly Effect[]> {
  const effects: Effect[] = [];
  let passed = 0;
  for (const [number, frame] of frames.entries()) {
    if (effects.length >= limit) break;
    const skip = Math.max(from - passed, 0);
    passed += frame.rows;
    if (skip >= frame.rows) continue;
    const batch = await read(number, frame);
    effects.push(...batch.slice(skip, skip + limit - effects.length));
  }
  return effects;
}

async function unlocked(
  file: BlobReader,
  id: EvidenceId,
  installationKey: Buffer,
): Promise<FileKey> {
  const header = parseHeader(await bytesAt(file, id, 0, HEADER_BYTES));
  if (header === undefined || header.id !== id) throw changed(id, 'its head is another');
  if (header.keyId !== keyIdOf(installationKey)) {
    throw new Problem(
      'store-unusable',
      `the evidence \`${id}\` was written with another key than \`evidence.key\` holds; put that key back`,
    );
  }
  const fileKey = fileKeyOf(header, installationKey);
  if (fileKey === undefined) throw changed(id, 'its head is another');
  return fileKey;
}

async function indexOf(
  file: BlobReader,
  fileKey: FileKey,
): Promise<{ readonly rows: number; readonly frames: readonly Frame[] }> {
  const { id } = fileKey;
  const end = file.sizeBytes - TRAILER_BYTES;
  if (end < HEADER_BYTES) throw changed(id, 'it was cut');
  const trailer = await bytesAt(file, id, end, TRAILER_BYTES);
  const [number, length] = [trailer.readUInt32BE(0), trailer.readUInt32BE(4)];
  if (length > end - HEADER_BYTES) throw changed(id, 'it was cut, or more was put to it');
  const sealed = await bytesAt(file, id, end - length, length);
  const index = indexFrom(open(fileKey, number, 'closing', sealed));
  let offset = HEADER_BYTES;
  const frames = index.frames.map(([sizeBytes, rows, kind]) => {
    offset += sizeBytes;
    return { kind, offset: offset - sizeBytes, sizeBytes, rows };
  });
  if (offset !== end - length) throw changed(id, 'a part of it is missing, or was put to it');
  return { rows: index.rows, frames };
}

interface Index {
  readonly rows: number;
  readonly frames: readonly (readonly [sizeBytes: number, rows: number, kind: FrameKind])[];
}

function indexFrom(plain: Buffer): Index {
  const index: unknown = JSON.parse(plain.toString('utf8'));
  if (!isRecord(index) || !Array.isArray(index['frames'])) {
    throw new Error('an evidence file that was sealed holds no index');
  }
  // Sealed by this gateway and opened whole: it is what `evidence-writer.ts` wrote.
  return index as unknown as Index;
}

async function effectsOf(
  file: BlobReader,
  fileKey: FileKey,
  number: number,
  { kind, offset, sizeBytes, rows }: Frame,
): Promise<readonly Effect[]> {
  const sealed = await bytesAt(file, fileKey.id, offset, sizeBytes);
  const plain = open(fileKey, number, kind, sealed);
  if (kind === 'lines') return effectsOfLines(linesFrom(plain, rows));
  // As above: sealed by this gateway and opened whole.
  const effects = plain
    .toString('utf8')
    .split('\n')
    .map((line) => JSON.parse(line) as Effect);
  if (effects.length !== rows) throw changed(fileKey.id, 'its index does not fit its rows');
  return effects;
}

function linesFrom(plain: Buffer, rows: number): EffectLines {
  const end = plain.indexOf('\n');
  // As above: sealed by this gateway and opened whole.
  const makings = JSON.parse(plain.toString('utf8', 0, end)) as readonly EffectMaking[];
  return { makings, lines: plain.subarray(end + 1), rows };
}

function open(fileKey: FileKey, number: number, kind: FrameKind, sealed: Buffer): Buffer {
  const plain = openFrame(fileKey, number, kind, sealed);
  if (plain === undefined) throw changed(fileKey.id, 'a part of it is not what was written there');
  return plain;
}

async function bytesAt(
  file: BlobReader,
  id: EvidenceId,
  offset: number,
  length: number,
): Promise<Buffer> {
  const bytes = await file.read(offset, length);
  if (bytes.length < length) throw changed(id, 'it was cut');
  return bytes;
}

function changed(id: EvidenceId, how: string): Problem {
  return new Problem(
    'store-unusable',
    `the evidence \`${id}\` is not as the gateway wrote it: ${how}; put the file back from your copy`,
  );
}
