import type { BudgetRule, Limit, Match, Policy, Rule, Threshold } from '../model/policy.ts';
import { matchesBeside, type MatchSubject } from './match.ts';

/** The lines of a policy whose match holds for a kind of write, whatever the resource. */
export interface Candidates {
  readonly never: Policy['never'];
  readonly limits: readonly Limit[];
  readonly thresholds: readonly Threshold[];
  readonly budgets: readonly BudgetRule[];
  readonly rules: readonly Rule[];
}

/** Kinds of write remembered per policy; beyond them the index begins anew. */
const KINDS_MAX = 4_096;

/**
 * By policy, by agent, environment, target, operation and class. A policy never changes once it is
 * loaded, so what matches a kind of write is settled at its first and looked up after that.
 */
const INDEX = new WeakMap<Policy, Map<string, Candidates>>();

/** Returns the lines that can concern the subject; what they say of resources is still to be asked. */
export function candidatesOf(policy: Policy, subject: MatchSubject): Candidates {
  const kinds = INDEX.get(policy) ?? new Map<string, Candidates>();
  INDEX.set(policy, kinds);
  const { agent, environment, target, operation, class: effectClass } = subject;
  const key = JSON.stringify([agent, environment, target, operation, effectClass]);
  const known = kinds.get(key);
  if (known !== undefined) return known;
  const concern = (line: { readonly match: Match }) => matchesBeside(line.match, subject);
  const found: Candidates = {
    never: policy.never.filter(concern),
    limits: policy.limits.filter(concern),
    thresholds: policy.thresholds.filter(concern),
    budgets: policy.budgets.filter(concern),
    rules: policy.rules.filter(concern),
  };
  if (kinds.size >= KINDS_MAX) kinds.clear();
  kinds.set(key, found);
  return found;
}
