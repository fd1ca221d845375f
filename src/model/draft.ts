import type { JsonObject } from '../lib/json.ts';
import type { ProposalId } from './ids.ts';

/** Bounds on what an agent may send; beyond them the call is a `draft-invalid` problem. */
export const DRAFT_BOUNDS = {
  argumentsBytesMax: 262_144,
  depthMax: 32,
  nameLengthMax: 128,
  reasonLengthMax: 2_000,
  idempotencyKeyLengthMax: 255,
} as const;

/** What an agent sent, parsed once at the border; nothing in it is trusted. */
export interface Draft {
  readonly target: string;
  /** One kind of write that the target offers; for `postgres` it is `sql`. */
  readonly operation: string;
  readonly arguments: JsonObject;
  /** The agent's own words; shown as inert text, takes no part in any decision. */
  readonly reason: string | undefined;
  /** Scoped to tenant and agent. */
  readonly idempotencyKey: string | undefined;
  /** The agent's run or session; budgets may be per run. */
  readonly run: string | undefined;
  /** Set by the gateway alone when the draft is the inverse of an applied proposal. */
  readonly compensates: ProposalId | undefined;
}
