/** One HTTP call, and when it may be made again. */
import { GatewayProblem, isProblemDocument } from './problem.ts';

export interface TransportOptions {
  readonly url: string;
  readonly token: string;
  readonly fetch: typeof fetch;
  /** Resolves after `ms`, or as soon as `signal` aborts. */
  readonly sleep: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  /** From 0 up to 1: callers that were refused together must not come back together. */
  readonly random: () => number;
  /** Told before each pause of a call that is tried for long. */
  readonly onRetry?: ((problem: GatewayProblem, waitMs: number) => void) | undefined;
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
  /** Whether it is worth outlasting a restart of the gateway; else a few tries are made. */
  readonly isPatient?: boolean;
}

/** How long a call pauses between its tries, all together, and how often it is made. */
interface Patience {
  readonly triesMax: number;
  readonly pausesMsMax: number;
}
const BRIEF: Patience = { triesMax: 3, pausesMsMax: 5_000 };
const LONG: Patience = { triesMax: 20, pausesMsMax: 20_000 };

/** The first pause; each further one is twice as long, up to a bound. */
const BACKOFF_MS = 250;
const BACKOFF_MS_MAX = 2_000;
/** By how much of itself a pause may be longer. */
const SPREAD = 0.5;

/** Sends a request; the answer is of the form that the gateway's OpenAPI document gives it. */
export async function send<Answer>(options: TransportOptions, request: Request): Promise<Answer> {
  const { triesMax, pausesMsMax } = request.isPatient === true ? LONG : BRIEF;
  let leftMs = pausesMsMax;
  for (let tries = 1; ; tries += 1) {
    try {
      return await sendOnce<Answer>(options, request);
    } catch (error) {
      const isLast = tries >= triesMax || request.signal?.aborted === true;
      if (isLast || !mayRepeat(error, request)) throw error;
      const pauseMs = pauseAfter(error, tries, options.random);
      if (pauseMs > leftMs) throw error;
      leftMs -= pauseMs;
      if (request.isPatient === true) options.onRetry?.(error, pauseMs);
      await options.sleep(pauseMs, request.signal);
      request.signal?.throwIfAborted();
    }
  }
}

/** A gateway that is full, that stops or that is not there has not begun the call; of a lost reply nobody knows. */
function mayRepeat(error: unknown, request: Request): error is GatewayProblem {
  if (!(error instanceof GatewayProblem)) return false;
  if (error.code === 'too-many-requests' || error.code === 'gateway-stopping') return true;
  if (isRefused(error)) return true;
  return error.status === 503 && request.isRepeatable;
}

/** Whether the machine answered that nothing listens there. */
function isRefused({ cause }: GatewayProblem): boolean {
  const reason = cause instanceof Error ? cause.cause : undefined;
  return reason instanceof Error && 'code' in reason && reason.code === 'ECONNREFUSED';
}

/** As long as the gateway asks for, and no shorter than the backoff. */
function pauseAfter({ retryAfterMs }: GatewayProblem, tries: number, random: () => number): number {
  const backoffMs = Math.min(BACKOFF_MS * 2 ** (tries - 1), BACKOFF_MS_MAX);
  const leastMs = Math.max(backoffMs, retryAfterMs ?? 0);
  return leastMs + Math.floor(leastMs * SPREAD * random());
}

async function sendOnce<Answer>(options: TransportOptions, request: Request): Promise<Answer> {
  const { status, text, retryAfterMs } = await exchange(options, request);
  const answer = parse(text);
  const isAnswer = status >= 200 && status < 300 && (answer !== undefined || status === 204);
  // The gateway is trusted to answer as it documents; 204 is where `Answer` is `void`.
  if (isAnswer) return answer as Answer;
  if (isProblemDocument(answer)) {
    throw new GatewayProblem({
      ...answer,
      status,
      retryAfterMs: answer.retryAfterMs ?? retryAfterMs,
    });
  }
  const detail = `what answers at \`${options.url}\` with status ${status} is no gateway`;
  // What stands before a gateway says so while that restarts; anything else stays what it is.
  const isPassing = status === 502 || status === 503 || status === 504;
  throw unreachable(detail, { retryAfterMs, status: isPassing ? 503 : 502 });
}

async function exchange(
  options: TransportOptions,
  request: Request,
): Promise<{ status: number; text: string; retryAfterMs: number | null }> {
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
    const seconds = response.headers.get('retry-after') ?? '';
    const retryAfterMs = /^\d{1,6}$/.test(seconds) ? Number(seconds) * 1_000 : null;
    return { status: response.status, text: await response.text(), retryAfterMs };
  } catch (cause) {
    signal?.throwIfAborted();
    throw unreachable(`no gateway answered at \`${options.url}\`; is it up? \`writegate up\``, {
      cause,
    });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Says that no gateway answers (503), or none that can be understood (502). */
export function unreachable(detail: string, about: Unreachable = {}): GatewayProblem {
  const { cause, retryAfterMs = null, status = 503 } = about;
  return new GatewayProblem(
    { code: 'gateway-unreachable', status, detail, at: null, retryAfterMs },
    { cause },
  );
}

interface Unreachable {
  readonly cause?: unknown;
  readonly retryAfterMs?: number | null;
  readonly status?: 502 | 503;
}
