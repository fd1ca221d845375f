/**
 * How an evidence file is laid out and sealed.
 *
 * 1. Every file has a random key of its own, wrapped by the key of the installation. So a frame's
 *    number can be its nonce, and rotating the installation's key touches headers alone.
 * 2. A frame is bound to its file and its place: none can be swapped, moved or taken from another.
 * 3. The closing frame holds the index. A file that was cut has none, one with a frame missing or
 *    added does not fit it.
 *
 * Header: magic, id, owner, key id, nonce, wrapped key. Then frames, the closing frame, and a
 * trailer that says where the closing frame begins.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { evidenceId, proposalId, type EvidenceId, type ProposalId } from '../model/ids.ts';

export const KEY_BYTES = 32;

const CIPHER = 'aes-256-gcm';
const MAGIC = Buffer.from('WGEVID1\n', 'ascii');
const ID_BYTES = 30;
const OWNER_BYTES = 31;
const KEY_ID_BYTES = 8;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const NAMED_BYTES = MAGIC.length + ID_BYTES + OWNER_BYTES + KEY_ID_BYTES;

export const HEADER_BYTES: number = NAMED_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES;
/** Number of the closing frame, and its length. */
export const TRAILER_BYTES = 8;

/** What the head of a file says, the key still wrapped. */
export interface Header {
  readonly id: EvidenceId;
  readonly owner: ProposalId | null;
  /** Of the installation's key that wraps the file's. */
  readonly keyId: string;
  readonly bytes: Buffer;
}

/** A file's own key, by which its frames are sealed and opened. */
export interface FileKey {
  readonly id: EvidenceId;
  readonly key: Buffer;
}

/** Tells keys apart without telling them. */
export function keyIdOf(key: Buffer): string {
  return createHash('sha256')
    .update('writegate evidence key')
    .update(key)
    .digest('hex')
    .slice(0, 16);
}

/** Makes a new file's key and its head. */
export function newHeader(
  id: EvidenceId,
  owner: ProposalId | null,
  installationKey: Buffer,
): { readonly header: Buffer; readonly fileKey: FileKey } {
  const key = randomBytes(KEY_BYTES);
  const named = Buffer.alloc(NAMED_BYTES);
  MAGIC.copy(named);
  named.write(id, MAGIC.length, 'ascii');
  named.write(owner ?? '', MAGIC.length + ID_BYTES, 'ascii');
  named.write(keyIdOf(installationKey), MAGIC.length + ID_BYTES + OWNER_BYTES, 'hex');
  const nonce = randomBytes(NONCE_BYTES);
  const wrapped = seal(installationKey, nonce, named, [key]);
  return { header: Buffer.concat([named, nonce, wrapped]), fileKey: { id, key } };
}

/** Reads a head, or returns undefined where it is none. */
export function parseHeader(bytes: Buffer): Header | undefined {
  if (bytes.length !== HEADER_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    return undefined;
  }
  const text = bytes.toString('latin1', MAGIC.length, NAMED_BYTES - KEY_ID_BYTES);
  const id = evidenceId(text.slice(0, ID_BYTES));
  const owner = text.slice(ID_BYTES).replaceAll('\0', '');
  const named = owner === '' ? null : proposalId(owner);
  if (id === undefined || named === undefined) return undefined;
  const keyId = bytes.toString('hex', NAMED_BYTES - KEY_ID_BYTES, NAMED_BYTES);
  return { id, owner: named, keyId, bytes };
}

/** Unwraps the file's key; undefined where the head was changed. */
export function fileKeyOf(header: Header, installationKey: Buffer): FileKey | undefined {
  const { bytes, id } = header;
  const nonce = bytes.subarray(NAMED_BYTES, NAMED_BYTES + NONCE_BYTES);
  const wrapped = bytes.subarray(NAMED_BYTES + NONCE_BYTES);
  const key = unseal(installationKey, nonce, bytes.subarray(0, NAMED_BYTES), wrapped);
  return key && { id, key };
}

/** Effects as lines of JSON, or as `effect-lines.ts` has them, or the index. */
export type FrameKind = 'effects' | 'lines' | 'closing';

/** Seals one frame, given in parts; the answer is its ciphertext with the tag. */
export function sealFrame(
  file: FileKey,
  number: number,
  kind: FrameKind,
  plain: readonly Uint8Array[],
): Buffer {
  return seal(file.key, nonceOf(number), placeOf(file, number, kind), plain);
}

/** Opens one frame; undefined where it is not the one that was written in this place. */
export function openFrame(
  file: FileKey,
  number: number,
  kind: FrameKind,
  sealed: Buffer,
): Buffer | undefined {
  return unseal(file.key, nonceOf(number), placeOf(file, number, kind), sealed);
}

/** Bytes that sealing adds. */
export const SEAL_BYTES: number = TAG_BYTES;

// The file's key is used for this file alone, so a nonce that counts never comes twice.
function nonceOf(number: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUInt32BE(number, NONCE_BYTES - 4);
  return nonce;
}

function placeOf(file: FileKey, number: number, kind: FrameKind): Buffer {
  return Buffer.from(`${file.id} ${kind} ${number}`, 'ascii');
}

function seal(key: Buffer, nonce: Buffer, bound: Buffer, plain: readonly Uint8Array[]): Buffer {
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(bound);
  return Buffer.concat([
    ...plain.map((part) => cipher.update(part)),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
}

function unseal(key: Buffer, nonce: Buffer, bound: Buffer, sealed: Buffer): Buffer | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  const end = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(bound);
  decipher.setAuthTag(sealed.subarray(end));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, end)), decipher.final()]);
  } catch {
    return undefined;
  }
}
