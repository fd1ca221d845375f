/**
 * Verifies a published log from its files and the log's public key alone: no gateway, no store.
 *
 * 1. Every file is either checked or counted as unread: ahead of the checkpoint.
 * 2. The roots are computed from the entries; tiles are compared with them, never believed.
 * 3. Malformed input of any kind is a finding, not an exception.
 */
import { hexOf, sameBytes } from '../lib/bytes.ts';
import type { EntryBody } from '../model/entry.ts';
import { openCheckpoint, type Checkpoint } from './checkpoint.ts';
import { commitmentOf } from './commitment.ts';
import { leafAgrees, openLeaf, payloadLabel } from './entry.ts';
import { Findings, type LedgerFinding } from './findings.ts';
import type { LedgerReader } from './folder.ts';
import { parseLeaf, type Leaf } from './leaf.ts';
import { Meaning, type LedgerFigures } from './meaning.ts';
import { parseVkey, type VerifierKey } from './note.ts';
import { PublishedLog, type PublishedPayload } from './published.ts';
import { formatPath, partialPaths, TILE_WIDTH, TileStack } from './tiles.ts';
import { leafHash, rootOf } from './tree.ts';

export interface VerifyOptions {
  readonly reader: LedgerReader;
  /** The log's public key, from a place other than the folder. */
  readonly vkey: string;
  /** Signed checkpoints of this log that were kept elsewhere: without one, no rewrite can be seen. */
  readonly against?: readonly string[];
  /** Whether the payloads are to be there and to match (the default); false for a copy without. */
  readonly payloads?: boolean;
}

export interface VerifyReport {
  readonly ok: boolean;
  /** Null where the key is malformed. */
  readonly origin: string | null;
  /** Size and root (hex) of the checkpoint that was verified against; 0 and null without one. */
  readonly size: number;
  readonly root: string | null;
  /** How many entries were read; less than `size` where a bundle is broken. */
  readonly entries: number;
  readonly findings: readonly LedgerFinding[];
  readonly figures: LedgerFigures & {
    readonly checkpoints: number;
    readonly payloads: number;
    /** Files of which nothing was checked: ahead of the checkpoint, or payloads not asked for. */
    readonly filesUnread: number;
  };
}

/** A root that the entries must give at a size. */
interface KnownRoot {
  readonly name: string;
  readonly size: number;
  readonly root: Uint8Array;
}

/** Verifies a log; see `docs/spec/ledger.md` for what is found and what is not claimed. */
export async function verifyLedger(options: VerifyOptions): Promise<VerifyReport> {
  const findings = new Findings();
  const key = parseVkey(options.vkey.trim());
  if (key === undefined) {
    findings.add('vkey-malformed', null, 'expected `<name>+<8 hex digits>+<base64>` of Ed25519');
    return report(findings, null, null);
  }
  const walk = new Walk(options, key, findings);
  try {
    await walk.run();
  } catch (error) {
    if (!isReading(error)) throw error;
    findings.add('file-unreadable', null, 'the folder cannot be read');
  }
  return report(findings, key, walk);
}

/** One pass over the log, from the checkpoints to the last entry. */
class Walk {
  readonly #options: VerifyOptions;
  readonly #key: VerifierKey;
  readonly #findings: Findings;
  readonly #roots = new Map<number, KnownRoot[]>();
  readonly #stack = new TileStack();
  readonly #withPayloads: boolean;
  readonly meaning: Meaning;
  head: Checkpoint | null = null;
  checkpoints = 0;
  payloads = 0;
  filesUnread = 0;

  constructor(options: VerifyOptions, key: VerifierKey, findings: Findings) {
    this.#options = options;
    this.#key = key;
    this.#findings = findings;
    this.#withPayloads = options.payloads ?? true;
    this.meaning = new Meaning(findings, key.name);
  }

  get entries(): number {
    return this.#stack.size;
  }

  async run(): Promise<void> {
    const log = await PublishedLog.open(this.#options.reader, this.#findings);
    await this.#vkey(log);
    const head = await this.#heads(log);
    this.head = head;
    if (head === null) return;
    this.#rootsAt(0);
    for (let index = 0; this.#stack.size < head.size; index += 1) {
      // A tree cannot be computed past a bundle that is missing or broken.
      if (!(await this.#bundle(log, index, head.size))) return;
    }
    for (const tile of this.#stack.partials()) await log.compareTile(tile);
    this.#partials(log);
    this.filesUnread = log.filesUnread();
  }

  async #vkey(log: PublishedLog): Promise<void> {
    const path = formatPath({ kind: 'vkey' });
    if (log.isListed(path) && (await log.text(path)) === `${this.#options.vkey.trim()}\n`) return;
    this.#findings.add('vkey-mismatch', null, '`vkey` is not there, or not the key given');
  }

  // ---- checkpoints

  async #heads(log: PublishedLog): Promise<Checkpoint | null> {
    const path = formatPath({ kind: 'checkpoint' });
    const isThere = log.isListed(path);
    const current = isThere ? await this.#checkpoint(log, path) : null;
    if (!isThere) {
      this.#findings.add('checkpoint-missing', null, 'there is no `checkpoint`');
    }
    let largest: Checkpoint | null = null;
    for (const size of log.historySizes()) {
      const kept = await this.#checkpoint(log, formatPath({ kind: 'history', size }), size);
      if (kept !== null) largest = kept;
    }
    const head = current ?? largest;
    if (head === null) return null;
    if (largest !== null && largest.size > head.size) {
      const message = `\`checkpoint\` is of ${head.size} entries, \`checkpoints/${largest.size}\` is later`;
      this.#findings.add('checkpoint-behind', null, message);
    }
    for (const note of this.#options.against ?? []) this.#keptElsewhere(note, head);
    return head;
  }

  async #checkpoint(log: PublishedLog, path: string, size?: number): Promise<Checkpoint | null> {
    const note = await log.text(path);
    if (note === null) return null;
    const opened = openCheckpoint(note, this.#key);
    if (opened.kind === 'refused') {
      this.#findings.add('checkpoint-refused', null, `\`${path}\`: ${opened.reason}`);
      return null;
    }
    const { checkpoint } = opened;
    if (size !== undefined && checkpoint.size !== size) {
      const message = `\`${path}\`: it is of ${checkpoint.size} entries`;
      this.#findings.add('checkpoint-refused', null, message);
      return null;
    }
    this.checkpoints += 1;
    this.#know({ name: `\`${path}\``, size: checkpoint.size, root: checkpoint.root });
    return checkpoint;
  }

  #keptElsewhere(note: string, head: Checkpoint): void {
    const opened = openCheckpoint(note, this.#key);
    if (opened.kind === 'refused') {
      const message = `a checkpoint kept elsewhere: ${opened.reason}`;
      this.#findings.add('kept-checkpoint-refused', null, message);
      return;
    }
    const { size, root } = opened.checkpoint;
    if (size > head.size) {
      const message = `the log had ${size} entries and now has ${head.size}`;
      this.#findings.add('log-truncated', head.size, message);
      return;
    }
    this.#know({ name: `the checkpoint of ${size} entries kept elsewhere`, size, root });
  }

  #know(known: KnownRoot): void {
    const same = this.#roots.get(known.size);
    if (same === undefined) this.#roots.set(known.size, [known]);
    else same.push(known);
  }

  #rootsAt(size: number): void {
    const known = this.#roots.get(size);
    if (known === undefined) return;
    const root = rootOf(this.#stack.range());
    for (const each of known) {
      if (sameBytes(each.root, root)) continue;
      const message = `the first ${size} entries do not give the root of ${each.name}`;
      this.#findings.add('checkpoint-inconsistent', null, message);
    }
  }

  /** What the tile format demands for each size that was signed, until the full one is there. */
  #partials(log: PublishedLog): void {
    for (const size of this.#roots.keys()) {
      if (size > this.#stack.size || !log.historySizes().includes(size)) continue;
      for (const path of partialPaths(size)) {
        if (log.has(path)) continue;
        const code = path.kind === 'bundle' ? 'bundle-missing' : 'tile-missing';
        const message = `expected \`${formatPath(path)}\`, found no such file`;
        this.#findings.add(code, null, message);
      }
    }
  }

  // ---- entries

  async #bundle(log: PublishedLog, index: number, size: number): Promise<boolean> {
    const first = index * TILE_WIDTH;
    const leaves = await log.leaves(index, Math.min(TILE_WIDTH, size - first));
    if (leaves === null) return false;
    const beside = Map.groupBy(
      this.#withPayloads ? await log.payloads(index) : [],
      (payload) => payload.index,
    );
    for (const [at, bytes] of leaves.entries()) {
      const hash = leafHash(bytes);
      for (const tile of this.#stack.push(hash)) await log.compareTile(tile);
      this.#rootsAt(this.#stack.size);
      this.#entry(first + at, bytes, hash, beside.get(first + at) ?? []);
    }
    return true;
  }

  #entry(
    index: number,
    bytes: Uint8Array,
    hash: Uint8Array,
    payloads: readonly PublishedPayload[],
  ): void {
    const parsed = parseLeaf(bytes);
    if (parsed.kind === 'not-canonical') {
      this.#findings.add('leaf-not-canonical', index, 'the leaf is not canonical JSON');
      return;
    }
    if (parsed.kind === 'not-a-leaf') {
      this.#findings.add('leaf-malformed', index, `the leaf is not of its form ${parsed.reason}`);
      return;
    }
    const { leaf } = parsed;
    const label = payloadLabel(leaf.type);
    const labels = Object.keys(leaf.payloads).join();
    if (labels !== (label ?? '')) {
      const message = `expected payload \`${label ?? 'none'}\`, the leaf commits to \`${labels}\``;
      this.#findings.add('leaf-malformed', index, message);
      return;
    }
    const body = this.#withPayloads ? this.#open(index, leaf, payloads) : null;
    this.meaning.check({ index, hash: hexOf(hash), leaf, body });
  }

  /** Compares the payloads with the leaf's commitments; null where one is missing or another. */
  #open(index: number, leaf: Leaf, payloads: readonly PublishedPayload[]): EntryBody | null {
    let isSound = true;
    for (const { label, nonce, value } of payloads) {
      this.payloads += 1;
      if (leaf.payloads[label] === commitmentOf(label, nonce, value)) continue;
      const message = `payload \`${label}\` is not the one that the leaf commits to`;
      this.#findings.add('payload-mismatch', index, message);
      isSound = false;
    }
    const label = payloadLabel(leaf.type);
    const payload = payloads.find((each) => each.label === label);
    if (label !== null && payload === undefined) {
      this.#findings.add('payload-missing', index, `payload \`${label}\` is not there`);
      return null;
    }
    return isSound ? this.#agreeing(index, leaf, payload) : null;
  }

  #agreeing(index: number, leaf: Leaf, payload: PublishedPayload | undefined): EntryBody | null {
    try {
      const body = openLeaf(leaf, payload?.value ?? null);
      if (leafAgrees(leaf, body)) return body;
    } catch {
      // A value that is no entry at all cannot be compared with the leaf: the same finding.
    }
    const message = 'the leaf does not say what its payload says';
    this.#findings.add('payload-disagrees', index, message);
    return null;
  }
}

function report(findings: Findings, key: VerifierKey | null, walk: Walk | null): VerifyReport {
  const all = findings.all();
  const meaning = walk?.meaning ?? new Meaning(findings, '');
  const root = walk?.head?.root;
  return {
    ok: all.length === 0,
    origin: key?.name ?? null,
    size: walk?.head?.size ?? 0,
    root: root === undefined ? null : hexOf(root),
    entries: walk?.entries ?? 0,
    findings: all,
    figures: {
      ...meaning.figures(),
      checkpoints: walk?.checkpoints ?? 0,
      payloads: walk?.payloads ?? 0,
      filesUnread: walk?.filesUnread ?? 0,
    },
  };
}

/** Reports whether an error came from reading: it names a code of the system. */
function isReading(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
