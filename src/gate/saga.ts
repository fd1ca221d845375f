/**
 * A chain over several transactions: segment after segment, and back again where one is refused.
 *
 * 1. Before each segment but the first, and before each is taken back, a reference is durable that
 *    says so: it is an intent, so a stop in between binds, and a crash finds how far it came.
 * 2. Every segment has a key of its own, there and back: one effect each, however often it is tried.
 * 3. One that is refused is surely without effect; after an attempt of which nothing was heard, only
 *    once its key is fenced. Then the earlier ones are taken back, the last first; the first step
 *    back stays as the proof of it.
 * 4. What cannot be taken back, or did not answer, is never passed over: the chain is in doubt.
 */
import type { AppliedSegment } from '../model/entry.ts';
import type { ProposalId } from '../model/ids.ts';
import { planDigest, type SegmentPlan } from '../model/plan.ts';
import type {
  ApplyAnswer,
  ApplyRequest,
  Compensated,
  PlanAnswer,
  PlanRequest,
  ProbeAnswer,
  TargetRefusal,
} from '../model/ports.ts';
import type { Unsettled } from './carrier.ts';
import {
  codeOfBack,
  firstBack,
  journaled,
  journalOf,
  ownReferences,
  wasBegun,
  type Way,
} from './progress.ts';
import { keyOf, operationOf, segmentRequest, stepsText, type Segment } from './segments.ts';

/** How often taking back is measured anew because its rows moved meanwhile. */
const BACK_ROUNDS_MAX = 3;

/** A refusal with one of these may not be one in a moment; any other needs people. */
const PASSING: readonly string[] = ['target-unavailable', 'target-busy', 'statement-timeout'];

const UNKNOWN: ProbeAnswer = { kind: 'unknown', reason: 'whether it took effect is not known' };

type Answer = ApplyAnswer | Unsettled;

export interface SagaParts {
  readonly segments: readonly Segment[];
  readonly stepCount: number;
  /** What was decided on, segment by segment; empty before anything was. */
  readonly approved: readonly SegmentPlan[];
  readonly plan: (request: PlanRequest, signal: AbortSignal) => Promise<PlanAnswer>;
}

/** Why a chain did not go on: which segment, and what was said of it. */
interface Why {
  readonly segment: Segment;
  readonly code: string;
  readonly reason: string;
  readonly permanent: boolean;
}

export class Saga {
  readonly #parts: SagaParts;

  constructor(parts: SagaParts) {
    this.#parts = parts;
  }

  /** Carries out what is not done yet, in order; see the head of this file. */
  async apply(request: ApplyRequest, signal: AbortSignal): Promise<Answer> {
    const done: AppliedSegment[] = [];
    for (const segment of this.#parts.segments) {
      const answer = await this.#carryOut(segment, request, signal, done.length);
      if (answer.kind === 'applied') done.push(segmentOf(answer));
      else if (answer.kind === 'unsettled') return answer;
      else if (done.length === 0) return this.#firstRefused(segment, answer, request, signal);
      else return this.#back(done, this.#why(segment, answer), request, signal);
    }
    return { kind: 'applied', ...together(this.#parts.segments, done), earlier: false };
  }

  /** As `Carrier.takeBack`: after a decision that holds no more, or on a way back that was begun. */
  async takeBack(request: ApplyRequest, signal: AbortSignal): Promise<Answer> {
    const { segments } = this.#parts;
    const { references = [] } = request;
    const done: AppliedSegment[] = [];
    for (const segment of segments) {
      const found = await this.#stands(segment, request, signal);
      if (found.kind === 'applied') {
        done.push(segmentOf(found));
        continue;
      }
      if (found.kind === 'unknown' || !found.fenced) return this.#silent(segment, done.length);
      const code = codeOfBack(references) ?? 'interrupted';
      const reason = 'it was interrupted before it took effect';
      const why = { segment, code, reason, permanent: false };
      return done.length === 0 ? interrupted(reason) : this.#back(done, why, request, signal);
    }
    return { kind: 'applied', ...together(segments, done), earlier: true };
  }

  /** Asks the target of one segment whether its key took effect. */
  ask(
    segment: Segment,
    about: {
      readonly id: ProposalId;
      readonly way: Way;
      readonly references: readonly string[];
      readonly fence?: boolean;
    },
    signal: AbortSignal,
  ): Promise<ProbeAnswer> {
    const { id, way, references, fence = false } = about;
    return segment.target
      .probe({ key: keyOf(id, segment, way), fence, references }, signal)
      .catch((): ProbeAnswer => ({ kind: 'unknown', reason: 'the target cannot be asked now' }));
  }

  // ---- there

  async #carryOut(
    segment: Segment,
    request: ApplyRequest,
    signal: AbortSignal,
    done: number,
  ): Promise<Answer> {
    const { references } = request;
    const isFirst = segment.number === 1;
    const wasTried =
      references !== undefined && (isFirst || wasBegun(references, segment, 'there'));
    if (wasTried) {
      const found = await this.#found(segment, 'there', request, signal);
      if (found.kind === 'applied') return { ...found, earlier: true };
      if (found.kind === 'unknown') return this.#silent(segment, done);
      if (found.fenced) return interrupted('it was interrupted before it took effect');
    } else if (!isFirst && !(await journaled(request, `segment-${segment.number}`))) {
      return this.#stopped(done, 'go on');
    }
    const answer = await this.#attempt(segment, request, signal).catch(() => null);
    if (answer === null) return this.#silent(segment, done);
    if (answer.kind === 'applied' || !wasTried) return answer;
    // A first attempt may be measured anew, where the target said so within a transaction that had the
    // key; else it speaks for itself alone, not for the one before.
    const isProof = answer.kind === 'drifted' && segment.target.guarantee === 'transactional';
    if (isProof && isFirst) return answer;
    const fenced = await this.#probe(segment, 'there', request, signal, true);
    if (fenced.kind === 'applied') return { ...fenced, earlier: true };
    if (fenced.kind !== 'absent' || !fenced.fenced) return this.#silent(segment, done);
    // For a key that is fenced no plan is made anew.
    if (answer.kind !== 'drifted' || !isFirst) return answer;
    return interrupted('it was interrupted before it took effect, and its target changed since');
  }

  /** Fenced where the target does not itself refuse a second effect: then it is not tried again. */
  async #found(
    segment: Segment,
    way: Way,
    request: ApplyRequest,
    signal: AbortSignal,
  ): Promise<ProbeAnswer> {
    const dedups = isTriedAgain(segment);
    const found = await this.#probe(segment, way, request, signal, !dedups);
    return found.kind === 'absent' && !found.fenced && !dedups ? UNKNOWN : found;
  }

  #attempt(segment: Segment, request: ApplyRequest, signal: AbortSignal): Promise<ApplyAnswer> {
    const { target, number } = segment;
    const operation = operationOf(segment);
    const approved = this.#approved(segment);
    const asked: ApplyRequest = {
      ...segmentRequest(request, segment),
      key: keyOf(request.proposalId, segment, 'there'),
      planDigest: planDigest(target.name, operation, approved.plan),
      digest: (plan) => planDigest(target.name, operation, plan),
      ...journalOf(request, `segment-${number}`),
    };
    return target.apply(asked, signal);
  }

  #approved({ number }: Segment): SegmentPlan {
    const approved = this.#parts.approved[number - 1];
    if (approved === undefined) throw new Error(`segment ${number} was never decided on`);
    return approved;
  }

  /** Nothing took effect: as of a single write, with the whole measured anew where the world moved. */
  async #firstRefused(
    segment: Segment,
    answer: Exclude<ApplyAnswer, { kind: 'applied' }>,
    request: ApplyRequest,
    signal: AbortSignal,
  ): Promise<ApplyAnswer> {
    if (answer.kind === 'drifted') {
      const measured = await this.#parts.plan(request, signal).catch(() => unmeasured());
      return measured.kind === 'refused' ? measured : { kind: 'drifted', plan: measured.plan };
    }
    const which = stepsText(segment, this.#parts.stepCount);
    return { ...answer, reason: `${which}: ${answer.reason}; nothing was written` };
  }

  // ---- and back

  /**
   * Whether a segment took effect, and if not, that it never will. Once the first step back is durable
   * that was known of each: it is proof that those above it had none, which not every target can give
   * a second time, and those below it that are not found were lost, not undone.
   */
  async #stands(
    segment: Segment,
    request: ApplyRequest,
    signal: AbortSignal,
  ): Promise<ProbeAnswer> {
    const { references = [] } = request;
    const last = firstBack(references);
    const wasTried = segment.number === 1 || wasBegun(references, segment, 'there');
    if (!wasTried || (last !== undefined && segment.number > last)) {
      return { kind: 'absent', fenced: true };
    }
    if (last === undefined) return this.#probe(segment, 'there', request, signal, true);
    const found = await this.#probe(segment, 'there', request, signal);
    return found.kind === 'absent' ? UNKNOWN : found;
  }

  async #back(
    done: readonly AppliedSegment[],
    why: Why,
    request: ApplyRequest,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { segments, stepCount } = this.#parts;
    for (const segment of segments.slice(0, done.length).toReversed()) {
      const { number } = segment;
      const applied = done[number - 1];
      if (applied === undefined) throw new Error(`segment ${number} is not among what was done`);
      const wasTried = wasBegun(request.references ?? [], segment, 'back');
      if (wasTried) {
        const found = await this.#found(segment, 'back', request, signal);
        if (found.kind === 'applied') continue;
        if (found.kind === 'unknown') return this.#notBack(segment, why, found.reason);
        if (found.fenced) {
          const reason = 'the attempt was interrupted before it took effect';
          return this.#notBack(segment, why, reason, 'chain-halted');
        }
      } else if (!(await journaled(request, `back-${number}:${why.code}`))) {
        return this.#stopped(done.length, 'be taken back');
      }
      const stuck = await this.#takeBackOne(segment, applied, { request, wasTried, why }, signal);
      if (stuck !== null) return stuck;
    }
    return {
      kind: 'refused',
      code: 'chain-compensated',
      reason: `${stepsText(why.segment, stepCount)} was refused (${why.code}): ${why.reason}; what the steps before it had done was taken back, nothing is left of the chain`,
      permanent: why.permanent,
      span: null,
      conflicts: [],
    };
  }

  /** Null once it is taken back; the inverse is measured, and only what was measured is committed. */
  async #takeBackOne(
    segment: Segment,
    applied: AppliedSegment,
    about: { readonly request: ApplyRequest; readonly wasTried: boolean; readonly why: Why },
    signal: AbortSignal,
  ): Promise<Unsettled | null> {
    const { request, wasTried, why } = about;
    for (let round = 0; round < BACK_ROUNDS_MAX; round += 1) {
      const answer = await this.#attemptBack(segment, applied, request, signal).catch(() => null);
      if (answer?.kind === 'applied') return null;
      if (answer?.kind === 'drifted') continue;
      // What an earlier attempt did may be what stands in the way of this one.
      const isLate = wasTried && (await this.#probe(segment, 'back', request, signal)).kind;
      if (isLate === 'applied') return null;
      if (answer === null) return this.#notBack(segment, why, 'the target did not answer');
      const isPassing = PASSING.includes(answer.code) && isTriedAgain(segment);
      return this.#notBack(segment, why, answer.reason, isPassing ? 'in-doubt' : 'chain-halted');
    }
    return this.#notBack(segment, why, 'its rows keep changing');
  }

  async #attemptBack(
    segment: Segment,
    applied: AppliedSegment,
    request: ApplyRequest,
    signal: AbortSignal,
  ): Promise<ApplyAnswer> {
    const { target, number } = segment;
    const operation = operationOf(segment);
    // The way back was decided on with the way there: no policy is asked again.
    const { steps: _steps, checks: _checks, ...asked } = segmentRequest(request, segment);
    const compensated = compensatedOf(request, this.#approved(segment), applied);
    const inverse = { ...asked, compensated };
    const measured = await target.plan(inverse, signal);
    if (measured.kind === 'refused') return measured;
    const digest = (plan: typeof measured.plan) => planDigest(target.name, operation, plan);
    return target.apply(
      {
        ...inverse,
        key: keyOf(request.proposalId, segment, 'back'),
        planDigest: digest(measured.plan),
        digest,
        ...journalOf(request, `back-${number}`),
      },
      signal,
    );
  }

  // ---- what is said

  #probe(
    segment: Segment,
    way: Way,
    request: ApplyRequest,
    signal: AbortSignal,
    fence = false,
  ): Promise<ProbeAnswer> {
    const references = ownReferences(request.references ?? [], segment, way);
    return this.ask(segment, { id: request.proposalId, way, references, fence }, signal);
  }

  #why(segment: Segment, answer: Exclude<ApplyAnswer, { kind: 'applied' }>): Why {
    if (answer.kind === 'refused') {
      const { code, reason, permanent } = answer;
      return { segment, code, reason, permanent };
    }
    const reason = 'its target changed since the plan was made';
    return { segment, code: 'plan-drifted', reason, permanent: false };
  }

  #silent(segment: Segment, done: number): Unsettled {
    const which = stepsText(segment, this.#parts.stepCount);
    const reason = `the target of ${which} did not answer; whether it took effect is being found out${this.#sofar(done)}`;
    return { kind: 'unsettled', code: 'in-doubt', reason };
  }

  #stopped(done: number, what: 'go on' | 'be taken back'): Unsettled {
    const reason = `a stop came between the steps, and it may not ${what}${this.#sofar(done)}; once the stop is released it goes on, or is taken back`;
    return { kind: 'unsettled', code: 'chain-stopped', reason };
  }

  #notBack(
    segment: Segment,
    why: Why,
    reason: string,
    code: Unsettled['code'] = 'in-doubt',
  ): Unsettled {
    const { stepCount } = this.#parts;
    const refused = `${stepsText(why.segment, stepCount)} was refused (${why.code})`;
    const stands = `what ${stepsText(segment, stepCount)} did on \`${segment.target.name}\` could not be taken back: ${reason}`;
    const who =
      code === 'chain-halted'
        ? 'a person must look, put it right, and say how it ended'
        : 'it is looked into again under the same key';
    return { kind: 'unsettled', code, reason: `${refused}, and ${stands}; ${who}` };
  }

  #sofar(done: number): string {
    const last = this.#parts.segments[done - 1];
    if (last === undefined) return '';
    const steps = last.from + last.steps.length;
    return `; ${steps} of ${this.#parts.stepCount} steps took effect before it`;
  }
}

/** What the whole left, out of what each segment left. */
export function together(
  segments: readonly Segment[],
  done: readonly AppliedSegment[],
): Pick<ApplyAnswer & { kind: 'applied' }, 'reference' | 'effects' | 'evidence' | 'segments'> {
  const reference = segments
    .map(({ target }, index) => `${target.name}:${done[index]?.reference ?? ''}`)
    .join(' ');
  return { reference, effects: null, evidence: null, segments: done };
}

/** Whether its target itself refuses a second effect of a key, so that one may be tried again. */
function isTriedAgain({ target: { guarantee } }: Segment): boolean {
  return guarantee === 'transactional' || guarantee === 'idempotent';
}

function segmentOf({ reference, effects, evidence }: AppliedSegment): AppliedSegment {
  return { reference, effects, evidence };
}

function compensatedOf(
  { proposalId }: PlanRequest,
  { plan }: SegmentPlan,
  { effects, evidence }: AppliedSegment,
): Compensated {
  return {
    proposalId,
    plan,
    effects: effects ?? plan.effects,
    evidence: evidence ?? plan.evidence,
  };
}

function interrupted(reason: string): TargetRefusal {
  return refusal('interrupted', reason);
}

function unmeasured(): TargetRefusal {
  return refusal('effect-unmeasurable', 'the effect could not be measured anew');
}

function refusal(code: TargetRefusal['code'], reason: string): TargetRefusal {
  return { kind: 'refused', code, reason, permanent: false, span: null, conflicts: [] };
}
