import type { EffectLines } from '../model/effect-lines.ts';
import type { EvidenceWriter } from '../model/ports.ts';
import type { BlobWriter } from './blobs.ts';
import { sealFrame, TRAILER_BYTES, type FileKey, type FrameKind } from './evidence-format.ts';

/** What a frame holds before it is sealed, in characters of JSON: about as many bytes. */
const FRAME_LENGTH = 256 * 1024;

interface Begun {
  readonly blob: BlobWriter;
  readonly header: Buffer;
  readonly fileKey: FileKey;
}

/** Writes the head and takes effects. One frame is written while the next is filled; more waits. */
export function openWriter({ blob, header, fileKey }: Begun): EvidenceWriter {
  const frames: (readonly [sizeBytes: number, rows: number, kind: FrameKind])[] = [];
  let lines: string[] = [];
  let length = 0;
  let rows = 0;
  let bytes = 0;
  let isOver = false;
  let writing: Promise<unknown> = write(header);

  function write(part: Buffer): Promise<unknown> {
    bytes += part.length;
    const written = blob.append(part);
    // It is awaited by the next call; meanwhile nobody listens.
    written.catch(() => undefined);
    return written;
  }

  /** Seals it before it returns its promise. */
  async function put(kind: FrameKind, plain: readonly Uint8Array[], count: number): Promise<void> {
    const sealed = sealFrame(fileKey, frames.length, kind, plain);
    frames.push([sealed.length, count, kind]);
    rows += count;
    // In the order of the frames, whoever called first.
    const last = writing;
    writing = (async () => {
      await last;
      await write(sealed);
    })();
    writing.catch(() => undefined);
    await last;
  }

  async function flush(): Promise<void> {
    if (lines.length === 0) return;
    const plain = Buffer.from(lines.join('\n'), 'utf8');
    const count = lines.length;
    lines = [];
    length = 0;
    await put('effects', [plain], count);
  }

  function putLines(batch: EffectLines): Promise<void> {
    const head = Buffer.from(`${JSON.stringify(batch.makings)}\n`, 'utf8');
    return put('lines', [head, batch.lines], batch.rows);
  }

  return {
    async append(effects) {
      if (isOver) throw new Error('an evidence file that is over takes no more effects');
      for (const effect of effects) {
        const line = JSON.stringify(effect);
        lines.push(line);
        length += line.length;
        if (length >= FRAME_LENGTH) await flush();
      }
    },
    async appendLines(batch) {
      if (isOver) throw new Error('an evidence file that is over takes no more effects');
      const flushed = flush();
      await Promise.all([flushed, putLines(batch)]);
    },
    async finish() {
      if (isOver) throw new Error('an evidence file is finished once');
      await flush();
      await writing;
      const index = Buffer.from(JSON.stringify({ rows, frames }), 'utf8');
      const closing = sealFrame(fileKey, frames.length, 'closing', [index]);
      const trailer = Buffer.alloc(TRAILER_BYTES);
      trailer.writeUInt32BE(frames.length, 0);
      trailer.writeUInt32BE(closing.length, 4);
      await write(Buffer.concat([closing, trailer]));
      await blob.keep();
      isOver = true;
      return { id: fileKey.id, rows, bytes };
    },
    async discard() {
      if (isOver) return;
      isOver = true;
      await writing.catch(() => undefined);
      await blob.drop();
    },
  };
}
