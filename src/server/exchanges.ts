/** Requests in flight: how many there may be, and how the last ones end. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../model/problem.ts';
import { claimsPerson } from './auth.ts';

export interface Exchanges {
  /**
   * Counts a request until its answer is sent or its caller gone; throws `too-many-requests`. A
   * person is not counted, so that no number of agents can keep one from a stop.
   */
  begin(request: FastifyRequest, reply: FastifyReply): void;
  /** Resolves once no answer is owed any more. */
  finished(): Promise<void>;
}

export function openExchanges(max: number): Exchanges {
  const owed = new Set<Promise<void>>();
  let counted = 0;
  return {
    begin(request, reply) {
      const isCounted = !claimsPerson(request);
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
    finished: async () => {
      await Promise.all(owed);
    },
  };
}

/** Aborts when the connection goes, or, which hurts nobody, when the answer has been sent. */
export function goneSignal(reply: FastifyReply): AbortSignal {
  const gone = new AbortController();
  reply.raw.once('close', () => gone.abort());
  return gone.signal;
}
