/**
 * Calls of gateways to the world that have not come back. The seed says which goes on next, and how.
 *
 * 1. A call does nothing before it is chosen, and one is chosen at a time: between two of them every
 *    gateway has run until it waits for something. So one seed is one order of everything.
 * 2. What a call asks for may happen though nobody hears of it, or after nobody waits for it any
 *    more; it happens at most once.
 * 3. A process that crashed neither calls nor hears anything any more.
 */
import type { Aims, Stage } from './aims.ts';
import type { Chance, Weighted } from './chance.ts';
import type { Coverage } from './coverage.ts';
import { stepOf } from './steps.ts';
import type { Trace } from './trace.ts';

/** What becomes of a call. */
export type Fate =
  /** It is carried out, and the answer comes. */
  | 'done'
  /** It is carried out; the answer comes when the call is chosen again. */
  | 'answered'
  /** It never arrives, and the caller is told that no answer came. */
  | 'request-lost'
  /** It is carried out, and the caller is told that no answer came. */
  | 'reply-lost'
  /** The caller is told that no answer came, and only then it arrives, some time. */
  | 'late'
  /** It is not carried out before a lease has run out. */
  | 'slow';

export type Port = 'store' | 'target' | 'clock' | 'notifier' | 'signer';

/** A process that makes calls. */
export interface Caller {
  readonly name: string;
  isAlive: boolean;
}

export interface Asked<Answer> {
  readonly caller: Caller;
  readonly port: Port;
  /** For the trace. */
  readonly what: string;
  readonly fates: Weighted<Fate>;
  /** Whether it can be carried out now; absent: always. */
  readonly isReady?: () => boolean;
  readonly perform: () => Answer | Promise<Answer>;
  /** What the caller is told where no answer came. */
  readonly lost: () => Error;
}

/** Arrives in the world without anybody waiting for it. */
export interface Stray {
  readonly what: string;
  /** Without names, for what was reached. */
  readonly kind: string;
  readonly isReady: () => boolean;
  readonly arrive: () => Promise<void> | void;
}

interface Pending {
  readonly asked: Omit<Asked<unknown>, 'perform'>;
  /** Carries it out; what came of it is kept for `answer`. Never rejects. */
  readonly arrive: () => Promise<void>;
  readonly answer: () => void;
  readonly lose: () => void;
  isCarriedOut: boolean;
  notBefore: number;
}

export interface World {
  readonly chance: Chance;
  readonly trace: Trace;
  readonly coverage: Coverage;
  /** Ms since the epoch, as nobody's clock has it. */
  now: number;
  /** Once faults have stopped every call is carried out and answered. */
  hasFaults: boolean;
  readonly leaseMs: number;
  readonly aims: Aims;
  /** The process of a caller dies. */
  readonly crash: (caller: Caller) => void;
}

/** Lets everything run that waits for nothing of the world. */
export function settled(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  return promise;
}

export class Scheduler {
  readonly strays: Stray[] = [];
  readonly #world: World;
  readonly #left = new Map<Caller, Stray[]>();
  #pending: Pending[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  call<Answer>(asked: Asked<Answer>): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    if (!asked.caller.isAlive) return promise;
    let came: { readonly answer: Answer } | { readonly error: unknown } | undefined;
    this.#pending.push({
      asked,
      isCarriedOut: false,
      notBefore: 0,
      arrive: async () => {
        try {
          came = { answer: await asked.perform() };
        } catch (error) {
          came = { error };
        }
      },
      answer: () => {
        if (came === undefined) throw new Error(`${asked.what} was answered before it was asked`);
        if ('answer' in came) resolve(came.answer);
        else reject(asError(came.error));
      },
      lose: () => reject(asked.lost()),
    });
    return promise;
  }

  /** Calls that could go on now. */
  get ready(): number {
    return this.#ready().length;
  }

  get waiting(): number {
    return this.#pending.length;
  }

  /** What is asked of targets and did not arrive yet, strays included. */
  isOnTheWay(part: string): boolean {
    const isAsked = ({ asked, isCarriedOut }: Pending): boolean =>
      asked.port === 'target' && !isCarriedOut && asked.what.includes(part);
    return (
      this.#pending.some(isAsked) ||
      this.strays.some(({ what, kind }) => !kind.startsWith('store') && what.includes(part))
    );
  }

  /** Chooses a call and lets it go on; false where there is none that can. */
  async step(): Promise<boolean> {
    const { chance, hasFaults } = this.#world;
    const pending = hasFaults ? chance.pickAny(this.#ready()) : this.#ready()[0];
    if (pending === undefined) return false;
    const { caller, port, what, fates } = pending.asked;
    if (pending.isCarriedOut) {
      this.#say(caller, `${port} ${what}`, 'answer');
      this.#remove(pending);
      pending.answer();
      return true;
    }
    const crashes = hasFaults ? this.#world.aims.at(stepOf(pending.asked)) : undefined;
    if (crashes !== undefined) {
      await this.#crashAt(pending, crashes);
      return true;
    }
    const isSlowed = pending.notBefore > 0;
    const fate = hasFaults && !isSlowed ? chance.weighted(fates) : 'done';
    this.#say(caller, `${port} ${what}`, fate);
    if (!isSlowed) this.#reachFate(pending, fate);
    const partner = fate === 'done' && hasFaults ? this.#partnerOf(pending) : undefined;
    if (partner === undefined) await this.#meet(pending, fate);
    else await this.#together(pending, partner);
    return true;
  }

  async #crashAt(pending: Pending, stage: Stage): Promise<void> {
    const { caller, port, what } = pending.asked;
    this.#say(caller, `${port} ${what}`, `crash ${stage}`);
    if (stage === 'after') {
      pending.isCarriedOut = true;
      await pending.arrive();
    }
    this.#world.crash(caller);
  }

  #reachFate({ asked }: Pending, fate: Fate): void {
    const { coverage } = this.#world;
    const step = stepOf(asked);
    if (asked.port === 'store') {
      const kinds = ['store commit', 'store read'];
      const kind = kinds.find((each) => step.startsWith(each)) ?? 'store lease';
      coverage.reach('fate', `${kind} ${fate}`);
      return;
    }
    coverage.reach('fate', `${asked.port} ${fate}`);
    if (asked.port === 'target') coverage.reach('message', `${step} ${fate}`);
  }

  /** Another commit that comes in the same turn, and so into the same transaction. */
  #partnerOf(pending: Pending): Pending | undefined {
    const isCommit = ({ asked, isCarriedOut }: Pending): boolean =>
      asked.what.startsWith('commit') && !isCarriedOut;
    if (!isCommit(pending)) return undefined;
    const partners = this.#ready().filter((each) => each !== pending && isCommit(each));
    const { chance } = this.#world;
    return partners.length > 0 && chance.hits(0.3) ? chance.pick(partners) : undefined;
  }

  async #together(first: Pending, second: Pending): Promise<void> {
    this.#say(second.asked.caller, `store ${second.asked.what}`, 'done, in the same transaction');
    this.#world.coverage.reach('fate', 'store commit together');
    this.#remove(first);
    this.#remove(second);
    await Promise.all([first.arrive(), second.arrive()]);
    first.answer();
    second.answer();
  }

  /** Lets one stray arrive; false where there is none that can. */
  async land(): Promise<boolean> {
    const { chance, hasFaults } = this.#world;
    const ready = this.strays.filter((stray) => stray.isReady());
    const stray = hasFaults ? chance.pickAny(ready) : ready[0];
    if (stray === undefined) return false;
    this.strays.splice(this.strays.indexOf(stray), 1);
    this.#world.trace.add(`~ ${stray.what} arrives`);
    this.#world.coverage.reach('arrival', stray.kind);
    await stray.arrive();
    return true;
  }

  /** What the world notices some time after the caller has crashed. */
  afterCrash(caller: Caller, stray: Stray): void {
    if (!caller.isAlive) this.strays.push(stray);
    else this.#left.set(caller, [...(this.#left.get(caller) ?? []), stray]);
  }

  /** The process is gone; what it had asked for is lost, or arrives some time. */
  crash(caller: Caller): void {
    caller.isAlive = false;
    this.strays.push(...(this.#left.get(caller) ?? []));
    this.#left.delete(caller);
    const own = this.#pending.filter(({ asked }) => asked.caller === caller);
    this.#pending = this.#pending.filter(({ asked }) => asked.caller !== caller);
    for (const { asked, isCarriedOut, arrive } of own) {
      const stage = isCarriedOut ? 'after' : 'before';
      this.#world.coverage.reach('crash', `${stage} ${stepOf(asked)}`);
      const isSent = asked.port === 'target' || asked.what.startsWith('commit');
      if (!isSent || isCarriedOut || !this.#world.chance.hits(0.5)) continue;
      this.#stray(asked, arrive);
    }
    this.#world.trace.add(`! ${caller.name} crashes with ${own.length} calls open`);
  }

  async #meet(pending: Pending, fate: Fate): Promise<void> {
    const { asked, arrive, answer, lose } = pending;
    switch (fate) {
      case 'done':
        this.#remove(pending);
        await arrive();
        return answer();
      case 'answered':
        pending.isCarriedOut = true;
        return arrive();
      case 'request-lost':
        this.#remove(pending);
        return lose();
      case 'reply-lost':
        this.#remove(pending);
        await arrive();
        return lose();
      case 'late':
        this.#remove(pending);
        this.#stray(asked, arrive);
        return lose();
      case 'slow':
        pending.notBefore = this.#world.now + this.#world.leaseMs + 1;
        return;
    }
  }

  #stray(asked: Pending['asked'], arrive: () => Promise<void>): void {
    const what = `${asked.caller.name} ${asked.what}`;
    const { isReady = () => true } = asked;
    this.strays.push({ what, kind: stepOf(asked), isReady, arrive });
  }

  #ready(): readonly Pending[] {
    const { now, hasFaults } = this.#world;
    return this.#pending.filter(({ asked, isCarriedOut, notBefore }) => {
      if (isCarriedOut) return true;
      if (hasFaults && notBefore > now) return false;
      return asked.isReady?.() ?? true;
    });
  }

  #remove(pending: Pending): void {
    this.#pending.splice(this.#pending.indexOf(pending), 1);
  }

  #say(caller: Caller, what: string, how: string): void {
    this.#world.trace.add(`${caller.name} ${what}: ${how}`);
  }
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
