import { z } from 'zod';
import { bytesOfHex, sameBytes, textOfUtf8 } from '../lib/bytes.ts';
import type { Json } from '../lib/json.ts';
import { isRecord } from '../lib/record.ts';
import type { Findings } from './findings.ts';
import type { LedgerReader } from './folder.ts';
import { parseCanonical } from './leaf.ts';
import {
  bundleIndex,
  formatBundle,
  formatPath,
  parseBundle,
  parsePath,
  TILE_WIDTH,
  type LogPath,
  type Tile,
} from './tiles.ts';
import { HASH_BYTES } from './tree.ts';

type PathOf<Kind extends LogPath['kind']> = Extract<LogPath, { readonly kind: Kind }>;
type WidePath = PathOf<'tile' | 'bundle'>;

/** A payload as its file has it, not yet compared with the leaf that commits to it. */
export interface PublishedPayload {
  readonly index: number;
  readonly label: string;
  readonly nonce: Uint8Array;
  readonly value: Json;
}

/** As it was parsed: a copy would lose a member called `__proto__`, which a column may be called. */
const jsonAsParsed = z.custom<Json>((value) => value !== undefined);
const lineSchema = z.strictObject({
  index: z.int().min(0),
  payloads: z
    // A record passes such a member over: a payload that nobody compares.
    .custom<object>((value) => isRecord(value) && !Object.hasOwn(value, '__proto__'))
    .pipe(
      z.record(
        z.string(),
        z.strictObject({ nonce: z.string().regex(/^[0-9a-f]{64}$/), value: jsonAsParsed }),
      ),
    ),
});

/**
 * The files of a published log. Nothing in them is believed: what is not of the form that the
 * publisher writes is a finding, and no file makes it throw.
 */
export class PublishedLog {
  readonly #reader: LedgerReader;
  readonly #findings: Findings;
  readonly #histories: PathOf<'history'>[] = [];
  /** Tiles and bundles by path without the width: several widths of one. */
  readonly #wide = new Map<string, WidePath[]>();
  /** Payload files by bundle. */
  readonly #payloads = new Map<number, PathOf<'payloads'>[]>();
  readonly #unread = new Set<string>();

  /** Takes stock of the files. */
  static async open(reader: LedgerReader, findings: Findings): Promise<PublishedLog> {
    const log = new PublishedLog(reader, findings);
    for (const path of (await reader.paths()).toSorted()) log.#file(path);
    return log;
  }

  private constructor(reader: LedgerReader, findings: Findings) {
    this.#reader = reader;
    this.#findings = findings;
  }

  #file(text: string): void {
    const path = parsePath(text);
    if (path === undefined) {
      this.#findings.add('file-unexpected', null, `\`${text}\` is no file of a log`);
      return;
    }
    this.#unread.add(text);
    if (path.kind === 'history') this.#histories.push(path);
    if (path.kind === 'tile' || path.kind === 'bundle') {
      append(this.#wide, withoutWidth(path), path);
    }
    if (path.kind === 'payloads') append(this.#payloads, bundleIndex(path.first), path);
  }

  /** The sizes of the checkpoints that were kept in the folder, smallest first. */
  historySizes(): readonly number[] {
    return this.#histories.map(({ size }) => size).toSorted((left, right) => left - right);
  }

  /** How many files were not read: no checkpoint covers them yet, or payloads were not asked for. */
  filesUnread(): number {
    return this.#unread.size;
  }

  /** Reports whether a tile or bundle is there at this width or whole. */
  has(path: WidePath): boolean {
    const widths = this.#wide.get(withoutWidth(path)) ?? [];
    return widths.some(({ width }) => width === path.width || width === TILE_WIDTH);
  }

  /** A file as text, or null with a finding where it cannot be read as such. */
  async text(path: string): Promise<string | null> {
    const bytes = await this.#read(path);
    if (bytes === null) return null;
    const text = textOfUtf8(bytes);
    if (text !== undefined) return text;
    this.#findings.add('file-unreadable', null, `\`${path}\` is not UTF-8`);
    return null;
  }

  isListed(path: string): boolean {
    return this.#unread.has(path);
  }

  async #read(path: string): Promise<Uint8Array | null> {
    this.#unread.delete(path);
    try {
      return await this.#reader.read(path);
    } catch {
      this.#findings.add('file-unreadable', null, `\`${path}\` cannot be read`);
      return null;
    }
  }

  /** The first `count` leaves of a bundle, with every narrower copy of it compared; null if broken. */
  async leaves(index: number, count: number): Promise<readonly Uint8Array[] | null> {
    const copies = this.#wide.get(withoutWidth({ kind: 'bundle', index, width: count })) ?? [];
    const source =
      copies.find(({ width }) => width === TILE_WIDTH) ??
      copies.find(({ width }) => width === count);
    const first = index * TILE_WIDTH;
    if (source === undefined) {
      const path = formatPath({ kind: 'bundle', index, width: count });
      this.#findings.add('bundle-missing', first, `expected \`${path}\`, found no such file`);
      return null;
    }
    const bytes = await this.#read(formatPath(source));
    if (bytes === null) return null;
    const leaves = parseBundle(bytes);
    if (leaves === undefined || leaves.length !== source.width) {
      const message = `\`${formatPath(source)}\` does not hold ${source.width} entries`;
      this.#findings.add('bundle-malformed', first, message);
      return null;
    }
    const covered = leaves.slice(0, count);
    for (const copy of copies) {
      if (copy !== source) await this.#compareBundle(copy, covered);
    }
    return covered;
  }

  async #compareBundle(copy: WidePath, leaves: readonly Uint8Array[]): Promise<void> {
    const bytes = await this.#read(formatPath(copy));
    if (bytes === null) return;
    const expected = formatBundle(leaves.slice(0, copy.width));
    const found = copy.width > leaves.length ? bytes.subarray(0, expected.length) : bytes;
    if (sameBytes(found, expected)) return;
    const message = `\`${formatPath(copy)}\` differs from the later bundle of the same entries`;
    this.#findings.add('bundle-mismatch', copy.index * TILE_WIDTH, message);
  }

  /** Compares every copy of a tile with the hashes that the entries give. */
  async compareTile(tile: Tile): Promise<void> {
    const { level, index, hashes } = tile;
    const path = { kind: 'tile', level, index, width: hashes.length } as const;
    if (!this.has(path)) {
      const message = `expected \`${formatPath(path)}\`, found no such file`;
      this.#findings.add('tile-missing', null, message);
    }
    for (const copy of this.#wide.get(withoutWidth(path)) ?? []) {
      const bytes = await this.#read(formatPath(copy));
      if (bytes !== null) this.#compareHashes(copy, bytes, tile);
    }
  }

  #compareHashes(copy: WidePath, bytes: Uint8Array, { level, index, hashes }: Tile): void {
    const name = `\`${formatPath(copy)}\``;
    if (bytes.length !== copy.width * HASH_BYTES) {
      const message = `${name} has ${bytes.length} bytes, expected ${copy.width * HASH_BYTES}`;
      this.#findings.add('tile-mismatch', null, message);
      return;
    }
    const differing = hashes
      .slice(0, copy.width)
      .findIndex(
        (hash, at) => !sameBytes(hash, bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)),
      );
    if (differing < 0) return;
    const entry = level === 0 ? index * TILE_WIDTH + differing : null;
    const message = `hash ${differing} of ${name} is not that of the entries`;
    this.#findings.add('tile-mismatch', entry, message);
  }

  /** The payloads of a bundle's entries, in no particular order; one may come more than once. */
  async payloads(index: number): Promise<readonly PublishedPayload[]> {
    const payloads: PublishedPayload[] = [];
    for (const path of this.#payloads.get(index) ?? []) {
      const text = await this.text(formatPath(path));
      if (text === null) continue;
      const lines = text.split('\n');
      if (lines.pop() !== '') this.#malformed(path, 'its last line has no end');
      for (const line of lines) payloads.push(...this.#payloadLine(path, line));
    }
    return payloads;
  }

  #payloadLine(path: PathOf<'payloads'>, line: string): readonly PublishedPayload[] {
    const parsed = lineSchema.safeParse(parseCanonical(line));
    if (!parsed.success) {
      this.#malformed(path, 'a line is not the canonical JSON of an entry and its payloads');
      return [];
    }
    const { index, payloads } = parsed.data;
    if (index < path.first || index > path.last) {
      this.#malformed(path, `entry ${index} does not belong there`);
      return [];
    }
    return Object.entries(payloads).flatMap(([label, { nonce, value }]) => {
      const bytes = bytesOfHex(nonce);
      return bytes === undefined ? [] : [{ index, label, nonce: bytes, value }];
    });
  }

  #malformed(path: PathOf<'payloads'>, why: string): void {
    this.#findings.add('payload-malformed', path.first, `\`${formatPath(path)}\`: ${why}`);
  }
}

function withoutWidth(path: WidePath): string {
  return formatPath({ ...path, width: TILE_WIDTH });
}

function append<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}
