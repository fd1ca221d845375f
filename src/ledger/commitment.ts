import { createHash } from 'node:crypto';
import { utf8 } from '../lib/bytes.ts';
import { canonicalJson } from '../lib/canonical.ts';
import type { Json } from '../lib/json.ts';

export const NONCE_BYTES = 32;

/**
 * Commits to a payload: `c1:` and the hex SHA-256 over the version line, the nonce, and label and
 * canonical JSON, each behind its length. Without the nonce a guess of the value cannot be checked.
 */
export function commitmentOf(label: string, nonce: Uint8Array, value: Json): string {
  if (nonce.length !== NONCE_BYTES) throw new RangeError(`a nonce has ${NONCE_BYTES} bytes`);
  const labelBytes = utf8(label);
  const payload = utf8(canonicalJson(value));
  const lengths = { label: Buffer.alloc(2), payload: Buffer.alloc(8) };
  lengths.label.writeUInt16BE(labelBytes.length);
  lengths.payload.writeBigUInt64BE(BigInt(payload.length));
  const hash = createHash('sha256')
    .update('writegate/commit/v1\n')
    .update(nonce)
    .update(lengths.label)
    .update(labelBytes)
    .update(lengths.payload)
    .update(payload);
  return `c1:${hash.digest('hex')}`;
}
