/**
 * Intent, effect, outcome. Only this file and `reconcile.ts` lead to a write in a target.
 *
 * 1. The intent is durable before the target is called (G1), and names the plan digest (G2).
 * 2. The target compares the digest inside its own transaction; a moved world is `stale`.
 * 3. An exception out of `apply` means in doubt, not refused.
 * 4. Only the present epoch settles: the store refuses one that was taken over from, the fold any
 *    attempt but the present, and the step guard loses the race (G8).
 */
import { difference } from '../model/difference.ts';
import type { OutcomeEntry } from '../model/entry.ts';
import { planDigest, type Plan } from '../model/plan.ts';
import type { Policy } from '../model/policy.ts';
import type {
  ActChange,
  ApplyAnswer,
  Change,
  Clock,
  Compensated,
  ApplyRequest,
  Store,
} from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';
import type { Carrier, Unsettled } from './carrier.ts';
import { intendByReference } from './intend.ts';
import { checksOf } from './journey.ts';
import { appliedOutcome, outcomeOf } from './outcome.ts';

/** How an attempt ended. `drifted` carries the plan that the target would do now. */
export type Executed =
  | { readonly kind: 'settled'; readonly proposal: Proposal }
  | { readonly kind: 'drifted'; readonly proposal: Proposal; readonly plan: Plan };

export interface ExecutePorts {
  readonly store: Store;
  readonly target: Carrier;
  readonly clock: Clock;
  /** The policy in force now, whose checks are run once more. */
  readonly policy: () => Policy;
}

const SETTLE_TRIES_MAX = 5;

/**
 * Carries out the present attempt of a proposal whose intent is durable, and settles it.
 *
 * Crash before the target was called, in the call, or after it: the intent stays without an
 * outcome and `reconcile` finds it. Crash after the outcome's commit: nothing is left to do.
 */
export async function execute(
  ports: ExecutePorts,
  proposal: Proposal,
  compensated: Compensated | null,
  signal: AbortSignal,
): Promise<Executed> {
  const attempted = await attempt(ports, proposal, { compensated }, signal);
  return conclude(ports, attempted.proposal, attempted.answer, 'live');
}

/** What an attempt came to; the proposal has the intents that the target journaled meanwhile. */
export interface Attempted {
  readonly proposal: Proposal;
  /** Null where no answer came. */
  readonly answer: ApplyAnswer | Unsettled | null;
}

/** What is done for a proposal, and after which earlier attempts that nothing was heard of. */
export interface About {
  readonly compensated: Compensated | null;
  /** Absent at a first attempt, and after one that surely had no effect. */
  readonly references?: readonly string[];
}

/** Calls the target for the present attempt. */
export async function attempt(
  ports: ExecutePorts,
  proposal: Proposal,
  about: About,
  signal: AbortSignal,
): Promise<Attempted> {
  if (proposal.state !== 'executing') {
    throw new Error(`execute takes an intent that is durable, not \`${proposal.state}\``);
  }
  return calling(ports, proposal, about, (request) => ports.target.apply(request, signal));
}

/** Has the target take back what earlier attempts did, each part of it after a durable intent. */
export function attemptBack(
  ports: ExecutePorts,
  proposal: Proposal,
  about: About,
  takeBack: (request: ApplyRequest) => Promise<ApplyAnswer | Unsettled>,
): Promise<Attempted> {
  return calling(ports, proposal, about, takeBack);
}

async function calling(
  ports: ExecutePorts,
  proposal: Proposal,
  { compensated, references }: About,
  call: (request: ApplyRequest) => Promise<ApplyAnswer | Unsettled>,
): Promise<Attempted> {
  const { assessment } = proposal;
  if (assessment === null) throw new Error(`${proposal.id} is carried out without a plan`);
  const { target, operation } = proposal.draft;
  let present = proposal;
  const answer = await call({
    proposalId: proposal.id,
    key: proposal.id,
    operation,
    arguments: proposal.draft.arguments,
    // What is carried out was planned, and decided on, before.
    permits: () => true,
    compensated,
    ...checksAsked(ports.policy(), proposal),
    proposer: `${proposal.proposer.kind}:${proposal.proposer.name}`,
    planDigest: assessment.planDigest,
    digest: (plan) => planDigest(target, operation, plan),
    journal: async (reference) => {
      present = await intendByReference(ports, present, reference);
    },
    ...(references === undefined ? {} : { references }),
  }).catch(() => null);
  return { proposal: present, answer };
}

/** The checks of the policy once more; of a chain with each step those that may concern it. */
function checksAsked(policy: Policy, proposal: Proposal): Pick<ApplyRequest, 'checks' | 'steps'> {
  const { steps } = proposal.draft;
  if (steps === undefined) return { checks: checksOf(policy, proposal) };
  return {
    steps: steps.map((step) => ({
      operation: step.operation,
      arguments: step.arguments,
      permits: () => true,
      checks: checksOf(policy, proposal, step),
    })),
  };
}

/** Settles the present attempt by the target's answer to it. */
export async function conclude(
  ports: { readonly store: Store; readonly clock: Clock },
  proposal: Proposal,
  answer: Attempted['answer'],
  resolved: 'live' | 'recovery',
): Promise<Executed> {
  if (proposal.state === 'in_doubt' && isStillInDoubt(answer)) return { kind: 'settled', proposal };
  const outcome = answered(proposal, answer, resolved);
  const settled = await settle(ports, proposal, outcome);
  return answer?.kind === 'drifted' && settled.state === 'stale'
    ? { kind: 'drifted', proposal: settled, plan: answer.plan }
    : { kind: 'settled', proposal: settled };
}

/** Doubt that nothing was done about is not written down again; that only people can end it is. */
function isStillInDoubt(answer: Attempted['answer']): boolean {
  if (answer === null) return true;
  return answer.kind === 'unsettled' && answer.code !== 'chain-halted';
}

function answered(
  proposal: Proposal,
  answer: Attempted['answer'],
  resolved: 'live' | 'recovery',
): OutcomeEntry {
  if (answer === null) {
    const reason = 'the target did not answer; whether the write took effect is being found out';
    return outcomeOf(proposal, resolved, { status: 'in_doubt', code: 'in-doubt', reason });
  }
  switch (answer.kind) {
    case 'applied':
      return appliedOutcome(proposal, resolved, answer);
    case 'drifted': {
      const moved = difference(proposal.assessment?.plan ?? answer.plan, answer.plan);
      return outcomeOf(proposal, resolved, {
        status: 'stale',
        code: 'plan-drifted',
        reason: `the target changed since the plan was made, nothing was written; ${moved.sentence}`,
        planDigest: planDigest(proposal.draft.target, proposal.draft.operation, answer.plan),
        difference: moved,
      });
    }
    case 'unsettled': {
      const { code, reason } = answer;
      return outcomeOf(proposal, resolved, { status: 'in_doubt', code, reason });
    }
    case 'refused': {
      const { code, reason, conflicts } = answer;
      return outcomeOf(proposal, resolved, { status: 'refused', code, reason, conflicts });
    }
  }
}

/**
 * Makes an outcome durable, with its budget and, for a compensation, the link on the write that it
 * took back. Returns the proposal as it then is: as another left it where this attempt is no longer
 * the present one, or another gateway took over.
 */
export async function settle(
  ports: { readonly store: Store; readonly clock: Clock },
  proposal: Proposal,
  outcome: OutcomeEntry,
): Promise<Proposal> {
  for (let tries = 0; tries < SETTLE_TRIES_MAX; tries += 1) {
    const link = outcome.status === 'applied' ? await rollbackLink(ports.store, proposal) : [];
    const commit = await ports.store.commit({
      tenant: proposal.tenant,
      at: ports.clock.now(),
      acts: [{ act: proposal.id, expectStep: proposal.step, entries: [outcome] }, ...link],
      ...budgetMove(proposal, outcome),
    });
    if (commit.kind === 'committed') {
      const [settled] = commit.proposals;
      if (settled !== undefined) return settled;
    }
    const current = await ports.store.proposal(proposal.tenant, proposal.id);
    if (current === undefined) break;
    const isLost = commit.kind === 'conflict' && commit.conflict.kind === 'leased';
    if (isLost || current.step !== proposal.step) return current;
  }
  throw new Error(`the outcome of ${proposal.id} could not be recorded; it will be reconciled`);
}

function budgetMove(proposal: Proposal, outcome: OutcomeEntry): Pick<Change, 'settle' | 'release'> {
  switch (outcome.status) {
    case 'applied':
      return { settle: proposal.id };
    case 'refused':
    case 'stale':
      return { release: proposal.id };
    case 'in_doubt':
      // It may have taken effect: the reservation stays until that is known.
      return {};
  }
}

async function rollbackLink(store: Store, proposal: Proposal): Promise<readonly ActChange[]> {
  const id = proposal.draft.compensates;
  if (id === undefined) return [];
  const original = await store.proposal(proposal.tenant, id);
  if (original === undefined || original.compensatedBy !== null) return [];
  return [
    {
      act: id,
      expectStep: original.step,
      entries: [{ type: 'rollback', compensatedBy: proposal.id }],
    },
  ];
}
