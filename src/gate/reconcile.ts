import type { OutcomeEntry } from '../model/entry.ts';
import type {
  ApplyAnswer,
  ApplyRequest,
  Compensated,
  Guarantee,
  ProbeAnswer,
} from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';
import type { Carrier } from './carrier.ts';
import {
  attempt,
  attemptBack,
  conclude,
  settle,
  type Attempted,
  type Executed,
  type ExecutePorts,
} from './execute.ts';
import { appliedOutcome, outcomeOf } from './outcome.ts';
import { isGoingBack } from './progress.ts';

/**
 * Settles what a crash or a lost reply left open: an intent without an outcome, or one in doubt.
 *
 * 1. The target is asked. What took effect is applied, whatever the policy says today.
 * 2. "Absent" is not proof while a request may still be under way. Where the target itself refuses
 *    a second effect and the decision still holds, the same key is tried again.
 * 3. A second attempt that is refused says nothing about the first, which may still be under way. Then,
 *    and where the decision no longer holds, the key is fenced: the target makes sure that it never
 *    takes effect. The same goes for one that met a moved world, unless the target said so within a
 *    transaction that had the key. For a key that is fenced no plan is made anew: that ends it.
 * 4. Anything else stays in doubt, for the next round or a named human (G4).
 * 5. What another gateway has taken over is left to it: neither tried, nor fenced, nor taken back.
 *
 * A crash here leaves an attempt more, and the same question.
 */
export async function reconcile(
  ports: ExecutePorts,
  proposal: Proposal,
  recovery: Recovery,
  signal: AbortSignal,
): Promise<Executed> {
  const { target } = ports;
  const { guarantee } = target;
  const takeBack = target.takeBack?.bind(target);
  // What people must look at is not touched until one of them has spoken.
  if (isHalted(proposal)) return { kind: 'settled', proposal };
  const found = await probe(ports, proposal, false, signal);
  if (found.kind !== 'absent') return learnt(ports, proposal, found);
  if (takeBack !== undefined) {
    const back = (request: ApplyRequest) => takeBack(request, signal);
    return reconcileChain(ports, proposal, { ...recovery, takeBack: back }, signal);
  }
  if (guarantee === 'transactional' || guarantee === 'idempotent') {
    const again = await recovery.intendAgain(proposal);
    if (again !== null) {
      const tried = await attempt(ports, again, { compensated: recovery.compensated }, signal);
      const { proposal: present, answer } = tried;
      if (!isOfItsOwn(answer, guarantee)) return conclude(ports, present, answer, 'recovery');
      return learnt(ports, present, await probe(ports, present, true, signal), answer);
    }
  }
  if (!recovery.isHeld()) return { kind: 'settled', proposal };
  return learnt(ports, proposal, await probe(ports, proposal, true, signal));
}

/** Says that an attempt had no effect, and nothing of one before it. */
type OfItsOwn = Exclude<ApplyAnswer, { kind: 'applied' }>;

function isOfItsOwn(answer: Attempted['answer'], guarantee: Guarantee): answer is OfItsOwn {
  if (answer?.kind === 'refused') return true;
  return answer?.kind === 'drifted' && guarantee !== 'transactional';
}

export interface Recovery {
  readonly compensated: Compensated | null;
  /** Commits one more intent where a fresh decision still allows exactly this plan; else null. */
  readonly intendAgain: (proposal: Proposal) => Promise<Proposal | null>;
  /** Whether nobody has taken the proposal over, as far as is known. */
  readonly isHeld: () => boolean;
}

function isHalted({ state, outcome }: Proposal): boolean {
  return state === 'in_doubt' && outcome?.code === 'chain-halted';
}

/**
 * Goes on with a chain that did not take effect as a whole, by the keys of its segments; or, where
 * its decision no longer holds or it was on its way back, takes back what was done.
 */
async function reconcileChain(
  ports: ExecutePorts,
  proposal: Proposal,
  recovery: Recovery & {
    readonly takeBack: (request: ApplyRequest) => ReturnType<Carrier['apply']>;
  },
  signal: AbortSignal,
): Promise<Executed> {
  const { compensated } = recovery;
  const about = { compensated, references: proposal.references };
  const again = isGoingBack(proposal.references) ? null : await recovery.intendAgain(proposal);
  if (!recovery.isHeld()) return { kind: 'settled', proposal };
  const tried =
    again === null
      ? await attemptBack(ports, proposal, about, recovery.takeBack)
      : await attempt(ports, again, about, signal);
  return conclude(ports, tried.proposal, tried.answer, 'recovery');
}

async function probe(
  ports: ExecutePorts,
  proposal: Proposal,
  fence: boolean,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  return ports.target
    .probe({ key: proposal.id, fence, references: proposal.references }, signal)
    .catch((): ProbeAnswer => ({ kind: 'unknown', reason: 'the target cannot be asked now' }));
}

async function learnt(
  ports: ExecutePorts,
  proposal: Proposal,
  found: ProbeAnswer,
  against: OfItsOwn | null = null,
): Promise<Executed> {
  if (against?.kind === 'refused' && found.kind === 'absent' && found.fenced) {
    return conclude(ports, proposal, against, 'recovery');
  }
  const outcome = ((): OutcomeEntry | null => {
    if (found.kind === 'applied') return appliedOutcome(proposal, 'recovery', found);
    if (found.kind === 'absent' && found.fenced) {
      const [code, what] =
        against === null
          ? (['interrupted', 'the attempt was interrupted before it took effect'] as const)
          : (['plan-drifted', 'the target changed since the plan was made'] as const);
      const reason = `${what}, and the target was told to refuse it for good; propose it again if it is still wanted`;
      return outcomeOf(proposal, 'recovery', { status: 'refused', code, reason });
    }
    if (proposal.state === 'in_doubt') return null;
    const reason = 'whether the write took effect is not known yet; the target is asked again';
    return outcomeOf(proposal, 'recovery', { status: 'in_doubt', code: 'in-doubt', reason });
  })();
  if (outcome === null) return { kind: 'settled', proposal };
  return { kind: 'settled', proposal: await settle(ports, proposal, outcome) };
}
