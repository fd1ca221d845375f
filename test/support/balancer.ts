/**
 * A load balancer as the guide asks for one: it asks each gateway again and again whether to send it new
 * calls, keeps connections, and tries nothing twice, so that what a gateway refuses its caller sees.
 */
import { once } from 'node:events';
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

export interface Balancer {
  readonly url: string;
  /** Calls that came to no answer, or to one that says to come again: what a client is not to see. */
  readonly refused: readonly string[];
  /** How many calls each gateway answered, by its port. */
  readonly answered: ReadonlyMap<number, number>;
  /** Resolves once it sends calls there, or no more. */
  until(port: number, state: 'in' | 'out'): Promise<void>;
  close(): Promise<void>;
}

const PATH = '/v1/readyz';
const PROBE_MS = 100;

/** Stands before gateways on these ports of this machine; those that are not there may come later. */
export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  const agent = new Agent({ keepAlive: true });
  const inRotation = new Set<number>();
  const refused: string[] = [];
  const answered = new Map<number, number>();
  const over = new AbortController();
  let turn = 0;

  function next(): number | undefined {
    turn += 1;
    return [...inRotation][turn % Math.max(1, inRotation.size)];
  }

  function forward(call: IncomingMessage, answer: ServerResponse): void {
    const port = next();
    const { method, url: path } = call;
    const refuse = (why: string): void => {
      refused.push(`${method} ${path} at ${port}: ${why}`);
      if (answer.headersSent) answer.destroy();
      else answer.writeHead(502).end();
    };
    if (port === undefined) return refuse('no gateway is ready');
    const { host: _host, connection: _connection, ...headers } = call.headers;
    const there = request({ host: '127.0.0.1', port, method, path, headers, agent });
    there.on('error', (error) => refuse(error.message));
    there.on('response', (got) => {
      const { statusCode = 0 } = got;
      if (statusCode === 429 || statusCode >= 500) refused.push(`${method} ${path}: ${statusCode}`);
      answered.set(port, (answered.get(port) ?? 0) + 1);
      const { connection: _own, 'keep-alive': _too, ...passed } = got.headers;
      answer.writeHead(statusCode, passed);
      got.on('error', (error) => refuse(error.message));
      got.pipe(answer);
    });
    call.pipe(there);
  }

  const server = createServer(forward).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const watching = ports.map(async (port) => {
    while (!over.signal.aborted) {
      if (await isReady(port)) inRotation.add(port);
      else inRotation.delete(port);
      await pause(PROBE_MS, undefined, { signal: over.signal }).catch(() => undefined);
    }
  });
  // A TCP server has no other kind of address.
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${own}`,
    refused,
    answered,
    until: async (port, state) => {
      while (inRotation.has(port) !== (state === 'in')) await pause(PROBE_MS / 4);
    },
    close: async () => {
      over.abort();
      await Promise.all(watching);
      agent.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
}

function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path: PATH, agent: false }, (got) => {
      got.resume();
      resolve(got.statusCode === 200);
    });
    asked.setTimeout(1_000, () => asked.destroy());
    asked.on('error', () => resolve(false)).end();
  });
}
