import { strict as assert } from 'node:assert';
import { bytesOfHex, hexOf, utf8 } from '../lib/bytes.ts';
import { canonicalJson, type Digest } from '../lib/canonical.ts';
import type { EntryBody, EntryPosition, Payload, SealedEntry } from '../model/entry.ts';
import type { Random, Sequencer, TreeState } from '../model/ports.ts';
import { commitmentOfText, NONCE_BYTES } from './commitment.ts';
import { bindsTo, leafMembers, payloadOf, plainJson } from './entry.ts';
import { LEAF_BYTES_MAX, whyNoLeaf, type Leaf, type LeafCommon } from './leaf.ts';
import { HASH_BYTES, leafHash, nodeHash, pushHash } from './tree.ts';

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
  const json = plainJson(leaf);
  const bytes = utf8(canonicalJson(json));
  assert(
    bytes.length <= LEAF_BYTES_MAX,
    `a leaf has at most ${LEAF_BYTES_MAX} bytes, this ${body.type} has ${bytes.length}`,
  );
  const wrong = whyNoLeaf(json);
  assert(wrong === undefined, `this ${body.type} is no leaf that can be read back: ${wrong}`);
  return { leaf: bytes, leafHash: hexOf(leafHash(bytes)), payloads };
}

function sealPayloads(body: EntryBody, random: Random): readonly Payload[] {
  const payload = payloadOf(body);
  if (payload === null) return [];
  const nonce = random.bytes(NONCE_BYTES);
  const { label, value } = payload;
  const text = canonicalJson(value);
  return [{ label, nonce, value, text, commitment: commitmentOfText(label, nonce, text) }];
}

function push(tree: TreeState, leaf: string): TreeState {
  const { size, hashes } = pushHash({ size: tree.size, hashes: tree.range }, leaf, (left, right) =>
    hexOf(nodeHash(hashOfHex(left), hashOfHex(right))),
  );
  return { size, range: hashes };
}

function hashOfHex(text: string): Uint8Array {
  const hash = bytesOfHex(text);
  assert(hash?.length === HASH_BYTES, 'a hash is 64 lower-case hex digits');
  return hash;
}

function hashOrNull(text: string): string | null {
  return text === '' ? null : text;
}
