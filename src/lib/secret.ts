import { inspect } from 'node:util';

/**
 * A credential that prints as `[secret]` wherever it is logged, inspected or serialised.
 * Only `reveal()` gives the text; call it at the border that needs it and keep no copy.
 */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  // Not a method: a declaration cannot spell a name that is a computed symbol.
  static {
    Object.defineProperty(Secret.prototype, inspect.custom, { value: () => '[secret]' });
  }
}
