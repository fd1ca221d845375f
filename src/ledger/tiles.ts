/** The folder of a published log: C2SP `tlog-tiles` v0.1.0, and what we lay beside it. */
import { strict as assert } from 'node:assert';
import { HASH_BYTES, rangeOf, rootOf } from './tree.ts';

/** How many hashes a full tile has, and how many entries a full bundle. */
export const TILE_WIDTH = 256;
const LEVEL_MAX = 63;

/** Hashes `TILE_WIDTH * index` on of one level; level 0 are leaf hashes. */
export interface Tile {
  readonly level: number;
  readonly index: number;
  readonly hashes: readonly Uint8Array[];
}

/** What a path within the folder names. A `width` of 256 is a full tile or bundle. */
export type LogPath =
  | { readonly kind: 'checkpoint' }
  | { readonly kind: 'vkey' }
  | { readonly kind: 'history'; readonly size: number }
  | {
      readonly kind: 'tile';
      readonly level: number;
      readonly index: number;
      readonly width: number;
    }
  | { readonly kind: 'bundle'; readonly index: number; readonly width: number }
  /** Payloads of entries `first` to `last`, both inclusive, within one bundle. */
  | { readonly kind: 'payloads'; readonly first: number; readonly last: number }
  /** A file that was being written when the gateway stopped. */
  | { readonly kind: 'unfinished' };

export const UNFINISHED_FOLDER = '.unfinished';

/** Writes the path of a tile, bundle, checkpoint or payload file; `/` separates. */
export function formatPath(path: Exclude<LogPath, { readonly kind: 'unfinished' }>): string {
  switch (path.kind) {
    case 'checkpoint':
    case 'vkey':
      return path.kind;
    case 'history':
      return `checkpoints/${path.size}`;
    case 'tile':
      return `tile/${path.level}/${wide(path.index, path.width)}`;
    case 'bundle':
      return `tile/entries/${wide(path.index, path.width)}`;
    case 'payloads':
      return `payloads/${path.first}-${path.last}.jsonl`;
  }
}

/** Reads a path; only what `formatPath` writes is one. */
export function parsePath(text: string): LogPath | undefined {
  if (text.startsWith(`${UNFINISHED_FOLDER}/`)) return { kind: 'unfinished' };
  const path = looselyParsed(text);
  if (path === undefined || formatPath(path) !== text) return undefined;
  return path;
}

function looselyParsed(
  text: string,
): Exclude<LogPath, { readonly kind: 'unfinished' }> | undefined {
  if (text === 'checkpoint' || text === 'vkey') return { kind: text };
  const history = /^checkpoints\/([0-9]+)$/.exec(text);
  if (history !== null) return sound({ kind: 'history', size: Number(history[1]) });
  const payloads = /^payloads\/([0-9]+)-([0-9]+)\.jsonl$/.exec(text);
  if (payloads !== null) {
    const [first, last] = [Number(payloads[1]), Number(payloads[2])];
    const isWithin = first <= last && bundleIndex(first) === bundleIndex(last);
    return isWithin ? sound({ kind: 'payloads', first, last }) : undefined;
  }
  const tile = /^tile\/(entries|[0-9]+)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([0-9]+))?$/.exec(text);
  if (tile === null) return undefined;
  const [, level = '', digits = '', partial = `${TILE_WIDTH}`] = tile;
  const index = Number(digits.replaceAll(/[x/]/g, ''));
  const width = Number(partial);
  const isPartialFull = tile[3] !== undefined && width >= TILE_WIDTH;
  if (width < 1 || isPartialFull) return undefined;
  if (level === 'entries') return sound({ kind: 'bundle', index, width });
  if (Number(level) > LEVEL_MAX) return undefined;
  return sound({ kind: 'tile', level: Number(level), index, width });
}

/** Lets a path through whose numbers are exact. */
function sound<Path extends LogPath>(path: Path): Path | undefined {
  const numbers = Object.values(path).filter((part) => typeof part === 'number');
  return numbers.every(Number.isSafeInteger) ? path : undefined;
}

/** The index in groups of three digits, each but the last behind an `x`; then the width. */
function wide(index: number, width: number): string {
  const digits = String(index);
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, '0');
  const groups = padded.match(/.{3}/g) ?? [];
  const path = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
  return width === TILE_WIDTH ? path : `${path}.p/${width}`;
}

/** Which bundle, and which tile of level 0, holds an entry. */
export function bundleIndex(entry: number): number {
  return Math.floor(entry / TILE_WIDTH);
}

/** Names the partial tiles, bottom up, and the partial bundle that a log of this size has. */
export function partialPaths(
  size: number,
): readonly (LogPath & { readonly kind: 'tile' | 'bundle' })[] {
  const paths: (LogPath & { readonly kind: 'tile' | 'bundle' })[] = [];
  for (let level = 0, width = size; width > 0; level += 1, width = bundleIndex(width)) {
    const rest = width % TILE_WIDTH;
    if (rest === 0) continue;
    const at = { index: bundleIndex(width), width: rest };
    if (level === 0) paths.push({ kind: 'bundle', ...at });
    paths.push({ kind: 'tile', level, ...at });
  }
  return paths;
}

/** Writes an entry bundle: each leaf behind its length in two bytes. */
export function formatBundle(leaves: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(
    leaves.flatMap((leaf) => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(leaf.length);
      return [length, leaf];
    }),
  );
}

/** Reads an entry bundle; undefined where lengths and bytes do not add up. */
export function parseBundle(bytes: Uint8Array): readonly Uint8Array[] | undefined {
  const leaves: Uint8Array[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const [high, low] = bytes.subarray(offset, offset + 2);
    if (high === undefined || low === undefined) return undefined;
    const end = offset + 2 + high * 256 + low;
    if (end > bytes.length || leaves.length === TILE_WIDTH) return undefined;
    leaves.push(bytes.subarray(offset + 2, end));
    offset = end;
  }
  return leaves;
}

/** Reads a tile's hashes; undefined where the length is no multiple of a hash's. */
export function parseTile(bytes: Uint8Array): readonly Uint8Array[] | undefined {
  if (bytes.length % HASH_BYTES !== 0) return undefined;
  return Array.from({ length: bytes.length / HASH_BYTES }, (_, at) =>
    bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
  );
}

/**
 * The tiles at the growing edge of a tree, one to a level. A level that fills up is handed out and
 * its root goes up one level; a partial tile is never hashed upward.
 */
export class TileStack {
  readonly #levels: { index: number; hashes: Uint8Array[] }[];
  #size: number;

  /** Begins with the partial tiles, bottom up, of a tree of this size: all levels that it has. */
  constructor(size = 0, tiles: readonly Tile[] = []) {
    this.#size = size;
    this.#levels = [];
    for (let level = 0, width = size; width > 0; level += 1, width = bundleIndex(width)) {
      const hashes = tiles.find((tile) => tile.level === level)?.hashes ?? [];
      assert(hashes.length === width % TILE_WIDTH, `level ${level} has the hashes of its size`);
      this.#levels.push({ index: bundleIndex(width), hashes: [...hashes] });
    }
  }

  get size(): number {
    return this.#size;
  }

  /** Adds a leaf hash and returns the tiles that it filled, bottom up. */
  push(leaf: Uint8Array): readonly Tile[] {
    const filled: Tile[] = [];
    this.#size += 1;
    let hash = leaf;
    for (let level = 0; ; level += 1) {
      const edge = (this.#levels[level] ??= { index: 0, hashes: [] });
      edge.hashes.push(hash);
      if (edge.hashes.length < TILE_WIDTH) return filled;
      filled.push({ level, index: edge.index, hashes: edge.hashes });
      hash = rootOf(rangeOf(edge.hashes).hashes);
      this.#levels[level] = { index: edge.index + 1, hashes: [] };
    }
  }

  /** The tiles that are not full, bottom up; empty ones do not exist. */
  partials(): readonly Tile[] {
    return this.#levels.flatMap(({ index, hashes }, level) =>
      hashes.length === 0 ? [] : [{ level, index, hashes }],
    );
  }

  /** The compact range of the tree, largest subtree first. */
  range(): readonly Uint8Array[] {
    return this.#levels.toReversed().flatMap(({ hashes }) => rangeOf(hashes).hashes);
  }

  copy(): TileStack {
    return new TileStack(this.#size, this.partials());
  }
}
