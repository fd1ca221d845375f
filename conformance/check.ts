/** One attack on the gateway, or one promise of it that is held against the database. */
import type { World } from './world.ts';

/** What was counted; shown beside the verdict. */
export type Figures = Readonly<Record<string, number | string>>;

export interface Check {
  /** Number of the test in AG-302. */
  readonly test: '8.3' | '8.6';
  /** The requirement that the test is for. */
  readonly requirement: '4.4' | '4.6';
  readonly name: string;
  /** Throws where the gateway does not hold. */
  run(world: World): Promise<Figures>;
}

export interface CheckResult {
  readonly test: Check['test'];
  readonly requirement: Check['requirement'];
  readonly name: string;
  readonly passed: boolean;
  readonly figures: Figures;
  /** Why it did not pass; null where it did. */
  readonly failure: string | null;
}
