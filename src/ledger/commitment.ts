import { hash } from 'node:crypto';
import { canonicalJson } from '../lib/canonical.ts';
import type { Json } from '../lib/json.ts';

export const NONCE_BYTES = 32;

const VERSION = 'writegate/commit/v1\n';

/**
 * Commits to a payload: `c1:` and the hex SHA-256 over the version line, the nonce, and label and
 * canonical JSON, each behind its length. Without the nonce a guess of the value cannot be checked.
 */
export function commitmentOf(label: string, nonce: Uint8Array, value: Json): string {
  return commitmentOfText(label, nonce, canonicalJson(value));
}

/** As `commitmentOf`, of a value that is written in canonical JSON already. */
export function commitmentOfText(label: string, nonce: Uint8Array, payload: string): string {
  if (nonce.length !== NONCE_BYTES) throw new RangeError(`a nonce has ${NONCE_BYTES} bytes`);
  const sizes = { label: Buffer.byteLength(label), payload: Buffer.byteLength(payload) };
  const bytes = Buffer.alloc(VERSION.length + NONCE_BYTES + 2 + sizes.label + 8 + sizes.payload);
  let at = bytes.write(VERSION);
  bytes.set(nonce, at);
  at = bytes.writeUInt16BE(sizes.label, at + NONCE_BYTES);
  at += bytes.write(label, at);
  at = bytes.writeBigUInt64BE(BigInt(sizes.payload), at);
  bytes.write(payload, at);
  return `c1:${hash('sha256', bytes, 'hex')}`;
}
