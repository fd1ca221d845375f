import type { EffectClass } from '../model/plan.ts';
import type { Match, RuleFacts } from '../model/policy.ts';
import { matchesResource, type MatchSubject } from './match.ts';

/** What a decision on a measured write looks at. */
export type PolicyFacts = RuleFacts & {
  /** Whether the write takes an applied one back. */
  readonly compensation: boolean;
  /** The class that a compensation is judged by: that of what it takes back. */
  readonly decisionClass: EffectClass;
};

/** A write as lines are matched with it. */
export interface Write {
  readonly subject: MatchSubject;
  readonly class: EffectClass;
  /** What the agent wrote to itself: the statement's object and whatever else changed directly. */
  readonly direct: readonly string[];
  /** With what triggers, cascades and functions changed. */
  readonly affected: readonly string[];
}

/** Sees a write as lines are matched with it. */
export function writeOf(facts: PolicyFacts): Write {
  const direct = new Set([facts.resource]);
  const affected = new Set([facts.resource]);
  for (const each of facts.plan.counts) {
    if (each.created + each.updated + each.deleted === 0) continue;
    affected.add(each.resource);
    if (each.attribution === 'direct') direct.add(each.resource);
  }
  const effectClass = facts.compensation ? facts.decisionClass : facts.class;
  const subject = {
    ...(facts.principal.kind === 'agent' ? { agent: facts.principal.name } : {}),
    environment: facts.environment,
    target: facts.target,
    operation: facts.operation,
    class: effectClass,
  };
  return { subject, class: effectClass, direct: [...direct], affected: [...affected] };
}

/** Lines that tighten concern a write by anything that it changes, however indirectly. */
export function concerns(match: Match, write: Write): boolean {
  return write.affected.some((resource) => matchesResource(match, resource));
}

/** Counts what changed in each resource. */
export function recordsByResource(facts: RuleFacts): ReadonlyMap<string, number> {
  const records = new Map<string, number>();
  for (const each of facts.plan.counts) {
    const changed = each.created + each.updated + each.deleted;
    records.set(each.resource, (records.get(each.resource) ?? 0) + changed);
  }
  return records;
}
