/** What the HTTP API and MCP take. The interfaces are in `model/api.ts`; unknown members are refused. */
import { WAIT_MS_MAX } from '../../model/api.ts';
import type {
  ApprovalBody,
  ChainBody,
  CredentialBody,
  DraftBody,
  FreezeBody,
  ReleaseBody,
  ResolutionBody,
  RowQuery,
} from '../../model/api.ts';
import { DRAFT_BOUNDS } from '../../model/draft.ts';
import { STATES, type State } from '../../model/lifecycle.ts';
import { PAGE_MAX } from '../../model/ports.ts';
import { QUERY_OPERATION, type ReadBody } from '../../model/read.ts';
import { closed, described, DIGEST, list, oneOf, TEXT } from './schema.ts';
import { queryShape, shape, type JsonSchema, type Shape } from './shape.ts';

/** No control, format or unassigned character, no line break: what is shown to people must look like what it is. */
const NAME: JsonSchema = {
  type: 'string',
  minLength: 1,
  maxLength: DRAFT_BOUNDS.nameLengthMax,
  // Two names that differ by a blank at an end would look the same to people.
  pattern: '^(?! )[^\\p{C}\\p{Zl}\\p{Zp}]+(?<! )$',
};
const REASON: JsonSchema = { type: 'string', maxLength: DRAFT_BOUNDS.reasonLengthMax };
const REASON_GIVEN: JsonSchema = { ...REASON, minLength: 1 };

/** As it can stand in a header: visible ASCII, spaces only inside. */
export const IDEMPOTENCY_KEY: JsonSchema = {
  type: 'string',
  minLength: 1,
  maxLength: DRAFT_BOUNDS.idempotencyKeyLengthMax,
  pattern: '^[!-~](?:[ -~]*[!-~])?$',
  description:
    'the same for every try of the same write; the same key with other arguments is a problem',
};

export const DRAFT_MEMBERS: Readonly<Record<string, JsonSchema>> = {
  target: described(NAME, 'name of a configured system'),
  operation: described(
    NAME,
    'one kind of write that the target offers; for `postgres` it is `sql`',
  ),
  arguments: {
    type: 'object',
    description: 'what the operation takes; for `sql`: `statement` and `parameters`',
  },
  reason: described(
    REASON,
    'why, in your own words; shown to people, takes no part in the decision',
  ),
  idempotencyKey: IDEMPOTENCY_KEY,
  run: described(NAME, 'your run or session; budgets and stops may be per run'),
};
export const DRAFT_OPTIONAL = ['reason', 'idempotencyKey', 'run'] as const;

/** The form alone; `draft.ts` holds the bounds too, and is what a border calls. */
export const DRAFT: Shape<DraftBody> = shape(
  closed(DRAFT_MEMBERS, DRAFT_OPTIONAL),
  'draft-invalid',
);

const STEP = closed({
  target: DRAFT_MEMBERS['target'] ?? NAME,
  operation: DRAFT_MEMBERS['operation'] ?? NAME,
  arguments: DRAFT_MEMBERS['arguments'] ?? {},
});

export const CHAIN_MEMBERS: Readonly<Record<string, JsonSchema>> = {
  steps: {
    ...list(STEP),
    minItems: DRAFT_BOUNDS.stepsMin,
    maxItems: DRAFT_BOUNDS.stepsMax,
    description:
      'the writes, in the order in which they are carried out; where one is refused the earlier ones are taken back',
  },
  reason: DRAFT_MEMBERS['reason'] ?? REASON,
  idempotencyKey: IDEMPOTENCY_KEY,
  run: DRAFT_MEMBERS['run'] ?? NAME,
};

/** As `DRAFT`, of several writes as one. */
export const CHAIN: Shape<ChainBody> = shape(
  closed(CHAIN_MEMBERS, DRAFT_OPTIONAL),
  'draft-invalid',
);

/** One write, or a chain. */
export const WRITE_SCHEMA: JsonSchema = { oneOf: [DRAFT.schema, CHAIN.schema] };

export const RESOLUTION: Shape<ResolutionBody> = shape(
  closed({
    outcome: oneOf('applied', 'refused'),
    reason: described(REASON_GIVEN, 'what was looked at and put right; on record'),
  }),
  'request-invalid',
);

export const APPROVAL: Shape<ApprovalBody> = shape(
  closed(
    {
      planDigest: described(DIGEST, 'of the plan that was on the screen'),
      verdict: oneOf('approve', 'deny'),
      reason: REASON,
    },
    ['reason'],
  ),
  'request-invalid',
);

export const FREEZE: Shape<FreezeBody> = shape(
  closed({
    scope: {
      type: 'object',
      required: ['kind'],
      oneOf: [
        closed({ kind: oneOf('all', 'tenant') }),
        closed({ kind: oneOf('agent', 'target', 'run'), name: NAME }),
      ],
    },
    reason: REASON_GIVEN,
  }),
  'request-invalid',
);

export interface BudgetQuery {
  readonly agent?: string;
}

export const BUDGET_QUERY: Shape<BudgetQuery> = queryShape(
  closed({ agent: described(NAME, 'only the budgets of this agent') }, ['agent']),
);

export interface BaselineQuery {
  readonly agent: string;
}

export const BASELINE_QUERY: Shape<BaselineQuery> = queryShape(
  closed({ agent: described(NAME, 'whose baselines') }),
);

export const RELEASE: Shape<ReleaseBody> = shape(
  closed({ reason: REASON_GIVEN }),
  'request-invalid',
);

export const CREDENTIAL: Shape<CredentialBody> = shape(
  closed({ holder: closed({ kind: oneOf('agent', 'person'), name: NAME }) }),
  'request-invalid',
);

/** A read has no reason and no key: it changes nothing, and twice is no harm. */
export const READ: Shape<ReadBody> = shape(
  closed(
    {
      target: described(NAME, 'name of a configured system'),
      operation: { type: 'string', const: QUERY_OPERATION },
      arguments: {
        type: 'object',
        description: 'what to read; for `postgres` `statement`, one SELECT, and `parameters`',
      },
      run: described(NAME, 'your run or session'),
    },
    ['operation', 'run'],
  ),
  'draft-invalid',
);

/** Rows of one page at most; see `gate/rows.ts`. */
const ROWS_PAGE_MAX = 1_000;

export const ROW_QUERY: Shape<RowQuery> = queryShape(
  closed(
    {
      from: { type: 'integer', minimum: 0, default: 0 },
      limit: { type: 'integer', minimum: 1, maximum: ROWS_PAGE_MAX, default: 100 },
      resource: described(TEXT, 'only rows of this resource, such as `public.customers`'),
      kind: oneOf('create', 'update', 'delete'),
    },
    ['from', 'limit', 'resource', 'kind'],
  ),
);

export const WAIT_MS: JsonSchema = {
  type: 'integer',
  minimum: 0,
  maximum: WAIT_MS_MAX,
  description: 'how long to wait for the proposal to settle; then the answer is its present state',
};

export interface WaitQuery {
  readonly waitMs?: number;
}

export const WAIT_QUERY: Shape<WaitQuery> = queryShape(closed({ waitMs: WAIT_MS }, ['waitMs']));

/** What `list` may be narrowed to; newest first. */
export interface ListQuery {
  readonly state?: readonly State[];
  readonly limit?: number;
  readonly before?: string;
}

export const PAGE_DEFAULT = 50;

export const LIST_SCHEMA: JsonSchema = closed(
  {
    state: { ...list(oneOf(...STATES)), maxItems: STATES.length },
    limit: { type: 'integer', minimum: 1, maximum: PAGE_MAX, default: PAGE_DEFAULT },
    before: described(TEXT, 'a proposal id: only those proposed before it'),
  },
  ['state', 'limit', 'before'],
);
export const LIST_QUERY: Shape<ListQuery> = queryShape(LIST_SCHEMA);
