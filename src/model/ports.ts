/** The six ports through which the gate reaches the world. A stage takes first exactly those it may touch. */
import type { Digest } from '../lib/canonical.ts';
import type { Json, JsonObject } from '../lib/json.ts';
import type { Baseline, BaselineSubject, PaceGuard } from './baseline.ts';
import type { BudgetLine, BudgetUse } from './budget.ts';
import type { RefusalCode } from './codes.ts';
import type { StructureNode } from './dependents.ts';
import type { AppliedSegment, Conflict, EntryBody, EntryPosition, SealedEntry } from './entry.ts';
import type { EffectLines } from './effect-lines.ts';
import type { Freeze, FreezeSubject } from './freeze.ts';
import type { CredentialId, EvidenceId, ProposalId, TenantId, WriteKey } from './ids.ts';
import type { Claimed, LeaseClaim, LeaseGuard, ProposalPlace } from './lease.ts';
import type { State } from './lifecycle.ts';
import type { Effect, EvidenceReference, Plan } from './plan.ts';
import type { Credential } from './principal.ts';
import type { Proposal } from './proposal.ts';

export interface Clock {
  /** Milliseconds since the epoch; never goes backwards within a process. */
  now(): number;
  /** Resolves after `ms`, or as soon as `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Random {
  bytes(count: number): Uint8Array;
}

export interface Signer {
  /** The key's name, which is the log's origin. */
  readonly name: string;
  /** The public half in C2SP vkey form. */
  readonly vkey: string;
  /** An Ed25519 signature (64 bytes) over the message. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

export interface Notifier {
  /** Tells people that a proposal waits for them. May lose a message; may not throw. */
  waiting(proposal: Proposal): Promise<void>;
}

// ---- targets

/** What a target can promise about a write that is tried more than once. */
export type Guarantee = 'transactional' | 'idempotent' | 'conditional' | 'probe' | 'at_most_once';

export interface Targets {
  /** The configured target, or undefined where the configuration names none such. */
  find(name: string): Target | undefined;
  /** Every configured name, for a message that says which was meant; absent: not told. */
  readonly names?: () => readonly string[];
}

/** One configured system behind its connector. */
export interface Target {
  readonly name: string;
  readonly kind: string;
  readonly guarantee: Guarantee;
  /** The operations that agents may name. */
  readonly operations: readonly string[];
  /** JSON Schema (2020-12) of the arguments, by operation; one without has none to give. */
  readonly schemas?: Readonly<Record<string, JsonObject>>;
  /**
   * Whether it carries out several steps in one transaction, so that later ones see what earlier
   * ones did and all of them take effect or none. Absent: it is never given `PlanRequest.steps`.
   */
  readonly steps?: true;
  /**
   * The canonical form of what is asked for: equal for two intents only where these surely do the same to
   * a target in the same state. Reaches no further than what is in memory. Null, a throw, or where it is
   * absent: the arguments stand for themselves.
   */
  canonical?(operation: string, args: JsonObject): Promise<Json>;
  /**
   * Measures what the write would do now and leaves no change.
   * Never throws for what the target or the arguments did: that is `refused`.
   */
  plan(request: PlanRequest, signal: AbortSignal): Promise<PlanAnswer>;
  /**
   * As `plan`, but the measured transaction stays open, its receipt written, so that what was
   * measured can be kept without being done again. For a key that was never tried before. Where it is
   * absent, or answers null, the gate goes by `plan` and `apply`.
   */
  hold?(request: HoldRequest, signal: AbortSignal): Promise<Held | TargetRefusal | null>;
  /**
   * Answers a question of an agent, in a read-only transaction under a read-only role. Absent where
   * the target has no reads.
   */
  read?(request: ReadRequest, signal: AbortSignal): Promise<ReadAnswer>;
  /**
   * What the target itself knows to depend on a resource, for people to read; absent where it knows
   * nothing. Never throws for what the target or the name did: that is `refused`.
   */
  structure?(resource: string): Promise<readonly StructureNode[] | TargetRefusal>;
  /**
   * Does the write once for `request.key`, only if its measured digest is `request.planDigest`.
   * The same key again gives the first answer and no second effect. A throw means in doubt.
   */
  apply(request: ApplyRequest, signal: AbortSignal): Promise<ApplyAnswer>;
  /**
   * Asks whether the key took effect. With `fence`, where the target can, also makes sure that it
   * never will: then `absent` comes with `fenced: true` and is proof.
   */
  probe(request: ProbeRequest, signal: AbortSignal): Promise<ProbeAnswer>;
  /**
   * Names what it has that agents may be permitted to write to, in order, as plans name it. Absent
   * where that cannot be listed; throws where it cannot be asked now.
   */
  resources?(): Promise<readonly string[]>;
  /** Frees what it holds; idempotent. */
  close(): Promise<void>;
}

export interface PlanRequest {
  readonly proposalId: ProposalId;
  readonly operation: string;
  readonly arguments: JsonObject;
  /**
   * Whether the proposer holds any permission on a resource. Asked for what the write names, and
   * for all that this is a part of, before anything is carried out: a preview shows rows too.
   */
  readonly permits: (resource: string) => boolean;
  /** The least number of records that a hard limit of the policy allows here: more need not be measured. */
  readonly recordsMax?: number;
  /**
   * Several writes for one transaction, in order, at least two: then these count, and not
   * `operation`, `arguments` and `permits`, which are those of the first. Only where the target
   * declares `steps`. The plan then has `Plan.steps`, one for each. With `recordsMax` all together.
   */
  readonly steps?: readonly StepRequest[];
  /** For a compensation: the applied effects to take back. Comes from the gate, never from an agent. */
  readonly compensated: Compensated | null;
  /**
   * Queries to ask after the write and before it is kept, in its own transaction, changing nothing:
   * the answers are `Plan.checks`. From the policy, never from an agent.
   */
  readonly checks?: readonly PlanCheck[];
  /** Who proposed it, `agent:name` or `person:name`: whose uploads it may use. */
  readonly proposer?: string;
}

/** A query in the target's own language that answers one row with one truth. */
export interface PlanCheck {
  readonly name: string;
  readonly query: string;
}

/** One of several writes for one transaction. */
export interface StepRequest {
  readonly operation: string;
  readonly arguments: JsonObject;
  /** As in `PlanRequest`, for this step's operation. */
  readonly permits: (resource: string) => boolean;
  /** As in `PlanRequest`, for this step alone. */
  readonly recordsMax?: number;
  /** Those of the request that may concern this step; all are asked after the last one. */
  readonly checks?: readonly PlanCheck[];
}

export interface HoldRequest extends PlanRequest {
  /** What dedups, as in `ApplyRequest`. */
  readonly key: WriteKey;
}

/** A measured transaction that is still open, with its locks: to be ended within milliseconds. */
export interface Held {
  readonly kind: 'held';
  readonly plan: Plan;
  /**
   * The target's own reference, where it keeps no receipts: the intent makes it durable, as
   * `ApplyRequest.journal` would. Absent where the target is asked by the key.
   */
  readonly reference?: string;
  /**
   * Keeps the effect; called once, after the intent is durable (G1). Answers `applied` or `refused`;
   * a throw means in doubt.
   */
  commit(): Promise<ApplyAnswer>;
  /** Takes it back: surely no effect. Never throws; of no use after `commit`. */
  release(): Promise<void>;
}

export interface ReadRequest {
  readonly arguments: JsonObject;
  /** As in `PlanRequest`. */
  readonly permits: (resource: string) => boolean;
}

/** What a read found; over a limit it is refused with `limit-exceeded`, never cut short unsaid. */
export type ReadAnswer =
  | {
      readonly kind: 'read';
      readonly columns: readonly { readonly name: string; readonly isMasked: boolean }[];
      /** In the target's text form; masked values are null. */
      readonly rows: readonly (readonly (string | null)[])[];
      /** What was read, `schema.table`. */
      readonly resources: readonly string[];
      readonly bytes: number;
    }
  | TargetRefusal;

export interface Compensated {
  readonly proposalId: ProposalId;
  readonly plan: Plan;
  /** As they were applied, masked columns filled in; `plan.effects` where nothing was masked. */
  readonly effects: readonly Effect[];
  /** Where every one of them is kept when `effects` does not hold them all. */
  readonly evidence: EvidenceReference | null;
  /** Of a chain over several transactions: each of them, in the order in which it is taken back. */
  readonly segments?: readonly Compensated[];
}

export type PlanAnswer = { readonly kind: 'planned'; readonly plan: Plan } | TargetRefusal;

/** Surely no effect. `permanent`: the same arguments will be refused again. */
export interface TargetRefusal {
  readonly kind: 'refused';
  readonly code: RefusalCode;
  readonly reason: string;
  readonly permanent: boolean;
  /** The offending part of the statement, where there is one: UTF-16 offsets. */
  readonly span: { readonly from: number; readonly to: number } | null;
  /** Of several steps: the one that was refused, from 0. */
  readonly step?: number;
  readonly conflicts: readonly Conflict[];
}

export interface ApplyRequest extends PlanRequest {
  /** What dedups: the proposal's id, or one for its segment; the same for every attempt. */
  readonly key: WriteKey;
  readonly planDigest: Digest;
  /** How the plan's digest is computed is the gate's: it hands the function in. */
  readonly digest: (plan: Plan) => Digest;
  /**
   * Makes the target's own reference durable before the effect is asked to be kept; called by a
   * target that keeps no receipts, which later is asked by it. A throw of it ends the attempt.
   */
  readonly journal?: (reference: string) => Promise<void>;
  /**
   * What `journal` was given by attempts before this one, oldest first, where what became of them is
   * not known; absent at a first attempt.
   */
  readonly references?: readonly string[];
}

export type ApplyAnswer =
  | {
      readonly kind: 'applied';
      readonly reference: string;
      /** As applied, where masked columns got values; null where the plan says it all. */
      readonly effects: readonly Effect[] | null;
      /** Every effect as applied, where `effects`, or the plan's, do not hold them all. */
      readonly evidence: EvidenceReference | null;
      /** Of a chain over several transactions: what each left, in order. */
      readonly segments?: readonly AppliedSegment[];
      /** True where an earlier attempt had done it. */
      readonly earlier: boolean;
    }
  /** The world moved: taken back, nothing changed; this is what it would do now. */
  | { readonly kind: 'drifted'; readonly plan: Plan }
  | TargetRefusal;

export interface ProbeRequest {
  readonly key: WriteKey;
  readonly fence: boolean;
  /** What `journal` was given for the attempts so far, oldest first. */
  readonly references?: readonly string[];
}

export type ProbeAnswer =
  | {
      readonly kind: 'applied';
      readonly reference: string;
      readonly effects: readonly Effect[] | null;
      readonly evidence: EvidenceReference | null;
      /** As in `ApplyAnswer`. */
      readonly segments?: readonly AppliedSegment[];
    }
  | { readonly kind: 'absent'; readonly fenced: boolean }
  | { readonly kind: 'unknown'; readonly reason: string };

// ---- uploads

/** Files that agents sent ahead of a write that takes its rows from one. */
export interface Uploads {
  /** Undefined where the owner (`agent:name`) has none of that id, or not any more. */
  open(id: string, owner: string): Promise<Upload | undefined>;
}

/** One file; its id is its content's hash, so the same id is the same content. */
export interface Upload {
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** What is there now: who reads it holds it against `sha256`. */
  stream(): AsyncIterable<Uint8Array>;
}

// ---- evidence

/** Row images that are too many for a plan: encrypted files beside the store. */
export interface EvidenceFiles {
  /**
   * Begins a file for a proposal, by whose fate it is kept or removed; what is not finished is gone
   * after a crash.
   */
  create(owner?: ProposalId): Promise<EvidenceWriter>;
  /** Undefined where there is none (any more). */
  open(id: EvidenceId): Promise<EvidenceReader | undefined>;
  /** Ends it for good; idempotent. */
  remove(id: EvidenceId): Promise<void>;
}

export interface EvidenceWriter {
  /** Takes effects in any order; resolves when there is room for more. */
  append(effects: readonly Effect[]): Promise<void>;
  /**
   * As `append`, for effects that are lines already. They are read before the call returns its
   * promise, and resolved means as above. Where it is absent they are appended as effects.
   */
  appendLines?(lines: EffectLines): Promise<void>;
  /** Makes it durable. */
  finish(): Promise<EvidenceReference>;
  /** Drops what was written; idempotent. */
  discard(): Promise<void>;
}

export interface EvidenceReader {
  readonly rows: number;
  /** Effects `from` (inclusive, from 0) on, as they were appended, at most `limit`. */
  page(from: number, limit: number): Promise<readonly Effect[]>;
  /** All of them, in bounded batches. */
  batches(): AsyncIterable<readonly Effect[]>;
  close(): Promise<void>;
}

// ---- store

/**
 * What one commit changes, all or nothing. Entries and rows go in one transaction; the store
 * computes the rows by folding the entries.
 */
export interface Change {
  readonly tenant: TenantId;
  readonly at: number;
  readonly acts: readonly ActChange[];
  readonly guard?: Guard;
  /** Conditional: the commit conflicts where a line would pass its max (G7). */
  readonly reserve?: { readonly proposalId: ProposalId; readonly lines: readonly BudgetLine[] };
  /** Reservations of this proposal become spent, at `at`. */
  readonly settle?: ProposalId;
  /** Reservations of this proposal are given back. */
  readonly release?: ProposalId;
}

/** Entries for one act, in order. */
export interface ActChange {
  /** A proposal, freeze or credential id, or `log`. */
  readonly act: string;
  /** The step that the caller read; 0 begins an act. The commit conflicts where it is another. */
  readonly expectStep: number;
  readonly entries: readonly EntryBody[];
}

export interface Guard {
  /** The commit conflicts where a freeze that is on covers this; those of scope `all` of any tenant too. */
  readonly notFrozen?: FreezeSubject;
  /** The commit conflicts where the ledger's own act has another step: a policy came into force. */
  readonly logStep?: number;
  /** The commit conflicts where one of these paces is passed, with what was proposed meanwhile. */
  readonly paces?: readonly PaceGuard[];
  /** Takes keys for a proposal that this commit changes. */
  readonly keys?: KeyClaim;
  /**
   * The commit conflicts where the lease of this epoch is another's by now, though it may have run
   * out (G8); or, where it is taken anew, while another's has not. After it the lease is the
   * holder's where the proposal is then one of `LEASED_STATES`, else nobody's.
   */
  readonly lease?: LeaseGuard;
}

/**
 * The keys that make a repeated write a no-op. Each of `keys` belongs to one proposal while that is
 * live, or applied at or after `appliedSince`; the supplied key for good.
 */
export interface KeyClaim {
  readonly proposalId: ProposalId;
  /**
   * What the gateway derived: of the intent, of a chain's steps too, and of the measured effect. None
   * where the operation may lawfully repeat, or this proposal is itself a denied duplicate. What the
   * proposal holds already is no conflict.
   */
  readonly keys: readonly Digest[];
  /** Keys that this proposal gives back, where it holds them: of an effect that it surely never had. */
  readonly dropped?: readonly Digest[];
  readonly appliedSince: number;
  readonly supplied: { readonly agent: string; readonly key: string } | null;
}

export type Commit =
  | {
      readonly kind: 'committed';
      /** In the order of `acts` and their entries. */
      readonly entries: readonly { readonly index: number; readonly leafHash: string }[];
      /** The proposals that the commit changed, after it, in the order of `acts`. */
      readonly proposals: readonly Proposal[];
      /** The epoch of `Guard.lease`, where that was given. */
      readonly lease?: number;
    }
  | { readonly kind: 'conflict'; readonly conflict: CommitConflict };

export type CommitConflict =
  /** Told before any other; `epoch` is the one found, 0 where there is none. */
  | { readonly kind: 'leased'; readonly proposalId: ProposalId; readonly epoch: number }
  | { readonly kind: 'step'; readonly act: string; readonly found: number }
  | { readonly kind: 'policy' }
  | { readonly kind: 'frozen'; readonly freeze: Freeze }
  | { readonly kind: 'budget'; readonly line: BudgetLine; readonly used: number }
  | { readonly kind: 'pace'; readonly pace: PaceGuard; readonly found: number }
  /** `supplied` where the agent's own key is taken, else which of the derived keys. */
  | { readonly kind: 'key'; readonly key: 'supplied' | Digest; readonly proposalId: ProposalId };

export interface ProposalFilter {
  readonly states?: readonly State[];
  /** Only what this agent proposed. */
  readonly agent?: string;
  /** Only what was proposed under this run; the states are then all. */
  readonly run?: string;
  /** At most `PAGE_MAX`. */
  readonly limit: number;
  /** Ids before this one, newest first. */
  readonly before?: ProposalId;
}

export const PAGE_MAX = 200;

/** An entry as the store gives it back. */
export interface StoredEntry extends SealedEntry {
  readonly act: string;
  readonly step: number;
  readonly at: number;
}

/** The tree's state beside the entries: enough to push leaf hashes and to compute the root. */
export interface TreeState {
  readonly size: number;
  /** Lower-case hex, the compact range's hashes, largest subtree first. */
  readonly range: readonly string[];
}

/** How entries become leaves and leaves a tree; `ledger/sequencer.ts` is the production one. */
export interface Sequencer {
  seal(body: EntryBody, position: EntryPosition, random: Random): Omit<SealedEntry, 'index'>;
  push(tree: TreeState, leafHash: string): TreeState;
  /** The type of the earlier entry of the same act whose leaf hash goes into `position.binds`. */
  bindsTo(type: EntryBody['type']): EntryBody['type'] | null;
}

export type AgentBaseline = BaselineSubject & { readonly baseline: Baseline };

/**
 * Durable state. `commit` is the only writer of it: when it resolves, what it wrote survives a crash;
 * when it rejects, either all of it was written or none. Leases are no such state: the epoch of a
 * proposal never goes down while that is not settled, and that is all that is asked of them.
 */
export interface Store {
  commit(change: Change): Promise<Commit>;
  proposal(tenant: TenantId, id: ProposalId): Promise<Proposal | undefined>;
  /**
   * Newest first. Effects are left out (`effects: []`), those of steps and segments too; the counts
   * are there.
   */
  proposals(tenant: TenantId, filter: ProposalFilter): Promise<readonly Proposal[]>;
  /** Who holds a key now; see `KeyClaim`. Of several derived keys, the holder of the first that is held. */
  keyHolders(
    tenant: TenantId,
    keys: {
      readonly keys: readonly Digest[];
      readonly supplied: { readonly agent: string; readonly key: string } | null;
      readonly appliedSince: number;
    },
  ): Promise<{
    readonly derived: ProposalId | undefined;
    readonly supplied: ProposalId | undefined;
  }>;
  /** For each line, what is reserved now or settled after `now - windowMs`. */
  budgetUsed(
    tenant: TenantId,
    lines: readonly BudgetLine[],
    now: number,
  ): Promise<readonly number[]>;
  /** What is usual for an agent and an operation; undefined before its first proposal. */
  baseline(tenant: TenantId, subject: BaselineSubject): Promise<Baseline | undefined>;
  /** All that is known of one agent, by target and operation. */
  baselines(tenant: TenantId, agent: string): Promise<readonly AgentBaseline[]>;
  /**
   * When so much has left the window that `line.amount` fits; null where it never does, or where what
   * is reserved stands in its way.
   */
  budgetFreeAt(tenant: TenantId, line: BudgetLine, now: number): Promise<number | null>;
  /** The budgets that have something in use, by name and scope, at most `limit`. */
  budgetUses(tenant: TenantId, now: number, limit: number): Promise<readonly BudgetUse[]>;
  /**
   * Every freeze that is on for the tenant, and those released at or after `since`: its own, and
   * those of scope `all` of every tenant, without the others' reasons and names.
   */
  freezes(tenant: TenantId, since: number): Promise<readonly Freeze[]>;
  credential(
    id: CredentialId,
  ): Promise<{ readonly tenant: TenantId; readonly credential: Credential } | undefined>;
  credentials(tenant: TenantId): Promise<readonly Credential[]>;
  /** Proposals in these states, oldest first, at most `limit`. */
  inStates(
    states: readonly State[],
    limit: number,
  ): Promise<readonly { readonly tenant: TenantId; readonly id: ProposalId }[]>;
  /**
   * Takes those in these states whose lease is nobody's or has run out, oldest first, at most
   * `limit`; each at the next epoch, but one that was the claimer's own at its own. What another
   * claims at the same moment is left to that one.
   */
  claim(claim: LeaseClaim): Promise<readonly Claimed[]>;
  /** Holds on, for `forMs` from now, to those that are still the holder's, run out or not. */
  renew(holder: string, proposals: readonly ProposalPlace[], forMs: number): Promise<void>;
  /** Leaves those that are still the holder's to nobody. */
  release(holder: string, proposals: readonly ProposalPlace[]): Promise<void>;
  /** Leaves to nobody what any run of this gateway held: `gateway/…`. For one that starts. */
  endLeases(gateway: string): Promise<void>;
  /** How many proposals of the tenant are in these states. */
  countInStates(tenant: TenantId, states: readonly State[]): Promise<number>;
  /**
   * Waiting proposals that are to be looked at by `now`, the longest due first, at most `limit`: at
   * their `expiresAt`, or at the time that `putOff` gave.
   */
  due(now: number, limit: number): Promise<readonly ProposalPlace[]>;
  /**
   * Says of proposals that are still waiting when they are due; of others nothing. A hint and no
   * entry: where it is lost they are looked at sooner.
   */
  putOff(looks: readonly (ProposalPlace & { readonly until: number })[]): Promise<void>;
  /** How many entries an act has; 0 where there is none. */
  actStep(tenant: TenantId, act: string): Promise<number>;
  /** The act's last entry. */
  latest(tenant: TenantId, act: string): Promise<StoredEntry | undefined>;
  /** The act's entries before step `before` (absent: all), the last first, at most `limit`. */
  actEntries(
    tenant: TenantId,
    act: string,
    range: { readonly before?: number; readonly limit: number },
  ): Promise<readonly StoredEntry[]>;
  /** The leaf hash of one entry, for receipts. */
  leafHash(tenant: TenantId, index: number): Promise<string | undefined>;
  tree(tenant: TenantId): Promise<TreeState>;
  /** Entries `from` (inclusive) on, in order, at most `limit`. */
  entries(tenant: TenantId, from: number, limit: number): Promise<readonly StoredEntry[]>;
  tenants(): Promise<readonly TenantId[]>;
  /**
   * Calls `listener` soon after a commit, of whichever gateway, with the proposals that it changed; may
   * miss some. Returns what ends it. Absent where nobody else commits.
   */
  changes?(listener: (tenant: TenantId, ids: readonly ProposalId[]) => void): () => void;
  /** Finishes what is queued and lets go of the file; idempotent. */
  close(): Promise<void>;
}
