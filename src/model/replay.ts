/** What a candidate policy would have decided on the proposals of the past. */
import type { Money } from './plan.ts';

/** Body of `POST /v1/policies/replay`. */
export interface ReplayBody {
  /** The text of the candidate; left out, the policy in force. */
  readonly text?: string;
  /** Ms since the epoch: proposals made at or after it. */
  readonly since: number;
  /** As if the candidate had this mode, whatever it says: to see what an observing policy would do. */
  readonly mode?: 'active';
}

/** What became of a proposal before people were heard; `observed` where an observing policy let nothing through. */
export type ReplayVerdict = 'allow' | 'wait' | 'deny' | 'observed';

/** One proposal whose decision the candidate changes. */
export interface ReplayExample {
  readonly id: string;
  readonly agent: string;
  readonly target: string;
  readonly operation: string;
  readonly resource: string;
  /** The first line of what was measured. */
  readonly headline: string;
  readonly records: number;
  readonly value: readonly Money[];
  readonly decidedAt: number;
  readonly recorded: ReplaySettled;
  readonly candidate: ReplaySettled;
}

export interface ReplaySettled {
  readonly code: string;
  /** The line that settled it. */
  readonly settledBy: string;
  readonly reason: string;
}

/** Decisions that change in one way, the most rows first among the examples. */
export interface ReplayGroup {
  readonly from: ReplayVerdict;
  readonly to: ReplayVerdict;
  readonly proposals: number;
  readonly records: number;
  readonly value: readonly Money[];
  /** By the candidate's line that settles it, the most proposals first. */
  readonly by: readonly {
    readonly rule: string;
    readonly code: string;
    readonly proposals: number;
    readonly records: number;
  }[];
  /** At most `REPLAY_BOUNDS.examplesMax`. */
  readonly examples: readonly ReplayExample[];
}

export interface ReplayReport {
  readonly candidate: {
    readonly digest: string;
    readonly mode: 'active' | 'observe';
    readonly isInForce: boolean;
  };
  readonly since: number;
  readonly until: number;
  /** Made in that time; each is unchanged, changed or not replayed. */
  readonly proposals: number;
  readonly unchanged: number;
  readonly changed: number;
  readonly groups: readonly ReplayGroup[];
  /** What nothing can be said of, and why: nothing was measured, or the target was away. */
  readonly notReplayed: readonly { readonly reason: string; readonly proposals: number }[];
  /** How many policies those decisions were made under. */
  readonly policies: number;
  /** Why not all of it was looked at; null where it was. */
  readonly cutShort: string | null;
}

export const REPLAY_BOUNDS = {
  /** Proposals looked at, the newest first to be kept. */
  proposalsMax: 100_000,
  timeMsMax: 120_000,
  examplesMax: 20,
  /** Distinct lines listed for one change. */
  linesMax: 50,
} as const;
