import type { Decision } from '../model/decision.ts';
import type { EntryBody } from '../model/entry.ts';
import { frozenDeadline } from '../model/freeze.ts';
import type { Clock, Store } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { subjectOf, type Proposal } from '../model/proposal.ts';
import { committedProposal } from './commit.ts';

/** Ends a proposal that was not carried out; nothing happens to the target. */
export async function endWaiting(
  ports: { readonly store: Store; readonly clock: Clock },
  proposal: Proposal,
  decision: Decision,
  end: { readonly result: 'expired' | 'cancelled'; readonly reason: string; readonly by: string },
): Promise<Proposal> {
  const ended: Decision = {
    ...decision,
    kind: 'deny',
    code: end.result,
    reason: end.reason,
    settledBy: end.result,
    decidedAt: ports.clock.now(),
    duplicateOf: null,
  };
  const entry: EntryBody = {
    type: 'decision',
    result: end.result,
    decision: ended,
    by: end.by,
  };
  const commit = await ports.store.commit({
    tenant: proposal.tenant,
    at: ports.clock.now(),
    acts: [{ act: proposal.id, expectStep: proposal.step, entries: [entry] }],
  });
  if (commit.kind === 'committed') return committedProposal(commit);
  throw new Problem('state-conflict', `${proposal.id} was changed meanwhile; look at it again`);
}

/**
 * Ends a proposal whose people did not decide in time; time under a stop does not count. Returns
 * it as it then is. A crash before the commit leaves it waiting, and the next look expires it.
 */
export async function expireIfDue(
  ports: { readonly store: Store; readonly clock: Clock },
  proposal: Proposal,
): Promise<Proposal> {
  const { decision, expiresAt, waitingSince } = proposal;
  const isWaiting = proposal.state === 'waiting' && decision !== null;
  if (!isWaiting || expiresAt === null || waitingSince === null) return proposal;
  const now = ports.clock.now();
  if (now < expiresAt) return proposal;
  const freezes = await ports.store.freezes(proposal.tenant, waitingSince);
  const deadline = frozenDeadline(expiresAt, waitingSince, freezes, subjectOf(proposal));
  if (now < deadline) return proposal;
  const reason = 'nobody decided in time; the proposal was discarded and nothing was changed';
  return endWaiting(ports, proposal, decision, { result: 'expired', reason, by: 'clock' });
}
