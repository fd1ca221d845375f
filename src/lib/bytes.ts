/** Bytes and their spellings; the parsers accept exactly what the writers write. */

/** Writes bytes as lower-case hex. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

/** Reads lower-case hex, or returns undefined where the text is anything else. */
export function bytesOfHex(text: string): Uint8Array | undefined {
  return /^(?:[0-9a-f]{2})*$/.test(text) ? Buffer.from(text, 'hex') : undefined;
}

/** Writes bytes as standard base64 with padding. */
export function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

/** Reads standard base64 with padding, or returns undefined where another spelling was used. */
export function bytesOfBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

/** Writes a text as UTF-8. */
export function utf8(text: string): Uint8Array {
  return Buffer.from(text, 'utf8');
}

const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads UTF-8, or returns undefined where the bytes are not. A byte order mark stays in the text. */
export function textOfUtf8(bytes: Uint8Array): string | undefined {
  try {
    return STRICT.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Reports whether two byte strings are the same. Not for secrets: it takes as long as they agree. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}
