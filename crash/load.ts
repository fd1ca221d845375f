/**
 * Clients that mean to have their writes carried out once, whatever happens to the gateways: a call
 * that came to nothing is made again, with the same key, at the next gateway.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { GatewayProblem, type Client, type Result } from '../src/client/index.ts';
import type { Journal } from './journal.ts';
import type { AgentName, Write } from './writes.ts';

export type CallerName = AgentName | 'ann' | 'olga';

/** A gateway as its callers see it. */
export interface Door {
  readonly isUp: boolean;
  /** Resolves once it is. */
  up(): Promise<void>;
  client(caller: CallerName): Client;
}

export interface Load {
  /** Every client is done, or gave up: then the journal says with what. */
  readonly over: Promise<void>;
}

/** How long a client goes on trying, from the begin of the round. */
const PATIENCE_MS = 180_000;
/** A client that hears nothing for so long calls again. */
const CALL_MS = 8_000;
const AGAIN_MS = 60;
/** A write that a target was too busy or too far away for is proposed anew, so often at most. */
const ANEW_MAX = 8;
const ANEW_MS = 300;

/** Problems that say to try again: something is away for now, or there is too much to do. */
const PASSING = new Set([
  'gateway-unreachable',
  'gateway-stopping',
  'too-many-requests',
  'store-unusable',
  'store-unreachable',
  'store-locked',
]);

const OPEN = new Set(['proposed', 'assessed', 'allowed', 'executing', 'stale', 'in_doubt']);

/** Begins a round's writes: each list is one client, which makes them one after the other. */
export function startLoad(
  doors: readonly Door[],
  writes: readonly (readonly Write[])[],
  journal: Journal,
): Load {
  const stop = AbortSignal.timeout(PATIENCE_MS);
  const all = writes.map(async (own, number) => {
    for (const write of own) {
      const caller = new Caller(doors, journal, { write, first: number, stop });
      await caller.carryThrough();
    }
  });
  return {
    over: Promise.all(all).then(
      () => journal.end(),
      (error: unknown) => {
        journal.end();
        throw error;
      },
    ),
  };
}

/** The client of one write. */
class Caller {
  readonly #doors: readonly Door[];
  readonly #journal: Journal;
  readonly #write: Write;
  readonly #stop: AbortSignal;
  /** Which gateway is asked next. */
  #turn: number;
  /** How often it was refused because the target could not be asked, and sent anew. */
  #anew = 0;

  constructor(
    doors: readonly Door[],
    journal: Journal,
    about: { readonly write: Write; readonly first: number; readonly stop: AbortSignal },
  ) {
    this.#doors = doors;
    this.#journal = journal;
    this.#write = about.write;
    this.#stop = about.stop;
    this.#turn = about.first;
  }

  async carryThrough(): Promise<void> {
    const { mark, isTakenBack, isSentAgain } = this.#write;
    try {
      let decided = await this.#carried();
      while (isForNow(decided) && this.#anew < ANEW_MAX) {
        await this.#rest(ANEW_MS);
        this.#anew += 1;
        decided = await this.#carried();
      }
      if (isTakenBack && decided.state === 'applied') await this.#takeBack(decided);
      if (isSentAgain) await this.#propose();
      this.#journal.done(mark);
    } catch (error) {
      // Its patience is at an end: what became of the write is looked at when all is quiet.
      if (!this.#stop.aborted) throw error;
    }
  }

  async #carried(): Promise<Result> {
    return this.#decided(await this.#settled(await this.#propose()));
  }

  /** It surely had no effect where it is sent anew: then it is another proposal, under another key. */
  get #key(): string {
    return `key-${this.#write.mark}-${this.#anew}`;
  }

  #propose(): Promise<Result> {
    const { agent, body, run } = this.#write;
    const draft = { ...body, run, idempotencyKey: this.#key };
    return this.#heard(agent, (client, signal) => client.propose(draft, { signal }));
  }

  /** Asks until what became of it is known, or people are to decide. */
  async #settled(result: Result): Promise<Result> {
    let known = result;
    while (OPEN.has(known.state)) {
      const id = idOf(known);
      known = await this.#heard(this.#write.agent, (client, signal) =>
        client.wait(id, { signal, waitMs: 2_000 }),
      );
      if (OPEN.has(known.state)) await this.#rest();
    }
    return known;
  }

  /** The person says yes or no to the plan that is on the screen, again where that one has moved. */
  async #decided(result: Result): Promise<Result> {
    const { verdict, agent } = this.#write;
    if (verdict === 'none') return result;
    let known = result;
    while (known.state === 'waiting') {
      const [id, planDigest] = [idOf(known), known.planDigest ?? ''];
      // Somebody else was first, or the plan is another now: then it is looked at anew.
      const look = (client: Client, signal: AbortSignal): Promise<Result> =>
        client.approve(id, { planDigest, verdict }, { signal });
      const said = await this.#call('ann', look, [
        'state-conflict',
        'digest-mismatch',
        'approver-decided',
      ]);
      known = said ?? (await this.#heard(agent, (client, signal) => client.status(id, { signal })));
      if (said !== null) this.#journal.heard(this.#write.mark, this.#key, said);
      known = await this.#settled(known);
    }
    return known;
  }

  async #takeBack(applied: Result): Promise<void> {
    const id = idOf(applied);
    const { mark } = this.#write;
    const take = (client: Client, signal: AbortSignal): Promise<Result> =>
      client.rollback(id, { signal });
    const taken = await this.#call('ann', take, ['not-compensable']);
    if (taken === null) return;
    this.#journal.takenBack(mark, taken);
    const inverse = idOf(taken);
    let known = taken;
    while (OPEN.has(known.state)) {
      await this.#rest();
      const wait = (client: Client, signal: AbortSignal): Promise<Result> =>
        client.wait(inverse, { signal, waitMs: 2_000 });
      known = (await this.#call('ann', wait)) ?? known;
      this.#journal.takenBack(mark, known);
    }
  }

  async #heard(
    caller: CallerName,
    call: (client: Client, signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    const result = await this.#call(caller, call);
    if (result === null) throw new Error('a call without answers that it may take has one');
    this.#journal.heard(this.#write.mark, this.#key, result);
    return result;
  }

  /** Calls until there is an answer; null where it is one of the problems in `taken`. */
  async #call(
    caller: CallerName,
    call: (client: Client, signal: AbortSignal) => Promise<Result>,
    taken: readonly string[] = [],
  ): Promise<Result | null> {
    for (;;) {
      this.#stop.throwIfAborted();
      const door = await this.#door();
      const client = door.client(caller);
      try {
        return await call(client, AbortSignal.any([this.#stop, AbortSignal.timeout(CALL_MS)]));
      } catch (error) {
        if (error instanceof GatewayProblem && taken.includes(error.code)) return null;
        this.#complain(error);
        this.#journal.cameToNothing();
      }
      this.#turn += 1;
      await this.#rest();
    }
  }

  /** The next gateway that is up; it may be gone by the time that it is asked. */
  async #door(): Promise<Door> {
    const { length } = this.#doors;
    for (;;) {
      this.#stop.throwIfAborted();
      for (let tries = 0; tries < length; tries += 1) {
        const door = this.#doors[(this.#turn + tries) % length];
        if (door?.isUp === true) return door;
      }
      await Promise.race([...this.#doors.map((door) => door.up()), aborted(this.#stop)]);
    }
  }

  /** Keeps what no gateway may say; anything else is tried again. */
  #complain(error: unknown): void {
    if (!(error instanceof GatewayProblem) || PASSING.has(error.code)) return;
    this.#journal.wrongs.push(`${this.#write.mark}: ${error.code}: ${error.message}`);
  }

  async #rest(ms = AGAIN_MS): Promise<void> {
    await pause(ms, undefined, { signal: this.#stop });
  }
}

/** Refused because the target could not be asked, or was busy: that passes. */
function isForNow({ state, code }: Result): boolean {
  return state === 'refused' && (code === 'target-unavailable' || code === 'target-busy');
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function idOf({ proposalId }: Result): string {
  if (proposalId === null) throw new Error('a proposal has an id');
  return proposalId;
}
