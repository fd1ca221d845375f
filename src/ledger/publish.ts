/**
 * Publishes a log to a folder that anyone may read, copy and verify.
 *
 * 1. What a checkpoint covers is durable before the checkpoint is; `checkpoint` comes after it.
 * 2. Each file is written aside, synced, renamed, and its folder synced: no reader sees half a file.
 * 3. Nothing is signed that does not extend what was signed before: the published checkpoint is
 *    compared with the store at the start, and the store's own tree with ours before each signature.
 *
 * A crash leaves files ahead of the checkpoint. No signature covers them; the next publication
 * writes them again.
 */
import { hexOf, sameBytes, textOfUtf8, utf8 } from '../lib/bytes.ts';
import type { Signer, StoredEntry, TreeState } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { openCheckpoint, signCheckpoint, type Checkpoint } from './checkpoint.ts';
import { LogFolder } from './folder.ts';
import { parseVkey } from './note.ts';
import { PayloadLines, type LogFile } from './payload-lines.ts';
import {
  bundleIndex,
  formatBundle,
  formatPath,
  parsePath,
  parseTile,
  partialPaths,
  TILE_WIDTH,
  TileStack,
  type Tile,
} from './tiles.ts';
import { HASH_BYTES, leafHash, rootOf } from './tree.ts';

/** How many entries are read at once; one can come with payloads of many megabytes. */
const ENTRIES_READ_MAX = 32;
/** What a publication writes is kept until the tree is compared, as far as it is no more than this. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;

/** One tenant's log as its store gives it. */
export interface LogSource {
  tree(): Promise<TreeState>;
  /** Entries `from` (inclusive) on, in order, at most `limit`. */
  entries(from: number, limit: number): Promise<readonly StoredEntry[]>;
}

/** What was published: `root` in lower-case hex. */
export interface Publication {
  readonly size: number;
  readonly root: string;
}

export interface Publisher {
  /** Writes what grew since the last time; calls one after another. The caller keeps the time. */
  publish(): Promise<Publication>;
}

interface Ports {
  readonly folder: LogFolder;
  readonly signer: Signer;
  readonly source: LogSource;
}

/** How far the folder, or a publication under way, has come. */
interface Edge {
  readonly stack: TileStack;
  /** The leaves of the bundle that is not full. */
  readonly leaves: readonly Uint8Array[];
}

/**
 * Compares the folder with the store and makes a publisher for it. Problem `ledger-inconsistent`
 * where the folder is ahead of the store, was signed with another key, or holds another log.
 */
export async function createPublisher(options: {
  /** Made where it is missing. */
  readonly folder: string;
  readonly signer: Signer;
  readonly source: LogSource;
}): Promise<Publisher> {
  const ports = { ...options, folder: new LogFolder(options.folder) };
  const { folder } = ports;
  let published = await publishedEdge(ports);
  if (published !== null) await advance(ports, published, await ports.source.tree(), null);
  let last: Promise<unknown> = Promise.resolve();
  const publish = async (): Promise<Publication> => {
    const from = published ?? { stack: new TileStack(), leaves: [] };
    const tree = await ports.source.tree();
    // First without writing: what no signature may cover is not left lying in the folder either.
    const kept = new KeptFiles();
    const checked = await advance(ports, from, tree, kept.take);
    const write: Write = ([path, bytes]) => folder.write(path, bytes);
    for (const file of kept.files ?? []) await write(file);
    const edge = kept.files === null ? await advance(ports, from, tree, write) : checked;
    const root = rootOf(edge.stack.range());
    if (published === null || edge.stack.size > published.stack.size) {
      const vkey = utf8(`${ports.signer.vkey}\n`);
      if (published === null) await folder.write(formatPath({ kind: 'vkey' }), vkey);
      await writeEdge(folder, edge, from);
      await folder.sync();
      await writeCheckpoint(ports, { size: edge.stack.size, root });
    }
    published = edge;
    return { size: edge.stack.size, root: hexOf(root) };
  };
  return {
    publish: () => {
      const next = last.then(publish);
      last = next.catch(() => undefined);
      return next;
    },
  };
}

type Write = (file: LogFile) => Promise<void> | void;

/** Files in the order that they are to be written in; null once they are too much to keep. */
class KeptFiles {
  files: LogFile[] | null = [];
  #bytes = 0;

  readonly take = (file: LogFile): void => {
    this.#bytes += file[1].length;
    if (this.#bytes > KEPT_BYTES_MAX) this.files = null;
    this.files?.push(file);
  };
}

/** Takes an edge to the size of the store's tree, writing what fills up, and compares the two. */
async function advance(
  ports: Ports,
  from: Edge,
  tree: TreeState,
  write: Write | null,
): Promise<Edge> {
  const stack = from.stack.copy();
  if (tree.size < stack.size) {
    throw inconsistent(`the folder has ${stack.size} entries, the store only ${tree.size}`);
  }
  let leaves = [...from.leaves];
  const lines = new PayloadLines();
  const put = async (file: LogFile | null): Promise<void> => {
    if (file !== null) await write?.(file);
  };
  while (stack.size < tree.size) {
    const room = Math.min(TILE_WIDTH - leaves.length, tree.size - stack.size);
    const entries = await readEntries(ports.source, stack.size, Math.min(room, ENTRIES_READ_MAX));
    for (const { entry, hash } of entries) {
      leaves.push(entry.leaf);
      for (const tile of stack.push(hash)) await put(tileFile(tile));
      if (write !== null) await put(lines.add(entry));
    }
    if (leaves.length === TILE_WIDTH) {
      await put(lines.close());
      await put(bundleFile(bundleIndex(stack.size) - 1, leaves));
      leaves = [];
    }
  }
  await put(lines.close());
  if (stack.range().map(hexOf).join() !== tree.range.join()) {
    throw inconsistent(`the entries in the store do not give its own tree at size ${tree.size}`);
  }
  return { stack, leaves };
}

async function readEntries(
  source: LogSource,
  from: number,
  count: number,
): Promise<readonly { readonly entry: StoredEntry; readonly hash: Uint8Array }[]> {
  const entries = await source.entries(from, count);
  const hashed = entries.map((entry) => ({ entry, hash: leafHash(entry.leaf) }));
  const isWhole =
    hashed.length === count &&
    hashed.every(
      ({ entry, hash }, at) => entry.index === from + at && hexOf(hash) === entry.leafHash,
    );
  if (isWhole) return hashed;
  throw inconsistent(`expected entries ${from} to ${from + count - 1}, each with its own hash`);
}

/** The partial tiles and the partial bundle; those that did not change are there already. */
async function writeEdge(folder: LogFolder, edge: Edge, before: Edge): Promise<void> {
  const { size } = edge.stack;
  const there = new Set(partialPaths(before.stack.size).map(formatPath));
  for (const tile of edge.stack.partials()) {
    const [path, bytes] = tileFile(tile);
    if (!there.has(path)) await folder.write(path, bytes);
  }
  if (edge.leaves.length > 0) {
    await folder.write(...bundleFile(bundleIndex(size), edge.leaves));
  }
}

async function writeCheckpoint(
  { folder, signer }: Ports,
  head: Pick<Checkpoint, 'size' | 'root'>,
): Promise<void> {
  const checkpoint = utf8(await signCheckpoint(head, signer));
  await folder.write(formatPath({ kind: 'checkpoint' }), checkpoint);
  await folder.sync();
  await folder.write(formatPath({ kind: 'history', size: head.size }), checkpoint);
  await folder.sync();
}

function tileFile({ level, index, hashes }: Tile): LogFile {
  const path = formatPath({ kind: 'tile', level, index, width: hashes.length });
  return [path, Buffer.concat(hashes)];
}

function bundleFile(index: number, leaves: readonly Uint8Array[]): LogFile {
  return [formatPath({ kind: 'bundle', index, width: leaves.length }), formatBundle(leaves)];
}

// ---- the folder as it is

/** Reads how far the folder has come and compares that with the store; null for a new folder. */
async function publishedEdge(ports: Ports): Promise<Edge | null> {
  const head = await publishedHead(ports);
  if (head === null) return null;
  const tree = await ports.source.tree();
  if (tree.size < head.size) {
    throw inconsistent(`the folder has ${head.size} entries, the store only ${tree.size}`);
  }
  const start = head.size - (head.size % TILE_WIDTH);
  const stack = new TileStack(start, await publishedTiles(ports.folder, start));
  const leaves: Uint8Array[] = [];
  while (stack.size < head.size) {
    const count = Math.min(head.size - stack.size, ENTRIES_READ_MAX);
    for (const { entry, hash } of await readEntries(ports.source, stack.size, count)) {
      leaves.push(entry.leaf);
      stack.push(hash);
    }
  }
  if (!sameBytes(rootOf(stack.range()), head.root)) {
    throw inconsistent(`the checkpoint of ${head.size} entries is not that of the store`);
  }
  return { stack, leaves };
}

/** The largest checkpoint in the folder, with its copy for later put in place. */
async function publishedHead({ folder, signer }: Ports): Promise<Checkpoint | null> {
  const head = await folder.read(formatPath({ kind: 'checkpoint' }));
  let largest = -1;
  for await (const name of folder.names('checkpoints')) {
    const path = parsePath(`checkpoints/${name}`);
    if (path?.kind === 'history') largest = Math.max(largest, path.size);
  }
  if (head === null) {
    if (largest < 0) return null;
    throw inconsistent(`\`checkpoint\` is gone, \`checkpoints/${largest}\` is there`);
  }
  const key = parseVkey(signer.vkey);
  const opened = key === undefined ? undefined : openCheckpoint(textOfUtf8(head) ?? '', key);
  if (opened?.kind !== 'opened') {
    throw inconsistent(`\`checkpoint\` is not one of this key: ${opened?.reason ?? 'no key'}`);
  }
  const { checkpoint } = opened;
  if (largest > checkpoint.size) {
    throw inconsistent(`\`checkpoint\` is behind \`checkpoints/${largest}\``);
  }
  if (largest < checkpoint.size) {
    await folder.write(formatPath({ kind: 'history', size: checkpoint.size }), head);
    await folder.sync();
  }
  return checkpoint;
}

/** Reads the partial tiles of a size at which no bundle is begun. */
async function publishedTiles(folder: LogFolder, size: number): Promise<readonly Tile[]> {
  const tiles: Tile[] = [];
  for (const path of partialPaths(size)) {
    if (path.kind !== 'tile') continue;
    const name = formatPath(path);
    const bytes = await folder.read(name);
    if (bytes === null || bytes.length !== path.width * HASH_BYTES) {
      throw inconsistent(`\`${name}\` is missing or not of its size`);
    }
    tiles.push({ level: path.level, index: path.index, hashes: parseTile(bytes) ?? [] });
  }
  return tiles;
}

function inconsistent(found: string): Problem {
  return new Problem(
    'ledger-inconsistent',
    `${found}; nothing was signed: keep store, key and folder as they are, run \`writegate ledger verify\` on the folder and restore what was lost`,
  );
}
