import type { FreezeSubject } from '../model/freeze.ts';
import type { State } from '../model/lifecycle.ts';
import type { Leaf, LeafOf } from './leaf.ts';

export type ActKind = 'proposal' | 'freeze' | 'credential' | 'log';

/**
 * What is known of an act so far. A log may have millions of them, and each is held to the end: these are
 * the facts that a later entry can be held to, and no leaf or payload is kept for them.
 */
export interface Act {
  readonly kind: ActKind;
  step: number;
  last: string;
  /** The hash of the latest leaf of each type that others bind to. */
  readonly bound: Partial<Record<Leaf['type'], string>>;
  /** Absent while no entry of a proposal is in it. */
  proposal?: ProposalFacts;
}

export interface ProposalFacts {
  state: State;
  opening: { readonly credential: string; readonly compensates: string | null } | null;
  subject: FreezeSubject | null;
  /** From the payload: what the plan's digest is over, beside the plan. */
  draft: { readonly target: string; readonly operation: string } | null;
  /** The digest of the plan that was shown last. */
  shown: string | null;
  decision: {
    readonly result: LeafOf<'decision'>['result'];
    readonly planDigest: string | null;
  } | null;
  intent: { readonly attempt: number; readonly planDigest: string } | null;
  approvals: readonly {
    readonly verdict: LeafOf<'approval'>['verdict'];
    readonly planDigest: string;
  }[];
  /** The plan digests that were waited for. */
  waited: readonly (string | null)[];
  appliedCount: number;
  isTakenBack: boolean;
}

const NONE: readonly never[] = [];

export function newAct(kind: ActKind): Act {
  return { kind, step: 0, last: '', bound: {} };
}

export function begun(): ProposalFacts {
  return {
    state: 'proposed',
    opening: null,
    subject: null,
    draft: null,
    shown: null,
    decision: null,
    intent: null,
    approvals: NONE,
    waited: NONE,
    appliedCount: 0,
    isTakenBack: false,
  };
}

/** The digest that was shown, where it is that one, so that equal texts are held once. */
export function shared<Digest extends string | null>(
  digest: Digest,
  { shown }: ProposalFacts,
): Digest | string {
  return shown !== null && digest === shown ? shown : digest;
}
