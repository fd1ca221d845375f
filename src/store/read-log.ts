/** The log of reads: one line of JSON for each, in files of a bounded size and number. */
import { open, rename, rm, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { Problem } from '../model/problem.ts';
import type { ReadLog, ReadRecord } from '../model/read.ts';

/** A file that is this large becomes `.1`, what was `.1` becomes `.2`, and so on. */
const FILE_BYTES_MAX = 16 * 1024 * 1024;
const FILES_KEPT = 8;

export interface OpenReadLog extends ReadLog {
  /** Waits for what is being written and lets go of the file. */
  close(): Promise<void>;
}

export interface ReadLogOptions {
  /** Made where it is missing, 0600. */
  readonly path: string;
  readonly fileBytesMax?: number;
}

/**
 * Opens the log and appends to what is there. Lines are handed to the operating system before a
 * read is answered, not synced: a machine that goes down may lose the last of them, a gateway that
 * is killed loses none.
 */
export async function openReadLog(options: ReadLogOptions): Promise<OpenReadLog> {
  const { path, fileBytesMax = FILE_BYTES_MAX } = options;
  let file = await appending(path);
  let sizeBytes = (await file.stat()).size;
  let turn: Promise<void> = Promise.resolve();

  async function write(line: Buffer): Promise<void> {
    if (sizeBytes > 0 && sizeBytes + line.length > fileBytesMax) {
      await file.close();
      await shift(path);
      file = await appending(path);
      sizeBytes = 0;
    }
    await file.appendFile(line);
    sizeBytes += line.length;
  }

  return {
    record(read) {
      const line = Buffer.from(`${JSON.stringify(lineOf(read))}\n`, 'utf8');
      const written = turn.then(() => write(line));
      turn = written.catch(() => undefined);
      return written.catch((cause: unknown) => {
        throw unusable(path, cause);
      });
    },
    async close() {
      await turn;
      await file.close();
    },
  };
}

function lineOf({ at, ...read }: ReadRecord): object {
  return { at: new Date(at).toISOString(), ...read };
}

async function appending(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'a', 0o600);
  } catch (cause) {
    throw unusable(path, cause);
  }
}

async function shift(path: string): Promise<void> {
  await rm(`${path}.${FILES_KEPT}`, { force: true });
  for (let number = FILES_KEPT - 1; number >= 0; number -= 1) {
    const from = number === 0 ? path : `${path}.${number}`;
    const isThere = await stat(from).then(
      () => true,
      () => false,
    );
    if (isThere) await rename(from, `${path}.${number + 1}`);
  }
}

function unusable(path: string, cause: unknown): Problem {
  return new Problem(
    'store-unusable',
    `the log of reads \`${path}\` cannot be written; until it can, no read is answered`,
    { cause },
  );
}
