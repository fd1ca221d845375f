import { strict as assert } from 'node:assert';
import { bytesOfHex, hexOf, utf8 } from '../lib/bytes.ts';
import { canonicalJson, type Digest } from '../lib/canonical.ts';
import type { EntryBody, EntryPosition, Payload, SealedEntry } from '../model/entry.ts';
import type { Random, Sequencer, TreeState } from '../model/ports.ts';
import { commitmentOf, NONCE_BYTES } from './commitment.ts';
import { bindsTo, jsonOf, leafMembers, payloadOf } from './entry.ts';
import { LEAF_BYTES_MAX, parseLeaf, type Leaf, type LeafCommon } from './leaf.ts';
import { HASH_BYTES, leafHash, pushLeaf } from './tree.ts';

/** Which gateway seals, and by which configuration. */
export interface GatewayIdentity {
  readonly id: string;
  readonly configDigest?: Digest;
}

/** Makes the production sequencer: entries to leaves by `leaf.ts`, leaves to a tree by `tree.ts`. */
export function createSequencer(options: { readonly gateway: GatewayIdentity }): Sequencer {
  const { id, configDigest } = options.gateway;
  const gateway = { id, config: configDigest ?? null };
  return {
    seal: (body, position, random) => seal(gateway, body, position, random),
    push,
    bindsTo,
  };
}

/** Nothing is sealed that the verifier would not read back: such an entry is a bug and throws. */
function seal(
  gw: LeafCommon['gw'],
  body: EntryBody,
  position: EntryPosition,
  random: Random,
): Omit<SealedEntry, 'index'> {
  const payloads = sealPayloads(body, random);
  const leaf: Leaf = {
    v: 1,
    id: position.id,
    act: position.act,
    step: position.step,
    prev: hashOrNull(position.previous),
    t: position.at,
    gw,
    payloads: Object.fromEntries(payloads.map(({ label, commitment }) => [label, commitment])),
    ...leafMembers(body, hashOrNull(position.binds)),
  };
  const bytes = utf8(canonicalJson(jsonOf(leaf)));
  assert(
    bytes.length <= LEAF_BYTES_MAX,
    `a leaf has at most ${LEAF_BYTES_MAX} bytes, this ${body.type} has ${bytes.length}`,
  );
  const parsed = parseLeaf(bytes);
  const why = parsed.kind === 'not-a-leaf' ? parsed.reason : parsed.kind;
  assert(parsed.kind === 'leaf', `this ${body.type} is no leaf that can be read back: ${why}`);
  return { leaf: bytes, leafHash: hexOf(leafHash(bytes)), payloads };
}

function sealPayloads(body: EntryBody, random: Random): readonly Payload[] {
  const payload = payloadOf(body);
  if (payload === null) return [];
  const nonce = random.bytes(NONCE_BYTES);
  const { label, value } = payload;
  return [{ label, nonce, value, commitment: commitmentOf(label, nonce, value) }];
}

function push(tree: TreeState, leaf: string): TreeState {
  const next = pushLeaf({ size: tree.size, hashes: tree.range.map(hashOfHex) }, hashOfHex(leaf));
  return { size: next.size, range: next.hashes.map(hexOf) };
}

function hashOfHex(text: string): Uint8Array {
  const hash = bytesOfHex(text);
  assert(hash?.length === HASH_BYTES, 'a hash is 64 lower-case hex digits');
  return hash;
}

function hashOrNull(text: string): string | null {
  return text === '' ? null : text;
}
