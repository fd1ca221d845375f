import type { ProblemCode, ProblemDocument } from '../model/problem.ts';

/** A call that the gateway could not take, or no gateway that answers. Nothing was changed by it. */
export class GatewayProblem extends Error {
  override readonly name = 'GatewayProblem';
  /** Stable; `docs/spec/problems.md` says what each means and what to do. */
  readonly code: ProblemCode;
  /** The HTTP status; 503 where nothing answered, 502 where what answered is no gateway. */
  readonly status: number;
  /** Where in what was sent, as a JSON pointer; null where there is no such place. */
  readonly at: string | null;
  /** When the gateway, or what stands before it, says to call again; null where it does not say. */
  readonly retryAfterMs: number | null;

  constructor(
    problem: Pick<ProblemDocument, 'code' | 'status' | 'detail' | 'at'> &
      Partial<Pick<ProblemDocument, 'retryAfterMs'>>,
    options?: ErrorOptions,
  ) {
    super(problem.detail, options);
    this.code = problem.code;
    this.status = problem.status;
    this.at = problem.at;
    this.retryAfterMs = problem.retryAfterMs ?? null;
  }
}

/** Reports whether a JSON value is the body of an `application/problem+json` of the gateway. */
export function isProblemDocument(value: unknown): value is ProblemDocument {
  if (typeof value !== 'object' || value === null) return false;
  const isCoded = 'code' in value && typeof value.code === 'string';
  return isCoded && 'detail' in value && typeof value.detail === 'string';
}
