/** Puts a row on the server: who calls is settled before the body is read, the rest by the row. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { recordOf } from '../../lib/record.ts';
import type { Principal } from '../../model/principal.ts';
import { Problem } from '../../model/problem.ts';
import { authorize, type Access, type CredentialPort } from '../auth.ts';
import { goneSignal } from '../exchanges.ts';
import type { Call, Route } from './route.ts';

interface Server {
  readonly credentials: CredentialPort;
  /** Aborts when the gateway stops. */
  readonly stopping: AbortSignal;
  /** Holds a caller to its share of the requests in flight. */
  readonly share: (principal: Principal, request: FastifyRequest, reply: FastifyReply) => void;
}

export function serveRoutes(app: FastifyInstance, server: Server, routes: readonly Route[]): void {
  const principals = new WeakMap<FastifyRequest, Principal>();
  const identify =
    (access: Exclude<Access, 'public'>) => async (request: FastifyRequest, reply: FastifyReply) => {
      const { authorization } = request.headers;
      const principal = await authorize(server.credentials, access, authorization);
      server.share(principal, request, reply);
      principals.set(request, principal);
    };
  const add = (to: FastifyInstance, route: Route): void => {
    to.route({
      method: route.method,
      url: fastifyPath(route),
      ...(route.bodyBytesMax !== undefined && { bodyLimit: route.bodyBytesMax }),
      ...(route.access === 'public' ? {} : { onRequest: identify(route.access) }),
      handler: async (request, reply) => {
        checkTaken(route, request);
        // Made where it is asked for: most calls wait for nothing.
        const signal = (): AbortSignal => AbortSignal.any([goneSignal(reply), server.stopping]);
        const answer = await route.take(callOf(route, request, principals.get(request), signal));
        return sendAnswer(route, reply, answer);
      },
    });
  };
  for (const route of routes) {
    if (route.stream === undefined) add(app, route);
    else addStreaming(app, route, add);
  }
}

/** No other route takes the media types of this one. */
function addStreaming(
  app: FastifyInstance,
  route: Route,
  add: (to: FastifyInstance, route: Route) => void,
): void {
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      [...(route.stream ?? [])],
      async (_request: unknown, body: unknown) => body,
    );
    scope.addContentTypeParser('*', async () => {
      const types = route.stream?.map((type) => `\`${type}\``).join(' or ');
      throw new Problem('request-invalid', `the body must be of content type ${types}`);
    });
    add(scope, route);
  });
}

function checkTaken(route: Route, request: FastifyRequest): void {
  if (route.query === null && Object.keys(recordOf(request.query)).length > 0) {
    throw new Problem('request-invalid', 'this route takes no query parameters');
  }
  if (route.body === null && route.stream === undefined && request.body !== undefined) {
    throw new Problem('request-invalid', 'this route takes no body');
  }
}

function callOf(
  route: Route,
  request: FastifyRequest,
  principal: Principal | undefined,
  signal: () => AbortSignal,
): Call {
  const params = recordOf(request.params);
  return {
    get principal() {
      if (principal !== undefined) return principal;
      throw new Error(`\`${route.path}\` is public and asks who calls`);
    },
    query: request.query,
    body: request.body,
    param: (name) => {
      const value = params[name === route.rest ? '*' : name];
      return typeof value === 'string' ? value : '';
    },
    header: (name) => [request.headers[name]].flat()[0],
    get signal() {
      return signal();
    },
  };
}

function sendAnswer(route: Route, reply: FastifyReply, answer: unknown): FastifyReply {
  const location = route.location?.(answer) ?? null;
  if (location !== null) reply.header('location', location);
  if (typeof route.answer === 'string') reply.type(route.answer);
  return reply.code(route.status).send(answer);
}

/** The path as Fastify writes it. */
export function fastifyPath(route: Route): string {
  return route.path.replaceAll(/\{(\w+)\}/g, (_whole, name: string) =>
    name === route.rest ? '*' : `:${name}`,
  );
}
