/** A candidate policy over the store's own proposals. Reads only; changes nothing, claims nothing. */
import { BUDGET_WINDOWS_MS } from '../../model/budget.ts';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import type { Policy } from '../../model/policy.ts';
import type { Clock, Store, Targets } from '../../model/ports.ts';
import type { Proposal } from '../../model/proposal.ts';
import { isRepeatable } from '../../policy/evaluate.ts';
import { REPLAY_BOUNDS, type ReplayReport } from '../../model/replay.ts';
import type { Step } from '../../model/steps.ts';
import type { DraftStep } from '../../model/draft.ts';
import { intentKeys, stepKeys } from '../admit.ts';
import { compensatedBy } from '../rollback.ts';
import { historyOf, type History } from './history.ts';
import { settledApart, type Moment } from './recorded.ts';
import { Findings } from './report.ts';
import { Rerun, type Candidate, type Past } from './rerun.ts';

export interface ReplayPorts {
  readonly store: Store;
  /** For the canonical form of what was asked for; nothing else is asked of them. */
  readonly targets: Targets;
  readonly clock: Clock;
  /** Lets the process answer others; the store answers at once and would not. */
  readonly pause: () => Promise<void>;
}

export interface ReplayAsked {
  readonly tenant: TenantId;
  readonly candidate: Candidate;
  /** Of the policy in force. */
  readonly inForce: string;
  readonly since: number;
  /** In place of those of `REPLAY_BOUNDS`. */
  readonly bounds?: { readonly proposalsMax?: number; readonly timeMsMax?: number };
}

/** Beside the longest window: what waited before it was carried out. */
const LEAD_MS = 86_400_000;
/** Moments between two pauses, and between two lines of progress. */
const PAUSE_EVERY = 16;
const PROGRESS_EVERY = 512;

/**
 * Replays the candidate over what was proposed since a time, and says how far it is meanwhile. The
 * last step is the report. Stops where `signal` aborts; nobody reads the report then.
 */
export async function* replay(
  ports: ReplayPorts,
  asked: ReplayAsked,
  signal: AbortSignal,
): AsyncGenerator<Step<ReplayReport>> {
  const { tenant, candidate, since } = asked;
  const startedAt = ports.clock.now();
  const { duplicates } = candidate.policy;
  const leadMs = Math.max(BUDGET_WINDOWS_MS.day, duplicates.windowMs) + LEAD_MS;
  const proposalsMax = asked.bounds?.proposalsMax ?? REPLAY_BOUNDS.proposalsMax;
  const span = { tenant, since, leadMs, proposalsMax };
  const history = await historyOf(ports.store, span, ports.pause);
  const findings = new Findings();
  const run = new Rerun(candidate);
  const records = new Records(ports, tenant, candidate.policy);
  let cutShort = history.isCut
    ? `there are more than ${proposalsMax} proposals; the oldest were left out`
    : null;
  for (const [done, moment] of history.moments.entries()) {
    if (done % PAUSE_EVERY === 0) await ports.pause();
    if (signal.aborted) return;
    if (done % PROGRESS_EVERY === 0) {
      yield { kind: 'progress', done: findings.proposals, of: history.asked.size };
    }
    if (ports.clock.now() - startedAt > (asked.bounds?.timeMsMax ?? REPLAY_BOUNDS.timeMsMax)) {
      cutShort = `it took longer than ${REPLAY_BOUNDS.timeMsMax / 1000} s; the newest were left out`;
      break;
    }
    goThrough(run, findings, history, await records.past(moment));
  }
  yield { kind: 'done', answer: reportOf(asked, findings, startedAt, cutShort) };
}

function goThrough(run: Rerun, findings: Findings, history: History, past: Past): void {
  const { moment, proposal } = past;
  if (!history.asked.has(moment.id)) return run.happened(past);
  const isApart = settledApart(proposal) !== null;
  switch (moment.kind) {
    case 'begun':
      if (isApart) findings.apart(proposal);
      else run.begun(past);
      // The target refused it before there was a decision: none will follow.
      if (!isApart && proposal.decision === null) findings.unknown(proposal);
      return;
    case 'decided': {
      if (isApart || proposal.decision === null) return;
      const decision = run.decided(past);
      if (!moment.isLast) return;
      if (decision === undefined) findings.unknown(proposal);
      else findings.decided(proposal, proposal.decision, decision);
      return;
    }
    case 'ended':
      if (!isApart) run.ended(past);
  }
}

function reportOf(
  { candidate, inForce, since }: ReplayAsked,
  findings: Findings,
  until: number,
  cutShort: string | null,
): ReplayReport {
  const { digest, mode } = candidate.policy;
  const isInForce = digest === inForce;
  return findings.report({ candidate: { digest, mode, isInForce }, since, until, cutShort });
}

/** Reads whole records; the moments of one write come close together, so the last few are kept. */
class Records {
  readonly #ports: Pick<ReplayPorts, 'store' | 'targets'>;
  readonly #tenant: TenantId;
  readonly #policy: Policy;
  readonly #kept = new Map<ProposalId, Omit<Past, 'moment'>>();

  constructor(ports: Pick<ReplayPorts, 'store' | 'targets'>, tenant: TenantId, policy: Policy) {
    this.#policy = policy;
    this.#ports = ports;
    this.#tenant = tenant;
  }

  #isRepeatable({ proposer, environment }: Proposal, { target, operation }: DraftStep): boolean {
    return isRepeatable(this.#policy, { agent: proposer.name, environment, target, operation });
  }

  async past(moment: Moment): Promise<Past> {
    const known = this.#kept.get(moment.id) ?? (await this.#read(moment.id));
    return { moment, ...known };
  }

  async #read(id: ProposalId): Promise<Omit<Past, 'moment'>> {
    const { store, targets } = this.#ports;
    const proposal = await store.proposal(this.#tenant, id);
    if (proposal === undefined) throw new Error(`${id} is listed and not there`);
    const { draft, derivedKey } = proposal;
    const compensated = await compensatedBy(store, this.#tenant, draft);
    const own = await intentKeys(targets, this.#tenant, draft, derivedKey);
    const rules = { isRepeatable: (step: DraftStep) => this.#isRepeatable(proposal, step) };
    const keys = [...own, ...(await stepKeys(targets, this.#tenant, draft, rules))];
    const read: Omit<Past, 'moment'> = { proposal, keys, compensated };
    this.#kept.set(id, read);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_MAX) break;
      this.#kept.delete(oldest);
    }
    return read;
  }
}

const KEPT_MAX = 4;
