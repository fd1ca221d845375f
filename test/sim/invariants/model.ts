/**
 * The state of everything as the ledger tells it, entry by entry, with what must hold of each: a small
 * second reading of docs/spec/lifecycle.md, which shares no code with the gate.
 */
import type { State } from '../../../src/model/lifecycle.ts';
import type { Plan } from '../../../src/model/plan.ts';
import { figuresOf, PEOPLE, type Figures } from '../policies.ts';
import { credentialOf } from '../principals.ts';
import type { Coverage } from '../coverage.ts';
import { attemptOf, beginAct, isEnded, mayFollow, stepsOf, targetsOf, type Act } from './act.ts';
import type { EntryBody } from './bodies.ts';
import { Budgets } from './budgets.ts';
import { Effects } from './effects.ts';
import { Repeats } from './repeats.ts';
import { Stops } from './stops.ts';
import { hold, Violation } from './violation.ts';

const MINUTE_MS = 60_000;

type Body<Type extends EntryBody['type']> = EntryBody & { readonly type: Type };

/** What gateways were told by targets, by the attempt that it was told in: what an outcome may rest on. */
export interface Testimony {
  has(act: Act, what: 'applied' | 'refused' | 'drifted'): boolean;
}

export class Model {
  readonly acts = new Map<string, Act>();
  readonly stops = new Stops();
  readonly budgets = new Budgets();
  readonly effects = new Effects();
  readonly #repeats = new Repeats();
  readonly #testimony: Testimony;
  readonly #coverage: Coverage;
  /** The latest time that any entry has. */
  latestAt = 0;
  policyDigest = '';

  constructor(testimony: Testimony, coverage: Coverage) {
    this.#testimony = testimony;
    this.#coverage = coverage;
  }

  /** Reads the next entry of an act. */
  read(id: string, body: EntryBody, at: number): void {
    this.latestAt = Math.max(this.latestAt, at);
    this.#coverage.reach('entry', body.type);
    switch (body.type) {
      case 'genesis':
      case 'credential':
        return;
      case 'policy':
        this.policyDigest = body.digest;
        return this.#repeats.inForce(figuresOf(body.digest));
      case 'freeze':
        this.#coverage.reach(
          'stop',
          body.freeze.source === 'file' ? 'file' : body.freeze.scope.kind,
        );
        return this.stops.begin(id, body.freeze.scope, at);
      case 'release':
        return this.#readRelease(id, body, at);
      case 'proposal': {
        hold('G5', !this.acts.has(id), () => `${id} begins twice`);
        const act = beginAct(id, body, at);
        this.acts.set(id, act);
        this.#coverage.reach('state', 'proposed');
        return this.#repeats.begin(act);
      }
      default:
        return this.#readNext(id, body, at);
    }
  }

  #readRelease(id: string, { by, source, missing }: Body<'release'>, at: number): void {
    const isLast = missing === undefined;
    this.#coverage.reach('release', isLast ? 'last voice' : 'voice');
    const mayRelease = source === 'file' || PEOPLE[by]?.includes('operator') === true;
    hold('stop', mayRelease, () => `${by} speaks for the release of ${id}`);
    const { releaseQuorum } = figuresOf(this.policyDigest);
    const voice = { by: source ?? by, isLast, quorum: releaseQuorum };
    this.stops.speak(id, voice, at);
  }

  #readNext(
    id: string,
    body: Body<'preview' | 'decision' | 'approval' | 'intent' | 'outcome' | 'rollback'>,
    at: number,
  ): void {
    const act = this.acts.get(id);
    if (act === undefined) throw new Violation('G5', `a ${body.type} of ${id}, which never began`);
    hold('G6', !isEnded(act) || body.type === 'rollback', () => {
      return `${id} is ${act.state}, and a ${body.type} follows`;
    });
    act.step += 1;
    switch (body.type) {
      case 'preview':
        this.#move(act, 'assessed');
        act.plan = body.assessment.plan;
        act.digest = body.assessment.planDigest;
        act.isCritical = isCritical(act, figuresOf(this.policyDigest));
        act.waitingSince = null;
        act.expiresAt = null;
        break;
      case 'decision':
        this.#readDecision(act, body, at);
        break;
      case 'approval':
        this.#readApproval(act, body);
        break;
      case 'intent':
        this.#readIntent(act, body);
        break;
      case 'outcome':
        this.#readOutcome(act, body, at);
        break;
      case 'rollback':
        hold('G6', act.state === 'applied' && act.compensatedBy === null, () => {
          return `${id} is ${act.state} and is said to be taken back`;
        });
        act.compensatedBy = body.compensatedBy;
    }
    act.isJustDecided = body.type === 'decision';
  }

  #readDecision(act: Act, { result, decision, by }: Body<'decision'>, at: number): void {
    const isFirst = act.decision === null;
    act.decision = decision;
    this.#coverage.reach('decision', decision.code);
    for (const { rule } of decision.findings)
      this.#coverage.reach('rule', rule.replace(/\[\d+\]/, ''));
    if (decision.planDigest !== null && by === 'policy') {
      hold('G2', decision.planDigest === act.digest, () => `${act.id} is decided on another plan`);
      hold('G2', decision.policyDigest === this.policyDigest, () => {
        return `${act.id} is decided on by a policy that is not in force`;
      });
    }
    if (result === 'allow' || result === 'wait') {
      const figures = figuresOf(this.policyDigest);
      // By the latest time of any entry: a clock that was ahead has ended the window for good.
      this.#repeats.decided(act, isFirst, this.acts.values(), this.latestAt, figures);
    }
    switch (result) {
      case 'allow':
        this.#move(act, 'allowed');
        return this.#checkAllowed(act);
      case 'wait':
        if (act.state !== 'waiting' && decision.kind === 'wait') {
          act.waitingSince = at;
          act.expiresAt = decision.expiresAt;
          const { expiresAfterMinutes } = figuresOf(this.policyDigest);
          const wholeTime = decision.decidedAt + expiresAfterMinutes * MINUTE_MS;
          hold('L1', decision.expiresAt === wholeTime, () => {
            return `${act.id} begins to wait, and not for the whole time`;
          });
        }
        return this.#move(act, 'waiting');
      case 'deny':
      case 'expired':
      case 'cancelled':
        if (result === 'expired') {
          const deadline = this.stops.deadline(act);
          hold('L1', decision.decidedAt >= deadline, () => `${act.id} expired before its time`);
        }
        this.#move(act, result === 'deny' ? 'denied' : result);
        act.settledAt = at;
        this.effects.checkEnd(act);
    }
  }

  /** What the policy in force says of what was measured, in its figures (G2). */
  #checkAllowed(act: Act): void {
    const figures = figuresOf(this.policyDigest);
    hold(
      'G2',
      figures.mode === 'active',
      () => `${act.id} is allowed where nothing is let through`,
    );
    const steps = stepsOf(act);
    const records = steps
      .flatMap(({ plan }) => plan.counts)
      .reduce((sum, each) => sum + each.created + each.updated + each.deleted, 0);
    hold('G2', records <= figures.recordsMax, () => `${act.id} is allowed ${records} records`);
    const isAgent = act.proposer.kind === 'agent';
    this.#checkRules(act, figures);
    const no = act.approvals.find(
      ({ verdict, planDigest }) => verdict === 'deny' && planDigest === act.digest,
    );
    hold('G2', no === undefined, () => `${act.id} is allowed, and ${no?.person} said no`);
    const original = act.draft.compensates && this.acts.get(act.draft.compensates);
    const tiers = (original ? stepsOf(original) : steps).map(({ plan }) => {
      const tier = figures.agents[act.proposer.name]?.[classOf(plan.class)] ?? 'none';
      return isAgent ? tier : 'autonomous';
    });
    hold(
      'G2',
      tiers.every((tier) => tier === 'autonomous' || tier === 'confirm'),
      () => {
        return `${act.id} is allowed what its agent may not do`;
      },
    );
    const isLookedAt =
      records > figures.recordsOver || tiers.includes('confirm') || isLooked(act, figures);
    if (!isLookedAt) return;
    const people = new Set(
      act.approvals
        .filter(({ verdict, planDigest }) => verdict === 'approve' && planDigest === act.digest)
        .map(({ person }) => person),
    );
    hold('G2', people.size >= figures.quorum, () => {
      return `${act.id} is allowed by ${people.size} of ${figures.quorum} people`;
    });
  }

  /** What no approval lifts (G2). */
  #checkRules(act: Act, { forbidden, invalid, permitted, paidMax }: Figures): void {
    const refused = valuesOf(act).find((value) => [...forbidden, ...invalid].includes(value));
    hold('G2', refused === undefined, () => `${act.id} is allowed to write ${refused}`);
    const isPermitted =
      act.proposer.kind !== 'agent' || targetsOf(act).every((name) => permitted.includes(name));
    hold('G2', isPermitted, () => `${act.id} is allowed where no rule permits`);
    const isWithin = stepsOf(act).every(
      ({ plan }) => plan.valueComplete && paidIn(plan) <= (paidMax ?? 0),
    );
    hold('G2', paidMax === null || isWithin, () => `${act.id} is allowed to pay too much`);
  }

  #readApproval(act: Act, { approval, credential }: Body<'approval'>): void {
    const { person, planDigest, verdict, at } = approval;
    this.#coverage.reach('approval', verdict);
    hold('G9', act.state === 'waiting', () => `${act.id} is ${act.state} and is approved`);
    const isHuman = PEOPLE[person]?.includes('approver') === true;
    hold('G9', isHuman && credential === credentialOf(person), () => {
      return `${person} is no person who may approve ${act.id}`;
    });
    hold('G9', person !== act.proposer.name && person !== act.proposer.owner, () => {
      return `${person} approves ${act.id}, which is their own`;
    });
    hold(
      'G9',
      planDigest === act.digest,
      () => `${person} saw another plan than that of ${act.id}`,
    );
    const deadline = this.stops.deadline(act);
    hold('G2', verdict === 'deny' || at < deadline, () => `${act.id} is approved after its time`);
    act.approvals.push(approval);
  }

  #readIntent(act: Act, { planDigest, attempt, reference }: Body<'intent'>): void {
    const { decision, digest, id } = act;
    const isFirst = act.isJustDecided;
    this.#coverage.reach(
      'intent',
      isFirst ? 'first' : reference === undefined ? 'again' : 'reference',
    );
    hold('G2', decision?.kind === 'allow' && decision.planDigest === planDigest, () => {
      return `${id} has an intent without an allow for its plan`;
    });
    hold('G2', planDigest === digest, () => `${id} has an intent for another plan than its own`);
    const stop = this.stops.covering(act);
    hold('G2', stop === undefined, () => `${id} has an intent under the stop ${stop ?? ''}`);
    hold('G8', attempt === attemptOf(act) + 1, () => `${id} skips an attempt`);
    // One that only says what the target is asked by is part of an attempt that was let through.
    if (reference === undefined || isFirst) this.#checkAllowed(act);
    if (isFirst) this.budgets.reserve(act, figuresOf(this.policyDigest), this.latestAt);
    act.intents.push({ digest: planDigest, attempt, reference });
    this.#move(act, 'executing');
  }

  #readOutcome(act: Act, body: Body<'outcome'>, at: number): void {
    const { status, resolved, attempt, credential, code } = body;
    const { id, state } = act;
    this.#coverage.reach('outcome', `${status} ${code}`);
    hold('G8', attempt === attemptOf(act), () => `${id} is settled by an attempt that is over`);
    if (status !== 'in_doubt') this.#checkTold(act, body);
    if (resolved === 'person') {
      const who = Object.entries(PEOPLE).find(([name]) => credentialOf(name) === credential);
      hold('G4', state === 'in_doubt' && who?.[1].includes('operator') === true, () => {
        return `nobody who may says how ${id} ended`;
      });
    }
    this.#move(act, status);
    const { type: _type, ...outcome } = body;
    act.outcome = outcome;
    if (status === 'in_doubt') return;
    if (status === 'applied') this.budgets.settle(act, this.latestAt);
    else this.budgets.release(act);
    act.settledAt = status === 'stale' ? null : at;
    this.effects.checkEnd(act);
  }

  /** What is said of a target, the target itself has said (G4). */
  #checkTold(act: Act, { status, resolved }: Body<'outcome'>): void {
    if (resolved === 'person' || attemptOf(act) === 0) return;
    const isTold = {
      applied: this.#testimony.has(act, 'applied'),
      refused: this.#testimony.has(act, 'refused'),
      stale: this.#testimony.has(act, 'drifted'),
      in_doubt: true,
    }[status];
    hold('G4', isTold || act.state === 'stale', () => {
      return `${act.id} is said to be ${status}, and no target said so`;
    });
  }

  #move(act: Act, to: State): void {
    hold('G5', mayFollow(act.state, to), () => `${act.id} goes from ${act.state} to ${to}`);
    this.#coverage.reach('state', to);
    this.#coverage.reach('move', `${act.state} → ${to}`);
    act.state = to;
  }
}

function valuesOf(act: Act): readonly string[] {
  return stepsOf(act).flatMap(({ plan }) =>
    plan.effects.flatMap(({ after }) => after?.['value'] ?? []),
  );
}

function paidIn(plan: Plan): number {
  return plan.value.reduce((sum, { amountMinor }) => sum + Number(amountMinor), 0);
}

/** Whether people look at it, whatever its agent may do alone. */
function isLooked(act: Act, { looked }: Figures): boolean {
  return (
    stepsOf(act).some(({ plan }) => plan.warnings.length > 0) ||
    valuesOf(act).some((value) => looked.includes(value)) ||
    act.isCritical
  );
}

/** A plan is scored once, when it is measured; what was drifted may have been by a former policy. */
function isCritical(act: Act, { critical }: Figures): boolean {
  return act.intents.length === 0 && targetsOf(act).some((name) => critical.includes(name));
}

function classOf(name: string): 'create' | 'update' | 'delete' {
  return name === 'delete' ? 'delete' : name === 'update' ? 'update' : 'create';
}
