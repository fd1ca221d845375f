import type { Decision } from '../model/decision.ts';
import type { EntryBody } from '../model/entry.ts';
import { frozenDeadline, type Freeze } from '../model/freeze.ts';
import type { ProposalId } from '../model/ids.ts';
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

/** How many proposals one look expires; what is over comes with the next, the longest due first. */
const EXPIRED_MAX = 4_096;
/** How many are looked at side by side, so that their commits share a transaction. */
const EXPIRED_AT_ONCE_MAX = 64;
/** A proposal that a stop holds up is not looked at more often. */
const LOOK_AGAIN_MS_MIN = 1_000;

/**
 * Ends a proposal whose people did not decide in time; time under a stop does not count. Returns
 * it as it then is. A crash before the commit leaves it waiting, and the next look expires it.
 */
export async function expireIfDue(ports: ExpiryPorts, proposal: Proposal): Promise<Proposal> {
  const look = await lookAt(ports, proposal);
  return look.kind === 'over' ? expire(ports, proposal, look.decision) : proposal;
}

/**
 * Expires what is due, the longest due first, and puts off what a stop holds up until it can be due at
 * the earliest: however many wait, each is read once when its time is over. `expired` is told of each
 * one that ended; `leave` of what went wrong with one, which keeps no other waiting.
 */
export async function expireDue(
  ports: ExpiryPorts,
  heard: {
    readonly expired: (id: ProposalId) => void;
    readonly leave: (error: unknown) => void;
  },
): Promise<void> {
  const { store } = ports;
  for (let looked = 0; looked < EXPIRED_MAX; looked += EXPIRED_AT_ONCE_MAX) {
    const due = await store.due(ports.clock.now(), EXPIRED_AT_ONCE_MAX);
    const looks = await Promise.all(
      due.map(async ({ tenant, id }) => {
        try {
          const proposal = await store.proposal(tenant, id);
          if (proposal === undefined) return undefined;
          const look = await lookAt(ports, proposal);
          if (look.kind === 'later') return { tenant, id, until: look.at };
          if (look.kind === 'over') await expire(ports, proposal, look.decision);
          heard.expired(id);
        } catch (error) {
          heard.leave(error);
          // Else what always goes wrong would be all that is ever looked at.
          return { tenant, id, until: ports.clock.now() + LOOK_AGAIN_MS_MIN };
        }
        return undefined;
      }),
    );
    const later = looks.filter((look) => look !== undefined);
    if (later.length > 0) await store.putOff(later);
    if (due.length < EXPIRED_AT_ONCE_MAX) return;
  }
}

interface ExpiryPorts {
  readonly store: Store;
  readonly clock: Clock;
}

type Look =
  | { readonly kind: 'over'; readonly decision: Decision }
  /** It is not over before `at`, whatever comes. */
  | { readonly kind: 'later'; readonly at: number }
  | { readonly kind: 'not-waiting' };

async function lookAt({ store, clock }: ExpiryPorts, proposal: Proposal): Promise<Look> {
  const { decision, expiresAt, waitingSince } = proposal;
  const isWaiting = proposal.state === 'waiting' && decision !== null;
  if (!isWaiting || expiresAt === null || waitingSince === null) return { kind: 'not-waiting' };
  const now = clock.now();
  if (now < expiresAt) return { kind: 'later', at: expiresAt };
  const freezes = await store.freezes(proposal.tenant, waitingSince);
  const subject = subjectOf(proposal);
  const deadline = frozenDeadline(expiresAt, waitingSince, freezes, subject);
  if (now >= deadline) return { kind: 'over', decision };
  if (deadline < Infinity) return { kind: 'later', at: deadline };
  // Under a stop: as late as if it were released now, for any later release moves it further.
  const released: Freeze[] = [];
  for (const freeze of freezes) {
    released.push({ ...freeze, releasedAt: freeze.releasedAt ?? now });
  }
  const earliest = frozenDeadline(expiresAt, waitingSince, released, subject);
  return { kind: 'later', at: Math.max(earliest, now + LOOK_AGAIN_MS_MIN) };
}

function expire(ports: ExpiryPorts, proposal: Proposal, decision: Decision): Promise<Proposal> {
  const reason = 'nobody decided in time; the proposal was discarded and nothing was changed';
  return endWaiting(ports, proposal, decision, { result: 'expired', reason, by: 'clock' });
}
