/**
 * Arrays in the server's binary form, one for each column of the rows that a statement takes: nothing
 * is escaped, and the text of a statement is the same however many rows there are.
 */

const OIDS = { text: 25, bigint: 20, bytea: 17 } as const;

/** `text[]`; null is SQL's. */
export function texts(values: readonly (string | null)[]): Buffer {
  return encode(
    OIDS.text,
    values.map((value) => (value === null ? null : Buffer.from(value, 'utf8'))),
  );
}

/** `bigint[]`, of whole numbers. */
export function bigints(values: readonly (number | null)[]): Buffer {
  return encode(
    OIDS.bigint,
    values.map((value) => {
      if (value === null) return null;
      const bytes = Buffer.allocUnsafe(8);
      bytes.writeBigInt64BE(BigInt(value));
      return bytes;
    }),
  );
}

/** `bytea[]`. */
export function byteas(values: readonly Uint8Array[]): Buffer {
  return encode(OIDS.bytea, values);
}

/** As `array_recv` of the server reads it: one dimension that begins at 1. */
function encode(oid: number, elements: readonly (Uint8Array | null)[]): Buffer {
  const size = elements.reduce((sum, element) => sum + 4 + (element?.length ?? 0), 20);
  const bytes = Buffer.allocUnsafe(size);
  let at = bytes.writeInt32BE(1, 0);
  at = bytes.writeInt32BE(elements.includes(null) ? 1 : 0, at);
  at = bytes.writeInt32BE(oid, at);
  at = bytes.writeInt32BE(elements.length, at);
  at = bytes.writeInt32BE(1, at);
  for (const element of elements) {
    at = bytes.writeInt32BE(element === null ? -1 : element.length, at);
    if (element === null) continue;
    bytes.set(element, at);
    at += element.length;
  }
  return bytes;
}
