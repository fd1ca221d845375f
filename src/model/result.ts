import type { ResultCode } from './entry.ts';
import type { Conflict } from './entry.ts';
import type { State } from './lifecycle.ts';
import type { PlanDifference } from './plan.ts';

/** What the agent should do next; a closed list. */
export type Next = 'wait' | 'none' | 'narrow' | 'fix-arguments' | 'ask-human' | 'stop-run';

interface ResultCommon {
  /** Null for a preview, which makes no proposal. */
  readonly proposalId: string | null;
  readonly code: ResultCode | 'previewed';
  /** Written for a model to act on: what happened, the figure and the bound, what to do. */
  readonly reason: string;
  readonly next: Next;
  /** `self` for the holder of the agent's credential; `human` for a person, needs their own sign-in. */
  readonly links: { readonly self: string | null; readonly human: string | null };
  readonly retryAfterMs: number | null;
  /** The measured effect in one sentence; null where nothing was measured. */
  readonly headline: string | null;
  readonly planDigest: string | null;
  /** True where the same intent was proposed before and this is the first result again. */
  readonly replayed: boolean;
}

/** The answer to `preview`, `propose`, `wait`, `status`, `cancel`, `approve`: discriminated on `state`. */
export type Result =
  | (ResultCommon & {
      readonly state: 'applied';
      readonly receipt: Receipt;
      /** The proposal that took it back, applied too; null while the effect stands. */
      readonly compensatedBy: string | null;
    })
  | (ResultCommon & {
      readonly state: 'waiting';
      readonly expiresAt: number;
      /** Set where an earlier approval met a moved world: what is shown now differs by this. */
      readonly difference: PlanDifference | null;
    })
  | (ResultCommon & { readonly state: 'stale'; readonly difference: PlanDifference })
  | (ResultCommon & { readonly state: 'denied'; readonly duplicateOf: string | null })
  | (ResultCommon & { readonly state: 'refused'; readonly conflicts: readonly Conflict[] })
  /** `wouldBe`: how the policy would decide on this plan now; a preview decides nothing. */
  | (ResultCommon & { readonly state: 'previewed'; readonly wouldBe: 'allow' | 'wait' | 'deny' })
  | (ResultCommon & {
      readonly state: Exclude<State, 'applied' | 'waiting' | 'stale' | 'denied' | 'refused'>;
    });

/** What an applied write leaves in the caller's hand. Inclusion proofs join it with the ledger issue. */
export interface Receipt {
  readonly proposalId: string;
  readonly planDigest: string;
  readonly reference: string;
  readonly appliedAt: number;
  /** Index of the outcome's entry in the tenant's ledger, and its leaf hash (hex). */
  readonly ledgerIndex: number;
  readonly leafHash: string;
  readonly reversible: 'proved' | 'conditional' | 'one-way';
}
