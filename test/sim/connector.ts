/** A connector to a simulated target: what runs within a gateway, with every message in the seed's hand. */
import type {
  ApplyAnswer,
  ApplyRequest,
  Held,
  HoldRequest,
  PlanAnswer,
  PlanRequest,
  ProbeAnswer,
  ProbeRequest,
  Target,
  TargetRefusal,
} from '../../src/model/ports.ts';
import type { WriteKey } from '../../src/model/ids.ts';
import type { Weighted } from './chance.ts';
import { OPERATIONS, refusal } from './plan.ts';
import type { Caller, Fate, Scheduler } from './scheduler.ts';
import { FENCED, type Earlier, type Session, type System } from './system.ts';

/** Told what a gateway was told about a key: what an outcome may rest on. */
export interface Listener {
  told(caller: Caller, key: WriteKey, what: Told): void;
}

/**
 * `sent`: something that may take effect is on its way, and nothing was heard of it yet. `gone`: what
 * was sent has ended without effect, which says nothing of what is sent next.
 */
export type Told = 'sent' | 'applied' | 'refused' | 'drifted' | 'fenced' | 'absent' | 'gone';

export interface ConnectorParts {
  readonly system: System;
  readonly scheduler: Scheduler;
  readonly caller: Caller;
  readonly listener: Listener;
  /** Of messages that change something. */
  readonly fates: Weighted<Fate>;
}

const AWAY = refusal('target-unavailable', 'the target did not answer; nothing was changed');

/** Before anything was written less goes wrong; what is rare has more go wrong with it. */
const OFTEN: Readonly<Record<'early' | 'end' | 'question', number>> = {
  early: 0.25,
  end: 1.5,
  question: 3,
};

function fatesOf(fates: Weighted<Fate>, kind: keyof typeof OFTEN): Weighted<Fate> {
  return fates.map(([weight, fate]) => {
    if (fate === 'done') return [weight, fate];
    // Of what is early, or was given up, late is the same as lost.
    const isLost = fate === 'late' && kind !== 'question';
    return [weight * OFTEN[kind], isLost ? 'request-lost' : fate];
  });
}

export function openConnector(parts: ConnectorParts): Target {
  const { system } = parts;
  const { nature } = system;
  const wire = new Wire(parts);
  return {
    name: system.name,
    kind: 'simulated',
    guarantee: nature.guarantee,
    operations: OPERATIONS,
    ...(nature.steps ? { steps: true } : {}),
    plan: (request) => wire.plan(request),
    ...(nature.holds ? { hold: (request: HoldRequest) => wire.hold(request) } : {}),
    // Only within a transaction that has the key is an answer about every attempt.
    apply: (request) =>
      nature.guarantee === 'transactional' ? wire.applyWithin(request) : wire.apply(request),
    probe: (request) => wire.probe(request),
    close: () => Promise.resolve(),
  };
}

class Wire {
  readonly #parts: ConnectorParts;

  constructor(parts: ConnectorParts) {
    this.#parts = parts;
  }

  async plan(request: PlanRequest): Promise<PlanAnswer> {
    const { system, fates } = this.#parts;
    const asked = { what: `plan ${request.proposalId}`, fates: fatesOf(fates, 'early') };
    const answer = await this.#send(asked, () => system.plan(request)).catch(() => AWAY);
    if (answer.kind === 'refused') this.#tell(request.proposalId, 'refused');
    return answer;
  }

  async hold(request: HoldRequest): Promise<Held | TargetRefusal | null> {
    const begun = await this.#begin(request);
    if (begun.kind === 'earlier') return null;
    if (begun.kind === 'refused') {
      this.#tell(request.key, 'refused');
      return begun;
    }
    const { reference, planned } = begun;
    let isEnded = false;
    const end = (): void => {
      if (isEnded) throw new Error('a held transaction was ended twice');
      isEnded = true;
    };
    return {
      kind: 'held',
      plan: planned.plan,
      ...(this.#parts.system.nature.journals ? { reference } : {}),
      commit: async () => {
        end();
        return this.#keep(request.key, reference);
      },
      release: async () => {
        end();
        await this.#drop(request.key, reference);
      },
    };
  }

  async apply(request: ApplyRequest): Promise<ApplyAnswer> {
    const { system } = this.#parts;
    const isReady = () => system.isFree(request.key, request);
    this.#tell(request.key, 'sent');
    const answer = await this.#send({ what: `write ${request.key}`, isReady }, () =>
      system.write(request),
    );
    const isFenced = answer.kind === 'refused' && answer.reason === FENCED;
    this.#tell(request.key, isFenced ? 'fenced' : answer.kind);
    return answer;
  }

  /** In a transaction; of a target that journals the reference is durable before it is kept. */
  async applyWithin(request: ApplyRequest): Promise<ApplyAnswer> {
    const { key } = request;
    const begun = await this.#begin(request);
    if (begun.kind === 'earlier') return this.#earlier(key, begun);
    if (begun.kind === 'refused') {
      this.#tell(key, 'refused');
      return begun;
    }
    // It has the key now, and found no receipt: what had it before has ended without effect.
    if (this.#parts.system.nature.dedups) this.#tell(key, 'gone');
    const { reference, planned } = begun;
    if (request.digest(planned.plan) !== request.planDigest) {
      await this.#drop(key, reference);
      this.#tell(key, 'drifted');
      return { kind: 'drifted', plan: planned.plan };
    }
    try {
      if (request.journal === undefined)
        throw new Error('who keeps no receipts is told by the gate');
      await request.journal(reference);
    } catch (error) {
      await this.#drop(key, reference);
      throw error;
    }
    return this.#keep(key, reference);
  }

  #earlier(key: WriteKey, { receipt }: Earlier): ApplyAnswer {
    this.#tell(key, receipt === 'void' ? 'fenced' : 'applied');
    if (receipt === 'void') return refusal('target-refused', FENCED, true);
    const none = { effects: null, evidence: null };
    return { kind: 'applied', reference: `ref-${key}`, ...none, earlier: true };
  }

  async probe(request: ProbeRequest): Promise<ProbeAnswer> {
    const { system, fates } = this.#parts;
    const { key, fence } = request;
    const isReady = () => !system.nature.dedups || !fence || system.isKeyFree(key);
    const what = fence ? `fence ${key}` : `ask ${key}`;
    const asked = { what, isReady, fates: fatesOf(fates, 'question') };
    const answer = await this.#send(asked, () => system.ask(request));
    if (answer.kind === 'applied') this.#tell(key, 'applied');
    // A transaction that has ended does not begin again.
    const absent = system.nature.journals ? 'gone' : 'absent';
    if (answer.kind === 'absent') this.#tell(key, answer.fenced ? 'fenced' : absent);
    return answer;
  }

  /** Where no answer comes the connection is given up, and with it what it may have begun. */
  async #begin(request: HoldRequest): Promise<Session | Earlier | TargetRefusal> {
    const { system, scheduler, caller, fates } = this.#parts;
    const begun: Session[] = [];
    const asked = {
      what: `begin ${request.key}`,
      isReady: () => system.isFree(request.key, request),
      fates: fatesOf(fates, 'early'),
    };
    try {
      return await this.#send(asked, () => {
        const answer = system.begin(request);
        if (answer.kind === 'begun') {
          begun.push(answer);
          // Who begins and dies leaves it open until the target notices.
          scheduler.afterCrash(caller, {
            what: `the end of ${caller.name}'s ${answer.reference}`,
            kind: 'end of what a crash left',
            isReady: () => true,
            arrive: () => system.drop(answer.reference),
          });
        }
        return answer;
      });
    } catch {
      for (const { reference } of begun) this.#giveUp(reference);
      return AWAY;
    }
  }

  async #keep(key: WriteKey, reference: string): Promise<ApplyAnswer> {
    const { system } = this.#parts;
    this.#tell(key, 'sent');
    try {
      const isKept = await this.#send({ what: `keep ${key} ${reference}` }, () =>
        system.keep(reference),
      );
      if (!isKept) throw new Error('the connection was lost before');
    } catch (error) {
      this.#giveUp(reference);
      throw error;
    }
    this.#tell(key, 'applied');
    return { kind: 'applied', reference, effects: null, evidence: null, earlier: false };
  }

  async #drop(key: WriteKey, reference: string): Promise<void> {
    const { system, fates } = this.#parts;
    const asked = { what: `drop ${key} ${reference}`, fates: fatesOf(fates, 'end') };
    try {
      await this.#send(asked, () => system.drop(reference));
    } catch {
      this.#giveUp(reference);
    }
  }

  #giveUp(reference: string): void {
    const { system, scheduler } = this.#parts;
    scheduler.strays.push({
      what: `the end of ${reference}`,
      kind: 'end of what was given up',
      isReady: () => true,
      arrive: () => system.drop(reference),
    });
  }

  #send<Answer>(
    asked: {
      readonly what: string;
      readonly isReady?: () => boolean;
      readonly fates?: Weighted<Fate>;
    },
    perform: () => Answer,
  ): Promise<Answer> {
    const { scheduler, caller, system, fates } = this.#parts;
    return scheduler.call({
      caller,
      port: 'target',
      fates,
      ...asked,
      what: `${system.name} ${asked.what}`,
      perform,
      lost: () => new Error('no answer came'),
    });
  }

  #tell(key: WriteKey, what: Told): void {
    this.#parts.listener.told(this.#parts.caller, key, what);
  }
}
