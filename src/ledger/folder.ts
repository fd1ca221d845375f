/** A published log's folder: the only place of the ledger, beside the key file, that touches a disk. */
import { mkdir, open, opendir, readdir, readFile, rename } from 'node:fs/promises';
import { platform } from 'node:os';
import { dirname, join } from 'node:path';
import { UNFINISHED_FOLDER } from './tiles.ts';

/** A folder of checkpoints may have as many names as the log had publications: they are never held together. */
const NAMES_AT_ONCE = 1_024;

/** Where a published log is read from; paths are relative and separated by `/`. */
export interface LedgerReader {
  /** Every file there is, in any order. */
  paths(): Promise<readonly string[]>;
  /** A file's bytes. Rejects where it cannot be read. */
  read(path: string): Promise<Uint8Array>;
}

/** Reads a published log from a folder, or from a copy of one. */
export function folderReader(folder: string): LedgerReader {
  const root = join(folder, '/');
  return {
    paths: async () => {
      const found = await readdir(root, { recursive: true, withFileTypes: true });
      return found
        .filter((each) => !each.isDirectory())
        .map((each) => join(each.parentPath, each.name).slice(root.length).replaceAll('\\', '/'));
    },
    read: (path) => readFile(join(root, path)),
  };
}

/** A folder that is written so that each file is there whole or not at all. */
export class LogFolder {
  readonly #root: string;
  /** Folders whose names are not yet durable, relative. */
  readonly #unsynced = new Set<string>();
  /** Folders that this made, or found. */
  readonly #made = new Set<string>();

  constructor(root: string) {
    this.#root = root;
  }

  /** A file's bytes, or null where there is no such file. */
  async read(path: string): Promise<Uint8Array | null> {
    return readFile(join(this.#root, path)).catch((error: unknown) => absent(error, null));
  }

  /** The names in a folder, in any order, as they are read; none where there is no such folder. */
  async *names(path: string): AsyncIterable<string> {
    const folder = await opendir(join(this.#root, path), { bufferSize: NAMES_AT_ONCE }).catch(
      (error: unknown) => absent(error, null),
    );
    if (folder === null) return;
    for await (const { name } of folder) yield name;
  }

  /** Writes a file; once `sync` has resolved it survives a crash. */
  async write(path: string, bytes: Uint8Array): Promise<void> {
    const aside = join(this.#root, UNFINISHED_FOLDER, 'file');
    const target = join(this.#root, path);
    await this.#make(dirname(aside));
    await this.#make(dirname(target));
    const file = await open(aside, 'w');
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, target);
    for (let folder = dirname(path); folder !== '.'; folder = dirname(folder)) {
      this.#unsynced.add(folder);
    }
    this.#unsynced.add('.');
  }

  async #make(folder: string): Promise<void> {
    if (this.#made.has(folder)) return;
    await mkdir(folder, { recursive: true });
    this.#made.add(folder);
  }

  /** Makes the names of what was written durable. */
  async sync(): Promise<void> {
    // Windows cannot open a folder to sync it.
    if (platform() !== 'win32') {
      for (const name of this.#unsynced) {
        const folder = await open(join(this.#root, name), 'r');
        try {
          await folder.sync();
        } finally {
          await folder.close();
        }
      }
    }
    this.#unsynced.clear();
  }
}

function absent<Value>(error: unknown, value: Value): Value {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return value;
  throw error;
}
