/**
 * Who is with a target now, and whose turn is next: so many calls at once, and the rest wait for a
 * moment, a credential after the other. What does not get its turn in time has not been begun.
 */
import type { Clock } from '../model/ports.ts';
import type { Principal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';

export interface SlotBounds {
  /** Calls at once. */
  readonly allMax: number;
  /** Of agents: a few are left to people, whose yes and stop and rollback do not wait behind them. */
  readonly agentsMax: number;
  /** Of one credential: a few are left to the others, however long its calls take. */
  readonly oneMax: number;
  /** Calls that wait; of one credential no more than it leaves free. */
  readonly waitingMax: number;
  /** How long each waits. */
  readonly waitMsMax: number;
}

const WAITING = { waitingMax: 256, waitMsMax: 5_000 } as const;

/** What is asked for: writes of a target, reads of one, and admission, which parses. */
export type SlotKind = 'write' | 'read' | 'admission';

export const SLOT_BOUNDS: Readonly<Record<SlotKind, SlotBounds>> = {
  write: { ...WAITING, allMax: 18, agentsMax: 16, oneMax: 14 },
  read: { ...WAITING, allMax: 8, agentsMax: 8, oneMax: 6 },
  admission: { ...WAITING, allMax: 64, agentsMax: 48, oneMax: 24 },
};

type Caller = Pick<Principal, 'kind' | 'credential'>;

export interface Slots {
  /**
   * Runs work while it has a slot at each of these places. Throws `too-many-requests` where too many
   * wait, or one does not come in time, and `gateway-stopping` where it ends first: then the work was
   * not begun.
   */
  during<Answer>(
    caller: Caller,
    kind: SlotKind,
    places: readonly string[],
    work: () => Promise<Answer>,
  ): Promise<Answer>;
  /** Has those that wait come again later; those that have their slots go on. */
  close(): void;
}

/** Opens them, all free. Lives in the process; loses nothing durable. */
export function openSlots(
  clock: Clock,
  bounds: Readonly<Record<SlotKind, SlotBounds>> = SLOT_BOUNDS,
): Slots {
  const turnstiles = new Map<string, Turnstile>();
  let isClosed = false;
  const enter = async (caller: Caller, kind: SlotKind, place: string): Promise<() => void> => {
    const key = `${kind} ${place}`;
    const turnstile = turnstiles.get(key) ?? new Turnstile(bounds[kind], clock);
    turnstiles.set(key, turnstile);
    try {
      await turnstile.enter(caller, isClosed);
    } finally {
      if (turnstile.isIdle()) turnstiles.delete(key);
    }
    return () => {
      turnstile.leave(caller);
      if (turnstile.isIdle()) turnstiles.delete(key);
    };
  };
  return {
    async during(caller, kind, places, work) {
      const leaves: (() => void)[] = [];
      try {
        // In one order for all, so that no two wait for each other.
        for (const place of [...new Set(places)].toSorted(byName)) {
          leaves.push(await enter(caller, kind, place));
        }
        return await work();
      } finally {
        for (const leave of leaves) leave();
      }
    },
    close() {
      isClosed = true;
      for (const turnstile of turnstiles.values()) turnstile.close();
    },
  };
}

interface Waiter {
  readonly caller: Caller;
  readonly grant: () => void;
  readonly refuse: (problem: Problem) => void;
}

/** One place with its slots. */
class Turnstile {
  readonly #bounds: SlotBounds;
  readonly #clock: Clock;
  #people = 0;
  #agents = 0;
  readonly #held = new Map<string, number>();
  readonly #waitingPeople = new Set<Waiter>();
  /** By credential; whose turn is next stands first. */
  readonly #waitingAgents = new Map<string, Set<Waiter>>();

  constructor(bounds: SlotBounds, clock: Clock) {
    this.#bounds = bounds;
    this.#clock = clock;
  }

  isIdle(): boolean {
    const isWaiting = this.#waitingPeople.size > 0 || this.#waitingAgents.size > 0;
    return !isWaiting && this.#people === 0 && this.#agents === 0;
  }

  async enter(caller: Caller, isClosed: boolean): Promise<void> {
    // Whoever waits cannot go in now, so that nobody is passed who could.
    if (this.#mayEnter(caller)) return this.#take(caller);
    if (isClosed) throw stopping();
    this.#checkRoom(caller);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = {
      caller,
      grant: resolve,
      refuse: (problem) => {
        // At once: one that is refused is never let in.
        this.#unqueue(waiter);
        reject(problem);
      },
    };
    this.#queue(waiter);
    const over = new AbortController();
    void this.#clock.sleep(this.#bounds.waitMsMax, over.signal).then(() => {
      if (!over.signal.aborted) waiter.refuse(full('no turn at the target came in time'));
    });
    try {
      await promise;
    } finally {
      over.abort();
    }
  }

  leave({ kind, credential }: Caller): void {
    if (kind === 'person') this.#people -= 1;
    else {
      this.#agents -= 1;
      const left = (this.#held.get(credential) ?? 1) - 1;
      if (left === 0) this.#held.delete(credential);
      else this.#held.set(credential, left);
    }
    this.#next();
  }

  close(): void {
    for (const own of [this.#waitingPeople, ...this.#waitingAgents.values()]) {
      for (const { refuse } of own) refuse(stopping());
    }
  }

  #mayEnter({ kind, credential }: Caller): boolean {
    const { allMax, agentsMax, oneMax } = this.#bounds;
    if (this.#people + this.#agents >= allMax) return false;
    if (kind === 'person') return true;
    return this.#agents < agentsMax && (this.#held.get(credential) ?? 0) < oneMax;
  }

  #take({ kind, credential }: Caller): void {
    if (kind === 'person') this.#people += 1;
    else {
      this.#agents += 1;
      this.#held.set(credential, (this.#held.get(credential) ?? 0) + 1);
    }
  }

  #checkRoom({ kind, credential }: Caller): void {
    const { waitingMax } = this.#bounds;
    const enough = 'enough calls wait for their turn at the target';
    if (kind === 'person') {
      if (this.#waitingPeople.size >= waitingMax) throw full(enough);
      return;
    }
    let all = 0;
    for (const { size } of this.#waitingAgents.values()) all += size;
    const own = this.#waitingAgents.get(credential)?.size ?? 0;
    const ownMax = Math.max(1, Math.floor((waitingMax - (all - own)) / 2));
    if (all >= waitingMax || own >= ownMax) throw full(enough);
  }

  #queue(waiter: Waiter): void {
    const { kind, credential } = waiter.caller;
    if (kind === 'person') this.#waitingPeople.add(waiter);
    else {
      const own = this.#waitingAgents.get(credential) ?? new Set();
      this.#waitingAgents.set(credential, own.add(waiter));
    }
  }

  #unqueue(waiter: Waiter): void {
    this.#waitingPeople.delete(waiter);
    const { credential } = waiter.caller;
    const own = this.#waitingAgents.get(credential);
    own?.delete(waiter);
    if (own?.size === 0) this.#waitingAgents.delete(credential);
  }

  /** Lets in whoever may: people first, then the credentials in turn. */
  #next(): void {
    for (;;) {
      const waiter = this.#first();
      if (waiter === undefined) return;
      this.#unqueue(waiter);
      this.#take(waiter.caller);
      waiter.grant();
    }
  }

  #first(): Waiter | undefined {
    const [person] = this.#waitingPeople;
    if (person !== undefined && this.#mayEnter(person.caller)) return person;
    for (const [credential, own] of this.#waitingAgents) {
      const [waiter] = own;
      if (waiter === undefined || !this.#mayEnter(waiter.caller)) continue;
      // Its next one comes after those of the others.
      this.#waitingAgents.delete(credential);
      this.#waitingAgents.set(credential, own);
      return waiter;
    }
    return undefined;
  }
}

function byName(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function full(what: string): Problem {
  return new Problem('too-many-requests', `${what}; nothing was begun, try again`);
}

function stopping(): Problem {
  return new Problem('gateway-stopping', 'the gateway is shutting down; try again shortly');
}
