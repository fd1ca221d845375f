import type { Wrong } from '../audit/audit.ts';
import type { Installation } from '../installation.ts';
import type { Lane, StoreKind } from '../lane.ts';
import type { Lot } from '../lot.ts';

export const FAULT_NAMES = [
  'kill',
  'kill-in-commit',
  'commit-lost',
  'freeze',
  'target-killed',
  'target-cut',
  'store-full',
  'store-read-only',
  'store-killed',
  'store-cut',
  'cut-off',
] as const;
export type FaultName = (typeof FAULT_NAMES)[number];

/** Where a fault strikes. */
export interface Scene {
  readonly lot: Lot;
  readonly lane: Lane;
  readonly installation: Installation;
  /** Resolves at the next of the moments of the load that the lot chose; each strike takes one. */
  moment(): Promise<void>;
  /** Resolves once the next call of a client came to nothing, or the load is over. */
  trouble(): Promise<void>;
  /** Resolves once the load is over. */
  readonly over: Promise<void>;
  /** Counts a gateway that was killed. */
  killed(): void;
  /** Says that the load was over before the harm came to pass. */
  missed(): void;
  /** What is wrong while the harm is done. */
  found(wrong: Wrong): void;
}

export interface Fault {
  /** One sentence for people. */
  readonly about: string;
  /** The stores that it can befall. */
  readonly stores: readonly StoreKind[];
  /** Why this machine cannot bring it about; null where it can. */
  readonly whyNot?: (store: StoreKind) => string | null;
  /** How many gateways it takes at least. */
  readonly gateways: number;
  /** How often it strikes in one load, at most. */
  readonly strikesMax: number;
  /**
   * Does harm while the load goes on, and takes it away again: once it resolves nothing is in the
   * way of anything, and every gateway answers.
   */
  strike(scene: Scene): Promise<void>;
}
