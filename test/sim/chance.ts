/** Everything that a seed decides, as a stream of numbers: the same seed, the same stream. */

/** A list to choose from, each thing with how often it comes up beside the others. */
export type Weighted<Thing> = readonly (readonly [weight: number, thing: Thing])[];

/** The generator `sfc32` of PractRand: small, fast, of good quality; its state is four words. */
export class Chance {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Streams of one seed with other names have nothing in common. */
  constructor(seed: number, name: string) {
    let hash = 0x811c9dc5;
    for (const char of name) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
    this.#a = hash >>> 0;
    this.#b = seed >>> 0;
    this.#c = Math.floor(seed / 2 ** 32) >>> 0;
    for (let round = 0; round < 12; round += 1) this.word();
  }

  /** A whole number from 0 to 2^32 - 1. */
  word(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** A whole number from 0 to `end` - 1. */
  below(end: number): number {
    return Math.floor((this.word() / 2 ** 32) * end);
  }

  /** A whole number from `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  hits(probability: number): boolean {
    return this.word() / 2 ** 32 < probability;
  }

  pick<Thing>(things: readonly Thing[]): Thing {
    const thing = things[this.below(things.length)];
    if (thing === undefined) throw new Error('there is nothing to pick from');
    return thing;
  }

  /** Undefined where there is nothing to pick from. */
  pickAny<Thing>(things: readonly Thing[]): Thing | undefined {
    return things.length === 0 ? undefined : this.pick(things);
  }

  weighted<Thing>(things: Weighted<Thing>): Thing {
    let left = (this.word() / 2 ** 32) * things.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, thing] of things) {
      left -= weight;
      if (left < 0) return thing;
    }
    throw new Error('there is nothing to pick from');
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let place = 0; place < count; place += 4) {
      const word = this.word();
      for (let byte = 0; byte < 4 && place + byte < count; byte += 1) {
        bytes[place + byte] = (word >>> (8 * byte)) & 0xff;
      }
    }
    return bytes;
  }
}
