import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import vectors from '../../test/vectors/ledger.json' with { type: 'json' };
import { base64Of, hexOf } from '../lib/bytes.ts';
import {
  consistencySpans,
  inclusionSpans,
  isConsistent,
  isIncluded,
  leafHash,
  proofOf,
  rangeOf,
  rootOf,
} from './tree.ts';

const SIZE_MAX = 70;
const LEAVES = Array.from({ length: SIZE_MAX }, (_, at) => leafHash(Uint8Array.of(at)));
const ROOTS = Array.from({ length: SIZE_MAX + 1 }, (_, size) => rootAt(size));

function rootAt(size: number): Uint8Array {
  return rootOf(rangeOf(LEAVES.slice(0, size)).hashes);
}

/** The definition of RFC 6962, section 2.1, word by word. */
function definedRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const [only, second] = leaves;
  if (only === undefined) return createHash('sha256').digest();
  if (second === undefined) return only;
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  const left = definedRoot(leaves.slice(0, half));
  const right = definedRoot(leaves.slice(half));
  return createHash('sha256').update(Uint8Array.of(1)).update(left).update(right).digest();
}

test('the eight usual leaves give the known roots', () => {
  const { leavesHex, rootsBySize, emptyRoot } = vectors.tree;
  const hashes = leavesHex.map((leaf) => leafHash(Buffer.from(leaf, 'hex')));
  assert.equal(hexOf(rootOf([])), emptyRoot);
  for (const [at, expected] of rootsBySize.entries()) {
    assert.equal(hexOf(rootOf(rangeOf(hashes.slice(0, at + 1)).hashes)), expected);
  }
});

test('the three entries of the known log give its leaf hashes and roots', () => {
  const { entries, leafHashes, rootOfTwoBase64 } = vectors.log;
  const hashes = entries.map((entry) => leafHash(Buffer.from(entry)));
  assert.deepEqual(hashes.map(hexOf), leafHashes);
  assert.equal(base64Of(rootOf(rangeOf(hashes.slice(0, 2)).hashes)), rootOfTwoBase64);
  const proof = proofOf(inclusionSpans(1, 3), hashes).map(hexOf);
  assert.deepEqual(proof, [leafHashes[0], leafHashes[2]]);
});

test('a compact range gives the root that the definition gives, at every size up to 70', () => {
  for (let size = 0; size <= SIZE_MAX; size += 1) {
    assert.deepEqual(ROOTS[size], Buffer.from(definedRoot(LEAVES.slice(0, size))));
  }
});

/** Every claim of inclusion up to the size. */
function* inclusions(): Generator<{
  claim: Parameters<typeof isIncluded>[0];
  proof: Uint8Array[];
}> {
  for (let size = 1; size <= SIZE_MAX; size += 1) {
    for (let index = 0; index < size; index += 1) {
      const [leaf, root] = [LEAVES[index], ROOTS[size]];
      assert(leaf !== undefined && root !== undefined);
      const proof = [...proofOf(inclusionSpans(index, size), LEAVES)];
      yield { claim: { index, size, leafHash: leaf, root }, proof };
    }
  }
}

test('every inclusion proof up to 70 leaves holds, and at no other index or size', () => {
  for (const { claim, proof } of inclusions()) {
    assert(isIncluded(claim, proof));
    const other = claim.index === 0 ? claim.size - 1 : claim.index - 1;
    if (other !== claim.index) assert(!isIncluded({ ...claim, index: other }, proof));
    assert(!isIncluded({ ...claim, index: claim.size }, proof));
    assert(!isIncluded({ ...claim, index: -1 }, proof));
    assert(!isIncluded({ ...claim, size: Infinity }, proof));
  }
});

/** Every claim of consistency up to the size. */
function* consistencies(): Generator<{
  claim: Parameters<typeof isConsistent>[0];
  proof: Uint8Array[];
}> {
  for (let later = 1; later <= SIZE_MAX; later += 1) {
    for (let earlier = 1; earlier <= later; earlier += 1) {
      const [from, to] = [ROOTS[earlier], ROOTS[later]];
      assert(from !== undefined && to !== undefined);
      const proof = [...proofOf(consistencySpans(earlier, later), LEAVES.slice(0, later))];
      const claim = { earlier: { size: earlier, root: from }, later: { size: later, root: to } };
      yield { claim, proof };
    }
  }
}

test('every consistency proof up to 70 leaves holds, and not the other way round', () => {
  for (const { claim, proof } of consistencies()) {
    assert(isConsistent(claim, proof));
    const { earlier, later } = claim;
    if (earlier.size === later.size) continue;
    assert(!isConsistent({ earlier: later, later: earlier }, proof));
    assert(!isConsistent({ earlier: { ...earlier, size: earlier.size + 1 }, later }, proof));
  }
});

test('an earlier tree of nothing is proved by no proof', () => {
  const later = { size: 3, root: rootAt(3) };
  assert(!isConsistent({ earlier: { size: 0, root: rootOf([]) }, later }, []));
});

/** A change to a list of hashes that leaves a different list. */
const mutations = fc.oneof(
  fc.record({ kind: fc.constant('flip'), at: fc.nat(), byte: fc.nat(31), bit: fc.nat(7) }),
  fc.record({ kind: fc.constant('drop'), at: fc.nat() }),
  fc.record({ kind: fc.constant('add'), at: fc.nat() }),
  fc.record({ kind: fc.constant('cut'), at: fc.nat() }),
);

function mutated(
  proof: readonly Uint8Array[],
  mutation: { kind: string; at: number; byte?: number; bit?: number },
): readonly Uint8Array[] {
  if (mutation.kind === 'add' || proof.length === 0) {
    return proof.toSpliced(mutation.at % (proof.length + 1), 0, rootAt(5));
  }
  const at = mutation.at % proof.length;
  const hash = Uint8Array.from(proof[at] ?? []);
  if (mutation.kind === 'drop') return proof.toSpliced(at, 1);
  if (mutation.kind === 'cut') return proof.with(at, hash.subarray(0, 31));
  const byte = mutation.byte ?? 0;
  hash[byte] = (hash[byte] ?? 0) ^ (2 ** (mutation.bit ?? 0));
  return proof.with(at, hash);
}

test('a proof with one hash flipped, dropped, added or cut is refused', () => {
  const included = [...inclusions()];
  const consistent = [...consistencies()];
  fc.assert(
    fc.property(fc.nat(), mutations, (pick, mutation) => {
      const inclusion = included[pick % included.length];
      const consistency = consistent[pick % consistent.length];
      assert(inclusion !== undefined && consistency !== undefined);
      assert(!isIncluded(inclusion.claim, mutated(inclusion.proof, mutation)));
      assert(!isConsistent(consistency.claim, mutated(consistency.proof, mutation)));
    }),
    { numRuns: 1_000 },
  );
});

test('sizes beyond 32 bits are divided, not cut', () => {
  const size = 2 ** 40 + 5;
  const spans = inclusionSpans(2 ** 40 + 4, size);
  assert.deepEqual(spans, [
    { from: 2 ** 40, to: 2 ** 40 + 4 },
    { from: 0, to: 2 ** 40 },
  ]);
  assert.equal(inclusionSpans(0, 2 ** 52).length, 52);
});
