/** How a call that could not be taken is answered; the only place that writes RFC 9457. */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply } from 'fastify';
import { Problem, PROBLEMS, type ProblemCode, type ProblemDocument } from '../model/problem.ts';

/** Where a line for the operator goes; `cause` may hold internals and never leaves the gateway. */
export type Log = (line: string, cause: unknown) => void;

const BUG =
  'the gateway met a state it did not expect; nothing more is said here, its log has the cause';

/** The type URI is relative: the server itself answers it with the row of the table. */
export function problemDocument(problem: Problem): ProblemDocument {
  return {
    type: `/v1/problems/${problem.code}`,
    title: problem.title,
    status: problem.status,
    code: problem.code,
    detail: problem.message,
    at: problem.at,
    acts: problem.acts,
    retryAfterMs: problem.retryAfterMs,
  };
}

/** Turns whatever was thrown into a problem; what nobody foresaw becomes a `bug` and is logged. */
export function toProblem(error: unknown, log: Log): Problem {
  if (error instanceof Problem) {
    if (error.code === 'bug') log('the gate reported a bug', error);
    return error;
  }
  const refused = frameworkProblem(error);
  if (refused !== undefined) return refused;
  log('a call ended in an error that nobody foresaw', error);
  return new Problem('bug', BUG, { cause: error });
}

/** What Fastify refuses before a route sees it, by its documented codes. */
function frameworkProblem(error: unknown): Problem | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Problem('request-too-large', 'the body is over what this route takes; send less', {
        cause: error,
      });
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Problem('request-invalid', 'the body must be of content type `application/json`', {
        cause: error,
      });
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new Problem('request-invalid', 'the body is not as long as `Content-Length` says', {
        cause: error,
      });
    case 'FST_ERR_BAD_URL':
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new Problem('route-unknown', 'the path is not well formed', { cause: error });
    default:
      return undefined;
  }
}

export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  if (problem.retryAfterMs !== null) {
    reply.header('retry-after', String(Math.ceil(problem.retryAfterMs / 1_000)));
  }
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send(problemDocument(problem));
}

/** Answers what never became a request: bytes that are no HTTP, too many headers, a late body. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const problem = connectionProblem(error.code);
  const body = JSON.stringify(problemDocument(problem));
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? 'Error'}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    'cache-control: no-store',
    'connection: close',
  ];
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.destroy();
}

function connectionProblem(code: string | undefined): Problem {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new Problem('request-invalid', 'the request took too long to arrive; send it at once');
    case 'HPE_HEADER_OVERFLOW':
      return new Problem('request-too-large', 'the headers are too long; send less');
    default:
      return new Problem('request-invalid', 'what came is not HTTP');
  }
}

/** Reports whether a text is a code of the table. */
export function isProblemCode(code: unknown): code is ProblemCode {
  return typeof code === 'string' && Object.hasOwn(PROBLEMS, code);
}
