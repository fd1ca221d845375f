/** Requests in flight: how many there may be, and how the last ones end. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../model/problem.ts';
import type { Principal } from '../model/principal.ts';
import { claimsPerson } from './auth.ts';

/** Where a supervisor asks whether the gateway lives. */
export const HEALTH_PATH = '/v1/healthz';

export interface Exchanges {
  /**
   * Counts a request until its answer is sent or its caller gone; throws `too-many-requests`. A
   * person is not counted, so that no number of agents can keep one from a stop; neither is the
   * question whether the gateway lives, which a busy one would otherwise deny.
   */
  begin(request: FastifyRequest, reply: FastifyReply): void;
  /**
   * Counts a request, once it is known who calls, against its credential's half of all; throws
   * `too-many-requests`, so that the waits of one agent leave room for the others.
   */
  share(principal: Principal, reply: FastifyReply): void;
  /** Resolves once no answer is owed any more. */
  finished(): Promise<void>;
}

export function openExchanges(max: number): Exchanges {
  const owed = new Set<Promise<void>>();
  const shareMax = Math.max(1, Math.floor(max / 2));
  const shares = new Map<string, number>();
  let counted = 0;
  return {
    begin(request, reply) {
      const isCounted = !claimsPerson(request) && request.routeOptions.url !== HEALTH_PATH;
      if (isCounted && counted >= max) {
        throw new Problem(
          'too-many-requests',
          `at most ${max} requests are taken at once; try again`,
        );
      }
      if (isCounted) counted += 1;
      const over = Promise.withResolvers<void>();
      // A listening stream never ends by itself: nothing is owed to it.
      if (request.headers['mcp-method'] !== 'subscriptions/listen') owed.add(over.promise);
      reply.raw.once('close', () => {
        if (isCounted) counted -= 1;
        owed.delete(over.promise);
        over.resolve();
      });
    },
    share({ kind, credential }, reply) {
      if (kind === 'person') return;
      const held = shares.get(credential) ?? 0;
      if (held >= shareMax) {
        throw new Problem(
          'too-many-requests',
          `at most ${shareMax} requests of one credential are taken at once; try again`,
        );
      }
      shares.set(credential, held + 1);
      reply.raw.once('close', () => {
        const left = (shares.get(credential) ?? 1) - 1;
        if (left === 0) shares.delete(credential);
        else shares.set(credential, left);
      });
    },
    finished: async () => {
      await Promise.all(owed);
    },
  };
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
