import type { EffectClass, Plan } from '../../model/plan.ts';
import type { Match, RuleFacts } from '../../model/policy.ts';
import { lineageOf } from './lineage.ts';
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
  readonly subject: MatchSubject & { readonly class: EffectClass };
  readonly class: EffectClass;
  /** What the agent wrote to itself: the statement's object and whatever else changed directly. */
  readonly direct: readonly string[];
  /** With what triggers, cascades and functions changed. */
  readonly affected: readonly string[];
  /** Every name by which a line may mean any of them. */
  readonly names: ReadonlySet<string>;
  /** What the resources are parts of. */
  readonly plan: Plan;
}

/** Every stage of a decision asks for the same: facts are never changed, so it is made out once. */
const WRITES = new WeakMap<PolicyFacts, Write>();

/** Sees a write as lines are matched with it. */
export function writeOf(facts: PolicyFacts): Write {
  const known = WRITES.get(facts);
  if (known !== undefined) return known;
  const write = madeOut(facts);
  WRITES.set(facts, write);
  return write;
}

function madeOut(facts: PolicyFacts): Write {
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
  return {
    subject,
    class: effectClass,
    direct: [...direct],
    affected: [...affected],
    names: new Set([...affected].flatMap((resource) => lineageOf(facts.plan, resource))),
    plan: facts.plan,
  };
}

/** Lines that tighten concern a write by anything that it changes, however indirectly. */
export function concerns(match: Match, write: Write): boolean {
  return write.affected.some((resource) => means(match, write, resource));
}

/** Reports whether a match means a resource, by its own name or by that of what it is a part of. */
export function means(match: Match, write: Write, resource: string): boolean {
  return lineageOf(write.plan, resource).some((name) => matchesResource(match, name));
}

/** Counts what changed in each resource, its parts included. */
export function recordsByResource(facts: RuleFacts): ReadonlyMap<string, number> {
  const records = new Map<string, number>();
  for (const each of facts.plan.counts) {
    const changed = each.created + each.updated + each.deleted;
    for (const name of lineageOf(facts.plan, each.resource)) {
      records.set(name, (records.get(name) ?? 0) + changed);
    }
  }
  return records;
}
