/**
 * The journey of a write; the only file that knows the order of its stages.
 *
 * 1. Nothing about a new proposal is durable before its first decision: proposal, preview,
 *    decision and, where it is allowed, intent are one commit. A crash before it leaves nothing
 *    in the store and nothing in the target.
 * 2. Every commit names the step that was read, the freeze that must not be on, the keys and the
 *    budget: where any of them moved, the stages that read it run again (G2, G7).
 * 3. A caller that goes away stops nothing: what was begun is finished, recorded and readable.
 */
import { admit, proposalEntry, type Admitted } from './gate/admit.ts';
import { answer, previewAnswer, refusedPreview, summaryOf, viewOf } from './gate/answer.ts';
import { approvalOf, person, proposerOf, withRole } from './gate/approve.ts';
import { assess, assessHeld } from './gate/assess.ts';
import { baselinePage } from './gate/baselines.ts';
import { budgetPage } from './gate/budgets.ts';
import {
  commitSteps,
  committedProposal,
  contended,
  decideAgain,
  decideAndCommit,
  decisionEntry,
  earlyDecision,
  policyInForce,
  ROUNDS_MAX,
  underStop,
  type InForce,
} from './gate/commit.ts';
import { decide } from './gate/decide.ts';
import { endWaiting, expireIfDue } from './gate/expire.ts';
import { decisionInput, FREEZE_LOOKBACK_MS } from './gate/facts.ts';
import { afterDecision, tick, type Ended } from './gate/finish.ts';
import { obeySwitch, release, stop, type FileSwitch } from './gate/freeze.ts';
import { decideHeld } from './gate/hold.ts';
import { openInFlight } from './gate/in-flight.ts';
import {
  planRequest,
  targetOf,
  type GatePorts,
  type GateSettings,
  type Journey,
} from './gate/journey.ts';
import { openLeases } from './gate/leases.ts';
import { refusalEntry } from './gate/refuse.ts';
import { read } from './gate/read.ts';
import { compensatedBy, inverseDraft } from './gate/rollback.ts';
import { lookedInto, resolve } from './gate/resolve.ts';
import { rowsOf } from './gate/rows.ts';
import { openSlots } from './gate/slots.ts';
import { afterEntry } from './gate/unrecorded.ts';
import { openWatch, visible } from './gate/watch.ts';
import type {
  ApprovalBody,
  BaselinePage,
  BudgetPage,
  FreezeView,
  ProposalPage,
  ProposalView,
  ResolutionBody,
  RowPage,
  RowQuery,
} from './model/api.ts';
import type { Draft } from './model/draft.ts';
import type { EntryBody } from './model/entry.ts';
import { activeFreeze, type Freeze, type FreezeScope } from './model/freeze.ts';
import { newProposalId, type FreezeId, type ProposalId } from './model/ids.ts';
import { isCancellable } from './model/lifecycle.ts';
import type { Policy } from './model/policy.ts';
import type { Commit, Compensated, ProposalFilter } from './model/ports.ts';
import type { Principal } from './model/principal.ts';
import { Problem } from './model/problem.ts';
import { begin, subjectOf, type Proposal } from './model/proposal.ts';
import type { ReadBody, ReadResult } from './model/read.ts';
import type { Result } from './model/result.ts';
import { isRepeatable } from './policy/evaluate.ts';
import { releaseState } from './policy/load/release.ts';

export type { GatePorts, GateSettings } from './gate/journey.ts';

/** The gate as `server/` sees it. Every method throws `Problem` for a call that cannot be taken. */
export interface Gate {
  /** Measures and says how the policy would decide; makes no proposal and leaves no change. */
  preview(principal: Principal, draft: Draft, signal: AbortSignal): Promise<Result>;
  /** Admits, assesses, decides and, where allowed, executes. A caller that goes away stops nothing. */
  propose(principal: Principal, draft: Draft): Promise<Result>;
  /** Records a person's yes or no to the digest that was shown, and goes on with the journey. */
  approve(approver: Principal, id: ProposalId, approval: ApprovalBody): Promise<Result>;
  cancel(principal: Principal, id: ProposalId): Promise<Result>;
  /** Records how a proposal in doubt ended, as an operator who looked says (G4). */
  resolve(principal: Principal, id: ProposalId, body: ResolutionBody): Promise<Result>;
  /** Proposes the inverse of an applied proposal through the same door. */
  rollback(principal: Principal, id: ProposalId): Promise<Result>;
  /** The result as it is now. */
  status(principal: Principal, id: ProposalId): Promise<Result>;
  /** Like `status`, but waits up to `timeoutMs` (at most `WAIT_MS_MAX`) for a settled state. */
  wait(
    principal: Principal,
    id: ProposalId,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Result>;
  view(principal: Principal, id: ProposalId): Promise<ProposalView>;
  list(principal: Principal, filter: ProposalFilter): Promise<ProposalPage>;
  /** The rows of a proposal, page by page, for those who may see it. */
  rows(principal: Principal, id: ProposalId, query: RowQuery): Promise<RowPage>;
  /** Answers an agent's question to a target, and writes down that it did. */
  read(principal: Principal, body: ReadBody, signal: AbortSignal): Promise<ReadResult>;
  stop(operator: Principal, scope: FreezeScope, reason: string): Promise<FreezeView>;
  /** One person's voice for the release; with the last one that is needed it is released. */
  release(operator: Principal, id: FreezeId, reason: string): Promise<FreezeView>;
  freezes(principal: Principal): Promise<readonly FreezeView[]>;
  /** What the budgets have in use: to people all, or those of one agent; to an agent its own. */
  budgets(principal: Principal, agent?: string): Promise<BudgetPage>;
  /** What is usual for an agent; for people alone. */
  baselines(principal: Principal, agent: string): Promise<BaselinePage>;
}

/** The gate as the composition root holds it. */
export interface OpenGate extends Gate {
  /** Expires what waited too long and reconciles what a crash or a lost reply left. Call it on a timer and at start. */
  tick(): Promise<void>;
  /** Holds on to what is being carried out. Call it well within each `LEASE_MS`, until all is drained. */
  renew(): Promise<void>;
  /** Makes a stop of what the configuration file says of writes, or speaks for its release. Call it at each look. */
  obeySwitch(file: FileSwitch): Promise<void>;
  /** Sends away whoever waits for a turn, and ends a tick after what it has in hand; the rest goes on. */
  windDown(): void;
  /** Resolves once nothing is being carried out any more, or `signal` aborts; with how much still is. */
  drain(signal?: AbortSignal): Promise<number>;
  /** Leaves what is still being carried out to whoever takes it up. Call it once, before the process ends. */
  leaveAll(): Promise<void>;
}

/** Opens the gate over its ports. Holds no state that a restart would lose. */
export function openGate(ports: GatePorts, settings: GateSettings): OpenGate {
  const never = new AbortController().signal;
  const ending = new AbortController();
  const leases = openLeases(ports.store, settings.holder);
  const journey: Journey = {
    ...ports,
    ...settings,
    store: leases.store,
    leases,
    watch: openWatch(ports),
    inFlight: openInFlight((id) => leases.leave(id)),
    slots: openSlots(ports.clock),
    never,
  };
  const { store, links } = journey;
  const shown = (freeze: Freeze): FreezeView => ({
    ...freeze,
    voices: freeze.voices ?? [],
    release: releaseState(settings.policy(), freeze),
  });
  return {
    preview: async (principal, draft, signal) =>
      preview(journey, proposerOf(principal), draft, signal),
    propose: async (principal, draft) => propose(journey, proposerOf(principal), draft),
    approve: (approver, id, approval) => approve(journey, approver, id, approval),
    cancel: (principal, id) => cancel(journey, principal, id),
    resolve: (principal, id, body) => resolveDoubt(journey, principal, id, body),
    rollback: (principal, id) => rollback(journey, principal, id),
    status: async (principal, id) => answer(store, links, await visible(store, principal, id)),
    wait: async (principal, id, timeoutMs, signal) =>
      answer(store, links, await journey.watch.settled(principal, id, { timeoutMs, signal })),
    view: async (principal, id) => viewOf(await visible(store, principal, id)),
    list: (principal, filter) => list(journey, principal, filter),
    rows: async (principal, id, query) =>
      rowsOf(ports.evidence, await visible(store, principal, id), query, ports.clock.now()),
    read: (principal, body, signal) =>
      journey.slots.during(principal, 'read', [body.target], () =>
        read(journey, principal, body, signal),
      ),
    stop: async (principal, scope, reason) => {
      const operator = person(principal);
      withRole(operator, 'operator');
      return shown(await stop(journey, operator, scope, reason));
    },
    release: async (principal, id, reason) => {
      const operator = person(principal);
      withRole(operator, 'operator');
      const isStoppedByFile = settings.isStoppedByFile ?? (() => false);
      return shown(await release({ ...journey, isStoppedByFile }, operator, id, reason));
    },
    freezes: async (principal) => {
      const since = ports.clock.now() - FREEZE_LOOKBACK_MS;
      return (await store.freezes(principal.tenant, since)).map(shown);
    },
    budgets: (principal, agent) => budgetPage(journey, principal, agent),
    baselines: async (principal, agent) => baselinePage(journey, person(principal), agent),
    tick: () => tick(journey, ending.signal),
    renew: () => leases.renew(),
    obeySwitch: (file) => obeySwitch(journey, file),
    windDown: () => {
      ending.abort();
      journey.slots.close();
    },
    drain: (signal) => journey.inFlight.idle(signal),
    leaveAll: () => leases.leaveAll(),
  };
}

// ---- propose: admit, assess, decide, execute

async function propose(journey: Journey, principal: Principal, draft: Draft): Promise<Result> {
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const inForce = await policyInForce(journey, principal.tenant);
    const admitted = await admitDraft(journey, principal, draft, inForce.policy);
    if (admitted.kind === 'replay') {
      const first = await visible(journey.store, principal, admitted.id);
      return answer(journey.store, journey.links, first, { replayed: true });
    }
    const compensated = await compensatedBy(journey.store, principal.tenant, draft);
    const ended = await journey.inFlight.during(admitted.id, () =>
      beginProposal(journey, principal, { admitted, compensated, inForce }),
    );
    journey.watch.changed(admitted.id);
    if (ended !== null) return told(journey, ended.proposal);
  }
  throw contended();
}

function admitDraft(
  journey: Journey,
  principal: Principal,
  draft: Draft,
  policy: Policy,
): Promise<Admitted> {
  return admit(journey, principal, draft, {
    duplicateWindowMs: policy.duplicates.windowMs,
    isRepeatable: ({ target, operation }) =>
      isRepeatable(policy, {
        agent: principal.name,
        environment: principal.environment,
        target,
        operation,
      }),
  });
}

/** Null where what the proposal was admitted or decided on had moved: nothing was written. */
async function beginProposal(
  journey: Journey,
  principal: Principal,
  fresh: {
    readonly admitted: Admitted & { kind: 'new' };
    readonly compensated: Compensated | null;
    readonly inForce: InForce;
  },
): Promise<Ended | null> {
  const { compensated, inForce } = fresh;
  const { policy, logStep } = inForce;
  const { id, entry, claim, duplicateOf } = fresh.admitted;
  const at = journey.clock.now();
  const proposal = begin(entry, { act: id, tenant: principal.tenant, at, index: -1 });
  const begun = { proposal, isNew: true, prefix: [entry], claim, compensated, duplicateOf };
  const ended = async (commit: Commit): Promise<Ended | null> => {
    if (commit.kind === 'conflict') return null;
    return afterDecision(journey, committedProposal(commit), compensated);
  };
  const early = await earlyDecision(journey, policy, proposal, duplicateOf);
  if (early !== undefined) {
    const entries = [decisionEntry(early)];
    return ended(await commitSteps(journey, begun, { entries, logStep }));
  }
  return journey.slots.during(principal, 'write', placesOf(proposal.draft), async () => {
    const assessed = await assessHeld(
      { target: targetOf(journey, proposal), clock: journey.clock },
      { ...planRequest(policy, proposal, compensated), key: id },
      journey.score(policy),
      journey.never,
    );
    if (assessed.kind === 'refused') {
      const refusal = refusalEntry(proposal, policy, assessed, at);
      return ended(await commitSteps(journey, begun, { entries: [refusal], logStep }));
    }
    const { assessment, held } = assessed;
    const prefix = [entry, { type: 'preview', assessment }] as const;
    const steps = { ...begun, prefix, measuredBy: policy.digest };
    if (held !== null) return decideHeld(journey, steps, held);
    return ended(await decideAndCommit(journey, steps));
  });
}

/** Where a write needs a slot: at each of its targets. */
function placesOf({ target, steps }: Draft): readonly string[] {
  return (steps ?? [{ target }]).map((each) => each.target);
}

// ---- people

async function approve(
  journey: Journey,
  principal: Principal,
  id: ProposalId,
  body: ApprovalBody,
): Promise<Result> {
  const approver = person(principal);
  const found = await visible(journey.store, approver, id);
  const proposal = await expireIfDue(journey, found);
  const now = journey.clock.now();
  const freezes = await journey.store.freezes(proposal.tenant, now);
  const frozen = activeFreeze(freezes, subjectOf(proposal));
  if (frozen !== undefined && body.verdict === 'approve') throw underStop(proposal);
  const approval = approvalOf(approver, proposal, body, now);
  const entry: EntryBody = { type: 'approval', approval, credential: approver.credential };
  const compensated = await compensatedBy(journey.store, proposal.tenant, proposal.draft);
  const ended = await journey.inFlight.during(id, () =>
    journey.slots.during(approver, 'write', placesOf(proposal.draft), async () => {
      const decided = await decideAgain(journey, proposal, [entry], compensated);
      return afterDecision(journey, decided, compensated);
    }),
  );
  journey.watch.changed(id);
  return told(journey, ended.proposal, ended.drifted);
}

async function cancel(journey: Journey, principal: Principal, id: ProposalId): Promise<Result> {
  if (principal.kind === 'person') withRole(principal, 'operator');
  const proposal = await visible(journey.store, principal, id);
  const { decision } = proposal;
  if (!isCancellable(proposal.state) || decision === null) {
    throw new Problem(
      'state-conflict',
      `${id} is ${proposal.state} and cannot be cancelled any more`,
    );
  }
  const reason = `cancelled by ${principal.kind} \`${principal.name}\`; nothing was changed`;
  const ended = await endWaiting(journey, proposal, decision, {
    result: 'cancelled',
    reason,
    by: principal.name,
  });
  journey.watch.changed(id);
  return told(journey, ended);
}

async function resolveDoubt(
  journey: Journey,
  principal: Principal,
  id: ProposalId,
  body: ResolutionBody,
): Promise<Result> {
  const operator = person(principal);
  withRole(operator, 'operator');
  // Who may say so is said by the policy in force: a gateway that cannot go by it takes nobody's word.
  await policyInForce(journey, operator.tenant);
  const proposal = await visible(journey.store, operator, id);
  if (journey.inFlight.has(id)) throw lookedInto(id);
  const ended = await journey.inFlight.during(id, () => resolve(journey, operator, proposal, body));
  journey.watch.changed(id);
  return told(journey, ended);
}

async function rollback(journey: Journey, principal: Principal, id: ProposalId): Promise<Result> {
  if (principal.kind === 'person' && !principal.roles.includes('approver')) {
    withRole(principal, 'operator');
  }
  const proposal = await visible(journey.store, principal, id);
  return propose(journey, principal, inverseDraft(proposal));
}

/** What is answered to whoever has brought a proposal to where it is. */
function told(
  { store, links }: Journey,
  proposal: Proposal,
  drifted: Ended['drifted'] = null,
): Promise<Result> {
  return afterEntry(proposal.id, () => answer(store, links, proposal, { drifted }));
}

// ---- preview and reading

async function preview(
  journey: Journey,
  principal: Principal,
  draft: Draft,
  signal: AbortSignal,
): Promise<Result> {
  const { policy } = await policyInForce(journey, principal.tenant);
  const at = journey.clock.now();
  const entry = proposalEntry(journey.targets, principal, draft);
  const act = newProposalId(at, journey.random.bytes(10));
  const proposal = begin(entry, { act, tenant: principal.tenant, at, index: -1 });
  const early = await earlyDecision(journey, policy, proposal, null);
  if (early !== undefined) return previewAnswer(null, early);
  const assessed = await journey.slots.during(principal, 'write', placesOf(draft), () =>
    assess(
      { target: targetOf(journey, proposal), clock: journey.clock },
      planRequest(policy, proposal, null),
      journey.score(policy),
      signal,
    ),
  );
  if (assessed.kind === 'refused') return refusedPreview(assessed);
  // Nothing is proposed, so nobody can come back for the images.
  const { plan } = assessed.assessment;
  for (const { evidence } of [plan, ...(plan.segments ?? []).map((each) => each.plan)]) {
    if (evidence !== null) await journey.evidence?.remove(evidence.id);
  }
  const decision = decide(
    await decisionInput(journey, policy, proposal, {
      assessment: assessed.assessment,
      compensated: null,
      duplicateOf: null,
      holdsBudget: false,
      isNew: true,
    }),
  );
  if (decision === undefined) throw new Error('a measured preview was not decided');
  return previewAnswer(assessed.assessment, decision);
}

async function list(
  journey: Journey,
  principal: Principal,
  filter: ProposalFilter,
): Promise<ProposalPage> {
  const own = principal.kind === 'agent' ? { agent: principal.name } : {};
  const proposals = await journey.store.proposals(principal.tenant, { ...filter, ...own });
  const last = proposals.at(-1);
  const isFull = proposals.length === filter.limit && last !== undefined;
  return { items: proposals.map(summaryOf), before: isFull ? last.id : null };
}
