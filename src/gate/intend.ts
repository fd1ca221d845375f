/** Intents after the first: for a second attempt, and for what a target has to be asked by. */
import type { Clock, Commit, Compensated, Store } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { subjectOf, type Proposal } from '../model/proposal.ts';
import {
  committedProposal,
  intentEntry,
  isOfFormerPolicy,
  joined,
  policyInForce,
  ROUNDS_MAX,
  type CommitPorts,
} from './commit.ts';
import { decide } from './decide.ts';
import { decisionInput } from './facts.ts';
import { claimEffect } from './same-effect.ts';

/**
 * Makes one more attempt durable where a fresh decision still allows exactly this plan; else null.
 * Its budget is held already, so it is not counted a second time.
 */
export async function intendAgain(
  ports: CommitPorts,
  proposal: Proposal,
  compensated: Compensated | null,
): Promise<Proposal | null> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const commit = await intendOnce(ports, proposal, compensated);
    if (commit?.kind === 'committed') return committedProposal(commit);
    if (commit?.conflict.kind !== 'policy') return null;
  }
  return null;
}

/** Undefined where the decision does not allow it. */
async function intendOnce(
  ports: CommitPorts,
  proposal: Proposal,
  compensated: Compensated | null,
): Promise<Commit | undefined> {
  const { assessment, tenant } = proposal;
  if (assessment === null) return undefined;
  const about = { assessment, compensated, duplicateOf: null, holdsBudget: true, isNew: false };
  const { policy, logStep } = await policyInForce(ports, tenant);
  const input = await decisionInput(ports, policy, proposal, about);
  const decision = decide(input);
  if (decision?.kind !== 'allow') return undefined;
  if (isOfFormerPolicy(ports, decision)) return { kind: 'conflict', conflict: { kind: 'policy' } };
  const how = { before: assessment, isDenied: false, now: input.now };
  const keys = joined(proposal, null, claimEffect(policy, proposal, how));
  const entry = intentEntry(proposal, assessment.planDigest, ports.clock);
  return ports.store.commit({
    tenant,
    at: ports.clock.now(),
    acts: [{ act: proposal.id, expectStep: proposal.step, entries: [entry] }],
    guard: { logStep, notFrozen: subjectOf(proposal), ...(keys === null ? {} : { keys }) },
  });
}

/**
 * Makes durable what a target that keeps no receipts will be asked by, as one more intent for the
 * same plan under the same decision. Throws where a stop is on, or another attempt took over; then
 * nothing was written, and the target must not go on.
 */
export async function intendByReference(
  ports: { readonly store: Store; readonly clock: Clock },
  proposal: Proposal,
  reference: string,
): Promise<Proposal> {
  const { assessment } = proposal;
  if (assessment === null) throw new Error(`${proposal.id} is carried out without a plan`);
  const entry = intentEntry(proposal, assessment.planDigest, ports.clock, reference);
  const commit = await ports.store.commit({
    tenant: proposal.tenant,
    at: ports.clock.now(),
    acts: [{ act: proposal.id, expectStep: proposal.step, entries: [entry] }],
    guard: { notFrozen: subjectOf(proposal) },
  });
  if (commit.kind === 'committed') return committedProposal(commit);
  throw new Problem('state-conflict', `${proposal.id} may not be carried out any more`);
}
