/** From a durable decision to a settled proposal; what a crash or a moved world left is taken up here. */
import type { ProposalId, TenantId } from '../model/ids.ts';
import { isLeased } from '../model/lease.ts';
import type { Plan, PlanDifference } from '../model/plan.ts';
import type { Compensated } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import type { Proposal } from '../model/proposal.ts';
import { assess, assessmentOf } from './assess.ts';
import { decideAgain } from './commit.ts';
import { execute, settle, type Executed } from './execute.ts';
import { expireDue } from './expire.ts';
import { intendAgain } from './intend.ts';
import { planRequest, targetOf, type Journey } from './journey.ts';
import { outcomeOf } from './outcome.ts';
import { reconcile } from './reconcile.ts';
import { compensatedBy } from './rollback.ts';
import { afterEntry } from './unrecorded.ts';

/** How many open proposals one tick looks at. */
const TICK_PROPOSALS_MAX = 500;
/** How many of them it takes at a time: what it has not come to yet waits for it, and for it alone. */
const CLAIMED_MAX = 8;

/** Goes on from a decision that is durable: carries out, or tells people. */
export function afterDecision(
  journey: Journey,
  proposal: Proposal,
  compensated: Compensated | null,
): Promise<Ended> {
  return afterEntry(proposal.id, async () => {
    if (proposal.state === 'executing') return carryOut(journey, proposal, compensated);
    if (proposal.state === 'waiting') await journey.notifier.waiting(proposal);
    return { proposal, drifted: null };
  });
}

/** How a call left a proposal. */
export interface Ended {
  readonly proposal: Proposal;
  /** The drift that this call met, if it met one. */
  readonly drifted: PlanDifference | null;
}

async function carryOut(
  journey: Journey,
  proposal: Proposal,
  compensated: Compensated | null,
): Promise<Ended> {
  const target = targetOf(journey, proposal);
  const ports = { ...journey, target };
  const executed = await execute(ports, proposal, compensated, journey.never);
  return afterAttempt(journey, executed, compensated);
}

/** Goes on from how a first attempt ended: a moved world is decided on anew, doubt is looked into. */
export async function afterAttempt(
  journey: Journey,
  executed: Executed,
  compensated: Compensated | null,
): Promise<Ended> {
  if (executed.kind === 'drifted') {
    return afterDrift(journey, executed.proposal, executed.plan, compensated);
  }
  if (executed.proposal.state !== 'in_doubt') {
    return { proposal: executed.proposal, drifted: null };
  }
  // Taken over: it is the other's to look into.
  if (!journey.leases.isHeld(executed.proposal.id)) {
    return { proposal: executed.proposal, drifted: null };
  }
  return recover(journey, executed.proposal, compensated);
}

/** A shadow that has another effect than the target is no preview: people look, whatever the tier. */
const SHADOW_DIFFERS =
  'the shadow that it was previewed on has another effect than the target itself';

function fromShadow({ assessment }: Proposal): boolean {
  return assessment?.plan.measuredOn === 'shadow';
}

/** A stale proposal gets the plan that the target would do now, and a decision on that. */
async function afterDrift(
  journey: Journey,
  stale: Proposal,
  plan: Plan,
  compensated: Compensated | null,
): Promise<Ended> {
  const drifted = stale.drift?.difference ?? null;
  const { target, operation } = stale.draft;
  const score = journey.score(journey.policy());
  const seen = fromShadow(stale) ? { ...plan, warnings: [...plan.warnings, SHADOW_DIFFERS] } : plan;
  const assessment = assessmentOf(target, operation, seen, score, journey.clock.now());
  const prefix = [{ type: 'preview', assessment }] as const;
  const again = await decideAgain(journey, stale, prefix, compensated).catch(lostRace);
  if (again === null) {
    const current = await journey.store.proposal(stale.tenant, stale.id);
    return { proposal: current ?? stale, drifted };
  }
  if (again.state !== 'executing') {
    if (again.state === 'waiting') await journey.notifier.waiting(again);
    return { proposal: again, drifted };
  }
  const ports = { ...journey, target: targetOf(journey, again) };
  const executed = await execute(ports, again, compensated, journey.never);
  if (executed.kind === 'settled') return { proposal: executed.proposal, drifted: null };
  // It moved again under our hands: never a blank retry. A person or the agent looks first.
  const reason = 'the target keeps changing under this write; nothing was written';
  const said = { status: 'refused', code: 'plan-drifted', reason } as const;
  const outcome = outcomeOf(executed.proposal, 'live', said);
  return { proposal: await settle(ports, executed.proposal, outcome), drifted };
}

/** Another gateway went on with it, or it was cancelled: it is not this one's to carry on with. */
function lostRace(error: unknown): null {
  if (error instanceof Problem && error.code === 'state-conflict') return null;
  throw error;
}

/**
 * Takes up what a crash or a lost reply left open, and expires what waited too long. What one
 * proposal met keeps no other waiting: the next tick meets it again, and a bug is thrown at the end.
 * Ends after what it has in hand where `ending` aborts.
 */
export async function tick(journey: Journey, ending: AbortSignal): Promise<void> {
  const bugs: unknown[] = [];
  const leave = (error: unknown): void => {
    if (!(error instanceof Problem)) bugs.push(error);
  };
  // First: a target that is away may keep what follows for long.
  await expireDue(journey, { expired: (id) => journey.watch.changed(id), leave });
  for (let looked = 0; looked < TICK_PROPOSALS_MAX;) {
    if (ending.aborted) break;
    const claimed = await journey.leases.next(CLAIMED_MAX);
    if (claimed.length === 0) break;
    for (const { tenant, id } of claimed) {
      // A person is saying how it ended, here: the lease keeps out other gateways, and not this one's
      // own calls. It is let go of when they have said it.
      if (journey.inFlight.has(id)) continue;
      // A call that was at it let go of it since it was claimed: by now it may be another gateway's.
      if (!journey.leases.isHeld(id)) continue;
      const work = async (): Promise<unknown> => !ending.aborted && takeUp(journey, tenant, id);
      await journey.inFlight.during(id, work).catch(leave);
      journey.watch.changed(id);
    }
    looked += claimed.length;
  }
  if (bugs.length > 0) throw new AggregateError(bugs, 'a proposal could not be taken up');
}

async function takeUp(journey: Journey, tenant: TenantId, id: ProposalId): Promise<Ended> {
  const proposal = await journey.store.proposal(tenant, id);
  if (proposal === undefined) throw new Error(`${id} is claimed and not there`);
  // A person was faster.
  if (!isLeased(proposal.state)) return { proposal, drifted: null };
  const compensated = await compensatedBy(journey.store, tenant, proposal.draft);
  if (proposal.state !== 'stale') return recover(journey, proposal, compensated);
  const assessed = await assess(
    { target: targetOf(journey, proposal), clock: journey.clock },
    planRequest(journey.policy(), proposal, compensated),
    journey.score(journey.policy()),
    journey.never,
  );
  if (assessed.kind === 'assessed') {
    return afterDrift(journey, proposal, assessed.assessment.plan, compensated);
  }
  // A target that is away is asked again; one that refuses for good ends it.
  if (!assessed.permanent) return { proposal, drifted: null };
  const { code, reason, conflicts } = assessed;
  const outcome = outcomeOf(proposal, 'live', { status: 'refused', code, reason, conflicts });
  return { proposal: await settle(journey, proposal, outcome), drifted: null };
}

async function recover(
  journey: Journey,
  proposal: Proposal,
  compensated: Compensated | null,
): Promise<Ended> {
  const ports = { ...journey, target: targetOf(journey, proposal) };
  const recovery = {
    compensated,
    intendAgain: (open: Proposal) => intendAgain(journey, open, compensated),
    isHeld: () => journey.leases.isHeld(proposal.id),
  };
  const executed = await reconcile(ports, proposal, recovery, journey.never);
  if (executed.kind === 'drifted') {
    return afterDrift(journey, executed.proposal, executed.plan, compensated);
  }
  return { proposal: executed.proposal, drifted: null };
}
