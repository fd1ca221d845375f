import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Finding } from '../model/decision.ts';
import { EFFECT_CLASSES, type Plan, type ResourceCount } from '../model/plan.ts';
import type { Policy } from '../model/policy.ts';
import {
  budgetLines,
  limitFindings,
  neverFindings,
  permissionFindings,
  routeOf,
  ruleFindings,
  thresholdFindings,
  type PolicyFacts,
} from './evaluate.ts';
import { routeSatisfied } from './route.ts';
import { specDecide, type SpecInput } from './spec.ts';
import { cascade, direct, factsOf, policyFrom, row } from '../../test/support/policy.ts';

const AGENTS = ['bot', 'clerk'];
const TARGETS = ['crm', 'shop'];
const RESOURCES = ['public.a', 'public.b', 'audit.log'];
const PEOPLE = ['ann', 'ben', 'cem'];

const CONDITIONS = [
  'effect.records > 3',
  'args.n == 1',
  'risk.score > 40 || risk.level == "critical"',
  'effect.rows.exists(r, r.kind == "delete")',
  'operation.class == "update"',
  'effect.valueMinor["GBP"] > 500',
  'has(args.n) && args.n > 1',
  'principal.kind == "person"',
];

// ---- random policies, as files: what loads is what is tested

const patterns = (names: readonly string[], ...globs: string[]) =>
  fc.oneof(fc.constantFrom(...names, ...globs), fc.subarray([...names], { minLength: 1 }));

const match = fc.record(
  {
    agent: patterns(AGENTS, 'b*'),
    environment: fc.constantFrom('production', 'prod*', 'staging'),
    target: patterns(TARGETS, '*'),
    operation: fc.constantFrom('sql', 's*', 'other'),
    resource: patterns(RESOURCES, 'public.*', '*.log'),
    class: fc.subarray(['create', 'update', 'delete'], { minLength: 1 }),
  },
  { requiredKeys: [] },
);

const amounts = fc.record(
  { GBP: fc.constantFrom('1.00', '10.00'), EUR: fc.constantFrom('1.00', '10.00') },
  { requiredKeys: [] },
);
const withAmounts = amounts.filter((each) => Object.keys(each).length > 0);
const window = fc.constantFrom('hour', 'day');
const small = fc.integer({ min: 1, max: 12 });

const permission = fc.oneof(
  fc.record(
    {
      target: patterns(TARGETS, '*'),
      resource: patterns(RESOURCES, 'public.*'),
      class: fc.subarray(['create', 'update', 'read'], { minLength: 1 }),
      tier: fc.constantFrom('read-only', 'confirm', 'autonomous', 'autonomous'),
    },
    { requiredKeys: ['tier'] },
  ),
  fc.record({
    target: fc.constantFrom(...TARGETS),
    resource: fc.subarray(RESOURCES, { minLength: 1 }),
    class: fc.constant('delete'),
    tier: fc.constantFrom('confirm', 'read-only'),
  }),
);

const route = fc.constantFrom('finance', 'two', 'chain');

const file = fc.record({
  never: fc.array(fc.record({ match, reason: fc.constant('n') }), { maxLength: 1 }),
  permissions: fc.tuple(...AGENTS.map(() => fc.array(permission, { maxLength: 3 }))),
  limits: fc.array(
    fc.record(
      {
        match,
        recordsMax: small,
        recordsPerResourceMax: small,
        valueMax: withAmounts,
        recipientsMax: small,
        bytesMax: small,
        amplificationMax: fc.double({ min: 0, max: 3, noNaN: true }),
      },
      { requiredKeys: ['recordsMax'] },
    ),
    { maxLength: 2 },
  ),
  thresholds: fc.array(
    fc.record(
      { match, recordsOver: small, valueOver: withAmounts, riskOver: small, route },
      { requiredKeys: ['recordsOver'] },
    ),
    { maxLength: 2 },
  ),
  budgets: fc.array(
    fc.oneof(
      fc.record({ match, measure: fc.constantFrom('writes', 'records'), window, max: small }),
      fc.record({ match, measure: fc.constant('value:GBP'), window, max: fc.constant('5.00') }),
    ),
    { maxLength: 2 },
  ),
  rules: fc.array(
    fc
      .record(
        {
          effect: fc.constantFrom('permit', 'permit', 'permit', 'require', 'forbid'),
          match,
          when: fc.constantFrom(...CONDITIONS),
        },
        { requiredKeys: ['effect'] },
      )
      .chain((rule) => fc.option(route).map((name) => ({ rule, name }))),
    { maxLength: 5 },
  ),
});

const policy: fc.Arbitrary<Policy> = file.map((random) => {
  const named = <Line extends object>(lines: readonly Line[]) =>
    lines.map((line, index) => ({ name: `n${index}`, ...line }));
  return policyFrom(
    JSON.stringify({
      version: 1,
      targets: Object.fromEntries(TARGETS.map((name) => [name, { kind: 'fake' }])),
      people: Object.fromEntries(
        PEOPLE.map((name) => [name, { roles: 'approver', groups: 'finance' }]),
      ),
      agents: Object.fromEntries(
        AGENTS.map((name, index) => {
          const usual = name === 'bot' ? [{ target: 'crm', tier: 'autonomous' }] : [];
          return [name, { permissions: [...usual, ...(random.permissions[index] ?? [])] }];
        }),
      ),
      routes: {
        finance: { steps: [{ groups: 'finance' }] },
        two: { steps: [{ quorum: 2 }] },
        chain: { steps: [{ groups: 'finance' }, {}] },
      },
      never: named(random.never),
      limits: named(random.limits),
      thresholds: named(random.thresholds),
      budgets: named(random.budgets),
      rules: [
        // Most random policies permit nothing: with this one the other stages get to speak.
        { id: 'usual', effect: 'permit', match: { target: 'crm' }, reason: 'u' },
        ...random.rules.map(({ rule, name }, index) => ({
          id: `r${index}`,
          reason: 'r',
          ...rule,
          ...(rule.effect === 'require' && name !== null ? { route: name } : {}),
        })),
      ],
    }),
  );
});

// ---- random facts

const changed = fc.record({
  created: fc.integer({ min: 0, max: 4 }),
  updated: fc.integer({ min: 0, max: 4 }),
  deleted: fc.constantFrom(0, 0, 0, 2),
});
const countOf: fc.Arbitrary<ResourceCount> = fc
  .tuple(fc.boolean(), fc.constantFrom(...RESOURCES), changed)
  .map(([isDirect, resource, counts]) => (isDirect ? direct : cascade)(resource, counts));

const plan: fc.Arbitrary<Partial<Plan>> = fc.record({
  resource: fc.constantFrom(...RESOURCES),
  counts: fc.array(countOf, { maxLength: 3 }),
  effects: fc.constantFrom([], [row()], [row({ kind: 'delete' })]),
  effectsOmitted: fc.constantFrom(0, 0, 0, 1),
  value: fc.array(
    fc.record({
      currency: fc.constantFrom('GBP', 'EUR'),
      amountMinor: fc.constantFrom('0', '90', '600', '2000', '90071992547409930000'),
    }),
    { maxLength: 2 },
  ),
  valueComplete: fc.constantFrom(true, true, true, false),
  recipients: fc.integer({ min: 0, max: 6 }),
  bytes: fc.integer({ min: 0, max: 6 }),
  reversibility: fc
    .constantFrom('proved' as const, 'proved' as const, 'conditional' as const, 'one-way' as const)
    .map((kind) => ({ kind, reason: 'x' })),
  warnings: fc.constantFrom([], [], [], ['not all was seen']),
});

const facts: fc.Arbitrary<PolicyFacts> = fc
  .record({
    who: fc.constantFrom(
      { agent: 'bot' },
      { agent: 'clerk' },
      { agent: 'stranger' },
      { person: 'ann' },
    ),
    environment: fc.constantFrom('production', 'production', 'staging'),
    target: fc.constantFrom('crm', 'crm', 'shop'),
    args: fc.constantFrom({}, { n: 1 }, { n: 2 }, { n: 'a' }),
    class: fc.option(fc.constantFrom(...EFFECT_CLASSES), { nil: undefined, freq: 8 }),
    compensates: fc.option(
      fc.constantFrom('create' as const, 'update' as const, 'delete' as const),
      {
        nil: undefined,
        freq: 8,
      },
    ),
    plan,
    score: fc.integer({ min: 0, max: 100 }),
  })
  .map(({ who, class: effectClass, compensates, score, ...rest }) =>
    factsOf({
      ...rest,
      ...who,
      ...(effectClass === undefined ? {} : { class: effectClass }),
      ...(compensates === undefined ? {} : { compensates }),
      risk: { score, level: score >= 75 ? 'critical' : 'low' },
    }),
  );

const input = fc.record({
  facts,
  frozen: fc.constantFrom(false, false, false, false, true),
  duplicate: fc.constantFrom(false, false, false, false, true),
  budgetUsed: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 2, maxLength: 2 }),
  approvals: fc.array(
    fc.record({
      person: fc.constantFrom(...PEOPLE),
      groups: fc.constantFrom(['finance'], []),
      verdict: fc.constantFrom(
        'approve' as const,
        'approve' as const,
        'approve' as const,
        'deny' as const,
      ),
      forThisDigest: fc.constantFrom(true, true, true, false),
    }),
    { maxLength: 3 },
  ),
  forbiddenApprovers: fc.subarray(PEOPLE, { maxLength: 1 }),
});

// ---- the production functions, put together as a decision puts them

function decided(loaded: Policy, given: SpecInput): 'allow' | 'deny' | 'wait' {
  const findings: readonly Finding[] = [
    ...neverFindings(loaded, given.facts),
    ...permissionFindings(loaded, given.facts),
    ...limitFindings(loaded, given.facts),
    ...ruleFindings(loaded, given.facts),
    ...thresholdFindings(loaded, given.facts),
  ];
  const isOverBudget = budgetLines(loaded, given.facts).some(
    (line, index) => (given.budgetUsed[index] ?? Infinity) + line.amount > line.max,
  );
  const heard = given.approvals.filter((approval) => approval.forThisDigest);
  if (given.frozen || given.duplicate || isOverBudget) return 'deny';
  if (findings.some((finding) => finding.verdict === 'deny')) return 'deny';
  if (heard.some((approval) => approval.verdict === 'deny')) return 'deny';
  const waits = findings.filter((finding) => finding.verdict === 'wait');
  if (waits.length === 0) return 'allow';
  const { steps } = routeOf(loaded, waits);
  return routeSatisfied(steps, heard, given.forbiddenApprovers).satisfied ? 'allow' : 'wait';
}

describe('the indexed evaluator', () => {
  test('agrees with the specification on random policies and facts, whatever was asked before', () => {
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(policy, fc.array(input, { minLength: 1, maxLength: 8 }), (loaded, inputs) => {
        for (const given of inputs) {
          const expected = specDecide(loaded, given);
          seen.set(expected, (seen.get(expected) ?? 0) + 1);
          assert.equal(decided(loaded, given), expected);
        }
      }),
      { numRuns: 800 },
    );
    // A run that met one verdict alone would show little.
    for (const verdict of ['allow', 'wait', 'deny']) {
      assert.ok((seen.get(verdict) ?? 0) >= 20, JSON.stringify([...seen]));
    }
  });

  test('gives each denial and each wait a rule, a code and a figure or a reason', () => {
    fc.assert(
      fc.property(policy, facts, (loaded, given) => {
        for (const judge of [
          neverFindings,
          permissionFindings,
          limitFindings,
          ruleFindings,
          thresholdFindings,
        ]) {
          for (const { rule, code, reason } of judge(loaded, given)) {
            assert.match(rule, /^(?:never|agents|limits|rules|thresholds|budgets|effect|risk)\b/);
            assert.notEqual(code, '');
            assert.doesNotMatch(reason, /undefined|NaN|\[object|null/);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('the specification', () => {
  test('is not loosened by a line that tightens', () => {
    const rank = { allow: 0, wait: 1, deny: 2 };
    fc.assert(
      fc.property(policy, input, (loaded, given) => {
        const before = rank[specDecide(loaded, given)];
        const everything = { name: 'x', match: {}, reason: 'x' };
        for (const tighter of [
          { ...loaded, never: [...loaded.never, everything] },
          { ...loaded, limits: [...loaded.limits, ...loaded.limits] },
          {
            ...loaded,
            rules: loaded.rules.map((rule) =>
              rule.effect === 'permit' ? { ...rule, effect: 'forbid' as const } : rule,
            ),
          },
          {
            ...loaded,
            rules: loaded.rules.filter((rule) => rule.effect !== 'permit' || rule.when !== null),
          },
        ]) {
          assert.ok(rank[specDecide(tighter, given)] >= before);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('denies everything while a stop is on, and for an empty policy', () => {
    const empty = policyFrom('version: 1');
    fc.assert(
      fc.property(policy, input, facts, (loaded, given, other) => {
        assert.equal(specDecide(loaded, { ...given, frozen: true }), 'deny');
        fc.pre(other.principal.kind === 'agent');
        assert.equal(specDecide(empty, { ...given, facts: other }), 'deny');
      }),
      { numRuns: 200 },
    );
  });
});
