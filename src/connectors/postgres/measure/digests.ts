/** The digests of many rows, in one growing buffer, and the digest of them all. */
import { hash } from 'node:crypto';
import type { Digest } from '../../../lib/canonical.ts';

/** A SHA-256. */
const LENGTH = 32;
/** A place in the list fits beneath the first 32 bits of a digest in one exact number. */
const PLACES_MAX = 2 ** 20;

/** Keeps 32 bytes for each row. */
export class Digests {
  #bytes: Buffer = Buffer.allocUnsafe(8 * LENGTH);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Takes a row's canonical form. */
  add(canonical: Uint8Array): void {
    if ((this.#count + 1) * LENGTH > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(this.#bytes.length * 4);
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    // A digest as a string of bytes costs less than half of one as a buffer.
    this.#bytes.write(hash('sha256', canonical, 'binary'), this.#count * LENGTH, 'latin1');
    this.#count += 1;
  }

  /** The digest of the row that was taken last, in hex. */
  last(): string {
    return this.#bytes.toString('hex', (this.#count - 1) * LENGTH, this.#count * LENGTH);
  }

  /** SHA-256 over all digests in their order. */
  finish(): Digest {
    const sorted = Buffer.allocUnsafe(this.#count * LENGTH);
    const places = this.#sorted();
    for (let index = 0; index < places.length; index += 1) {
      const from = (places[index] ?? 0) * LENGTH;
      this.#bytes.copy(sorted, index * LENGTH, from, from + LENGTH);
    }
    return `sha256:${hash('sha256', sorted, 'hex')}`;
  }

  #sorted(): Float64Array {
    const places = new Float64Array(this.#count);
    for (let place = 0; place < this.#count; place += 1) {
      places[place] = this.#bytes.readUInt32BE(place * LENGTH) * PLACES_MAX + place;
    }
    places.sort();
    for (let at = 0; at < places.length; at += 1) places[at] = (places[at] ?? 0) % PLACES_MAX;
    // Neighbours with the same beginning are few; they are put into their exact order here.
    for (let at = 1; at < places.length; at += 1) {
      for (let back = at; back > 0; back -= 1) {
        const left = places[back - 1] ?? 0;
        const right = places[back] ?? 0;
        if (this.#isInOrder(left, right)) break;
        places[back - 1] = right;
        places[back] = left;
      }
    }
    return places;
  }

  #isInOrder(left: number, right: number): boolean {
    const [a, b] = [left * LENGTH, right * LENGTH];
    // Of nearly all the beginnings differ.
    const [first, second] = [this.#bytes.readUInt32BE(a), this.#bytes.readUInt32BE(b)];
    if (first !== second) return first < second;
    return this.#bytes.compare(this.#bytes, b, b + LENGTH, a, a + LENGTH) <= 0;
  }
}
