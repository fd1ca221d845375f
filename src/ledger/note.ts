/** Signed notes and their keys: C2SP `signed-note` v1.0.0, Ed25519 (type 0x01) alone. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { base64Of, bytesOfBase64, hexOf, sameBytes, utf8 } from '../lib/bytes.ts';
import type { Signer } from '../model/ports.ts';

const ED25519 = 1;
const KEY_BYTES = 32;
const KEY_ID_BYTES = 4;
const SIGNATURE_LINES_MAX = 100;
const NOTE_LENGTH_MAX = 1_000_000;
const SIGNING_KEY_PREFIX = 'PRIVATE+KEY+';
/** DER of an Ed25519 key up to its 32 bytes: RFC 8410, sections 4 and 7. */
const PUBLIC_DER = Buffer.from('302a300506032b6570032100', 'hex');
const PRIVATE_DER = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A public key under the name that signature lines carry. */
export interface VerifierKey {
  readonly name: string;
  /** 8 lower-case hex digits. */
  readonly id: string;
  readonly key: KeyObject;
}

/** A private key that the note's rules can be followed with; never print `seed`. */
export interface SigningKey {
  readonly name: string;
  readonly vkey: string;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

/** A note whose signature holds, or why it does not. */
export type OpenedNote =
  | { readonly kind: 'opened'; readonly text: string }
  | { readonly kind: 'refused'; readonly reason: string };

/** Reports whether a text may name a key: not empty, no Unicode space, no `+`. */
export function isKeyName(name: string): boolean {
  return name !== '' && name.isWellFormed() && !/[\p{White_Space}+]/u.test(name);
}

/** Reads a key in vkey form, `<name>+<id>+<base64>`; undefined where it is not one of Ed25519. */
export function parseVkey(text: string): VerifierKey | undefined {
  const parts = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/su.exec(text);
  const [, name = '', id = '', encoded = ''] = parts ?? [];
  const publicKey = keyBytes(encoded);
  if (publicKey === undefined || !isKeyName(name)) return undefined;
  if (keyId(name, publicKey) !== id) return undefined;
  return { name, id, key: publicKeyObject(publicKey) };
}

/** Makes a signing key from its 32-byte seed. */
export function signingKey(name: string, seed: Uint8Array): SigningKey {
  if (!isKeyName(name) || seed.length !== KEY_BYTES) {
    throw new RangeError(`expected a key name without spaces and \`+\`, and ${KEY_BYTES} bytes`);
  }
  const key = createPrivateKey({
    key: Buffer.concat([PRIVATE_DER, seed]),
    format: 'der',
    type: 'pkcs8',
  });
  const der = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const publicKey = der.subarray(PUBLIC_DER.length);
  const vkey = `${name}+${keyId(name, publicKey)}+${base64Of(typed(publicKey))}`;
  return { name, vkey, sign: (message) => sign(null, message, key) };
}

/** Writes the signing key in the form of Go's `sumdb/note`. The result is the secret itself. */
export function formatSigningKey(name: string, seed: Uint8Array): string {
  const { vkey } = signingKey(name, seed);
  const id = vkey.slice(name.length + 1, name.length + 9);
  return `${SIGNING_KEY_PREFIX}${name}+${id}+${base64Of(typed(seed))}`;
}

/** Reads what `formatSigningKey` writes; undefined where name, id and seed do not belong together. */
export function parseSigningKey(text: string): SigningKey | undefined {
  if (!text.startsWith(SIGNING_KEY_PREFIX)) return undefined;
  const parts = /^([^+]+)\+[0-9a-f]{8}\+(.+)$/su.exec(text.slice(SIGNING_KEY_PREFIX.length));
  const [, name = '', encoded = ''] = parts ?? [];
  const seed = keyBytes(encoded);
  if (seed === undefined || !isKeyName(name)) return undefined;
  return formatSigningKey(name, seed) === text ? signingKey(name, seed) : undefined;
}

/** Signs a text that ends in a newline; returns the whole note. */
export async function signNote(text: string, signer: Signer): Promise<string> {
  const key = parseVkey(signer.vkey);
  if (key === undefined || !isNoteText(text) || !text.endsWith('\n')) {
    throw new RangeError('expected a text of whole lines and a signer with an Ed25519 key');
  }
  const signature = await signer.sign(utf8(text));
  const line = base64Of(Buffer.concat([Buffer.from(key.id, 'hex'), signature]));
  return `${text}\n— ${key.name} ${line}\n`;
}

/**
 * Opens a note that must carry a signature of `key`. Signatures by other keys are ignored; one by
 * `key` that does not hold refuses the whole note.
 */
export function openNote(note: string, key: VerifierKey): OpenedNote {
  if (note.length > NOTE_LENGTH_MAX || !isNoteText(note)) {
    return refused('it is too long or holds a control character');
  }
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || !note.endsWith('\n') || note.length === end + 2) {
    return refused('it has no signature lines after an empty line');
  }
  const text = note.slice(0, end + 1);
  const lines = note.slice(end + 2, -1).split('\n');
  if (lines.length > SIGNATURE_LINES_MAX) {
    return refused(`it has ${lines.length} signature lines, at most ${SIGNATURE_LINES_MAX}`);
  }
  let isSigned = false;
  for (const line of lines) {
    const signature = parseSignature(line);
    if (signature === undefined) return refused('a signature line is malformed');
    if (signature.name !== key.name || signature.id !== key.id) continue;
    if (!verify(null, utf8(text), key.key, signature.bytes)) {
      return refused(`the signature by \`${key.name}\` does not hold`);
    }
    isSigned = true;
  }
  return isSigned ? { kind: 'opened', text } : refused(`it is not signed by \`${key.name}\``);
}

function parseSignature(
  line: string,
): { readonly name: string; readonly id: string; readonly bytes: Uint8Array } | undefined {
  const parts = /^— ([^ ]+) ([^ ]+)$/u.exec(line);
  const [, name = '', encoded = ''] = parts ?? [];
  const bytes = bytesOfBase64(encoded);
  if (!isKeyName(name) || bytes === undefined || bytes.length <= KEY_ID_BYTES) return undefined;
  return { name, id: hexOf(bytes.subarray(0, KEY_ID_BYTES)), bytes: bytes.subarray(KEY_ID_BYTES) };
}

function isNoteText(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what the format forbids
  return text.isWellFormed() && !/[\u0000-\u0009\u000b-\u001f]/.test(text);
}

function keyId(name: string, publicKey: Uint8Array): string {
  const hash = createHash('sha256').update(`${name}\n`).update(typed(publicKey)).digest();
  return hexOf(hash.subarray(0, KEY_ID_BYTES));
}

function typed(key: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(ED25519), key]);
}

/** The 32 bytes of an Ed25519 key or seed after its type byte. */
function keyBytes(encoded: string): Uint8Array | undefined {
  const bytes = bytesOfBase64(encoded);
  if (bytes === undefined || bytes.length !== KEY_BYTES + 1) return undefined;
  return sameBytes(bytes.subarray(0, 1), Uint8Array.of(ED25519)) ? bytes.subarray(1) : undefined;
}

function publicKeyObject(publicKey: Uint8Array): KeyObject {
  return createPublicKey({
    key: Buffer.concat([PUBLIC_DER, publicKey]),
    format: 'der',
    type: 'spki',
  });
}

function refused(reason: string): OpenedNote {
  return { kind: 'refused', reason };
}
