/** Which promises there are. The numbers are those of docs/spec/lifecycle.md. */
export const INVARIANTS = [
  'G1',
  'G2',
  'G3',
  'G4',
  'G5',
  'G6',
  'G7',
  'G8',
  'G9',
  'L1',
  // The same intent twice, within the window in which it is one.
  'idempotency',
  // A stop is released by as many as the policy asks.
  'stop',
  // The tree is that of the entries, and only grows.
  'ledger',
  // Something was thrown that is no problem of the caller's.
  'bug',
] as const;

export type Invariant = (typeof INVARIANTS)[number];

export class Violation extends Error {
  override readonly name = 'Violation';
  readonly invariant: Invariant;

  constructor(invariant: Invariant, message: string, options?: ErrorOptions) {
    super(`${invariant}: ${message}`, options);
    this.invariant = invariant;
  }
}

/** Throws where what must hold does not. */
export function hold(
  invariant: Invariant,
  condition: boolean,
  message: () => string,
): asserts condition {
  if (!condition) throw new Violation(invariant, message());
}
