/**
 * The HTTP server. Every request passes, in this order: Host and Origin, the bound on requests in
 * flight, the credential, the body, the route. What cannot be taken is answered as RFC 9457 and
 * has changed nothing.
 */
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Gate } from '../gate.ts';
import type { Past } from '../gate/past.ts';
import type { GatewayStatus, OperationView, ResourceView } from '../model/api.ts';
import { Problem } from '../model/problem.ts';
import {
  authorize,
  challenge,
  RESOURCE_METADATA_PATH,
  resourceMetadata,
  type CredentialPort,
} from './auth.ts';
import { boundConnections } from './connections.ts';
import { EXCHANGE_BOUNDS, openExchanges, type ExchangeBounds } from './exchanges.ts';
import { checkHost } from './hosts.ts';
import { mountMcp } from './mcp-http.ts';
import { openApiDocument } from './openapi.ts';
import { refuseConnection, sendProblem, toProblem, type Log } from './problem.ts';
import { credentialRoutes } from './routes/credentials.ts';
import { dependentRoutes, type DependentsPort } from './routes/dependents.ts';
import { baselineRoutes } from './routes/baselines.ts';
import { budgetRoutes } from './routes/budgets.ts';
import { freezeRoutes } from './routes/freezes.ts';
import { gatewayRoutes } from './routes/gateway.ts';
import { ledgerRoutes } from './routes/ledger.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { pastRoutes } from './routes/past.ts';
import { policyRoutes, type PolicyPort } from './routes/policies.ts';
import { proposalRoutes } from './routes/proposals.ts';
import type { Route } from './routes/route.ts';
import { fastifyPath, serveRoutes } from './routes/serve.ts';
import { uploadRoutes, type UploadPort } from './routes/uploads.ts';

export interface AppOptions {
  readonly gate: Gate;
  readonly past: Past;
  readonly credentials: CredentialPort;
  readonly policies: PolicyPort;
  readonly status: () => Promise<GatewayStatus>;
  /** What the targets offer. */
  readonly operations: () => readonly OperationView[];
  /** What the targets have to write to. */
  readonly resources: () => Promise<readonly ResourceView[]>;
  /** Where the ledger is published; null where it is not. */
  readonly ledgerFolder: string | null;
  /** Values of the `Host` header that are served beside the listening address. */
  readonly allowedHosts: readonly string[];
  /** Where uploads go; undefined: none are taken. */
  readonly uploads?: UploadPort;
  /** The gateway's metrics in Prometheus' text form; undefined: there are none. */
  readonly metrics?: () => Promise<string>;
  /** What depends on a resource; undefined: nobody is told. */
  readonly dependents?: DependentsPort;
  readonly version: string;
  readonly log: Log;
  /** Aborts when no new calls are to be sent here any more, while they are still taken. */
  readonly leaving?: AbortSignal;
  /** In place of the bounds on requests in flight, and on connections. */
  readonly bounds?: Partial<ExchangeBounds> & { readonly connectionsMax?: number };
  /** How long a caller may take to send a request. */
  readonly receiveTimeoutMs?: number;
}

export const BODY_BYTES_MAX: number = 512 * 1024;
const RECEIVE_TIMEOUT_MS = 15_000;

const SECURE_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const;

/** Opens the server without listening. `close()` ends waits, lets calls finish, then returns. */
export function openApp(options: AppOptions): FastifyInstance {
  const { credentials, gate, log, version } = options;
  const stopping = new AbortController();
  const isLeaving = (): boolean => stopping.signal.aborted || options.leaving?.aborted === true;
  const routes = routesOf(options, isLeaving);
  const exchanges = openExchanges({ ...EXCHANGE_BOUNDS, ...options.bounds }, isPublicAmong(routes));
  const { share } = exchanges;
  const app = openBorder(options, async (request, reply) => {
    checkHost(request, options.allowedHosts);
    if (stopping.signal.aborted) {
      throw new Problem('gateway-stopping', 'the gateway is shutting down; try again shortly');
    }
    exchanges.begin(request, reply);
  });
  boundConnections(app.server, options.bounds?.connectionsMax);
  app.addHook('onSend', async (request, reply, payload) => {
    // A caller that is answered now is not to send its next request here.
    if (isLeaving()) reply.header('connection', 'close');
    exchanges.answer(request, reply, sizeOf(payload));
  });
  serveRoutes(app, { credentials, stopping: stopping.signal, share }, routes);
  for (const resource of ['', '/mcp']) {
    app.get(`${RESOURCE_METADATA_PATH}${resource}`, (request) =>
      resourceMetadata(request, resource),
    );
  }
  const mcp = mountMcp({
    app,
    gate,
    operations: options.operations,
    version,
    log,
    stopping: stopping.signal,
    isLeaving,
    bodyBytesMax: BODY_BYTES_MAX,
    authorize: async (request, reply) => {
      const principal = await authorize(credentials, 'agent', request.headers.authorization);
      share(principal, request, reply);
      return principal;
    },
  });
  app.addHook('preClose', async () => {
    stopping.abort();
    await exchanges.finished();
    await mcp.close();
  });
  return app;
}

/** What holds for every request, one that no route takes too. */
function openBorder(
  { log, receiveTimeoutMs = RECEIVE_TIMEOUT_MS }: AppOptions,
  admit: (request: FastifyRequest, reply: FastifyReply) => Promise<void>,
): FastifyInstance {
  function refuse(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    // The caller went away while it was sending: nobody reads the answer, and no log needs it.
    const isGone = error !== undefined && error === request.raw.errored;
    const problem = isGone
      ? new Problem('request-invalid', 'the request broke off', { cause: error })
      : toProblem(error, log);
    challenge(request, reply, problem);
    return sendProblem(reply, problem);
  }
  const app = Fastify({
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: receiveTimeoutMs,
    http: {
      // Node takes the longer of the two for the whole request, and looks only so often.
      headersTimeout: receiveTimeoutMs,
      connectionsCheckingInterval: Math.ceil(receiveTimeoutMs / 3),
    },
    clientErrorHandler: refuseConnection,
    exposeHeadRoutes: false,
    // By then every answer that is owed has been sent; what is left are idle connections.
    forceCloseConnections: true,
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      secure(reply);
      refuse(error, request, reply);
    },
  });
  app.addHook('onRequest', async (request, reply) => {
    secure(reply);
    await admit(request, reply);
  });
  app.setErrorHandler(refuse);
  app.setNotFoundHandler((request, reply) =>
    refuse(new Problem('route-unknown', 'nothing is served there'), request, reply),
  );
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async (_request: FastifyRequest, body: Buffer) => parseJson(body),
  );
  return app;
}

/** Every route under `/v1`; the document describes itself too. */
function routesOf(options: AppOptions, isLeaving: () => boolean): readonly Route[] {
  const routes: readonly Route[] = [
    ...proposalRoutes(options.gate),
    ...freezeRoutes(options.gate),
    ...pastRoutes(options.past, options.log),
    ...budgetRoutes(options.gate),
    ...baselineRoutes(options.gate),
    ...credentialRoutes(options.credentials),
    ...policyRoutes(options.policies),
    ...uploadRoutes(options.uploads),
    ...dependentRoutes(options.dependents),
    ...ledgerRoutes(options.ledgerFolder),
    ...metricsRoutes(options.metrics),
    ...gatewayRoutes({ ...options, isLeaving, openApi: () => document }),
  ];
  const document = openApiDocument(routes, options.version);
  return routes;
}

/** Whether a request takes no credential: of these routes, of the metadata, or of nothing that is served. */
function isPublicAmong(routes: readonly Route[]): (request: FastifyRequest) => boolean {
  const guarded = new Set(routes.filter(({ access }) => access !== 'public').map(fastifyPath));
  return ({ routeOptions: { url } }) => url === undefined || !(url === '/mcp' || guarded.has(url));
}

/** Bytes of an answer; null of one that is made while it is read. */
function sizeOf(payload: unknown): number | null {
  if (typeof payload === 'string') return Buffer.byteLength(payload);
  return payload instanceof Uint8Array ? payload.length : null;
}

/** On the raw answer, so that what MCP writes by itself carries them too. */
function secure(reply: FastifyReply): void {
  for (const [name, value] of Object.entries(SECURE_HEADERS)) reply.raw.setHeader(name, value);
}

/** An absent body may come with a content type; anything else must be JSON in valid UTF-8. */
function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new Problem('request-invalid', 'the body is not JSON in UTF-8', { cause });
  }
}
