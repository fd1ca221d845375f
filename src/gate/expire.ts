import type { Decision } from '../model/decision.ts';
import type { EntryBody } from '../model/entry.ts';
import { activeFreeze, frozenDeadline, type Freeze } from '../model/freeze.ts';
import type { ProposalId } from '../model/ids.ts';
import type { Clock, Commit, Guard, Store } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { subjectOf, type Proposal } from '../model/proposal.ts';
import { committedProposal } from './commit.ts';

interface End {
  readonly result: 'expired' | 'cancelled';
  readonly reason: string;
  readonly by: string;
  readonly guard?: Guard;
}

/** Ends a proposal that was not carried out; nothing happens to the target. */
export async function endWaiting(
  ports: ExpiryPorts,
  proposal: Proposal,
  decision: Decision,
  end: Omit<End, 'guard'>,
): Promise<Proposal> {
  return endedBy(await commitEnd(ports, proposal, decision, end), proposal);
}

function endedBy(commit: Commit, { id }: Proposal): Proposal {
  if (commit.kind === 'committed') return committedProposal(commit);
  throw new Problem('state-conflict', `${id} was changed meanwhile; look at it again`);
}

function commitEnd(
  ports: ExpiryPorts,
  proposal: Proposal,
  decision: Decision,
  end: End,
): Promise<Commit> {
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
  return ports.store.commit({
    tenant: proposal.tenant,
    at: ports.clock.now(),
    acts: [{ act: proposal.id, expectStep: proposal.step, entries: [entry] }],
    ...(end.guard !== undefined && { guard: end.guard }),
  });
}

/** How many proposals one look expires; what is over comes with the next, the longest due first. */
const EXPIRED_MAX = 4_096;
/** How many are looked at side by side, so that their commits share a transaction. */
const EXPIRED_AT_ONCE_MAX = 64;
/** A proposal that a stop holds up is not looked at more often. */
const LOOK_AGAIN_MS_MIN = 1_000;
/** How often stops may come and go between a look and the commit that goes by it. */
const LOOKS_MAX = 4;

/**
 * Ends a proposal whose people did not decide in time; time under a stop does not count. Returns
 * it as it then is. A crash before the commit leaves it waiting, and the next look expires it.
 */
export async function expireIfDue(ports: ExpiryPorts, proposal: Proposal): Promise<Proposal> {
  for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
    const look = await lookAt(ports, proposal);
    if (look.kind !== 'over') return proposal;
    const ended = await expire(ports, proposal, look);
    if (ended !== undefined) return ended;
  }
  throw new Problem('state-conflict', `stops over ${proposal.id} come and go; look at it again`);
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
          if (look.kind === 'over' && (await expire(ports, proposal, look)) === undefined) {
            return { tenant, id, until: ports.clock.now() + LOOK_AGAIN_MS_MIN };
          }
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
  | Over
  /** It is not over before `at`, whatever comes. */
  | { readonly kind: 'later'; readonly at: number }
  | { readonly kind: 'not-waiting' };

interface Over {
  readonly kind: 'over';
  readonly decision: Decision;
  /** Under a stop that came too late to hold it up. */
  readonly isStopped: boolean;
}

async function lookAt({ store, clock }: ExpiryPorts, proposal: Proposal): Promise<Look> {
  const { decision, expiresAt, waitingSince } = proposal;
  const isWaiting = proposal.state === 'waiting' && decision !== null;
  if (!isWaiting || expiresAt === null || waitingSince === null) return { kind: 'not-waiting' };
  const now = clock.now();
  if (now < expiresAt) return { kind: 'later', at: expiresAt };
  const freezes = await store.freezes(proposal.tenant, waitingSince);
  const subject = subjectOf(proposal);
  const deadline = frozenDeadline(expiresAt, waitingSince, freezes, subject);
  if (now >= deadline) {
    return { kind: 'over', decision, isStopped: activeFreeze(freezes, subject) !== undefined };
  }
  if (deadline < Infinity) return { kind: 'later', at: deadline };
  // Under a stop: as late as if it were released now, for any later release moves it further.
  const released: Freeze[] = [];
  for (const freeze of freezes) {
    released.push({ ...freeze, releasedAt: freeze.releasedAt ?? now });
  }
  const earliest = frozenDeadline(expiresAt, waitingSince, released, subject);
  return { kind: 'later', at: Math.max(earliest, now + LOOK_AGAIN_MS_MIN) };
}

/**
 * Undefined where a stop came since the look: by the clock of the gateway that made it, which may be
 * behind this one, it can have come in time.
 */
async function expire(
  ports: ExpiryPorts,
  proposal: Proposal,
  { decision, isStopped }: Over,
): Promise<Proposal | undefined> {
  const reason = 'nobody decided in time; the proposal was discarded and nothing was changed';
  const commit = await commitEnd(ports, proposal, decision, {
    result: 'expired',
    reason,
    by: 'clock',
    ...(!isStopped && { guard: { notFrozen: subjectOf(proposal) } }),
  });
  const isHeldUp = commit.kind === 'conflict' && commit.conflict.kind === 'frozen';
  return isHeldUp ? undefined : endedBy(commit, proposal);
}
