/** A long answer, read line by line as it comes. */
import type { Step } from '../model/steps.ts';
import { GatewayProblem, isProblemDocument } from './problem.ts';
import { unreachable, type TransportOptions } from './transport.ts';

export interface StepsOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told how far it is, each time that the gateway says so. */
  readonly onProgress?: ((done: number, of: number) => void) | undefined;
}

/** Sends a question and returns its answer. Asked once: it is long, and nothing rests on it. */
export async function ask<Answer>(
  options: TransportOptions,
  question: { readonly path: string; readonly body: unknown },
  { signal, onProgress }: StepsOptions = {},
): Promise<Answer> {
  const response = await begin(options, question, signal);
  if (!response.ok || response.body === null) throw await refused(options, response);
  let rest = '';
  const decoder = new TextDecoder();
  try {
    const body: AsyncIterable<Uint8Array> = response.body;
    for await (const bytes of body) {
      const lines = `${rest}${decoder.decode(bytes, { stream: true })}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const step = stepOf<Answer>(line);
        if (step.kind === 'done') return step.answer;
        if (step.kind === 'problem') throw new GatewayProblem(step.problem);
        onProgress?.(step.done, step.of);
      }
    }
  } catch (cause) {
    if (cause instanceof GatewayProblem) throw cause;
    signal?.throwIfAborted();
    throw unreachable('the answer broke off; ask again', { cause });
  }
  throw unreachable('the answer ended before it was whole; ask again');
}

async function begin(
  { url, token, fetch: fetchPort }: TransportOptions,
  { path, body }: { readonly path: string; readonly body: unknown },
  signal: AbortSignal | undefined,
): Promise<Response> {
  try {
    return await fetchPort(`${url.replace(/\/+$/, '')}${path}`, {
      method: 'POST',
      redirect: 'error',
      headers: {
        authorization: `Bearer ${token}`,
        accept: 'application/x-ndjson, application/problem+json',
        'content-type': 'application/json',
      },
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (cause) {
    signal?.throwIfAborted();
    throw unreachable(`no gateway answered at \`${url}\`; is it up? \`writegate up\``, { cause });
  }
}

async function refused({ url }: TransportOptions, response: Response): Promise<GatewayProblem> {
  const { status } = response;
  const document: unknown = await response.json().catch(() => undefined);
  if (isProblemDocument(document)) return new GatewayProblem({ ...document, status });
  return unreachable(`what answers at \`${url}\` with status ${status} is no gateway`);
}

function stepOf<Answer>(line: string): Step<Answer> {
  // The gateway is trusted to answer as it documents.
  return JSON.parse(line) as Step<Answer>;
}
