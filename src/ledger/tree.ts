/**
 * The Merkle tree of RFC 6962, section 2.1, over SHA-256. Sizes go up to 2^53, so there is no bit
 * operator here: in JavaScript they cut to 32 bits.
 */
import { strict as assert } from 'node:assert';
import { hash as hashOnce } from 'node:crypto';
import { sameBytes } from '../lib/bytes.ts';

export const HASH_BYTES = 32;

const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

/** Hashes an entry's bytes into a leaf. */
export function leafHash(leaf: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([LEAF_PREFIX, leaf]));
}

/** Hashes two subtrees into their parent. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(Buffer.concat([NODE_PREFIX, left, right]));
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hashOnce('sha256', bytes, 'buffer');
}

/** The roots of the full subtrees that make up a tree, largest first: all that growing it needs. */
export interface CompactRange {
  readonly size: number;
  readonly hashes: readonly Uint8Array[];
}

export const EMPTY_RANGE: CompactRange = { size: 0, hashes: [] };

/** Returns the range with one more leaf. */
export function pushLeaf(range: CompactRange, leaf: Uint8Array): CompactRange {
  return pushHash(range, leaf, nodeHash);
}

/** As `pushLeaf`, over any spelling of hashes; `join` hashes two subtrees into their parent. */
export function pushHash<Hash>(
  range: { readonly size: number; readonly hashes: readonly Hash[] },
  leaf: Hash,
  join: (left: Hash, right: Hash) => Hash,
): { readonly size: number; readonly hashes: readonly Hash[] } {
  assert(Number.isSafeInteger(range.size + 1), 'a tree has at most 2^53 - 1 leaves');
  const hashes = [...range.hashes];
  let node = leaf;
  for (let size = range.size; isOdd(size); size = half(size)) {
    const left = hashes.pop();
    assert(
      left !== undefined,
      `a range of ${range.size} leaves has a hash for each bit of its size`,
    );
    node = join(left, node);
  }
  return { size: range.size + 1, hashes: [...hashes, node] };
}

/** Folds a range from the right into the root of its tree; of nothing, SHA-256 of nothing. */
export function rootOf(hashes: readonly Uint8Array[]): Uint8Array {
  const root = hashes
    .toReversed()
    .reduce<Uint8Array | null>(
      (right, left) => (right === null ? left : nodeHash(left, right)),
      null,
    );
  return root ?? sha256(new Uint8Array());
}

/** Returns the range of the tree over these leaf hashes. */
export function rangeOf(leafHashes: readonly Uint8Array[]): CompactRange {
  return leafHashes.reduce(pushLeaf, EMPTY_RANGE);
}

/** Leaves `from` (inclusive) to `to` (exclusive), whose subtree's root stands in a proof. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** Names the subtrees of an inclusion proof, lowest sibling first. */
export function inclusionSpans(index: number, size: number): readonly Span[] {
  assert(index >= 0 && index < size, `leaf ${index} is within a tree of ${size}`);
  const spans: Span[] = [];
  let from = 0;
  let to = size;
  while (to - from > 1) {
    const middle = from + split(to - from);
    if (index < middle) {
      spans.push({ from: middle, to });
      to = middle;
    } else {
      spans.push({ from, to: middle });
      from = middle;
    }
  }
  return spans.toReversed();
}

/** Names the subtrees of the proof that a tree of `size` extends the one of `earlier` leaves. */
export function consistencySpans(earlier: number, size: number): readonly Span[] {
  assert(earlier > 0 && earlier <= size, `a tree of ${earlier} is within one of ${size}`);
  const spans: Span[] = [];
  let from = 0;
  let to = size;
  while (earlier !== to) {
    const middle = from + split(to - from);
    if (earlier <= middle) {
      spans.push({ from: middle, to });
      to = middle;
    } else {
      spans.push({ from, to: middle });
      from = middle;
    }
  }
  // Where only left halves were taken, the earlier tree is a subtree that the verifier has.
  if (from > 0) spans.push({ from, to });
  return spans.toReversed();
}

/** Computes the hashes of a proof from the leaf hashes of the whole tree. */
export function proofOf(
  spans: readonly Span[],
  leafHashes: readonly Uint8Array[],
): readonly Uint8Array[] {
  return spans.map(({ from, to }) => rootOf(rangeOf(leafHashes.slice(from, to)).hashes));
}

/** What an inclusion proof claims: this leaf at this index in the tree of this size and root. */
export interface InclusionClaim {
  readonly index: number;
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly root: Uint8Array;
}

/** Reports whether an inclusion proof holds. */
export function isIncluded(claim: InclusionClaim, proof: readonly Uint8Array[]): boolean {
  const { index, size, root } = claim;
  if (!isSize(size) || !isSize(index) || index >= size) return false;
  if (![claim.leafHash, root, ...proof].every(isHash)) return false;
  let node = index;
  let last = size - 1;
  let hash = claim.leafHash;
  for (const sibling of proof) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      hash = nodeHash(sibling, hash);
      [node, last] = climb(node, last);
    } else {
      hash = nodeHash(hash, sibling);
    }
    node = half(node);
    last = half(last);
  }
  return last === 0 && sameBytes(hash, root);
}

/** What a consistency proof claims: the later tree begins with the earlier one. */
export interface ConsistencyClaim {
  readonly earlier: { readonly size: number; readonly root: Uint8Array };
  readonly later: { readonly size: number; readonly root: Uint8Array };
}

/** Reports whether a consistency proof holds. An earlier size of 0 proves nothing and is refused. */
export function isConsistent(claim: ConsistencyClaim, proof: readonly Uint8Array[]): boolean {
  const { earlier, later } = claim;
  if (!isSize(earlier.size) || !isSize(later.size)) return false;
  if (earlier.size === 0 || earlier.size > later.size) return false;
  if (![earlier.root, later.root, ...proof].every(isHash)) return false;
  if (earlier.size === later.size) return proof.length === 0 && sameBytes(earlier.root, later.root);
  const [first, ...path] = isPowerOfTwo(earlier.size) ? [earlier.root, ...proof] : proof;
  if (first === undefined) return false;
  let node = earlier.size - 1;
  let last = later.size - 1;
  while (isOdd(node)) {
    node = half(node);
    last = half(last);
  }
  let earlierHash = first;
  let laterHash = first;
  for (const sibling of path) {
    if (last === 0) return false;
    if (isOdd(node) || node === last) {
      earlierHash = nodeHash(sibling, earlierHash);
      laterHash = nodeHash(sibling, laterHash);
      [node, last] = climb(node, last);
    } else {
      laterHash = nodeHash(laterHash, sibling);
    }
    node = half(node);
    last = half(last);
  }
  return last === 0 && sameBytes(earlierHash, earlier.root) && sameBytes(laterHash, later.root);
}

/** Skips the levels at which the last node of a tree has no sibling. */
function climb(node: number, last: number): [number, number] {
  let [low, high] = [node, last];
  while (!isOdd(low) && low !== 0) {
    low = half(low);
    high = half(high);
  }
  return [low, high];
}

/** The largest power of two smaller than `size`. */
function split(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

function isPowerOfTwo(size: number): boolean {
  return split(size + 1) === size;
}

function isOdd(value: number): boolean {
  return value % 2 === 1;
}

function half(value: number): number {
  return Math.floor(value / 2);
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isHash(hash: Uint8Array): boolean {
  return hash.length === HASH_BYTES;
}
