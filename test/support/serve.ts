/** The real HTTP server on a free port, and calls with whatever headers a test wants. */
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { openApp, type AppOptions } from '../../src/server/app.ts';

export interface Served {
  readonly url: string;
  readonly port: number;
  /** Stops as the gateway does; the test's end does it anyway. */
  close(): Promise<void>;
}

export async function serve(test: TestContext, options: AppOptions): Promise<Served> {
  return serveApp(test, openApp(options));
}

/** As `serve`, for a server that the test holds itself. */
export async function serveApp(
  test: TestContext,
  app: ReturnType<typeof openApp>,
): Promise<Served> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  test.after(() => app.close());
  const { port } = app.server.address() as AddressInfo; // a TCP server has no other kind
  return { url: `http://127.0.0.1:${port}`, port, close: () => app.close() };
}

export interface Sent {
  readonly method?: string;
  readonly path: string;
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** A value is sent as JSON, bytes and text as they are. */
  readonly body?: unknown;
}

export interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body, where it is JSON. */
  readonly json: unknown;
}

/** Sends one request without changing what the test wrote: `fetch` would not let it lie. */
export function send(served: Served, sent: Sent): Promise<Got> {
  const { method = sent.body === undefined ? 'GET' : 'POST', path, token, body } = sent;
  const isRaw = typeof body === 'string' || body instanceof Uint8Array;
  return new Promise((resolve, reject) => {
    const call = request(
      {
        port: served.port,
        host: '127.0.0.1',
        method,
        path,
        agent: false,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...sent.headers,
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          const { statusCode: status = 0, headers } = response;
          resolve({ status, headers, text, json: parse(text) });
        });
      },
    );
    call.on('error', reject);
    if (body !== undefined) call.write(isRaw ? body : JSON.stringify(body));
    call.end();
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
