/** A chain as one thing that is planned and carried out: over one transaction, or several. */
import type { DraftStep } from '../model/draft.ts';
import type { ProposalId } from '../model/ids.ts';
import { mergePlans } from '../model/merge.ts';
import { PLAN_BOUNDS, type Effect, type Plan, type SegmentPlan } from '../model/plan.ts';
import type {
  Held,
  PlanAnswer,
  PlanRequest,
  ProbeAnswer,
  Target,
  TargetRefusal,
} from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';
import type { Carrier } from './carrier.ts';
import { isGoingBack, ownReferences } from './progress.ts';
import { Saga, together } from './saga.ts';
import { operationOf, segmentRequest, segmentsOf, stepsText, type Segment } from './segments.ts';

/**
 * Opens a chain over its targets; undefined where one of them is not configured any more. Steps that
 * one transaction of one target carries out are that transaction, held and kept as a single write is;
 * else each segment is one, in order, and what was done is taken back where a later one is refused.
 */
export function openChain(
  proposal: Proposal,
  steps: readonly DraftStep[],
  find: (name: string) => Target | undefined,
): Carrier | undefined {
  const segments = segmentsOf(proposal, steps, find);
  if (segments === undefined) return undefined;
  const [first, ...more] = segments;
  if (first !== undefined && more.length === 0) return alone(first);
  return overSeveral(proposal, segments, steps.length);
}

/** One transaction: the target itself, asked for all the steps at once. */
function alone(segment: Segment): Carrier {
  const { target, steps } = segment;
  const said = <Answer extends { readonly kind: string }>(answer: Answer | TargetRefusal) =>
    isRefusal(answer) ? ofStep(answer, segment, steps.length) : answer;
  const { hold } = target;
  return {
    name: target.name,
    kind: target.kind,
    guarantee: target.guarantee,
    operations: target.operations,
    plan: async (request, signal) =>
      said(await target.plan(segmentRequest(request, segment), signal)),
    ...(hold === undefined
      ? {}
      : {
          hold: async (request, signal): Promise<Held | TargetRefusal | null> => {
            const asked = { ...segmentRequest(request, segment), key: request.key };
            const held = await hold.call(target, asked, signal);
            return held === null ? null : said(held);
          },
        }),
    apply: async (request, signal) =>
      said(await target.apply({ ...request, ...segmentRequest(request, segment) }, signal)),
    probe: (request, signal) => target.probe(request, signal),
    close: () => target.close(),
  };
}

function isRefusal(answer: { readonly kind: string }): answer is TargetRefusal {
  return answer.kind === 'refused';
}

/** Says which step of the chain it was. */
function ofStep(refusal: TargetRefusal, segment: Segment, total: number): TargetRefusal {
  const step = segment.from + (refusal.step ?? 0);
  const which =
    segment.steps.length > 1 && refusal.step === undefined
      ? stepsText(segment, total)
      : `step ${step + 1} of ${total}`;
  return { ...refusal, step, reason: `${which}: ${refusal.reason}` };
}

function overSeveral(proposal: Proposal, segments: readonly Segment[], stepCount: number): Carrier {
  const plan = (request: PlanRequest, signal: AbortSignal) =>
    planAll(segments, stepCount, request, signal);
  const approved = proposal.assessment?.plan.segments ?? [];
  const saga = new Saga({ segments, stepCount, approved, plan });
  return {
    name: proposal.draft.target,
    kind: 'chain',
    guarantee: 'idempotent',
    operations: [proposal.draft.operation],
    plan,
    apply: (request, signal) => saga.apply(request, signal),
    takeBack: (request, signal) => saga.takeBack(request, signal),
    probe: ({ references = [] }, signal) =>
      probeAll(saga, segments, { id: proposal.id, references }, signal),
    // The targets are not the chain's own.
    close: () => Promise.resolve(),
  };
}

/**
 * Measures each segment in a transaction of its own and takes it back: a later one does not see what
 * an earlier one would have done on another target.
 */
async function planAll(
  segments: readonly Segment[],
  stepCount: number,
  request: PlanRequest,
  signal: AbortSignal,
): Promise<PlanAnswer> {
  const planned: SegmentPlan[] = [];
  for (const segment of segments) {
    const { target, steps } = segment;
    const answer = await target.plan(segmentRequest(request, segment), signal);
    if (answer.kind === 'refused') return ofStep(answer, segment, stepCount);
    const operation = operationOf(segment);
    planned.push({ target: target.name, operation, stepCount: steps.length, plan: answer.plan });
  }
  const merged = mergePlans(planned);
  const tooMany = tooManyImages(merged);
  if (tooMany !== undefined) return tooMany;
  const warnings = [...merged.warnings, ...hardToTakeBack(segments, planned, stepCount)];
  return { kind: 'planned', plan: { ...merged, warnings, segments: planned } };
}

/** People look first where a refusal of a later step might leave an earlier one standing. */
function hardToTakeBack(
  segments: readonly Segment[],
  planned: readonly SegmentPlan[],
  stepCount: number,
): readonly string[] {
  return segments.slice(0, -1).flatMap((segment, index) => {
    const kind = planned[index]?.plan.reversibility.kind;
    if (kind === 'proved') return [];
    const which = stepsText(segment, stepCount);
    return [`were a later step refused, people might have to take back ${which}: ${kind}`];
  });
}

function tooManyImages({ effects }: Plan): TargetRefusal | undefined {
  const bytes = effects.reduce((sum, effect) => sum + imageBytes(effect), 0);
  if (effects.length <= PLAN_BOUNDS.effectsMax && bytes <= PLAN_BOUNDS.imageBytesMax) return;
  return {
    kind: 'refused',
    code: 'limit-exceeded',
    reason: `the steps together change ${effects.length} rows with images of ${bytes} bytes, at most ${PLAN_BOUNDS.effectsMax} and ${PLAN_BOUNDS.imageBytesMax} in a chain; propose smaller ones`,
    permanent: true,
    span: null,
    conflicts: [],
  };
}

function imageBytes({ before, after }: Effect): number {
  const values = [...Object.values(before ?? {}), ...Object.values(after ?? {})];
  return values.reduce<number>((sum, value) => sum + (value?.length ?? 0), 0);
}

/** Applied where every segment is; what has begun to be taken back is not asked here. */
async function probeAll(
  saga: Saga,
  segments: readonly Segment[],
  { id, references }: { readonly id: ProposalId; readonly references: readonly string[] },
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  if (isGoingBack(references)) return { kind: 'absent', fenced: false };
  const done = [];
  for (const segment of segments) {
    const own = ownReferences(references, segment, 'there');
    const found = await saga.ask(segment, { id, way: 'there', references: own }, signal);
    if (found.kind !== 'applied') return found;
    const { reference, effects, evidence } = found;
    done.push({ reference, effects, evidence });
  }
  return { kind: 'applied', ...together(segments, done) };
}
