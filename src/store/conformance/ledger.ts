/** A sequencer for the contract suite: real hashes and a real tree, and bodies kept as they are. */
import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { canonicalJson } from '../../lib/canonical.ts';
import type { Json } from '../../lib/json.ts';
import type { EntryBody, EntryPosition, Payload, SealedEntry } from '../../model/entry.ts';
import type { Random, Sequencer, TreeState } from '../../model/ports.ts';

/** A sequencer and its inverse. */
export interface Ledger {
  readonly sequencer: Sequencer;
  /** Gives back the body that was sealed into a leaf and its payloads. */
  open(leaf: Uint8Array, payloads: readonly Payload[]): EntryBody;
}

export const testLedger: Ledger = {
  sequencer: { seal, push, bindsTo },
  open: (_leaf, [payload]) => {
    assert(payload?.label === 'body');
    // `seal` below put the body there.
    return payload.value as unknown as EntryBody;
  },
};

/** Random bytes that are the same in every run. */
export function testRandom(): Random {
  let count = 0;
  return {
    bytes: (length) => {
      count += 1;
      return createHash('shake256', { outputLength: length }).update(String(count)).digest();
    },
  };
}

function seal(
  body: EntryBody,
  position: EntryPosition,
  random: Random,
): Omit<SealedEntry, 'index'> {
  // Through JSON, which leaves out members that are undefined.
  const value = JSON.parse(JSON.stringify(body)) as Json;
  const nonce = random.bytes(32);
  const commitment = `c1:${sha256(nonce, canonicalJson(value))}`;
  const leaf = Buffer.from(canonicalJson({ ...position, type: body.type, commitment }));
  return {
    leaf,
    leafHash: sha256(Uint8Array.of(0), leaf),
    payloads: [{ label: 'body', nonce, value, commitment }],
  };
}

function push(tree: TreeState, leafHash: string): TreeState {
  const range = [...tree.range];
  let hash = leafHash;
  for (let size = tree.size; size % 2 === 1; size = (size - 1) / 2) {
    hash = sha256(
      Uint8Array.of(1),
      Buffer.from(range.pop() ?? '', 'hex'),
      Buffer.from(hash, 'hex'),
    );
  }
  return { size: tree.size + 1, range: [...range, hash] };
}

function bindsTo(type: EntryBody['type']): EntryBody['type'] | null {
  switch (type) {
    case 'decision':
      return 'preview';
    case 'approval':
      return 'preview';
    case 'intent':
      return 'decision';
    case 'outcome':
      return 'intent';
    default:
      return null;
  }
}

function sha256(...parts: readonly (Uint8Array | string)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}
