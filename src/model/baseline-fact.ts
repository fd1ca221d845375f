/** What the entries of a proposal tell a baseline. */
import type { AppliedWrite, BaselineFact, BaselineSubject } from './baseline.ts';
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
export function baselineSubject(
  proposal: Pick<Proposal, 'proposer' | 'known' | 'draft'>,
): BaselineSubject | null {
  const { proposer, known, draft } = proposal;
  if (proposer.kind !== 'agent' || !known || draft.compensates !== undefined) return null;
  return { agent: proposer.name, target: draft.target, operation: draft.operation };
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
  const own = baselineSubject(after);
  if (own === null) return [];
  if (before === undefined) {
    return [{ subject: own, fact: { kind: 'proposed', at, key: after.derivedKey } }];
  }
  const parts = partsOf(own, after);
  if (after.assessment !== null && before.assessment === null) {
    return parts.flatMap(({ subject, plans }) => {
      const more = plans.length - (isSame(subject, own) ? 1 : 0);
      return more <= 0 ? [] : [{ subject, fact: { kind: 'steps', at, more } }];
    });
  }
  if (before.state === after.state) return [];
  return parts.flatMap(({ subject, plans }) =>
    endFacts(after, plans, at).map((fact) => ({ subject, fact })),
  );
}

interface Part {
  readonly subject: BaselineSubject;
  readonly plans: readonly (Plan | null)[];
}

/** The proposal's own part, and one for each other operation that a chain has steps of. */
function partsOf(own: BaselineSubject, { assessment }: Proposal): readonly Part[] {
  const plan = assessment?.plan ?? null;
  const segments = plan?.segments ?? (plan?.steps === undefined ? [] : [{ ...own, plan }]);
  const steps = segments.flatMap(({ target, operation, plan: part }) =>
    (part.steps ?? [{ operation, plan: part }]).map((step) => ({
      subject: subjectOf(own, target, step.operation),
      plan: step.plan,
    })),
  );
  if (steps.length === 0) return [{ subject: own, plans: [plan] }];
  const kinds = Map.groupBy(steps, ({ subject }) =>
    JSON.stringify([subject.target, subject.operation]),
  );
  return [...kinds.values()].flatMap((same) => {
    const [first] = same;
    return first === undefined
      ? []
      : [{ subject: first.subject, plans: same.map((step) => step.plan) }];
  });
}

function subjectOf(own: BaselineSubject, target: string, operation: string): BaselineSubject {
  return { ...own, target, operation };
}

function isSame(left: BaselineSubject, right: BaselineSubject): boolean {
  return left.target === right.target && left.operation === right.operation;
}

function endFacts(
  after: Proposal,
  plans: readonly (Plan | null)[],
  at: number,
): readonly BaselineFact[] {
  const { state, proposedAt, waitingSince } = after;
  if (state === 'applied') {
    return plans.flatMap((plan) =>
      plan === null ? [] : [{ kind: 'applied', at, write: appliedWrite(after, plan) }],
    );
  }
  if (state !== 'denied' && state !== 'refused') return [];
  const waited = waitingSince !== null;
  return [{ kind: 'nothing', at, proposedAt, writes: plans.length, waited }];
}

function appliedWrite(proposal: Proposal, plan: Plan): AppliedWrite {
  const { records, recipients } = measure(plan);
  return {
    key: proposal.derivedKey,
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
