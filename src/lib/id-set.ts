const WORDS = 4;
const HEX_PER_WORD = 8;
const SLOTS_FIRST = 1_024;

/**
 * A set of 128-bit ids, given as 32 lower-case hex digits: 16 bytes each, and at most twice as much
 * again for the room between them, where a set of strings takes over a hundred.
 */
export class IdSet {
  #slots = new Uint32Array(SLOTS_FIRST * WORDS);
  #size = 0;
  /** The id of zeros looks like an empty slot. */
  #hasZero = false;

  get size(): number {
    return this.#size + Number(this.#hasZero);
  }

  /** Adds an id; false where it was there. */
  add(id: string): boolean {
    const words = wordsOf(id);
    if (words.every((word) => word === 0)) {
      const wasThere = this.#hasZero;
      this.#hasZero = true;
      return !wasThere;
    }
    if (!put(this.#slots, words)) return false;
    this.#size += 1;
    if (this.#size * 2 * WORDS > this.#slots.length) this.#grow();
    return true;
  }

  #grow(): void {
    const from = this.#slots;
    this.#slots = new Uint32Array(from.length * 2);
    for (let at = 0; at < from.length; at += WORDS) {
      const words = from.subarray(at, at + WORDS);
      if (words.some((word) => word !== 0)) put(this.#slots, words);
    }
  }
}

function wordsOf(id: string): Uint32Array {
  const words = new Uint32Array(WORDS);
  for (let word = 0; word < WORDS; word += 1) {
    words[word] = Number.parseInt(id.slice(word * HEX_PER_WORD, (word + 1) * HEX_PER_WORD), 16);
  }
  return words;
}

/** Writes the id into its slot, or the next one that is free; false where it is there. */
function put(slots: Uint32Array, words: Uint32Array): boolean {
  const count = slots.length / WORDS;
  let slot = hashOf(words) % count;
  for (;;) {
    const found = slots.subarray(slot * WORDS, (slot + 1) * WORDS);
    if (found.every((word) => word === 0)) {
      found.set(words);
      return true;
    }
    if (found.every((word, at) => word === words[at])) return false;
    slot = (slot + 1) % count;
  }
}

/** Mixes all words: ids that count up, or are alike in one half, do not crowd together. */
function hashOf(words: Uint32Array): number {
  return words.reduce((hash, word) => Math.imul(hash ^ word, 0x9e37_79b1) >>> 0, 0x811c_9dc5) >>> 5;
}
