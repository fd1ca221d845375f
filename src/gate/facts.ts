import { countedWrites } from '../model/baseline-fact.ts';
import type { TenantId } from '../model/ids.ts';
import { measure, type Assessment } from '../model/plan.ts';
import type { Policy } from '../model/policy.ts';
import type { Clock, Compensated, Store, Targets } from '../model/ports.ts';
import { subjectOf, type Proposal } from '../model/proposal.ts';
import type { Usual } from '../policy/stages/anomaly.ts';
import { budgetLines, type PolicyFacts } from '../policy/evaluate.ts';
import type { BudgetState, DecisionInput } from './decide.ts';
import { sameEffectAs } from './same-effect.ts';
import { measuredSteps, type MeasuredStep } from './steps.ts';

/** How far back a freeze can have begun and still move a deadline that has not passed. */
export const FREEZE_LOOKBACK_MS: number = 7 * 86_400_000;

/**
 * Reads what a decision on this proposal looks at, now. Fresh facts at each decision: after the
 * assessment, after each approval, and just before the effect. Changes nothing.
 */
export async function decisionInput(
  ports: { readonly store: Store; readonly targets: Targets; readonly clock: Clock },
  policy: Policy,
  proposal: Proposal,
  about: {
    readonly assessment: Assessment | null;
    readonly duplicateOf: string | null;
    readonly compensated: Compensated | null;
    /** True where its budget is reserved already: then it is not counted against itself. */
    readonly holdsBudget: boolean;
    /** True before its first commit: nothing has counted it yet. */
    readonly isNew: boolean;
  },
): Promise<DecisionInput> {
  const now = ports.clock.now();
  const { proposer } = proposal;
  const freezes = await ports.store.freezes(proposal.tenant, now - FREEZE_LOOKBACK_MS);
  return {
    policy,
    subject: subjectOf(proposal),
    freezes,
    unknown: unknownPart(ports.targets, policy, proposal),
    duplicateOf: about.duplicateOf,
    measured:
      about.assessment === null
        ? null
        : await measuredInput(ports.store, policy, proposal, about.assessment, about, now),
    approvals: proposal.approvals,
    barred: proposer.owner === null ? [proposer.name] : [proposer.name, proposer.owner],
    expiresAt: proposal.expiresAt,
    now,
  };
}

function unknownPart(
  targets: Targets,
  policy: Policy,
  proposal: Proposal,
): DecisionInput['unknown'] {
  const { draft } = proposal;
  const named = draft.steps ?? [draft];
  if (named.some(({ target }) => targets.find(target) === undefined)) return 'target';
  if (!proposal.known) return 'operation';
  const isAgent = proposal.proposer.kind === 'agent';
  return isAgent && !policy.agents.has(proposal.proposer.name) ? 'agent' : null;
}

async function measuredInput(
  store: Store,
  policy: Policy,
  proposal: Proposal,
  assessment: Assessment,
  about: {
    readonly compensated: Compensated | null;
    readonly holdsBudget: boolean;
    readonly isNew: boolean;
  },
  now: number,
): Promise<DecisionInput['measured']> {
  const facts = factsOf(proposal, assessment, about.compensated, now);
  const lines = about.holdsBudget ? [] : budgetLines(policy, facts);
  const used = await store.budgetUsed(proposal.tenant, lines, now);
  const budgets = await Promise.all(
    lines.map((line, position) =>
      budgetState(store, proposal.tenant, { line, used: used[position] ?? Infinity }, now),
    ),
  );
  const first = await sameEffectAs(store, policy, proposal, { assessment, now });
  const usual = await usualOf(store, proposal, facts, about.isNew);
  return { assessment, facts, sameEffectAs: first, budgets, usual };
}

/** What is usual for the agent and each step. */
async function usualOf(
  store: Store,
  proposal: Proposal,
  steps: readonly PolicyFacts[],
  isNew: boolean,
): Promise<readonly Usual[]> {
  const writes = countedWrites(proposal);
  return Promise.all(
    steps.map(async ({ target, operation }, index): Promise<Usual> => {
      const write = writes[index];
      if (write === undefined) return { baseline: undefined, key: null, uncounted: 0 };
      const { subject, key } = write;
      const isSame = (each: PolicyFacts) => each.target === target && each.operation === operation;
      return {
        baseline: await store.baseline(proposal.tenant, subject),
        key,
        same: writes.filter((each) => each.key === key).length,
        uncounted: isNew ? steps.filter(isSame).length : 0,
      };
    }),
  );
}

/** What the policy looks at: one for each step of a chain, in order; else one. */
export function factsOf(
  proposal: Proposal,
  assessment: Assessment,
  compensated: Compensated | null,
  now: number,
): readonly PolicyFacts[] {
  const about = { proposal, assessment, now };
  return measuredSteps(proposal.draft, assessment.plan).flatMap((step) =>
    stepFacts(about, step, compensated?.segments?.[step.segment] ?? compensated),
  );
}

/** Asks when a budget frees up only where it stands in the way. */
async function budgetState(
  store: Store,
  tenant: TenantId,
  state: BudgetState,
  now: number,
): Promise<BudgetState> {
  const { line, used } = state;
  if (used + line.amount <= line.max) return state;
  return { ...state, freeAt: await store.budgetFreeAt(tenant, line, now) };
}

/** One, but of a compensation: one for each operation that it takes back, each by the same plan. */
function stepFacts(
  about: {
    readonly proposal: Proposal;
    readonly assessment: Assessment;
    readonly now: number;
  },
  step: MeasuredStep,
  compensated: Compensated | null,
): readonly PolicyFacts[] {
  const { proposal, assessment, now } = about;
  const { proposer, draft } = proposal;
  const { plan } = step;
  const facts = {
    principal: { name: proposer.name, kind: proposer.kind, owner: proposer.owner ?? '' },
    environment: proposal.environment,
    target: step.target,
    resource: plan.resource,
    class: plan.class,
    args: step.arguments,
    run: draft.run ?? '',
    plan,
    blastRadius: plan === assessment.plan ? assessment.blastRadius : measure(plan),
    // Of the whole: what one step does is no less risky for what the others do.
    risk: assessment.risk,
    now,
    compensation: compensated !== null,
    // Taking back is judged as what it takes back: undoing an insert deletes, by the same leave.
    decisionClass: compensated?.plan.class ?? plan.class,
  };
  const undone = compensated?.plan.steps?.map(({ operation }) => operation);
  const operations = new Set(undone ?? [step.operation]);
  return [...operations].map((operation) => asOperation(facts, operation));
}

function asOperation(facts: Omit<PolicyFacts, 'operation'>, operation: string): PolicyFacts {
  return { ...facts, operation };
}
