/** MCP over Streamable HTTP, on the same server and behind the same checks as `/v1`. */
import { toNodeHandler, type NodeIncomingMessageLike } from '@modelcontextprotocol/node';
import { createMcpHandler, type AuthInfo } from '@modelcontextprotocol/server';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Gate } from '../gate.ts';
import type { OperationView } from '../model/api.ts';
import type { Principal } from '../model/principal.ts';
import { gatewayFor } from './gateway.ts';
import { EXCHANGE_BOUNDS, giveUpIdleReader, goneSignal } from './exchanges.ts';
import { mcpServer } from './mcp.ts';
import type { Log } from './problem.ts';

export interface McpMount {
  readonly app: FastifyInstance;
  readonly gate: Gate;
  readonly operations: () => readonly OperationView[];
  readonly version: string;
  readonly log: Log;
  readonly stopping: AbortSignal;
  /** Whether callers are to send their next request elsewhere. */
  readonly isLeaving: () => boolean;
  readonly bodyBytesMax: number;
  /** Refuses whoever is not an agent, or has its share of the requests in flight. */
  readonly authorize: (request: FastifyRequest, reply: FastifyReply) => Promise<Principal>;
}

/** What the credential check leaves for the factory, which the SDK calls once per request. */
interface Caller {
  readonly principal: Principal;
  readonly ended: AbortSignal;
}

/** Serves `/mcp`; `close` ends the streams that listen. */
export function mountMcp(mount: McpMount): { close(): Promise<void> } {
  const { app, gate, operations, version, log, stopping } = mount;
  const callers = new WeakMap<AuthInfo, Caller>();
  const mcp = createMcpHandler(
    ({ authInfo }) => {
      const caller = authInfo && callers.get(authInfo);
      if (caller === undefined) throw new Error('an MCP request came past the credential check');
      const { principal, ended } = caller;
      return mcpServer(gatewayFor(gate, principal, operations()), { version, log, ended });
    },
    {
      maxRequestBodySize: mount.bodyBytesMax,
      onerror: (error) => log('an MCP request could not be served', error),
    },
  );
  const serve = toNodeHandler(mcp, {
    maxRequestBodySize: mount.bodyBytesMax,
    onerror: (error) => {
      if (!isBrokenOff(error)) log('an MCP request could not be read', error);
    },
  });

  app.register(async (scope) => {
    // The SDK reads the body itself: JSON-RPC has its own answers to what is malformed.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
    scope.route({
      method: ['GET', 'POST', 'DELETE'],
      url: '/mcp',
      handler: async (request, reply) => {
        const principal = await mount.authorize(request, reply);
        const gone = goneSignal(reply);
        // The token stops at this border; nothing behind it needs more than the principal.
        const auth: AuthInfo = { token: '', clientId: principal.name, scopes: [] };
        callers.set(auth, { principal, ended: AbortSignal.any([gone, stopping]) });
        if (mount.isLeaving()) reply.raw.setHeader('connection', 'close');
        reply.hijack();
        reply.raw.once('prefinish', () => giveUpIdleReader(reply, EXCHANGE_BOUNDS.unreadMsMax));
        // Not awaited: the SDK's promise of a call that was cancelled never settles.
        void serve(incoming(request, auth), reply.raw);
      },
    });
  });
  return { close: () => mcp.close() };
}

/** How Node says that the caller went away, or was given up, while it was sending. */
function isBrokenOff(error: Error): boolean {
  return 'code' in error && error.code === 'ECONNRESET';
}

/** The request as the SDK's adapter takes it, its body unread. */
function incoming({ raw }: FastifyRequest, auth: AuthInfo): NodeIncomingMessageLike {
  return {
    method: raw.method ?? 'POST',
    url: raw.url ?? '/mcp',
    headers: raw.headers,
    auth,
    [Symbol.asyncIterator]: () => raw[Symbol.asyncIterator](),
  };
}
