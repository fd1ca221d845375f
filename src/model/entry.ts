import type { Digest } from '../lib/canonical.ts';
import type { Json } from '../lib/json.ts';
import type { OutcomeCode } from './codes.ts';
import type { Approval, Decision } from './decision.ts';
import type { Draft } from './draft.ts';
import type { Freeze } from './freeze.ts';
import type { Assessment, Effect, EvidenceReference, PlanDifference } from './plan.ts';
import type { Credential } from './principal.ts';

export type { OutcomeCode, ResultCode, TargetCode } from './codes.ts';

/** The act of the ledger's own entries: `genesis` and `policy`. */
export const LOG_ACT = 'log';

/**
 * One fact of the ledger before it is sealed. State is the fold of entries (G5): `proposal.ts`
 * folds those of one proposal. What is sealed into the leaf holds ids, enumerations, integers,
 * digests and salted commitments alone; the rest is payload, kept beside it (`ledger/entry.ts`).
 */
export type EntryBody =
  | { readonly type: 'genesis'; readonly origin: string }
  | ProposalEntry
  | { readonly type: 'preview'; readonly assessment: Assessment }
  | {
      readonly type: 'decision';
      readonly result: 'allow' | 'wait' | 'deny' | 'expired' | 'cancelled';
      readonly decision: Decision;
      /** Who made it: the policy, or the person or agent that cancelled. */
      readonly by: string;
    }
  | { readonly type: 'approval'; readonly approval: Approval; readonly credential: string }
  | {
      readonly type: 'intent';
      readonly planDigest: Digest;
      /** Counts from 1; the present attempt is the epoch that may settle (G8). */
      readonly attempt: number;
      readonly deadline: number;
      /** What a target that keeps no receipts is asked by; at most `REFERENCE_LENGTH_MAX`. */
      readonly reference?: string;
    }
  | OutcomeEntry
  /** On the compensated proposal, when its compensation was applied; the only entry after a terminal one. */
  | { readonly type: 'rollback'; readonly compensatedBy: string }
  | { readonly type: 'freeze'; readonly freeze: Freeze }
  | {
      readonly type: 'release';
      readonly freezeId: string;
      readonly by: string;
      readonly reason: string;
      /** The configuration file of the gateway `by`; absent: a person. */
      readonly source?: 'file';
      /** The person's credential; absent where the file speaks. */
      readonly credential?: string;
      /** How many distinct people had to speak, by the policy in force. */
      readonly quorum?: number;
      /** How many still have to: then the freeze stays on. Absent: it is released. */
      readonly missing?: number;
    }
  | {
      readonly type: 'policy';
      readonly digest: Digest;
      readonly mode: 'active' | 'observe';
      /** The file's text, kept as payload. */
      readonly text: string;
      /** Absent where it came into force by itself: the first, or no weaker than the one before. */
      readonly by?: PolicyAuthor;
      /** In how many ways it is weaker than the one in force then; absent where that cannot be told. */
      readonly weakens?: number;
      /** Present where it comes into force at the next start. */
      readonly atStart?: true;
    }
  | {
      readonly type: 'credential';
      readonly change: 'added' | 'revoked';
      readonly credential: Credential;
      readonly by: string;
    };

/** Who let a policy into force: a person, or whoever can write to the data folder. */
export type PolicyAuthor =
  | { readonly kind: 'person'; readonly name: string; readonly credential: string }
  | { readonly kind: 'host' };

/** How long a target's reference in an intent may be, in characters. */
export const REFERENCE_LENGTH_MAX = 128;

/** How a draft was admitted. */
export interface ProposalEntry {
  readonly type: 'proposal';
  readonly draft: Draft;
  readonly proposer: {
    readonly kind: 'agent' | 'person';
    readonly name: string;
    readonly credential: string;
    readonly owner: string | null;
  };
  readonly environment: string;
  /** Whether the target and the operation are configured; only then do their names enter the leaf. */
  readonly known: boolean;
  readonly argumentsDigest: Digest;
  /** `tenant : target : operation : SHA-256(JCS(arguments))`, digested. */
  readonly derivedKey: Digest;
}

/** How an execution ended; `refused` without an earlier intent is a target that could not be measured. */
export interface OutcomeEntry {
  readonly type: 'outcome';
  readonly status: 'applied' | 'refused' | 'in_doubt' | 'stale';
  readonly code: OutcomeCode;
  readonly reason: string;
  readonly resolved: 'live' | 'recovery' | 'person';
  /** The attempt that this settles; 0 where there was no intent. */
  readonly attempt: number;
  /** Digest of what the target did (applied) or would do now (stale). */
  readonly planDigest: Digest | null;
  /** The target's own reference: for `postgres` the transaction id. */
  readonly reference: string | null;
  /** Applied effects where they differ from the planned ones in masked columns; else null. */
  readonly effects: readonly Effect[] | null;
  /** Every effect as applied, where `effects`, or the plan's, do not hold them all. */
  readonly evidence: EvidenceReference | null;
  /** For an applied chain over several transactions: what each left, in order. */
  readonly segments?: readonly AppliedSegment[];
  /** For `person`: the credential of the person who looked and said so. */
  readonly credential?: string;
  /** For `stale`: how the plan that was shown differs from the one the target would do now. */
  readonly difference: PlanDifference | null;
  /** For `refused` by a conflict: row by row, bounded by `DIFFERENCE_ROWS_MAX`. */
  readonly conflicts: readonly Conflict[];
}

/** What one transaction of a chain left; `effects` and `evidence` as of the outcome of a write. */
export interface AppliedSegment {
  readonly reference: string;
  readonly effects: readonly Effect[] | null;
  readonly evidence: EvidenceReference | null;
}

/** One row that stands in the way of a rollback. */
export interface Conflict {
  readonly resource: string;
  readonly key: readonly (string | null)[];
  readonly problem: 'row-changed' | 'row-missing' | 'row-exists';
  /** The columns that differ: before the write, as the applied write left them, as they are now. */
  readonly columns: readonly {
    readonly column: string;
    readonly before?: string | null;
    readonly expected: string | null;
    readonly found: string | null;
  }[];
}

/** Where the store put an entry. */
export interface SealedEntry {
  readonly index: number;
  /** Lower-case hex of the RFC 6962 leaf hash. */
  readonly leafHash: string;
  /** Canonical JSON, UTF-8: the bytes that the tree commits to. */
  readonly leaf: Uint8Array;
  readonly payloads: readonly Payload[];
}

/** What lies beside a leaf: committed to by `commitment`, erasable without moving the tree. */
export interface Payload {
  readonly label: string;
  readonly nonce: Uint8Array;
  readonly value: Json;
  /** `value` as JSON text, where whoever sealed it has it anyway. */
  readonly text?: string;
  /** `c1:` and lower-case hex, as LEDGER's commitment formula. */
  readonly commitment: string;
}

/** The position that the store gives an entry when it seals it. */
export interface EntryPosition {
  /** 32 lower-case hex digits, random: the dedup key. */
  readonly id: string;
  /** What the entry belongs to: a proposal, freeze or credential id, or `log`. */
  readonly act: string;
  /** Counts from 1 within the act. */
  readonly step: number;
  /** Leaf hash of the act's previous entry, or empty. */
  readonly previous: string;
  /** Leaf hashes of earlier entries of the act by type, for the entries that bind to one. */
  readonly binds: string;
  readonly at: number;
}
