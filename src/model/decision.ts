import type { Digest } from '../lib/canonical.ts';
import type { BudgetLine } from './budget.ts';
import type { DecisionCode, TargetCode } from './codes.ts';

export type { DecisionCode } from './codes.ts';

/** The stages of a decision, in order of precedence; the first that denies settles it. */
export const DECISION_STAGES = [
  'freeze',
  'never',
  'permission',
  'limit',
  'rule',
  'validation',
  'interlock',
  'budget',
  'duplicate',
  'anomaly',
  'approval',
] as const;
export type DecisionStage = (typeof DECISION_STAGES)[number];

/** What one rule said. `rule` names it as the policy file does: `limits.customers`, `never.delete`. */
export interface Finding {
  readonly stage: DecisionStage;
  readonly verdict: 'deny' | 'wait' | 'allow';
  readonly rule: string;
  /** Stable kebab-case code; `docs/spec/problems.md` lists them. */
  readonly code: DecisionCode | TargetCode;
  /** One sentence with the measured figure and the bound. */
  readonly reason: string;
  /** After how long the rule may say otherwise by itself; absent where only a change would help. */
  readonly retryAfterMs?: number;
}

/** One step of a route: how many distinct people, from which groups (none: any approver). */
export interface RouteStep {
  readonly groups: readonly string[];
  readonly quorum: number;
}

/** Allow, deny or wait; every rule that spoke; the one that settled it. */
export type Decision = {
  readonly code: DecisionCode | TargetCode;
  readonly reason: string;
  readonly findings: readonly Finding[];
  /** `rule` of the finding that settled it. */
  readonly settledBy: string;
  /** Null where the decision fell before anything was measured. */
  readonly planDigest: Digest | null;
  readonly policyDigest: Digest;
  readonly decidedAt: number;
} & (
  | { readonly kind: 'allow'; readonly reserve: readonly BudgetLine[] }
  | { readonly kind: 'wait'; readonly route: readonly RouteStep[]; readonly expiresAt: number }
  | { readonly kind: 'deny'; readonly duplicateOf: string | null }
);

/** A human's yes or no to a plan digest (G9). */
export interface Approval {
  readonly verdict: 'approve' | 'deny';
  /** Name of the person, and the groups they were in when they decided. */
  readonly person: string;
  readonly groups: readonly string[];
  readonly planDigest: Digest;
  readonly reason: string | null;
  readonly at: number;
}
