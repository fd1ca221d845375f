/**
 * Why a call could not be taken, as RFC 9457. One table gives status, title and who must act;
 * `server/problem.ts` alone turns a `Problem` into `application/problem+json`.
 */

interface ProblemRow {
  readonly status: number;
  readonly title: string;
  readonly acts: 'caller' | 'operator' | 'nobody';
}

export const PROBLEMS = {
  'draft-invalid': { status: 400, title: 'the draft is not of the expected form', acts: 'caller' },
  'request-invalid': {
    status: 400,
    title: 'the request is not of the expected form',
    acts: 'caller',
  },
  'request-too-large': { status: 413, title: 'the request is over the size limit', acts: 'caller' },
  'idempotency-key-reused': {
    status: 422,
    title: 'the idempotency key belongs to other arguments',
    acts: 'caller',
  },
  'credential-missing': { status: 401, title: 'no credential was sent', acts: 'caller' },
  'credential-unknown': {
    status: 401,
    title: 'the credential is not known or was revoked',
    acts: 'caller',
  },
  'credential-kind': {
    status: 403,
    title: 'this kind of credential may not do that',
    acts: 'caller',
  },
  'role-missing': { status: 403, title: 'the person lacks the role for that', acts: 'operator' },
  'origin-refused': {
    status: 403,
    title: 'the Host or Origin header is not on the list',
    acts: 'caller',
  },
  'approver-is-proposer': {
    status: 403,
    title: 'who proposed or owns the proposer may not decide',
    acts: 'caller',
  },
  'approver-not-routed': {
    status: 403,
    title: 'the proposal is not routed to this person',
    acts: 'caller',
  },
  'approver-decided': {
    status: 409,
    title: 'this person has decided on this plan already',
    acts: 'nobody',
  },
  'proposal-unknown': { status: 404, title: 'there is no such proposal here', acts: 'caller' },
  'route-unknown': { status: 404, title: 'there is no such resource', acts: 'caller' },
  'freeze-unknown': { status: 404, title: 'there is no such freeze', acts: 'caller' },
  'release-not-named': {
    status: 403,
    title: 'the policy lets others release a stop',
    acts: 'operator',
  },
  'release-spoken': {
    status: 409,
    title: 'this person has spoken for this release already',
    acts: 'nobody',
  },
  'credential-holder-unknown': {
    status: 404,
    title: 'the configuration does not name this agent or person',
    acts: 'operator',
  },
  'state-conflict': {
    status: 409,
    title: 'the proposal is not in a state for that',
    acts: 'caller',
  },
  'digest-mismatch': {
    status: 409,
    title: 'the plan that was decided on is not the present one',
    acts: 'caller',
  },
  'policy-differs': {
    status: 409,
    title: 'the policy that was sent is not the one in the file',
    acts: 'caller',
  },
  'policy-invalid': { status: 422, title: 'the policy does not load', acts: 'caller' },
  'policy-unreadable': {
    status: 503,
    title: 'the policy in force does not load with this version',
    acts: 'operator',
  },
  'restart-needed': {
    status: 503,
    title: 'the policy in force takes a restart of this gateway',
    acts: 'operator',
  },
  'not-compensable': { status: 409, title: 'the write cannot be taken back', acts: 'caller' },
  'too-many-requests': { status: 429, title: 'too many requests at once', acts: 'caller' },
  'configuration-invalid': {
    status: 500,
    title: 'the configuration does not load',
    acts: 'operator',
  },
  'configuration-missing': { status: 500, title: 'there is no configuration', acts: 'operator' },
  'store-locked': { status: 503, title: 'another gateway holds the store', acts: 'operator' },
  'store-unusable': { status: 503, title: 'the store cannot be read or written', acts: 'operator' },
  'store-unreachable': {
    status: 503,
    title: 'the server of the store does not answer',
    acts: 'nobody',
  },
  'store-moved': {
    status: 503,
    title: 'the store was moved to another place',
    acts: 'operator',
  },
  'key-differs': {
    status: 503,
    title: 'the gateway has not the keys of its store',
    acts: 'operator',
  },
  'ledger-inconsistent': {
    status: 503,
    title: 'the ledger and its published checkpoint disagree',
    acts: 'operator',
  },
  'target-misconfigured': {
    status: 503,
    title: 'the target cannot be governed as configured',
    acts: 'operator',
  },
  'gateway-unreachable': { status: 503, title: 'no gateway answers there', acts: 'operator' },
  'gateway-stopping': { status: 503, title: 'the gateway is shutting down', acts: 'nobody' },
  bug: { status: 500, title: 'the gateway met a state it did not expect', acts: 'operator' },
} as const;

/** When a call may be sent again, in ms, where the problem passes by itself. */
const RETRY_AFTER_MS: Partial<Record<ProblemCode, number>> = {
  'too-many-requests': 1_000,
  'gateway-stopping': 1_000,
};

/** Stable, documented in `docs/spec/problems.md`. */
export type ProblemCode = keyof typeof PROBLEMS;

/**
 * A call that could not be taken. Nothing was changed by it, save where `store-unreachable` or
 * `store-unusable` says that it is not known. The message holds no secret.
 */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  /** Where in the input, as a JSON pointer, `line:column`, or a flag; null where there is no such place. */
  readonly at: string | null;
  /** When the call may be sent again; null where nothing but a change helps. */
  readonly retryAfterMs: number | null;

  constructor(code: ProblemCode, message: string, options: ProblemOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.at = options.at ?? null;
    this.retryAfterMs = options.retryAfterMs ?? RETRY_AFTER_MS[code] ?? null;
  }

  get status(): number {
    return PROBLEMS[this.code].status;
  }

  get title(): string {
    return PROBLEMS[this.code].title;
  }

  get acts(): ProblemRow['acts'] {
    return PROBLEMS[this.code].acts;
  }
}

export interface ProblemOptions {
  readonly at?: string;
  /** In place of what the code says. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** The body of an `application/problem+json` answer. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ProblemCode;
  readonly detail: string;
  readonly at: string | null;
  readonly acts: 'caller' | 'operator' | 'nobody';
  /** When the same call may be sent again, in ms; null where nothing but a change helps. */
  readonly retryAfterMs: number | null;
}
