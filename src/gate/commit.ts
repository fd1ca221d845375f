import type { Digest } from '../lib/canonical.ts';
import type { PaceGuard } from '../model/baseline.ts';
import type { Decision } from '../model/decision.ts';
import { LOG_ACT, type EntryBody } from '../model/entry.ts';
import type { TenantId } from '../model/ids.ts';
import type { Policy } from '../model/policy.ts';
import type { Clock, Commit, Compensated, KeyClaim, Store, Targets } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { fold, subjectOf, type Proposal } from '../model/proposal.ts';
import { paceGuards } from '../policy/stages/anomaly.ts';
import { decide } from './decide.ts';
import { decisionInput } from './facts.ts';
import { claimEffect, type EffectClaim } from './same-effect.ts';

/** How often a decision runs again because what it read had moved. */
export const ROUNDS_MAX = 4;
const POLICY_MOVED: Commit = { kind: 'conflict', conflict: { kind: 'policy' } };
/** How long an attempt may run before it stands out; who carries on is a matter of leases. */
const EXECUTION_MS_MAX = 60_000;

export interface CommitPorts extends PolicyPorts {
  readonly store: Store;
  readonly targets: Targets;
  readonly clock: Clock;
}

/** What says which policy is in force; see `GateSettings`. */
export interface PolicyPorts {
  readonly store: Pick<Store, 'actStep'>;
  readonly policy: () => Policy;
  readonly policyAt?: (logStep: number) => Promise<Policy>;
}

/** Judges what needs no measure. Undefined means: measure it. */
export async function earlyDecision(
  ports: CommitPorts,
  policy: Policy,
  proposal: Proposal,
  duplicateOf: string | null,
): Promise<Decision | undefined> {
  const about = {
    assessment: null,
    compensated: null,
    holdsBudget: false,
    isNew: true,
    duplicateOf,
  };
  return decide(await decisionInput(ports, policy, proposal, about));
}

/** What is about to be committed for a proposal: entries that are facts already, and their guard. */
export interface Steps {
  readonly proposal: Proposal;
  readonly isNew: boolean;
  readonly prefix: readonly EntryBody[];
  readonly claim: KeyClaim | null;
  readonly compensated: Compensated | null;
  readonly duplicateOf: string | null;
  /** The policy that a new proposal was measured and scored by; absent: one that was assessed before. */
  readonly measuredBy?: Digest;
}

/**
 * Decides on fresh facts and commits prefix and decision and, where it is allowed, the intent (G2).
 *
 * One commit, so a crash leaves all of it or nothing. Its guards are what the decision read: the
 * step, the policy, the freezes, the keys, the budget (G7). A conflict means that one moved: decide
 * again.
 */
export async function decideAndCommit(ports: CommitPorts, steps: Steps): Promise<Commit> {
  return commitSteps(ports, steps, await decideOn(ports, steps));
}

/** A decision, the entries that say it, with the intent where it allows, and the effect that it claims. */
export interface Decided {
  readonly decision: Decision;
  readonly entries: readonly EntryBody[];
  readonly effect: EffectClaim;
  /** The paces up to which the decision holds; none where people have agreed. */
  readonly paces: readonly PaceGuard[];
  /** How far the ledger's own act was before the policy was read. */
  readonly logStep: number;
}

/** A policy, and a step of the ledger's own act that any later one will have moved. */
export interface InForce {
  readonly policy: Policy;
  readonly logStep: number;
}

/** The policy in force by the ledger, whichever gateway brought it into force. */
export async function policyInForce(
  { store, policy, policyAt }: PolicyPorts,
  tenant: TenantId,
): Promise<InForce> {
  // First the step: what comes into force between the two is met at the commit.
  const logStep = await store.actStep(tenant, LOG_ACT);
  return { policy: policyAt === undefined ? policy() : await policyAt(logStep), logStep };
}

/** Whether another policy than that of the decision is in force, as far as this process knows. */
export function isOfFormerPolicy({ policy }: CommitPorts, decision: Decision): boolean {
  return decision.policyDigest !== policy().digest;
}

/** Decides on fresh facts. Writes nothing. `reference` is of a target that keeps no receipts. */
export async function decideOn(
  ports: CommitPorts,
  steps: Steps,
  reference?: string,
): Promise<Decided> {
  const { policy, logStep } = await policyInForce(ports, steps.proposal.tenant);
  const proposal = provisional(steps, ports.clock.now());
  const input = await decisionInput(ports, policy, proposal, {
    assessment: proposal.assessment,
    compensated: steps.compensated,
    duplicateOf: steps.duplicateOf,
    holdsBudget: false,
    isNew: steps.isNew,
  });
  const decision = decide(input);
  if (decision === undefined || proposal.assessment === null) {
    throw new Error(`${proposal.id} was to be decided without a measured effect`);
  }
  const effect = claimEffect(policy, proposal, {
    before: steps.proposal.assessment,
    isDenied: decision.kind === 'deny',
    now: input.now,
  });
  if (decision.kind !== 'allow') {
    return { decision, entries: [decisionEntry(decision)], effect, paces: [], logStep };
  }
  const intent = intentEntry(proposal, proposal.assessment.planDigest, ports.clock, reference);
  const { facts, usual } = input.measured ?? { facts: [], usual: [] };
  const paces = decision.code === 'approved' ? [] : paceGuards(policy, facts, usual);
  return { decision, entries: [decisionEntry(decision), intent], effect, paces, logStep };
}

/** The proposal as it will be once the prefix is folded in. */
function provisional(steps: Steps, at: number): Proposal {
  const place = { act: steps.proposal.id, tenant: steps.proposal.tenant, at, index: -1 };
  const [, ...rest] = steps.prefix;
  const entries = steps.isNew ? rest : steps.prefix;
  return entries.reduce((proposal, entry) => fold(proposal, entry, place), steps.proposal);
}

/**
 * Commits prefix and entries with their guard: the policy and the keys, and where it is allowed the
 * freezes and the budget and the paces. Without a decision on a measured effect there is no effect
 * to claim.
 */
export async function commitSteps(
  ports: CommitPorts,
  steps: Steps,
  { entries, decision, effect, paces = [], logStep }: Pick<Decided, 'entries'> & Partial<Decided>,
): Promise<Commit> {
  const { proposal, prefix, isNew } = steps;
  if (decision !== undefined && isOfFormerPolicy(ports, decision)) return POLICY_MOVED;
  // What it was measured for, and how risky it was found, is of another policy than its decision.
  const { measuredBy = decision?.policyDigest } = steps;
  if (decision?.policyDigest !== measuredBy) return POLICY_MOVED;
  const allowed = decision?.kind === 'allow' ? decision : undefined;
  const keys = joined(proposal, steps.claim, effect);
  return ports.store.commit({
    tenant: proposal.tenant,
    at: ports.clock.now(),
    acts: [
      {
        act: proposal.id,
        expectStep: isNew ? 0 : proposal.step,
        entries: [...prefix, ...entries],
      },
    ],
    guard: {
      ...(logStep === undefined ? {} : { logStep }),
      ...(allowed === undefined ? {} : { notFrozen: subjectOf(proposal) }),
      ...(keys === null ? {} : { keys }),
      ...(paces.length === 0 ? {} : { paces }),
    },
    ...(allowed === undefined || allowed.reserve.length === 0
      ? {}
      : { reserve: { proposalId: proposal.id, lines: allowed.reserve } }),
  });
}

/** One claim for the keys of the intent and of the effect; null where there is nothing to claim. */
export function joined(
  proposal: Proposal,
  claim: KeyClaim | null,
  effect: EffectClaim | undefined,
): KeyClaim | null {
  if (effect === undefined) return claim;
  const { keys, dropped, appliedSince } = effect;
  if (claim === null) {
    if (keys.length + dropped.length === 0) return null;
    return { proposalId: proposal.id, keys, dropped, appliedSince, supplied: null };
  }
  return {
    ...claim,
    keys: [...claim.keys, ...keys],
    dropped,
    // Where the policy moved since the draft was admitted, the longer window counts.
    appliedSince:
      keys.length === 0 ? claim.appliedSince : Math.min(claim.appliedSince, appliedSince),
  };
}

/** The proposal as a commit on it left it. */
export function committedProposal(commit: Commit & { kind: 'committed' }): Proposal {
  const [proposal] = commit.proposals;
  if (proposal === undefined) throw new Error('a commit on a proposal gave none back');
  return proposal;
}

/**
 * Decides once more on a proposal that is here already, with `prefix` as what is new about it: an
 * approval, or the plan that the target would do now. Throws `state-conflict` where somebody else
 * changed it meanwhile, or a stop came upon an approval; then nothing of this was written.
 */
export async function decideAgain(
  ports: CommitPorts,
  proposal: Proposal,
  prefix: readonly EntryBody[],
  compensated: Compensated | null,
): Promise<Proposal> {
  const steps = { proposal, isNew: false, prefix, claim: null, compensated, duplicateOf: null };
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const decided = await decideOn(ports, steps);
    if (decided.decision.code === 'frozen' && isYes(prefix)) throw underStop(proposal);
    const commit = await commitSteps(ports, steps, decided);
    if (commit.kind === 'committed') return committedProposal(commit);
    if (commit.conflict.kind === 'step' || commit.conflict.kind === 'leased') {
      throw new Problem('state-conflict', `${proposal.id} was changed meanwhile; look at it again`);
    }
  }
  throw contended();
}

function isYes(prefix: readonly EntryBody[]): boolean {
  return prefix.some((entry) => entry.type === 'approval' && entry.approval.verdict === 'approve');
}

/** What waits keeps waiting under a stop: people may not let it through, nor does it end it. */
export function underStop({ id }: Proposal): Problem {
  return new Problem(
    'state-conflict',
    `a stop covers ${id}; it keeps waiting, and its deadline is held, until the stop is released`,
  );
}

/** An intent for the next attempt; `reference` is of a target that keeps no receipts. */
export function intentEntry(
  proposal: Proposal,
  planDigest: Digest,
  clock: Clock,
  reference?: string,
): EntryBody {
  const deadline = clock.now() + EXECUTION_MS_MAX;
  const about = reference === undefined ? {} : { reference };
  return { type: 'intent', planDigest, attempt: proposal.attempt + 1, deadline, ...about };
}

/** The entry of a decision that the policy made. */
export function decisionEntry(decision: Decision): EntryBody {
  return { type: 'decision', result: decision.kind, decision, by: 'policy' };
}

/** Says that the facts would not hold still; nothing was written. */
export function contended(): Problem {
  return new Problem(
    'too-many-requests',
    'what this write was decided on kept changing; nothing was written, try again in a moment',
  );
}
