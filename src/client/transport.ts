/** One HTTP call, and when it may be made again. */
import { GatewayProblem, isProblemDocument } from './problem.ts';

export interface TransportOptions {
  readonly url: string;
  readonly token: string;
  readonly fetch: typeof fetch;
  /** Resolves after `ms`, or as soon as `signal` aborts. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

export interface Request {
  readonly method: 'GET' | 'POST';
  /** Below the gateway's address, with the query. */
  readonly path: string;
  readonly body?: unknown;
  /** In place of `body`: sent as it is. */
  readonly file?: {
    readonly content: Blob | Uint8Array<ArrayBuffer> | string;
    readonly type: string;
  };
  readonly signal?: AbortSignal | undefined;
  /** Whether the same call twice has one effect; only then is a lost reply asked for again. */
  readonly isRepeatable: boolean;
}

const TRIES_MAX = 3;
const BACKOFF_MS = 250;

/** Sends a request; the answer is of the form that the gateway's OpenAPI document gives it. */
export async function send<Answer>(options: TransportOptions, request: Request): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await sendOnce<Answer>(options, request);
    } catch (error) {
      const isLast = tries >= TRIES_MAX || request.signal?.aborted === true;
      if (isLast || !mayRepeat(error, request)) throw error;
      await options.sleep(BACKOFF_MS * 2 ** (tries - 1), request.signal);
      request.signal?.throwIfAborted();
    }
  }
}

/** A full gateway has not begun the call; of a lost reply nobody knows. */
function mayRepeat(error: unknown, request: Request): boolean {
  if (!(error instanceof GatewayProblem)) return false;
  if (error.code === 'too-many-requests' || error.code === 'gateway-stopping') return true;
  return error.status === 503 && request.isRepeatable;
}

async function sendOnce<Answer>(options: TransportOptions, request: Request): Promise<Answer> {
  const { status, text } = await exchange(options, request);
  const answer = parse(text);
  const isAnswer = status >= 200 && status < 300 && (answer !== undefined || status === 204);
  // The gateway is trusted to answer as it documents; 204 is where `Answer` is `void`.
  if (isAnswer) return answer as Answer;
  if (isProblemDocument(answer)) throw new GatewayProblem({ ...answer, status });
  throw unreachable(`what answers at \`${options.url}\` with status ${status} is no gateway`);
}

async function exchange(
  options: TransportOptions,
  request: Request,
): Promise<{ status: number; text: string }> {
  const { method, path, body, file, signal } = request;
  try {
    const response = await options.fetch(`${options.url.replace(/\/+$/, '')}${path}`, {
      method,
      redirect: 'error',
      headers: {
        authorization: `Bearer ${options.token}`,
        accept: 'application/json, application/problem+json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(file === undefined ? {} : { 'content-type': file.type }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(file === undefined ? {} : { body: file.content }),
      ...(signal === undefined ? {} : { signal }),
    });
    return { status: response.status, text: await response.text() };
  } catch (cause) {
    signal?.throwIfAborted();
    throw unreachable(
      `no gateway answered at \`${options.url}\`; is it up? \`writegate up\``,
      cause,
    );
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Says that no gateway answers, or none that can be understood. */
export function unreachable(detail: string, cause?: unknown): GatewayProblem {
  return new GatewayProblem(
    { code: 'gateway-unreachable', status: 503, detail, at: null },
    { cause },
  );
}
