import { strict as assert } from 'node:assert';
import type { Digest } from '../lib/canonical.ts';
import type { Approval, Decision } from './decision.ts';
import type { Draft } from './draft.ts';
import type { EntryBody, OutcomeEntry, ProposalEntry } from './entry.ts';
import type { FreezeSubject } from './freeze.ts';
import type { ProposalId, TenantId } from './ids.ts';
import { mayMove, type State } from './lifecycle.ts';
import type { Assessment, PlanDifference } from './plan.ts';

/** An admitted draft and all that became of it: the fold of its entries (G5). */
export interface Proposal {
  readonly id: ProposalId;
  readonly tenant: TenantId;
  readonly environment: string;
  readonly proposer: ProposalEntry['proposer'];
  readonly draft: Draft;
  readonly known: boolean;
  readonly argumentsDigest: Digest;
  readonly derivedKey: Digest;
  readonly state: State;
  /** How many entries it has. The next commit must name it, so that nobody writes on stale facts. */
  readonly step: number;
  readonly proposedAt: number;
  /** When it came to wait, and until when; null while it does not wait. */
  readonly waitingSince: number | null;
  readonly expiresAt: number | null;
  readonly assessment: Assessment | null;
  readonly decision: Decision | null;
  readonly approvals: readonly Approval[];
  /** The present attempt; 0 before the first intent. */
  readonly attempt: number;
  /** What the target is asked by where it keeps no receipts: of the intents so far, oldest first. */
  readonly references: readonly string[];
  readonly outcome: Omit<OutcomeEntry, 'type'> | null;
  readonly settledAt: number | null;
  /** The latest drift: what was shown, and how the target differed at the commit. */
  readonly drift: {
    readonly shownDigest: Digest;
    readonly difference: PlanDifference;
    readonly at: number;
  } | null;
  readonly compensatedBy: string | null;
  /** Type, time and ledger index of each entry, oldest first. */
  readonly history: readonly {
    readonly type: string;
    readonly at: number;
    readonly index: number;
  }[];
}

/**
 * What a freeze would have to cover to stop this proposal. Who takes back what an agent wrote is
 * part of no run: a stop of the agent or of its run holds up the agent, not the people who mend it.
 */
export function subjectOf(proposal: Pick<Proposal, 'proposer' | 'draft'>): FreezeSubject {
  const { proposer, draft } = proposal;
  const run = proposer.kind === 'person' ? null : (draft.run ?? null);
  const subject = { agent: proposer.name, target: draft.target, run };
  const targets = draft.steps?.map(({ target }) => target);
  return targets === undefined ? subject : { ...subject, targets };
}

/** Where an entry stands, as far as the fold needs it. */
export interface EntryPlace {
  readonly act: ProposalId;
  readonly tenant: TenantId;
  readonly at: number;
  readonly index: number;
}

/** Opens the fold: the record that a `proposal` entry makes. */
export function begin(entry: ProposalEntry, place: EntryPlace): Proposal {
  return {
    id: place.act,
    tenant: place.tenant,
    environment: entry.environment,
    proposer: entry.proposer,
    draft: entry.draft,
    known: entry.known,
    argumentsDigest: entry.argumentsDigest,
    derivedKey: entry.derivedKey,
    state: 'proposed',
    step: 1,
    proposedAt: place.at,
    waitingSince: null,
    expiresAt: null,
    assessment: null,
    decision: null,
    approvals: [],
    attempt: 0,
    references: [],
    outcome: null,
    settledAt: null,
    drift: null,
    compensatedBy: null,
    history: [{ type: entry.type, at: place.at, index: place.index }],
  };
}

/**
 * Folds one more entry into a record. An entry that the lifecycle does not allow in this state is
 * a bug of the caller and throws: nothing may be written that cannot be read back.
 */
export function fold(proposal: Proposal, entry: EntryBody, place: EntryPlace): Proposal {
  const next = {
    ...proposal,
    step: proposal.step + 1,
    history: [...proposal.history, { type: entry.type, at: place.at, index: place.index }],
  };
  switch (entry.type) {
    case 'preview':
      // A new plan waits anew: its people get the whole time to look at it.
      return {
        ...next,
        ...move(proposal, 'assessed'),
        assessment: entry.assessment,
        waitingSince: null,
        expiresAt: null,
      };
    case 'decision':
      return { ...next, ...decided(proposal, entry, place.at) };
    case 'approval':
      assert(proposal.state === 'waiting', `an approval of a proposal that is ${proposal.state}`);
      return { ...next, approvals: [...proposal.approvals, entry.approval] };
    case 'intent':
      return { ...next, ...intended(proposal, entry) };
    case 'outcome':
      return { ...next, ...settled(proposal, entry, place.at) };
    case 'rollback':
      assert(proposal.state === 'applied', `a rollback of a proposal that is ${proposal.state}`);
      return { ...next, compensatedBy: entry.compensatedBy };
    case 'genesis':
    case 'proposal':
    case 'freeze':
    case 'release':
    case 'policy':
    case 'credential':
      throw new assert.AssertionError({ message: `a ${entry.type} entry within a proposal` });
  }
}

function move(proposal: Proposal, to: State): { state: State } {
  assert(mayMove(proposal.state, to), `no move from ${proposal.state} to ${to} (${proposal.id})`);
  return { state: to };
}

function decided(
  proposal: Proposal,
  entry: EntryBody & { type: 'decision' },
  at: number,
): Partial<Proposal> {
  const { decision } = entry;
  switch (entry.result) {
    case 'allow':
      return { ...move(proposal, 'allowed'), decision };
    case 'wait': {
      const waiting =
        decision.kind === 'wait' ? { waitingSince: at, expiresAt: decision.expiresAt } : {};
      // Deciding again while it waits (one more approval) keeps the first deadline.
      if (proposal.state === 'waiting') return { decision };
      return { ...move(proposal, 'waiting'), decision, ...waiting };
    }
    case 'deny':
      return { ...move(proposal, 'denied'), decision, settledAt: at };
    case 'expired':
      return { ...move(proposal, 'expired'), decision, settledAt: at };
    case 'cancelled':
      return { ...move(proposal, 'cancelled'), decision, settledAt: at };
  }
}

function intended(proposal: Proposal, entry: EntryBody & { type: 'intent' }): Partial<Proposal> {
  assert(entry.attempt === proposal.attempt + 1, 'attempts count up by one (G8)');
  const isAgain = proposal.state === 'executing' || proposal.state === 'in_doubt';
  const state: State = isAgain ? 'executing' : move(proposal, 'executing').state;
  assert(entry.planDigest === proposal.assessment?.planDigest, 'the intent names its plan (G2)');
  const { references } = proposal;
  return {
    state,
    attempt: entry.attempt,
    references: entry.reference === undefined ? references : [...references, entry.reference],
  };
}

function settled(proposal: Proposal, entry: OutcomeEntry, at: number): Partial<Proposal> {
  assert(entry.attempt === proposal.attempt, 'only the present attempt settles (G8)');
  const { type: _type, ...outcome } = entry;
  const { state } =
    proposal.state === 'in_doubt' && entry.status === 'in_doubt'
      ? { state: proposal.state }
      : move(proposal, entry.status);
  const drift =
    entry.status === 'stale' && entry.difference !== null && proposal.assessment !== null
      ? { shownDigest: proposal.assessment.planDigest, difference: entry.difference, at }
      : proposal.drift;
  const isSettled = entry.status === 'applied' || entry.status === 'refused';
  return { state, outcome, drift, settledAt: isSettled ? at : null };
}
