/** What the ledger says of one proposal, told apart from the gate's own record of it. */
import type { Approval, Decision } from '../../../src/model/decision.ts';
import type { Draft } from '../../../src/model/draft.ts';
import type { EntryBody, ProposalEntry, StoredOutcome } from './bodies.ts';
import type { Plan } from '../../../src/model/plan.ts';
import type { State } from '../../../src/model/lifecycle.ts';

export interface Intent {
  readonly digest: string;
  readonly attempt: number;
  readonly reference: string | undefined;
}

export interface Act {
  readonly id: string;
  readonly draft: Draft;
  readonly proposer: ProposalEntry['proposer'];
  readonly derivedKey: string;
  readonly proposedAt: number;
  state: State;
  step: number;
  digest: string | null;
  plan: Plan | null;
  /** Whether the policy in force had so much rely on it that people look. */
  isCritical: boolean;
  decision: Decision | null;
  /** Whether the last entry is the decision itself. */
  isJustDecided: boolean;
  approvals: Approval[];
  intents: Intent[];
  outcome: StoredOutcome | null;
  waitingSince: number | null;
  expiresAt: number | null;
  settledAt: number | null;
  compensatedBy: string | null;
}

/** The moves of the specification, written down a second time. */
const MOVES: Readonly<Record<string, readonly State[]>> = {
  proposed: ['assessed', 'denied', 'refused'],
  assessed: ['allowed', 'waiting', 'denied'],
  waiting: ['allowed', 'waiting', 'denied', 'expired', 'cancelled'],
  allowed: ['executing'],
  executing: ['executing', 'applied', 'refused', 'in_doubt', 'stale'],
  stale: ['assessed', 'denied', 'refused', 'cancelled'],
  in_doubt: ['executing', 'in_doubt', 'applied', 'refused', 'stale'],
};

export const ENDED: readonly State[] = ['applied', 'refused', 'denied', 'expired', 'cancelled'];

export function mayFollow(from: State, to: State): boolean {
  return MOVES[from]?.includes(to) ?? false;
}

export function beginAct(id: string, body: EntryBody & { type: 'proposal' }, at: number): Act {
  return {
    id,
    draft: body.draft,
    proposer: body.proposer,
    derivedKey: body.derivedKey,
    proposedAt: at,
    state: 'proposed',
    step: 1,
    digest: null,
    plan: null,
    isCritical: false,
    decision: null,
    isJustDecided: false,
    approvals: [],
    intents: [],
    outcome: null,
    waitingSince: null,
    expiresAt: null,
    settledAt: null,
    compensatedBy: null,
  };
}

export function attemptOf({ intents }: Act): number {
  return intents.at(-1)?.attempt ?? 0;
}

export function isEnded({ state }: Act): boolean {
  return ENDED.includes(state);
}

/** The keys under which all of it takes effect, each once. */
export function keysOf({ id, plan }: Act): readonly string[] {
  return plan?.segments?.map((_segment, index) => `${id}.${index + 1}`) ?? [id];
}

/** The target of each step. */
export function targetsOf({ draft }: Act): readonly string[] {
  return draft.steps?.map(({ target }) => target) ?? [draft.target];
}

export interface MeasuredStep {
  readonly target: string;
  readonly operation: string;
  readonly plan: Plan;
}

/** Each write that the plan measured. */
export function stepsOf({ draft, plan }: Act): readonly MeasuredStep[] {
  if (plan === null) return [];
  const whole = { target: draft.target, operation: draft.operation, stepCount: 1, plan };
  return (plan.segments ?? [whole]).flatMap(({ target, operation, plan: part }) =>
    part.steps === undefined
      ? [{ target, operation, plan: part }]
      : part.steps.map((step) => ({ target, operation: step.operation, plan: step.plan })),
  );
}
