/** What the entries of a proposal tell a baseline. */
import {
  BASELINE_BOUNDS,
  type AppliedWrite,
  type BaselineFact,
  type BaselineSubject,
} from './baseline.ts';
import { derivedKeyOf } from './draft.ts';
import { measure, type Plan } from './plan.ts';
import type { Proposal } from './proposal.ts';

/** A fact, and whose baseline it is of. */
export interface TaughtFact {
  readonly subject: BaselineSubject;
  readonly fact: BaselineFact;
}

/**
 * Whose baseline a proposal counts towards. Null for people, for what is not configured, and for a
 * write that takes another back: that is bounded by what there is to take back.
 */
function baselineSubject(
  proposal: Pick<Proposal, 'proposer' | 'known' | 'draft'>,
): BaselineSubject | null {
  const { proposer, known, draft } = proposal;
  if (proposer.kind !== 'agent' || !known || draft.compensates !== undefined) return null;
  return { agent: proposer.name, target: draft.target, operation: draft.operation };
}

/** A write of a proposal, the only one or a step of a chain, as a baseline counts it. */
export interface CountedWrite {
  readonly subject: BaselineSubject;
  /** Its key, a step's as it would be of a single write; null where its repetition is not counted. */
  readonly key: string | null;
}

/**
 * The writes of a proposal, in order: a chain is its steps, and nothing beside them. Of many steps of
 * one operation the repetition of some is counted, the same whatever their order: more would push each
 * other out. Empty where the proposal counts towards no baseline.
 */
export function countedWrites(proposal: Proposal): readonly CountedWrite[] {
  const subject = baselineSubject(proposal);
  if (subject === null) return [];
  const { tenant, draft, derivedKey } = proposal;
  if (draft.steps === undefined) return [{ subject, key: derivedKey }];
  const steps = draft.steps.map((step) => ({
    subject: { ...subject, target: step.target, operation: step.operation },
    key: derivedKeyOf(tenant, step),
  }));
  const counted = new Set(
    [...bySubject(steps).values()].flatMap((same) =>
      [...new Set(same.map(({ key }) => key))]
        .toSorted()
        .slice(0, BASELINE_BOUNDS.repeatedStepsMax),
    ),
  );
  return steps.map(({ subject: own, key }) => ({
    subject: own,
    key: counted.has(key) ? key : null,
  }));
}

function bySubject<Write extends CountedWrite>(
  writes: readonly Write[],
): ReadonlyMap<string, readonly Write[]> {
  return Map.groupBy(writes, ({ subject }) => JSON.stringify([subject.target, subject.operation]));
}

/**
 * What the entry that made `after` of `before` teaches. `before` is undefined where the entry began
 * the proposal, `at` is the entry's. Each step of a chain is a write of its own operation.
 */
export function baselineFacts(
  before: Proposal | undefined,
  after: Proposal,
  at: number,
): readonly TaughtFact[] {
  if (before === undefined) {
    return countedWrites(after).map(({ subject, key }) => ({
      subject,
      fact: { kind: 'proposed', at, key },
    }));
  }
  if (before.state === after.state) return [];
  return endFacts(after, at);
}

function endFacts(after: Proposal, at: number): readonly TaughtFact[] {
  const { state, proposedAt, waitingSince } = after;
  if (state === 'applied') {
    const plans = plansOf(after);
    return countedWrites(after).flatMap(({ subject, key }, index) => {
      const plan = plans[index];
      if (plan === undefined) return [];
      return [{ subject, fact: { kind: 'applied', at, write: appliedWrite(after, plan, key) } }];
    });
  }
  if (state !== 'denied' && state !== 'refused') return [];
  const waited = waitingSince !== null;
  return [...bySubject(countedWrites(after)).values()].flatMap((same) =>
    same.slice(0, 1).map(({ subject }) => ({
      subject,
      fact: { kind: 'nothing', at, proposedAt, writes: same.length, waited },
    })),
  );
}

/** The plan of each write, in order. */
function plansOf({ assessment }: Proposal): readonly Plan[] {
  if (assessment === null) return [];
  const { plan } = assessment;
  const segments = plan.segments?.map((segment) => segment.plan) ?? [plan];
  return segments.flatMap((part) => part.steps?.map((step) => step.plan) ?? [part]);
}

function appliedWrite(proposal: Proposal, plan: Plan, key: string | null): AppliedWrite {
  const { records, recipients } = measure(plan);
  return {
    key,
    records,
    recipients,
    value: plan.valueComplete ? amounts(plan) : [],
    resources: lineages(plan),
    approved: proposal.approvals.length > 0,
  };
}

/** Minor units by currency, as far as a number holds them: what is beyond is all the same. */
export function amounts(plan: Plan): AppliedWrite['value'] {
  const sums = new Map<string, bigint>();
  for (const { currency, amountMinor } of plan.value) {
    sums.set(currency, (sums.get(currency) ?? 0n) + BigInt(amountMinor));
  }
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  return [...sums]
    .filter(([, amount]) => amount > 0n)
    .map(([currency, amount]) => [currency, Number(amount > most ? most : amount)]);
}

/** What was written to, however indirectly, each with what it is a part of. */
export function lineages(plan: Plan): AppliedWrite['resources'] {
  const names = new Set([plan.resource]);
  for (const { resource, created, updated, deleted } of plan.counts) {
    if (created + updated + deleted > 0) names.add(resource);
  }
  return [...names].map((name) => [name].concat(wholesOf(plan, name)));
}

function wholesOf({ partOf }: Plan, name: string): readonly string[] {
  return (Object.hasOwn(partOf, name) ? partOf[name] : undefined) ?? [];
}
