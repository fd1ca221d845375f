/** What happened, line by line, in words that are the same for the same seed. */
import { hash } from 'node:crypto';

const ID = /\b(?:prop|frz|cred)_[0-9a-z]{26}/g;

export class Trace {
  readonly lines: string[] = [];
  readonly #names = new Map<string, string>();

  add(line: string): void {
    this.lines.push(line);
  }

  /** SHA-256 over the lines and what they led to. */
  hash(end: string): string {
    return hash('sha256', `${this.lines.join('\n')}\n${end}`, 'hex');
  }

  /** The lines with `p1`, `p2` and so on in place of ids, in the order in which they come up. */
  readable(): readonly string[] {
    return this.lines.map((line) => this.named(line));
  }

  named(line: string): string {
    return line.replace(ID, (id) => {
      const known = this.#names.get(id) ?? `${id[0]}${this.#names.size + 1}`;
      this.#names.set(id, known);
      return known;
    });
  }
}
