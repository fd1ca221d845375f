/** Entries of every type and of any content that the types allow. */
import fc from 'fast-check';
import type { Digest } from '../../src/lib/canonical.ts';
import type { Json } from '../../src/lib/json.ts';
import type { Decision } from '../../src/model/decision.ts';
import type { EntryBody } from '../../src/model/entry.ts';
import { freezeId, newCredentialId, newProposalId } from '../../src/model/ids.ts';
import type { Assessment, Plan } from '../../src/model/plan.ts';
import { ROLES } from '../../src/model/principal.ts';
import { need } from './gate.ts';
import { assessmentOf } from './ledger-stories.ts';
import { AT } from './ledger.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const digest = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes): Digest => `sha256:${Buffer.from(bytes).toString('hex')}`);
const count = fc.nat();
const orNull = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | null> =>
  fc.option(arbitrary, { nil: null });
const orAbsent = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(arbitrary, { nil: undefined });
const list = <Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value[]> =>
  fc.array(arbitrary, { maxLength: 3 });
const randomBytes = fc.uint8Array({ minLength: 10, maxLength: 10 });
const proposalIds = fc.tuple(count, randomBytes).map(([at, bytes]) => newProposalId(at, bytes));
const credentialIds = randomBytes.map((bytes) => newCredentialId(AT, bytes));
const freezeIds = proposalIds.map((id) => need(freezeId(id.replace('prop_', 'frz_'))));
// What a column may be called, and an object already has.
const column = fc.oneof(text, fc.constantFrom('__proto__', 'constructor', 'toString'));
const image = orNull(
  list(fc.tuple(column, orNull(text))).map((pairs): Record<string, string | null> =>
    Object.fromEntries(pairs),
  ),
);
const effect = fc.record({
  resource: text,
  kind: fc.constantFrom('create', 'update', 'delete'),
  key: list(orNull(text)),
  before: image,
  after: image,
});
const money = fc.record({ currency: text, amountMinor: count.map(String) });
const resourceCount = fc.record({
  resource: text,
  attribution: fc.constantFrom('direct', 'cascade', 'trigger', 'indirect'),
  via: orNull(text),
  created: count,
  updated: count,
  deleted: count,
});
const plan: fc.Arbitrary<Plan> = fc.record({
  headline: text,
  class: fc.constantFrom('read', 'create', 'update', 'delete', 'destroy'),
  resource: text,
  counts: list(resourceCount),
  effects: list(effect),
  partOf: fc.dictionary(
    fc.string({ maxLength: 5 }),
    fc.array(fc.string({ maxLength: 5 }), { maxLength: 2 }),
    {
      noNullPrototype: true,
      maxKeys: 2,
    },
  ),
  effectsOmitted: count,
  evidence: fc.constant(null),
  columns: fc.constant([]),
  effectsDigest: digest,
  maskedColumns: list(text),
  value: list(money),
  valueComplete: fc.boolean(),
  recipients: count,
  bytes: count,
  reversibility: fc.record({
    kind: fc.constantFrom('proved', 'conditional', 'one-way'),
    reason: text,
  }),
  resourceSize: orNull(count),
  dependents: list(text),
  warnings: list(text),
});
const fraction = fc.double({ min: 0, max: 100, noNaN: true }).map((value) => value + 0);
const assessment: fc.Arbitrary<Assessment> = fc
  .record({ plan, score: fraction, assessedAt: count })
  .map(({ plan: each, score, assessedAt }) => {
    const { planDigest, blastRadius } = assessmentOf(each);
    const terms = [{ name: 'scope', value: score / 100, reason: 'wide' }] as const;
    const risk = { score, level: 'high', terms } as const;
    return { plan: each, planDigest, blastRadius, risk, assessedAt };
  });
const code = fc.constantFrom('allowed', 'frozen', 'never', 'budget-exceeded', 'target-busy');
const outcomeCode = fc.constantFrom('applied', 'in-doubt', 'plan-drifted', 'target-busy');
const decisionCommon = {
  code,
  reason: text,
  findings: list(
    fc.record({
      stage: fc.constantFrom('freeze', 'limit', 'rule'),
      verdict: fc.constantFrom('deny', 'wait', 'allow'),
      rule: text,
      code,
      reason: text,
    }),
  ),
  settledBy: text,
  planDigest: orNull(digest),
  policyDigest: digest,
  decidedAt: count,
};
const line = fc.record({
  budget: text,
  scope: text,
  measure: fc.constantFrom('writes', 'records', 'value:GBP'),
  window: fc.constantFrom('minute', 'hour', 'day'),
  windowMs: count,
  amount: count,
  max: count,
});
const decision: fc.Arbitrary<Decision> = fc.oneof(
  fc.record({ ...decisionCommon, kind: fc.constant('allow'), reserve: list(line) }),
  fc.record({
    ...decisionCommon,
    kind: fc.constant('wait'),
    route: list(fc.record({ groups: list(text), quorum: count })),
    expiresAt: count,
  }),
  fc.record({ ...decisionCommon, kind: fc.constant('deny'), duplicateOf: orNull(proposalIds) }),
);
// `JSON.parse` gives JSON and nothing else; writing it first makes -0 the 0 that JSON has.
const json = fc
  .jsonValue({ maxDepth: 3 })
  .map((value) => JSON.parse(JSON.stringify(value)) as Json);

const bodies: fc.Arbitrary<EntryBody> = fc.oneof(
  fc.record({ type: fc.constant('genesis'), origin: text }),
  fc.record({
    type: fc.constant('proposal'),
    draft: fc.record({
      target: text,
      operation: text,
      arguments: fc.dictionary(text, json, { maxKeys: 3, noNullPrototype: true }),
      reason: orAbsent(text),
      idempotencyKey: orAbsent(text),
      run: orAbsent(text),
      compensates: orAbsent(proposalIds),
    }),
    proposer: fc.record({
      kind: fc.constantFrom('agent', 'person'),
      name: text,
      credential: credentialIds,
      owner: orNull(text),
    }),
    environment: text,
    known: fc.boolean(),
    argumentsDigest: digest,
    derivedKey: digest,
  }),
  fc.record({ type: fc.constant('preview'), assessment }),
  fc.record({
    type: fc.constant('decision'),
    result: fc.constantFrom('allow', 'wait', 'deny', 'expired', 'cancelled'),
    decision,
    by: fc.oneof(fc.constantFrom('policy', 'clock'), text),
  }),
  fc.record({
    type: fc.constant('approval'),
    approval: fc.record({
      verdict: fc.constantFrom('approve', 'deny'),
      person: text,
      groups: list(text),
      planDigest: digest,
      reason: orNull(text),
      at: count,
    }),
    credential: credentialIds,
  }),
  fc.record({
    type: fc.constant('intent'),
    planDigest: digest,
    attempt: fc.integer({ min: 1 }),
    deadline: count,
  }),
  fc.record({
    type: fc.constant('intent'),
    planDigest: digest,
    attempt: fc.integer({ min: 1 }),
    deadline: count,
    reference: fc.constantFrom('742', 'msg/2026-11-20', 'a'.repeat(128)),
  }),
  fc.record({
    type: fc.constant('outcome'),
    status: fc.constantFrom('applied', 'refused', 'in_doubt', 'stale'),
    code: outcomeCode,
    reason: text,
    resolved: fc.constantFrom('live', 'recovery', 'person'),
    attempt: count,
    planDigest: orNull(digest),
    reference: orNull(text),
    effects: orNull(list(effect)),
    evidence: fc.constant(null),
    difference: fc.constant(null),
    conflicts: list(
      fc.record({
        resource: text,
        key: list(orNull(text)),
        problem: fc.constantFrom('row-changed', 'row-missing', 'row-exists'),
        columns: list(fc.record({ column, expected: orNull(text), found: orNull(text) })),
      }),
    ),
  }),
  fc.record({ type: fc.constant('rollback'), compensatedBy: proposalIds }),
  fc.record({
    type: fc.constant('freeze'),
    freeze: fc.record(
      {
        id: freezeIds,
        scope: fc.oneof(
          fc.record({ kind: fc.constantFrom('all', 'tenant') }),
          fc.record({ kind: fc.constantFrom('agent', 'target', 'run'), name: text }),
        ),
        reason: text,
        by: text,
        at: count,
        releasedAt: orNull(count),
        source: fc.constant('file' as const),
      },
      { requiredKeys: ['id', 'scope', 'reason', 'by', 'at', 'releasedAt'] },
    ),
  }),
  fc.record(
    {
      type: fc.constant('release'),
      freezeId: freezeIds,
      by: text,
      reason: text,
      source: fc.constant('file' as const),
      credential: credentialIds,
      quorum: fc.integer({ min: 1, max: 20 }),
      missing: fc.integer({ min: 1, max: 20 }),
    },
    { requiredKeys: ['type', 'freezeId', 'by', 'reason'] },
  ),
  fc.record({
    type: fc.constant('policy'),
    digest,
    mode: fc.constantFrom('active', 'observe'),
    text,
  }),
  fc.record({
    type: fc.constant('credential'),
    change: fc.constantFrom('added', 'revoked'),
    credential: fc.record({
      id: credentialIds,
      secretDigest: text,
      createdAt: count,
      revokedAt: orAbsent(count),
      holder: fc.oneof(
        fc.record({ kind: fc.constant('agent'), name: text, owner: orAbsent(text) }),
        fc.record({
          kind: fc.constant('person'),
          name: text,
          roles: list(fc.constantFrom(...ROLES)),
          groups: list(text),
        }),
      ),
    }),
    by: text,
  }),
);

/** Entries of every type and any content, as the type allows; not lawful in their order. */
// A clone has the prototype that parsed JSON has; fast-check gives some records none.
export const entryBodies: fc.Arbitrary<EntryBody> = bodies.map((body) => structuredClone(body));
