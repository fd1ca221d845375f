/** What the HTTP API and MCP give. The interfaces are in `model/`; clients must bear new members. */
import { STATES } from '../../model/lifecycle.ts';
import {
  AT,
  AT_OR_NULL,
  described,
  DIGEST,
  list,
  nullable,
  object,
  oneOf,
  TEXT,
  TEXT_OR_NULL,
  WHOLE,
  WHOLE_OR_NULL,
  YES_NO,
} from './schema.ts';
import type { JsonSchema } from './shape.ts';

const KEY: JsonSchema = list(TEXT_OR_NULL);
const IMAGE: JsonSchema = {
  type: ['object', 'null'],
  additionalProperties: TEXT_OR_NULL,
  description: 'by column, in the text form of the target; null where there is none',
};
const DIGEST_OR_NULL = nullable(DIGEST);

export const EFFECT: JsonSchema = object(
  {
    resource: TEXT,
    kind: oneOf('create', 'update', 'delete'),
    key: KEY,
    before: IMAGE,
    after: IMAGE,
    by: object({ attribution: oneOf('cascade', 'trigger', 'rule', 'indirect'), via: TEXT_OR_NULL }),
  },
  ['by'],
);

const ATTRIBUTION = oneOf('direct', 'cascade', 'trigger', 'rule', 'indirect');
const TALLY = object({ created: WHOLE, updated: WHOLE, deleted: WHOLE });

export const PLAN_DIFFERENCE: JsonSchema = object({
  counts: list(object({ resource: TEXT, attribution: ATTRIBUTION, shown: TALLY, now: TALLY })),
  rowsGone: list(EFFECT),
  rowsNew: list(EFFECT),
  rowsMoved: list(
    object({
      resource: TEXT,
      key: KEY,
      columns: list(
        object({
          column: TEXT,
          image: oneOf('before', 'after'),
          shown: TEXT_OR_NULL,
          now: TEXT_OR_NULL,
        }),
      ),
    }),
  ),
  rowsOmitted: WHOLE,
  sentence: TEXT,
});

export const CONFLICT: JsonSchema = object({
  resource: TEXT,
  key: KEY,
  problem: oneOf('row-changed', 'row-missing', 'row-exists'),
  columns: list(
    object({ column: TEXT, before: TEXT_OR_NULL, expected: TEXT_OR_NULL, found: TEXT_OR_NULL }, [
      'before',
    ]),
  ),
});

export const RECEIPT: JsonSchema = object({
  proposalId: TEXT,
  planDigest: TEXT,
  reference: described(TEXT, "the target's own reference, for `postgres` the transaction id"),
  appliedAt: AT,
  ledgerIndex: WHOLE,
  leafHash: TEXT,
  reversible: oneOf('proved', 'conditional', 'one-way'),
});

const NEXT = described(
  oneOf('wait', 'none', 'narrow', 'fix-arguments', 'ask-human', 'stop-run'),
  'what to do next',
);

/** One member of the union: a state and what comes with it. */
function inState(state: string, members: Readonly<Record<string, JsonSchema>>): JsonSchema {
  return object({ state: { type: 'string', const: state }, ...members });
}

const CARRYING = ['applied', 'waiting', 'stale', 'denied', 'refused'];

const RESULT_COMMON = object({
  state: oneOf(...STATES, 'previewed'),
  proposalId: described(TEXT_OR_NULL, 'the handle; null for a preview'),
  code: described(TEXT, 'stable; docs/spec/problems.md lists them'),
  reason: TEXT,
  next: NEXT,
  links: object({ self: TEXT_OR_NULL, human: TEXT_OR_NULL }),
  retryAfterMs: WHOLE_OR_NULL,
  headline: described(TEXT_OR_NULL, 'the measured effect in one sentence'),
  planDigest: DIGEST_OR_NULL,
  replayed: described(YES_NO, 'true where this is the first result of the same write again'),
});

/** The union on `state`; the two long members as far as the caller of this wants them spelled out. */
function resultOf(difference: JsonSchema, conflict: JsonSchema): JsonSchema {
  return {
    ...RESULT_COMMON,
    oneOf: [
      inState('applied', {
        receipt: RECEIPT,
        compensatedBy: described(TEXT_OR_NULL, 'the proposal that took it back'),
      }),
      inState('waiting', { expiresAt: AT, difference: nullable(difference) }),
      inState('stale', { difference }),
      inState('denied', { duplicateOf: TEXT_OR_NULL }),
      inState('refused', { conflicts: list(conflict) }),
      inState('previewed', { wouldBe: oneOf('allow', 'wait', 'deny') }),
      object({ state: oneOf(...STATES.filter((state) => !CARRYING.includes(state))) }),
    ],
  };
}

export const RESULT: JsonSchema = resultOf(PLAN_DIFFERENCE, CONFLICT);

/** The same union for a list of tools, which a model may have to read: no word on rows. */
export const RESULT_BRIEF: JsonSchema = resultOf(object({ sentence: TEXT }), { type: 'object' });

const SUMMARY_MEMBERS: Readonly<Record<string, JsonSchema>> = {
  id: TEXT,
  state: oneOf(...STATES),
  agent: TEXT,
  target: TEXT,
  operation: TEXT,
  steps: described(WHOLE, 'how many writes it is made of: 1, or those of a chain'),
  headline: TEXT_OR_NULL,
  planDigest: DIGEST_OR_NULL,
  riskLevel: TEXT_OR_NULL,
  code: TEXT_OR_NULL,
  proposedAt: AT,
  expiresAt: AT_OR_NULL,
  compensates: TEXT_OR_NULL,
  compensatedBy: TEXT_OR_NULL,
};
export const PROPOSAL_SUMMARY: JsonSchema = object(SUMMARY_MEMBERS);

export const PROPOSAL_PAGE: JsonSchema = object({
  items: list(PROPOSAL_SUMMARY),
  before: described(TEXT_OR_NULL, 'give as `before` for the next page; null at the end'),
});

const MONEY = object({ currency: TEXT, amountMinor: TEXT });

export const PLAN: JsonSchema = object(
  {
    headline: TEXT,
    class: oneOf('read', 'create', 'update', 'delete', 'destroy'),
    resource: TEXT,
    counts: list(
      object({
        resource: TEXT,
        attribution: ATTRIBUTION,
        via: TEXT_OR_NULL,
        created: WHOLE,
        updated: WHOLE,
        deleted: WHOLE,
      }),
    ),
    partOf: { type: 'object', additionalProperties: list(TEXT) },
    effects: list(EFFECT),
    effectsOmitted: WHOLE,
    evidence: nullable(object({ id: TEXT, rows: WHOLE, bytes: WHOLE })),
    columns: list(
      object({
        resource: TEXT,
        column: TEXT,
        rows: WHOLE,
        examples: list(object({ before: TEXT_OR_NULL, after: TEXT_OR_NULL, rows: WHOLE })),
      }),
    ),
    effectsDigest: DIGEST,
    maskedColumns: list(TEXT),
    value: list(MONEY),
    valueComplete: YES_NO,
    recipients: WHOLE,
    bytes: WHOLE,
    reversibility: object(
      { kind: oneOf('proved', 'conditional', 'one-way'), reason: TEXT, except: list(TEXT) },
      ['except'],
    ),
    resourceSize: { type: ['number', 'null'] },
    dependents: list(TEXT),
    warnings: list(TEXT),
    checks: list(object({ name: TEXT, holds: YES_NO, message: TEXT_OR_NULL })),
    measuredOn: { type: 'string', const: 'shadow' },
    unmeasured: list({ type: 'string', enum: ['recipients', 'bytes'] }),
    steps: described(
      list(object({ operation: TEXT, plan: { type: 'object' } })),
      'of several steps in one transaction: each, with a plan as this one',
    ),
    segments: described(
      list(object({ target: TEXT, operation: TEXT, stepCount: WHOLE, plan: { type: 'object' } })),
      'of a chain over several transactions: each, with a plan as this one',
    ),
  },
  ['checks', 'measuredOn', 'unmeasured', 'steps', 'segments'],
);

export const ASSESSMENT: JsonSchema = object({
  plan: PLAN,
  planDigest: DIGEST,
  blastRadius: object({
    records: WHOLE,
    recordsDirect: WHOLE,
    recordsIndirect: WHOLE,
    recordsDeleted: WHOLE,
    resources: WHOLE,
    value: list(MONEY),
    recipients: WHOLE,
    bytes: WHOLE,
    amplification: { type: 'number' },
  }),
  risk: object({
    score: { type: 'number' },
    level: oneOf('low', 'medium', 'high', 'critical'),
    terms: list(
      object({
        name: oneOf('scope', 'reversibility', 'coupling'),
        value: { type: 'number' },
        reason: TEXT,
      }),
    ),
  }),
  assessedAt: AT,
});

export const DECISION: JsonSchema = object(
  {
    kind: oneOf('allow', 'wait', 'deny'),
    code: TEXT,
    reason: TEXT,
    findings: list(
      object(
        {
          stage: TEXT,
          verdict: oneOf('deny', 'wait', 'allow'),
          rule: TEXT,
          code: TEXT,
          reason: TEXT,
          retryAfterMs: WHOLE,
        },
        ['retryAfterMs'],
      ),
    ),
    settledBy: described(TEXT, 'the rule that settled it'),
    planDigest: DIGEST_OR_NULL,
    policyDigest: DIGEST,
    decidedAt: AT,
    reserve: list({ type: 'object' }),
    route: list(object({ groups: list(TEXT), quorum: WHOLE })),
    expiresAt: AT,
    duplicateOf: TEXT_OR_NULL,
  },
  ['reserve', 'route', 'expiresAt', 'duplicateOf'],
);

export const PERSON_APPROVAL: JsonSchema = object({
  verdict: oneOf('approve', 'deny'),
  person: TEXT,
  groups: list(TEXT),
  planDigest: DIGEST,
  reason: TEXT_OR_NULL,
  at: AT,
});

export const OUTCOME: JsonSchema = object(
  {
    status: oneOf('applied', 'refused', 'in_doubt', 'stale'),
    code: TEXT,
    reason: TEXT,
    resolved: oneOf('live', 'recovery', 'person'),
    attempt: WHOLE,
    planDigest: DIGEST_OR_NULL,
    reference: TEXT_OR_NULL,
    effects: nullable(list(EFFECT)),
    evidence: nullable(object({ id: TEXT, rows: WHOLE, bytes: WHOLE })),
    difference: nullable(PLAN_DIFFERENCE),
    conflicts: list(CONFLICT),
    segments: list(
      object({
        reference: TEXT,
        effects: nullable(list(EFFECT)),
        evidence: nullable(object({ id: TEXT, rows: WHOLE, bytes: WHOLE })),
      }),
    ),
    credential: described(TEXT, 'of the person who said how it ended'),
  },
  ['segments', 'credential'],
);

export const PROPOSAL_VIEW: JsonSchema = object({
  ...SUMMARY_MEMBERS,
  environment: TEXT,
  arguments: { type: 'object' },
  reason: TEXT_OR_NULL,
  run: TEXT_OR_NULL,
  assessment: nullable(ASSESSMENT),
  decision: nullable(DECISION),
  approvals: list(PERSON_APPROVAL),
  outcome: nullable(OUTCOME),
  drift: nullable(object({ shownDigest: DIGEST, difference: PLAN_DIFFERENCE, at: AT })),
  history: list(object({ type: TEXT, at: AT, index: WHOLE })),
});
