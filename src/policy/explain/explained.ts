/** The shapes of an explanation: what a policy lets one agent do. */
import type { EffectClass } from '../../model/plan.ts';
import type { Policy, Tier } from '../../model/policy.ts';
import type { LineText } from './line-text.ts';

export interface TierCount {
  readonly tier: Allowance;
  /** Lines of the policy that settle it for some kind of write; where none is named, none is counted. */
  readonly lines: number;
  /** Resources that it holds for in some kind of write: one may be in several; null where not known. */
  readonly resources: number | null;
}

export interface ExplainedTarget {
  readonly name: string;
  readonly kind: string;
  /** What it offers; null where it was not asked. */
  readonly operations: readonly string[] | null;
  /** What it has, `schema.table`; null where it was not asked. */
  readonly resources: readonly string[] | null;
}

export interface ExplainInput {
  readonly policy: Policy;
  readonly agent: string;
  readonly environment: string;
  readonly targets: readonly ExplainedTarget[];
}

/**
 * What comes of a write before it is measured, the freest first; `denied` is what no line names, no
 * rule permits, or one forbids.
 */
export const ALLOWANCES = ['autonomous', 'confirm', 'read-only', 'denied', 'never'] as const;
export type Allowance = (typeof ALLOWANCES)[number];

/** What holds for one kind of write. */
export interface Cell {
  /** What the agent's own lines give; null where none matches, which is read-only. */
  readonly tier: Tier | null;
  readonly allows: Allowance;
  /** The line that settles it, as findings name lines. */
  readonly because: string;
  /** Limits, validations, thresholds, budgets, rules and never lines that can speak; by name, in the file's order. */
  readonly speaking: readonly string[];
}

/** The kinds of write that one cell holds for: every combination of these. `*` is every other name. */
export interface ExplainedRow extends Cell {
  readonly target: string;
  readonly resources: readonly string[];
  readonly operations: readonly string[];
  readonly classes: readonly EffectClass[];
}

export interface Explanation {
  readonly agent: string;
  readonly owner: string | null;
  readonly environment: string;
  readonly mode: Policy['mode'];
  /** Whether the targets said what they have; else the patterns of the file stand for it. */
  readonly isOverResources: boolean;
  readonly counts: readonly TierCount[];
  readonly rows: readonly ExplainedRow[];
  /** What each line says that some row names. */
  readonly lines: readonly LineText[];
}
