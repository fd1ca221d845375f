/** What a run did, step by step, for whoever asks afterwards what happened. */
import type { Digest } from '../lib/canonical.ts';
import type { Proposal } from './proposal.ts';
import { isTerminal, type State } from './lifecycle.ts';

/**
 * Why a step of a run came to nothing, or has to wait: closed, so that a program can act on it.
 * What is not one of these is `denied`, `refused` or `in_doubt`, and `code` says more.
 */
export type StopReason =
  | 'approval_required'
  | 'duplicate_write'
  | 'budget_exceeded'
  | 'limit_exceeded'
  | 'loop_detected'
  | 'invalid_tool_output'
  | 'stopped'
  | 'approval_denied'
  | 'approval_expired'
  | 'cancelled'
  | 'stale'
  | 'denied'
  | 'refused'
  | 'in_doubt';

/** One line of a trace. The arguments are a digest: what an agent wrote reaches no log. */
export type TraceLine = {
  readonly run_id: string;
  /** Counts from 1 over the lines of the run. */
  readonly step: number;
  /** Ms since the epoch. */
  readonly at: number;
  readonly proposal: string;
  /** `target.operation`. */
  readonly tool: string;
} & (
  | {
      readonly event: 'tool_call';
      readonly args_hash: Digest;
      readonly decision: 'allow' | 'wait' | 'deny';
      readonly code: string;
      readonly rule: string;
      /** Whether it was applied by now. */
      readonly ok: boolean;
    }
  | {
      readonly event: 'approval';
      readonly approver: string;
      readonly verdict: 'approve' | 'deny';
      readonly plan_digest: Digest;
    }
  | { readonly event: 'effect'; readonly ok: true; readonly reference: string | null }
  | { readonly event: 'stop'; readonly reason: StopReason; readonly code: string }
  | { readonly event: 'compensated'; readonly by: string }
);

/** Answer of `GET /v1/runs/{run}/trace`. */
export interface TracePage {
  readonly items: readonly TraceLine[];
  /** Proposals of the run that are older than those looked at; 0: the trace is whole. */
  readonly left: number;
}

type Body = TraceLine extends infer Line
  ? Line extends TraceLine
    ? Omit<Line, 'run_id' | 'step'>
    : never
  : never;

/** Tells the proposals of one run, oldest first, as lines in the order of their time. Pure. */
export function traceOf(run: string, proposals: readonly Proposal[]): readonly TraceLine[] {
  const bodies = proposals.flatMap(linesOf).toSorted((left, right) => left.at - right.at);
  const lines: TraceLine[] = [];
  for (const body of bodies) lines.push({ run_id: run, step: lines.length + 1, ...body });
  return lines;
}

function linesOf(proposal: Proposal): readonly Body[] {
  const { decision, outcome, approvals, compensatedBy, state } = proposal;
  const place = { proposal: proposal.id, tool: toolOf(proposal) };
  const settledAt = proposal.settledAt ?? proposal.waitingSince ?? proposal.proposedAt;
  const lines: Body[] = [
    {
      ...place,
      at: proposal.proposedAt,
      event: 'tool_call',
      args_hash: proposal.argumentsDigest,
      decision: decision?.kind ?? 'deny',
      code: decision?.code ?? outcome?.code ?? state,
      rule: decision?.settledBy ?? 'connector',
      ok: state === 'applied',
    },
  ];
  for (const { at, person, verdict, planDigest } of approvals) {
    const approval = { event: 'approval', approver: person, verdict } as const;
    lines.push({ ...place, at, ...approval, plan_digest: planDigest });
  }
  if (state === 'applied') {
    const reference = outcome?.reference ?? null;
    lines.push({ ...place, at: settledAt, event: 'effect', ok: true, reference });
  } else if (
    isTerminal(state) ||
    state === 'waiting' ||
    state === 'in_doubt' ||
    state === 'stale'
  ) {
    const code = stopCode(proposal);
    lines.push({ ...place, at: settledAt, event: 'stop', reason: stopReason(state, code), code });
  }
  if (compensatedBy !== null) {
    const last = proposal.history.at(-1)?.at ?? settledAt;
    lines.push({ ...place, at: last, event: 'compensated', by: compensatedBy });
  }
  return lines;
}

function toolOf({ draft }: Proposal): string {
  return `${draft.target}.${draft.operation}`;
}

function stopCode({ state, outcome, decision }: Proposal): string {
  const isOutcome = state === 'refused' || state === 'in_doubt' || state === 'stale';
  return (isOutcome ? outcome?.code : decision?.code) ?? state;
}

const BY_CODE: Readonly<Record<string, StopReason>> = {
  'duplicate-write': 'duplicate_write',
  'budget-exceeded': 'budget_exceeded',
  'limit-exceeded': 'limit_exceeded',
  frozen: 'stopped',
  'denied-by-person': 'approval_denied',
  'effect-unmeasurable': 'invalid_tool_output',
  'loop-detected': 'loop_detected',
};

function stopReason(state: State, code: string): StopReason {
  switch (state) {
    case 'waiting':
      return BY_CODE[code] ?? 'approval_required';
    case 'expired':
      return 'approval_expired';
    case 'cancelled':
      return 'cancelled';
    case 'stale':
      return 'stale';
    case 'in_doubt':
      return 'in_doubt';
    case 'refused':
      return BY_CODE[code] ?? 'refused';
    case 'proposed':
    case 'assessed':
    case 'allowed':
    case 'executing':
    case 'applied':
    case 'denied':
      return BY_CODE[code] ?? 'denied';
  }
}
