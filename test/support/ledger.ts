/** A log in memory, its published folder, and its key, for tests. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { folderReader, type LedgerReader } from '../../src/ledger/folder.ts';
import { signingKey } from '../../src/ledger/note.ts';
import type { LogSource } from '../../src/ledger/publish.ts';
import { createSequencer } from '../../src/ledger/sequencer.ts';
import type { EntryBody } from '../../src/model/entry.ts';
import type { Random, Sequencer, Signer, StoredEntry, TreeState } from '../../src/model/ports.ts';

export const ORIGIN = 'writegate.local/acme';
export const AT = Date.UTC(2026, 0, 1);

export function testSigner(seedByte = 1, origin = ORIGIN): Signer {
  const key = signingKey(origin, new Uint8Array(32).fill(seedByte));
  return { name: key.name, vkey: key.vkey, sign: (message) => Promise.resolve(key.sign(message)) };
}

/** Random bytes that are the same from run to run. */
export function seededRandom(seed: string): Random {
  let counter = 0;
  return {
    bytes(count) {
      counter += 1;
      return createHash('shake256', { outputLength: count }).update(`${seed}/${counter}`).digest();
    },
  };
}

/** A log in memory that seals with the production sequencer, as a store does. */
export class MemoryLog implements LogSource {
  readonly entriesKept: StoredEntry[] = [];
  readonly #sequencer: Sequencer;
  readonly #random: Random;
  #tree: TreeState = { size: 0, range: [] };
  /** Leaf hash of the latest entry of each act, and of each type of it. */
  readonly #latest = new Map<string, string>();
  readonly #steps = new Map<string, number>();

  constructor(random: Random = seededRandom('log')) {
    this.#sequencer = createSequencer({ gateway: { id: 'test' } });
    this.#random = random;
  }

  append(act: string, body: EntryBody): StoredEntry {
    const step = (this.#steps.get(act) ?? 0) + 1;
    const bound = this.#sequencer.bindsTo(body.type);
    const at = AT + this.#tree.size * 1_000;
    const sealed = this.#sequencer.seal(
      body,
      {
        id: Buffer.from(this.#random.bytes(16)).toString('hex'),
        act,
        step,
        previous: this.#latest.get(act) ?? '',
        binds: bound === null ? '' : (this.#latest.get(`${act} ${bound}`) ?? ''),
        at,
      },
      this.#random,
    );
    const entry = { ...sealed, index: this.#tree.size, act, step, at };
    this.#tree = this.#sequencer.push(this.#tree, sealed.leafHash);
    this.#steps.set(act, step);
    this.#latest.set(act, sealed.leafHash);
    this.#latest.set(`${act} ${body.type}`, sealed.leafHash);
    this.entriesKept.push(entry);
    return entry;
  }

  tree(): Promise<TreeState> {
    return Promise.resolve(this.#tree);
  }

  entries(from: number, limit: number): Promise<readonly StoredEntry[]> {
    return Promise.resolve(this.entriesKept.slice(from, from + limit));
  }

  /** The same log as it was at an earlier size: what a store that lost entries would give. */
  truncated(size: number): MemoryLog {
    const log = new MemoryLog();
    log.entriesKept.push(...this.entriesKept.slice(0, size));
    for (const { leafHash } of log.entriesKept) {
      log.#tree = this.#sequencer.push(log.#tree, leafHash);
    }
    return log;
  }
}

/** Runs with an empty folder that is gone afterwards. */
export async function withFolder<Value>(use: (folder: string) => Promise<Value>): Promise<Value> {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-ledger-'));
  try {
    return await use(join(folder, 'ledger'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Every file of a folder, by path. */
export async function filesOf(folder: string): Promise<Map<string, Uint8Array>> {
  const paths = await folderReader(folder).paths();
  const files = new Map<string, Uint8Array>();
  for (const path of paths.toSorted()) files.set(path, await readFile(join(folder, path)));
  return files;
}

/** Reads a published log from memory. */
export function memoryReader(files: ReadonlyMap<string, Uint8Array>): LedgerReader {
  return {
    paths: () => Promise.resolve([...files.keys()]),
    read: (path) => {
      const bytes = files.get(path);
      return bytes === undefined
        ? Promise.reject(new Error(`no file ${path}`))
        : Promise.resolve(bytes);
    },
  };
}
