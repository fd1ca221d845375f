/**
 * Decides the past again under another policy, in the order of the ledger, on the facts that were
 * measured then. Budgets and duplicates are those that the candidate's own decisions make.
 *
 * 1. Before the time that is asked about, and for what was made before it, history stands as it was:
 *    the candidate comes into force at `since`, on what had really been written.
 * 2. What was applied and the candidate allows, or lets people decide, is taken as applied when it was.
 * 3. What had no effect and the candidate allows is taken as applied at once; what it lets people
 *    decide, and nobody was asked, as waiting until it expires.
 */
import type { Digest } from '../../lib/canonical.ts';
import type { Assessment } from '../../model/plan.ts';
import type { Decision, Finding } from '../../model/decision.ts';
import type { ProposalId } from '../../model/ids.ts';
import type { Policy } from '../../model/policy.ts';
import type { Compensated } from '../../model/ports.ts';
import { subjectOf, type Proposal } from '../../model/proposal.ts';
import { budgetLines, isRepeatable } from '../../policy/evaluate.ts';
import { riskOf, type Score } from '../assess.ts';
import { decide, type DecisionInput } from '../decide.ts';
import { factsOf } from '../facts.ts';
import { effectKeysOf, windowStart } from '../same-effect.ts';
import { Holders } from './keys.ts';
import { recordedVerdict, type Moment } from './recorded.ts';
import { Spending } from './spending.ts';

export interface Candidate {
  readonly policy: Policy;
  /** The targets that its configuration names. */
  readonly targets: ReadonlySet<string>;
  readonly score: Score;
}

/** A moment of the past, with the record that it is of. */
export interface Past {
  readonly moment: Moment;
  readonly proposal: Proposal;
  /** Of its intent, as admission derives them. */
  readonly keys: readonly Digest[];
  /** Only where it takes something back. */
  readonly compensated: Compensated | null;
}

export class Rerun {
  readonly #candidate: Candidate;
  readonly #spending = new Spending();
  readonly #holders = new Holders();
  readonly #proposers = new Map<ProposalId, string>();
  /** What each is a duplicate of, in the candidate's world, from when it was begun. */
  readonly #duplicates = new Map<ProposalId, ProposalId>();
  /** Those that the candidate lets through in the end, and history settles. */
  readonly #settling = new Set<ProposalId>();
  /** Those whose end in history is not their end here: applied, or waiting. */
  readonly #kept = new Set<ProposalId>();

  constructor(candidate: Candidate) {
    this.#candidate = candidate;
  }

  /** Goes through a moment as it really was. */
  happened(past: Past): void {
    const { moment, proposal } = past;
    const isDenied = proposal.decision?.kind === 'deny' && !isWaitThatEnded(proposal);
    switch (moment.kind) {
      case 'begun':
        this.#proposers.set(proposal.id, proposerOf(proposal));
        if (!isDenied) for (const key of past.keys) this.#holders.take(key, proposal.id);
        return;
      case 'decided': {
        const { assessment } = proposal;
        if (assessment === null || isDenied) return;
        this.#claimEffect(proposal, assessment);
        if (moment.isLast && proposal.attempt > 0) {
          const measured = this.#measured(past, assessment);
          this.#hold(
            proposal,
            measured.budgets.map(({ line }) => line),
          );
        }
        return;
      }
      case 'ended':
        return this.ended(past);
    }
  }

  /** Takes or denies the keys of the intent, as admission would. */
  begun({ moment, proposal, keys }: Past): void {
    const { id, draft } = proposal;
    const { policy } = this.#candidate;
    this.#proposers.set(id, proposerOf(proposal));
    const repeatable = (draft.steps ?? [draft]).every(({ target, operation }) =>
      isRepeatable(policy, {
        agent: proposal.proposer.name,
        environment: proposal.environment,
        target,
        operation,
      }),
    );
    const appliedSince = repeatable ? Number.MAX_SAFE_INTEGER : windowStart(policy, moment.at);
    const held = keys.map((key) => this.#holders.holder(key, appliedSince, moment.at));
    const holder = held.find((each) => each !== null) ?? null;
    const hasKey = draft.idempotencyKey !== undefined;
    const isOwn = holder !== null && this.#proposers.get(holder) === proposerOf(proposal);
    if (holder !== null && ((isOwn && !hasKey) || !repeatable)) {
      this.#duplicates.set(id, holder);
      return;
    }
    if (!(repeatable && hasKey)) for (const key of keys) this.#holders.take(key, id);
  }

  /** Decides as the candidate would have; undefined where it would have had to be measured first. */
  decided(past: Past): Decision | undefined {
    const { proposal, moment } = past;
    const { assessment: recorded } = proposal;
    const assessment = recorded && this.#scored(proposal, recorded);
    const measured = assessment && this.#measured(past, assessment);
    const decision = decide(this.#input(past, measured));
    const isDenied = decision === undefined || decision.kind === 'deny';
    if (isDenied) this.#holders.ended(proposal.id);
    else if (assessment !== null) this.#claimEffect(proposal, assessment);
    if (moment.isLast && !isDenied && measured !== null) {
      this.#carryOut(past, decision, measured);
    }
    return decision;
  }

  /** Settles what the candidate lets through as history settled it. */
  ended({ moment, proposal }: Past): void {
    const { id, state } = proposal;
    if (this.#settling.delete(id)) {
      if (state === 'applied') this.#apply(id, moment.at);
      else {
        this.#spending.release(id);
        this.#holders.ended(id);
      }
      return;
    }
    if (!this.#kept.has(id)) this.#holders.ended(id);
  }

  #apply(id: ProposalId, at: number): void {
    this.#spending.settle(id, at);
    this.#holders.applied(id, at);
    this.#kept.add(id);
  }

  #hold(proposal: Proposal, lines: Parameters<Spending['reserve']>[1]): void {
    this.#spending.reserve(proposal.id, lines);
    this.#settling.add(proposal.id);
  }

  #carryOut(
    { moment, proposal }: Past,
    decision: Decision,
    measured: NonNullable<DecisionInput['measured']>,
  ): void {
    const lines = measured.budgets.map(({ line }) => line);
    if (proposal.attempt > 0) return this.#hold(proposal, lines);
    if (decision.kind === 'wait') {
      const hasWaited = proposal.decision !== null && recordedVerdict(proposal.decision) === 'wait';
      // Where it waited, history says until when.
      if (hasWaited) return;
      this.#holders.waits(proposal.id, decision.expiresAt);
      this.#kept.add(proposal.id);
      return;
    }
    this.#spending.reserve(proposal.id, lines);
    this.#apply(proposal.id, moment.at);
  }

  #scored(proposal: Proposal, assessment: Assessment): Assessment {
    const risk = riskOf(proposal.draft.target, assessment.plan, this.#candidate.score);
    return { ...assessment, risk };
  }

  #input({ moment, proposal }: Past, measured: DecisionInput['measured']): DecisionInput {
    const { proposer } = proposal;
    return {
      policy: this.#candidate.policy,
      subject: subjectOf(proposal),
      // Stops are no part of a policy: what one denied is told apart before.
      freezes: [],
      unknown: this.#unknown(proposal),
      duplicateOf: this.#duplicates.get(proposal.id) ?? null,
      measured,
      approvals: [],
      barred: proposer.owner === null ? [proposer.name] : [proposer.name, proposer.owner],
      expiresAt: null,
      now: moment.at,
    };
  }

  #unknown({ draft, known, proposer }: Proposal): DecisionInput['unknown'] {
    const { policy, targets } = this.#candidate;
    if ((draft.steps ?? [draft]).some(({ target }) => !targets.has(target))) return 'target';
    if (!known) return 'operation';
    return proposer.kind === 'agent' && !policy.agents.has(proposer.name) ? 'agent' : null;
  }

  #measured(
    { moment, proposal, compensated }: Past,
    assessment: Assessment,
  ): NonNullable<DecisionInput['measured']> {
    const { policy } = this.#candidate;
    const facts = factsOf(proposal, assessment, compensated, moment.at);
    const lines = budgetLines(policy, facts);
    const since = windowStart(policy, moment.at);
    const other = effectKeysOf(policy, proposal, assessment)
      .map((key) => this.#holders.holder(key, since, moment.at))
      .find((holder) => holder !== null && holder !== proposal.id);
    return {
      assessment,
      facts,
      sameEffectAs: other ?? null,
      budgets: lines.map((line) => ({ line, used: this.#spending.used(line, moment.at) })),
      // What was usual then is not known any more; what was unusual is on the record.
      usual: facts.map((_, index) => ({
        baseline: undefined,
        key: null,
        uncounted: 0,
        recorded: index === 0 ? anomaliesOf(proposal) : [],
      })),
    };
  }

  #claimEffect(proposal: Proposal, assessment: Assessment): void {
    for (const key of effectKeysOf(this.#candidate.policy, proposal, assessment)) {
      this.#holders.take(key, proposal.id);
    }
  }
}

function anomaliesOf({ decision }: Proposal): readonly Finding[] {
  return (decision?.findings ?? []).filter(({ stage }) => stage === 'anomaly');
}

function proposerOf({ proposer }: Proposal): string {
  return `${proposer.kind}:${proposer.name}`;
}

function isWaitThatEnded({ decision }: Proposal): boolean {
  return decision !== null && recordedVerdict(decision) === 'wait';
}
