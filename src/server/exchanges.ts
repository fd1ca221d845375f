/**
 * Requests in flight: how many there may be, what their answers may hold, and how the last ones end.
 *
 * Agents, people and whoever needs no credential have rooms of their own, so that none of them keeps
 * another out. Within a room a credential may hold no more than what it leaves free: one alone half of
 * it, two a third each, so that the next one always finds a place.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Principal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import { claimsPerson } from './auth.ts';

/** Where a supervisor asks whether the gateway lives. */
export const HEALTH_PATH = '/v1/healthz';
/** Where a load balancer asks whether to send it new calls. */
export const READY_PATH = '/v1/readyz';

export const EXCHANGE_BOUNDS = {
  /** Requests of agents, waits and listening streams among them, and of callers not known yet. */
  agentsMax: 256,
  peopleMax: 64,
  /** Requests that take no credential. */
  publicMax: 32,
  /** Answers that agents have not taken yet, in bytes, all together. */
  unreadBytesMax: 67_108_864,
  /** Only an answer that is longer is held against that. */
  longAnswerBytesMin: 65_536,
  /** How long a reader may take nothing of an answer that lies there for it. */
  unreadMsMax: 60_000,
} as const;

export type ExchangeBounds = { readonly [Name in keyof typeof EXCHANGE_BOUNDS]: number };

export interface Exchanges {
  /**
   * Counts a request until its answer is sent or its caller gone; throws `too-many-requests`. A claim
   * to be a person is not counted before it is proved, so that no number of agents can keep one from
   * a stop; neither are the questions of supervisors and load balancers, which a busy one would deny.
   */
  begin(request: FastifyRequest, reply: FastifyReply): void;
  /** Counts a request against its credential, once it is known who calls; throws `too-many-requests`. */
  share(principal: Principal, request: FastifyRequest, reply: FastifyReply): void;
  /**
   * Gives up a reader who takes nothing of its answer, and counts an answer of `bytes` (null: not known) until
   * it is taken. Throws `too-many-requests` where agents have left too much unread already and this call
   * has changed nothing.
   */
  answer(request: FastifyRequest, reply: FastifyReply, bytes: number | null): void;
  /** Resolves once no answer is owed any more. */
  finished(): Promise<void>;
}

export function openExchanges(
  bounds: ExchangeBounds,
  isPublic: (request: FastifyRequest) => boolean,
): Exchanges {
  const owed = new Set<Promise<void>>();
  const agents = new Room(bounds.agentsMax);
  const people = new Room(bounds.peopleMax);
  const anyone = new Room(bounds.publicMax);
  const principals = new WeakMap<FastifyRequest, Principal>();
  let unreadBytes = 0;
  return {
    begin(request, reply) {
      if (!isProbe(request)) {
        if (isPublic(request)) anyone.enter(reply);
        else if (!claimsPerson(request)) agents.enter(reply);
      }
      const over = Promise.withResolvers<void>();
      // A listening stream never ends by itself: nothing is owed to it.
      if (request.headers['mcp-method'] !== 'subscriptions/listen') owed.add(over.promise);
      whenOver(reply, () => {
        owed.delete(over.promise);
        over.resolve();
      });
    },
    share(principal, request, reply) {
      principals.set(request, principal);
      if (principal.kind === 'person') people.enter(reply);
      const room = principal.kind === 'person' ? people : agents;
      room.hold(principal.credential, reply);
    },
    answer(request, reply, bytes) {
      giveUpIdleReader(reply, bounds.unreadMsMax);
      if (bytes === null || bytes < bounds.longAnswerBytesMin) return;
      const isAgents = principals.get(request)?.kind !== 'person';
      const isOver = unreadBytes + bytes > bounds.unreadBytesMax;
      if (isOver && isAgents && changesNothing(request)) {
        throw new Problem(
          'too-many-requests',
          'too much of earlier answers has not been read yet; read those, or ask for less at once',
        );
      }
      unreadBytes += bytes;
      whenOver(reply, () => (unreadBytes -= bytes));
    },
    finished: async () => {
      await Promise.all(owed);
    },
  };
}

function isProbe({ routeOptions: { url } }: FastifyRequest): boolean {
  return url === HEALTH_PATH || url === READY_PATH;
}

/** So many requests at once, and of each credential no more than it leaves free. */
class Room {
  readonly #max: number;
  readonly #held = new Map<string, number>();
  #counted = 0;

  constructor(max: number) {
    this.#max = max;
  }

  enter(reply: FastifyReply): void {
    if (this.#counted >= this.#max) {
      const message = `at most ${this.#max} requests are taken at once; try again`;
      throw new Problem('too-many-requests', message);
    }
    this.#counted += 1;
    whenOver(reply, () => (this.#counted -= 1));
  }

  /** For one that has entered. */
  hold(credential: string, reply: FastifyReply): void {
    const held = (this.#held.get(credential) ?? 0) + 1;
    const ofOthers = this.#counted - held;
    const heldMax = Math.max(1, Math.floor((this.#max - ofOthers) / 2));
    if (held > heldMax) {
      const message = `at most ${heldMax} requests of one credential are taken at once now; try again`;
      throw new Problem('too-many-requests', message);
    }
    this.#held.set(credential, held);
    whenOver(reply, () => {
      const left = (this.#held.get(credential) ?? 1) - 1;
      if (left === 0) this.#held.delete(credential);
      else this.#held.set(credential, left);
    });
  }
}

/**
 * Calls back once the answer is sent or its caller gone. At once, where the caller went while it was
 * found out who calls, or what to answer: nothing tells of it again.
 */
function whenOver({ raw }: FastifyReply, over: () => void): void {
  if (raw.closed) over();
  else raw.once('close', over);
}

/** Whether a call may be refused although it was carried out. */
function changesNothing({ method, routeOptions }: FastifyRequest): boolean {
  return method === 'GET' || routeOptions.url === '/v1/reads';
}

/**
 * Closes the connection of a reader who takes nothing of what lies there for it. Node sets the time
 * anew with each byte that is taken, and takes it off with the next request.
 */
export function giveUpIdleReader(reply: FastifyReply, unreadMsMax: number): void {
  const { socket } = reply.raw;
  socket?.setTimeout(unreadMsMax);
}

/** Aborts when the connection goes before the answer has been sent. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  if (reply.raw.closed) gone.abort();
  return gone.signal;
}
