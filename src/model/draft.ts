import { digestJson, type Digest } from '../lib/canonical.ts';
import type { JsonObject } from '../lib/json.ts';
import type { ProposalId, TenantId } from './ids.ts';

/** Bounds on what an agent may send; beyond them the call is a `draft-invalid` problem. */
export const DRAFT_BOUNDS = {
  argumentsBytesMax: 262_144,
  depthMax: 32,
  nameLengthMax: 128,
  reasonLengthMax: 2_000,
  idempotencyKeyLengthMax: 255,
  /** Steps of a chain; fewer are no chain. */
  stepsMin: 2,
  stepsMax: 50,
} as const;

/** What a chain has for its operation, and what of it no single step has. */
export const CHAIN_OPERATION = 'chain';

/** One write of a chain. */
export interface DraftStep {
  readonly target: string;
  readonly operation: string;
  readonly arguments: JsonObject;
}

/** What an agent sent, parsed once at the border; nothing in it is trusted. */
export interface Draft {
  /** Of a chain: its targets, each once, in the order in which they are met, with ` + ` between. */
  readonly target: string;
  /** One kind of write that the target offers, for `postgres` it is `sql`; of a chain `CHAIN_OPERATION`. */
  readonly operation: string;
  readonly arguments: JsonObject;
  /**
   * Of a chain: its writes, in order; `arguments` has them too. Of the inverse of a chain: what is
   * taken back, one for each transaction that it took.
   */
  readonly steps?: readonly DraftStep[];
  /** The agent's own words; shown as inert text, takes no part in any decision. */
  readonly reason: string | undefined;
  /** Scoped to tenant and agent. */
  readonly idempotencyKey: string | undefined;
  /** The agent's run or session; budgets may be per run. */
  readonly run: string | undefined;
  /** Set by the gateway alone when the draft is the inverse of an applied proposal. */
  readonly compensates: ProposalId | undefined;
}

/** What a draft of several steps has beside them: their targets, and the steps as its arguments. */
export function chained(
  steps: readonly DraftStep[],
): Pick<Draft, 'target' | 'operation' | 'arguments'> & { readonly steps: readonly DraftStep[] } {
  const given = steps.map((step) => ({
    target: step.target,
    operation: step.operation,
    arguments: step.arguments,
  }));
  return {
    target: [...new Set(steps.map(({ target }) => target))].join(' + '),
    operation: CHAIN_OPERATION,
    arguments: { steps: given },
    steps,
  };
}

/** The key of an intent by its arguments as they stand; of a step as it would be of a single write. */
export function derivedKeyOf(
  tenant: TenantId,
  { target, operation, arguments: given, compensates }: DraftStep & Partial<Draft>,
): Digest {
  return digestJson([tenant, target, operation, digestJson(given), compensates ?? null]);
}
