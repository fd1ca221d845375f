/**
 * A way to break the product that the simulation must notice. It changes lines of the source as it is
 * loaded: a line that is not there exactly once, as it was, is an error, so that none dies out unseen.
 */
import type { Invariant } from '../invariants/violation.ts';

export interface Edit {
  /** From the root. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  /** Any of which may notice it first. */
  readonly caughtBy: readonly Invariant[];
  readonly edits: readonly Edit[];
}
