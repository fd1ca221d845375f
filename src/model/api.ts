/** What the HTTP API under `/v1` takes and gives; the SDK, the CLI and MCP use the same shapes. */
import type { JsonObject } from '../lib/json.ts';
import type { BudgetWindow } from './budget.ts';
import type { Approval, Decision } from './decision.ts';
import type { DraftStep } from './draft.ts';
import type { Freeze, FreezeScope, Voice } from './freeze.ts';
import type { OutcomeEntry } from './entry.ts';
import type { Sensitivity } from './policy.ts';
import type { State } from './lifecycle.ts';
import type { Assessment, Effect, PlanDifference } from './plan.ts';
import type { Role } from './principal.ts';

/** Body of `POST /v1/proposals` and `POST /v1/previews`. Unknown members are a `draft-invalid` problem. */
export interface DraftBody {
  readonly target: string;
  readonly operation: string;
  readonly arguments: JsonObject;
  readonly reason?: string;
  /** The header `Idempotency-Key` says the same; both, and different, is a problem. */
  readonly idempotencyKey?: string;
  readonly run?: string;
}

/**
 * The same for a chain: several writes as one proposal, with one plan, decision, approval and way
 * back. They are carried out in order, and taken back where a later one is refused.
 */
export interface ChainBody {
  readonly steps: readonly DraftStep[];
  readonly reason?: string;
  readonly idempotencyKey?: string;
  readonly run?: string;
}

/** What may be proposed: one write, or a chain. */
export type WriteBody = DraftBody | ChainBody;

/** Body of `POST /v1/proposals/{id}/approvals`: a yes or no to the plan that was on the screen. */
export interface ApprovalBody {
  readonly planDigest: string;
  readonly verdict: 'approve' | 'deny';
  readonly reason?: string;
}

/** Body of `POST /v1/proposals/{id}/resolution`: how a proposal in doubt ended, by who looked. */
export interface ResolutionBody {
  readonly outcome: 'applied' | 'refused';
  /** What was looked at, and what was put right; on record. */
  readonly reason: string;
}

/** Body of `POST /v1/freezes`. */
export interface FreezeBody {
  readonly scope: FreezeScope;
  readonly reason: string;
}

/** Body of `POST /v1/freezes/{id}/release`. */
export interface ReleaseBody {
  readonly reason: string;
}

/** Body of `POST /v1/credentials`. */
export interface CredentialBody {
  readonly holder: { readonly kind: 'agent' | 'person'; readonly name: string };
}

/** Answer of `POST /v1/credentials`: the only time that the secret is shown. */
export interface CredentialView {
  readonly id: string;
  readonly holder: {
    readonly kind: 'agent' | 'person';
    readonly name: string;
    readonly roles: readonly Role[];
  };
  readonly secret: string;
}

/** One line of `GET /v1/credentials`, revoked ones too; never a secret. */
export interface CredentialSummary {
  readonly id: string;
  readonly holder: { readonly kind: 'agent' | 'person'; readonly name: string };
  readonly createdAt: number;
  readonly revokedAt: number | null;
}

/** Answer of `GET /v1/credentials`, oldest first. */
export interface CredentialPage {
  readonly items: readonly CredentialSummary[];
}

/** One line of a list: `GET /v1/proposals`. */
export interface ProposalSummary {
  readonly id: string;
  readonly state: State;
  readonly agent: string;
  readonly target: string;
  readonly operation: string;
  /** How many writes it is made of: 1, or those of a chain. */
  readonly steps: number;
  readonly headline: string | null;
  readonly planDigest: string | null;
  readonly riskLevel: string | null;
  readonly code: string | null;
  readonly proposedAt: number;
  readonly expiresAt: number | null;
  readonly compensates: string | null;
  readonly compensatedBy: string | null;
}

/** A proposal, whole: `GET /v1/proposals/{id}`. Agents see their own; people see their tenant's. */
export interface ProposalView extends ProposalSummary {
  readonly environment: string;
  readonly arguments: JsonObject;
  readonly reason: string | null;
  readonly run: string | null;
  readonly assessment: Assessment | null;
  readonly decision: Decision | null;
  readonly approvals: readonly Approval[];
  readonly outcome: Omit<OutcomeEntry, 'type'> | null;
  readonly drift: {
    readonly shownDigest: string;
    readonly difference: PlanDifference;
    readonly at: number;
  } | null;
  readonly history: readonly {
    readonly type: string;
    readonly at: number;
    readonly index: number;
  }[];
}

/** Answer of `GET /v1/proposals`. */
export interface ProposalPage {
  readonly items: readonly ProposalSummary[];
  /** Give as `before` for the next page; null at the end. */
  readonly before: string | null;
}

/** Query of `GET /v1/proposals/{id}/rows`. */
export interface RowQuery {
  /** The first row to give, from 0, among those asked for. */
  readonly from?: number;
  readonly limit?: number;
  /** Only rows of this resource, `schema.table`. */
  readonly resource?: string;
  readonly kind?: Effect['kind'];
}

/** Answer of `GET /v1/proposals/{id}/rows`: what is left is always said. */
export interface RowPage {
  readonly items: readonly Effect[];
  readonly from: number;
  /** How many rows there are of those asked for. */
  readonly total: number;
  /** How many of them come after these. */
  readonly left: number;
  /** As they were measured, or as they were committed, with the values known only then. */
  readonly as: 'planned' | 'applied';
  /** `resource.column` whose value after is only known at the commit: null there while `planned`. */
  readonly maskedColumns: readonly string[];
  /** Rows of the write, whatever was asked for, that cannot be shown, and why; null: none. */
  readonly missing: { readonly rows: number; readonly reason: string } | null;
}

/** A stop, and how far its release has come. */
export interface FreezeView extends Freeze {
  readonly voices: readonly Voice[];
  /** How many distinct people release it by the policy in force, how many of them have spoken. */
  readonly release: {
    readonly quorum: number;
    readonly spoken: number;
    readonly missing: number;
  };
}

/** Answer of `GET /v1/freezes`. */
export interface FreezePage {
  readonly items: readonly FreezeView[];
}

/** One budget as it stands: of the whole tenant, or of one combination of what it is per. */
export interface BudgetView {
  /** Its name in the policy. */
  readonly budget: string;
  /** What shares it, spelled out: `tenant`, `agent=ledger-bot`, `agent=ledger-bot,target=crm`. */
  readonly scope: string;
  readonly measure: string;
  readonly window: BudgetWindow;
  /** Like all figures here: a count, or minor units of the currency where value is measured. */
  readonly max: number;
  /** Settled within the window that ends now. */
  readonly spent: number;
  /** Reserved by what is under way. */
  readonly inFlight: number;
  readonly left: number;
  /** When the oldest of what is spent leaves the window; null where nothing is spent. */
  readonly freesAt: number | null;
}

/** Answer of `GET /v1/budgets`. */
export interface BudgetPage {
  readonly items: readonly BudgetView[];
  /** Whether there are more than are shown. */
  readonly isCut: boolean;
}

/** What is usual for an agent and an operation. */
export interface BaselineView {
  readonly agent: string;
  readonly target: string;
  readonly operation: string;
  /** When its first proposal came. */
  readonly since: number;
  readonly applied: number;
  /** Below so many applied writes nothing is unusual. */
  readonly warmUp: number;
  readonly sensitivity: Sensitivity;
  readonly figures: readonly {
    /**
     * `minute`, `hour`, `day` (writes in one that has any), `records`, `recipients`, `repeats` (the
     * same arguments within an hour), `nothings` (of the last 32 proposals), `value:` and a currency.
     */
    readonly measure: string;
    readonly low: number;
    readonly high: number;
    /** Null where nothing is judged. */
    readonly unusualAbove: number | null;
  }[];
  /** Hours of the day (UTC) in which it has written. */
  readonly hours: readonly number[];
  /** What it wrote to, in the order of first writes. */
  readonly resources: readonly string[];
  /** Whether there were more than are kept: then none is unusual for being new. */
  readonly isCrowded: boolean;
}

/** Answer of `GET /v1/baselines`. */
export interface BaselinePage {
  readonly items: readonly BaselineView[];
}

/** Answer of `GET /v1/status`: no credential needed, nothing secret. */
export interface GatewayStatus {
  readonly name: 'writegate';
  readonly version: string;
  readonly policyDigest: string;
  /** Set while the file on disk does not load and the last good policy is in force. */
  readonly policyProblem: string | null;
  readonly mode: 'active' | 'observe';
  readonly ledger: { readonly origin: string; readonly vkey: string; readonly size: number };
  readonly targets: readonly {
    readonly name: string;
    readonly kind: string;
    readonly guarantee: string;
    /** Why its writes are refused for now, as found within the last 30 s; null where it answers. */
    readonly problem: string | null;
  }[];
  readonly startedAt: number;
  /** Where the state is: in the gateway's own data folder, or in a database that gateways share. */
  readonly store: 'sqlite' | 'postgres';
  /** What this gateway is called. */
  readonly gateway: string;
  /** Every gateway that was seen over the same store within the last 15 s, this one among them. */
  readonly gateways: readonly {
    readonly name: string;
    readonly version: string;
    readonly startedAt: number;
    /** Parts of the configuration that it opened otherwise than this one; they take a restart. */
    readonly differs: readonly string[];
  }[];
}

/** One way in which a policy differs from another; `weaker` may let through what did not go before. */
export interface PolicyChange {
  /** As the file names it: `limits.customers`. */
  readonly path: string;
  readonly sentence: string;
  readonly effect: 'weaker' | 'tighter' | 'same';
}

/** Body of `POST /v1/policies`. */
export interface PolicyBody {
  /** Of the whole file, as it is on the gateway's host. */
  readonly text: string;
}

/** Answer of `POST /v1/policies`. */
export interface PolicyApplied {
  readonly digest: string;
  readonly mode: 'active' | 'observe';
  /** In how many ways it is weaker than the one that was in force. */
  readonly weakens: number;
  readonly changes: readonly PolicyChange[];
  /** `at-start` where something changed that takes a restart. */
  readonly inForce: 'now' | 'at-start';
}

/** Answer of `GET /v1/policies/current`. */
export interface PolicyView {
  readonly digest: string;
  readonly mode: 'active' | 'observe';
  /** Of the file, as it came into force. */
  readonly text: string;
  /** Why the file as it is now is not in force; null where it is. */
  readonly problem: string | null;
}

/** One line of `GET /v1/policies`. */
export interface PolicyVersion {
  readonly digest: string;
  readonly mode: 'active' | 'observe';
  readonly at: number;
  /** Of its entry in the ledger. */
  readonly index: number;
  /** A person's name, `host`, or null where it came into force by itself. */
  readonly by: string | null;
  /** Null where it cannot be told, or came into force by itself. */
  readonly weakens: number | null;
  readonly atStart: boolean;
}

/** Answer of `GET /v1/policies`, the last one first. */
export interface PolicyPage {
  readonly items: readonly PolicyVersion[];
  /** Give as `before` for the next page; null at the end. */
  readonly before: number | null;
}

/** One operation that a target offers. */
export interface OperationView {
  readonly target: string;
  /** Of the target. */
  readonly kind: string;
  readonly operation: string;
  /** JSON Schema (2020-12) of its arguments; null where there is none to give. */
  readonly schema: JsonObject | null;
}

/** Answer of `GET /v1/operations`. */
export interface OperationPage {
  readonly items: readonly OperationView[];
}

/** What one target has that agents may be permitted to write to. */
export interface ResourceView {
  readonly target: string;
  /** As plans name them, in order; null where the target cannot list them, or not now. */
  readonly resources: readonly string[] | null;
}

/** Answer of `GET /v1/resources`, for people. */
export interface ResourcePage {
  readonly items: readonly ResourceView[];
}

/** The longest that one call waits; then the answer is the present state. */
export const WAIT_MS_MAX = 50_000;

/** What an upload is known by. */
export interface UploadAnswer {
  /** `upl_` and the hash: the same content has the same id. */
  readonly id: string;
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}
