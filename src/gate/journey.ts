import type { DraftStep } from '../model/draft.ts';
import type { Freeze } from '../model/freeze.ts';
import type { Policy } from '../model/policy.ts';
import type {
  Clock,
  Compensated,
  EvidenceFiles,
  Notifier,
  PlanCheck,
  PlanRequest,
  Random,
  StepRequest,
  Store,
  Target,
  Targets,
} from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import type { ReadLog } from '../model/read.ts';
import type { Proposal } from '../model/proposal.ts';
import { recordsBound, type MatchSubject } from '../policy/evaluate.ts';
import { holdsAny } from '../policy/stages/permissions.ts';
import { checksFor } from '../policy/stages/validate.ts';
import type { Links } from './answer.ts';
import type { Score } from './assess.ts';
import type { Carrier } from './carrier.ts';
import { openChain } from './chain.ts';
import type { InFlight } from './in-flight.ts';
import type { Leases } from './leases.ts';
import type { Slots } from './slots.ts';
import type { Watch } from './watch.ts';

export interface GatePorts {
  readonly store: Store;
  readonly targets: Targets;
  readonly clock: Clock;
  readonly random: Random;
  readonly notifier: Notifier;
  /** Where plans keep images that are too many for them; absent: nowhere. */
  readonly evidence?: EvidenceFiles;
  /** Where reads are written down; absent: nothing may be read. */
  readonly reads?: ReadLog;
}

export interface GateSettings {
  /** Which run of which gateway this is, `gateway/run`: of what it took, no other carries on. */
  readonly holder: string;
  /** The policy in force, as far as this process knows; read again for each decision. */
  readonly policy: () => Policy;
  /**
   * The policy in force at this step of the ledger's own act, or at a later one: where other gateways
   * over the store bring policies into force. Rejects where this process cannot decide by it. Absent:
   * none but this process does.
   */
  readonly policyAt?: (logStep: number) => Promise<Policy>;
  readonly score: (policy: Policy) => Score;
  readonly links: Links;
  /** Whether the configuration file that made this stop still says so; absent: it does not. */
  readonly isStoppedByFile?: (freeze: Freeze) => boolean;
}

/** What the calls of one gate share. Holds no state that a restart would lose. */
export interface Journey extends GatePorts, GateSettings {
  readonly watch: Watch;
  readonly inFlight: InFlight;
  readonly leases: Leases;
  readonly slots: Slots;
  readonly never: AbortSignal;
}

/** The target of a proposal; one that the file no longer names leaves it unsettled, not lost. */
export function targetOf(journey: Journey, proposal: Proposal): Carrier {
  const { target: name, steps } = proposal.draft;
  const find = (each: string): Target | undefined => journey.targets.find(each);
  const target = steps === undefined ? find(name) : openChain(proposal, steps, find);
  if (target !== undefined) return target;
  throw new Problem(
    'target-misconfigured',
    `the configuration no longer names the target of ${proposal.id}; put it back so that the write can be settled`,
  );
}

/** What a connector is asked to plan for a proposal. */
export function planRequest(
  policy: Policy,
  proposal: Proposal,
  compensated: Compensated | null,
): PlanRequest {
  const { draft, id, proposer } = proposal;
  const asked = (step: DraftStep) => stepRequest(policy, proposal, compensated, step);
  return {
    proposalId: id,
    ...asked(draft),
    ...(draft.steps === undefined ? {} : { steps: draft.steps.map(asked) }),
    compensated,
    proposer: `${proposer.kind}:${proposer.name}`,
  };
}

function stepRequest(
  policy: Policy,
  proposal: Proposal,
  compensated: Compensated | null,
  step: DraftStep,
): StepRequest {
  const { proposer, environment } = proposal;
  const { target, operation, arguments: given } = step;
  const subject = { environment, target, operation, agent: proposer.name };
  const recordsMax = recordsBound(policy, matchedAs(proposal, step));
  const checks = checksOf(policy, proposal, step);
  return {
    operation,
    arguments: given,
    // People hold no permissions: they take back what was applied, and its rows are known to them.
    permits: (resource) => compensated !== null || holdsAny(policy, { ...subject, resource }),
    ...(recordsMax === undefined ? {} : { recordsMax }),
    ...(checks.length === 0 ? {} : { checks }),
  };
}

/**
 * The queries that the policy asks of the target about this proposal, or one step of it, whatever it
 * turns out to change.
 */
export function checksOf(
  policy: Policy,
  proposal: Proposal,
  step: DraftStep = proposal.draft,
): readonly PlanCheck[] {
  return checksFor(policy, matchedAs(proposal, step));
}

function matchedAs(
  { proposer, environment }: Proposal,
  { target, operation }: DraftStep,
): MatchSubject {
  const common = { environment, target, operation };
  // No line that names an agent speaks of a person.
  return proposer.kind === 'agent' ? { ...common, agent: proposer.name } : common;
}
