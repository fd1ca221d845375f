/** Random policies, writes, and what else a decision looks at, for the tests that compare evaluators. */
import fc from 'fast-check';
import { EFFECT_CLASSES, type Plan, type ResourceCount } from '../../src/model/plan.ts';
import { SENSITIVITIES, type Policy } from '../../src/model/policy.ts';
import { unusual, type Usual } from '../../src/policy/stages/unusual.ts';
import type { PolicyFacts } from '../../src/policy/evaluate.ts';
import type { SpecInput } from '../../src/policy/spec.ts';
import { learnedFrom } from './baseline.ts';
import { cascade, direct, factsOf, policyFrom, row } from './policy.ts';

const AGENTS = ['bot', 'clerk'];
const TARGETS = ['crm', 'shop'];
const RESOURCES = ['public.a', 'public.b', 'audit.log'];
export const PEOPLE = ['ann', 'ben', 'cem'];

const CONDITIONS = [
  'effect.records > 3',
  'args.n == 1',
  'risk.score > 40 || risk.level == "critical"',
  'effect.rows.exists(r, r.kind == "delete")',
  'operation.class == "update" || args.n == 1',
  'effect.valueMinor["GBP"] > 500',
  'has(args.n) && args.n > 1',
  'principal.kind == "person" || effect.records > 2',
];

// ---- random policies, as files: what loads is what is tested

const patterns = (names: readonly string[], ...globs: string[]) =>
  fc.oneof(fc.constantFrom(...names, ...globs), fc.subarray([...names], { minLength: 1 }));

const match = fc.record(
  {
    agent: patterns(AGENTS, 'b*'),
    environment: fc.constantFrom('production', 'prod*', ['staging', 'production']),
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

const anomaly = fc.record(
  {
    sensitivity: fc.constantFrom(...SENSITIVITIES),
    verdict: fc.constantFrom('require', 'require', 'forbid'),
    route,
    warmUp: fc.constant(10),
    lines: fc.array(
      fc.record(
        {
          match: fc.record({ agent: patterns(AGENTS, 'b*'), target: patterns(TARGETS, '*') }),
          sensitivity: fc.constantFrom(...SENSITIVITIES),
          verdict: fc.constantFrom('require', 'require', 'forbid'),
          route,
        },
        { requiredKeys: ['match'] },
      ),
      { maxLength: 2 },
    ),
  },
  { requiredKeys: [] },
);

const validation = fc.oneof(
  fc.record(
    {
      match,
      holds: fc.constantFrom('effect.records < 8', 'args.n != 3', 'effect.recordsDeleted == 0'),
    },
    { requiredKeys: ['holds'] },
  ),
  fc.record(
    {
      match,
      schema: fc.constantFrom({ type: 'object', properties: { n: { type: 'integer' } } }, true),
    },
    { requiredKeys: ['schema'] },
  ),
  fc.record({ match, check: fc.constant('SELECT true') }),
);

const file = fc.record({
  anomaly,
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
      {
        match,
        recordsOver: small,
        recordsPerResourceOver: small,
        valueOver: withAmounts,
        bytesOver: small,
        amplificationOver: fc.double({ min: 0, max: 3, noNaN: true }),
        riskOver: small,
        route,
      },
      { requiredKeys: ['recordsOver'] },
    ),
    { maxLength: 2 },
  ),
  budgets: fc.array(
    fc.oneof(
      fc.record({
        match,
        measure: fc.constantFrom('writes', 'records', 'recipients'),
        window,
        max: small,
      }),
      fc.record({ match, measure: fc.constant('value:GBP'), window, max: fc.constant('5.00') }),
    ),
    { maxLength: 2 },
  ),
  validations: fc.array(validation, { maxLength: 2 }),
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

/** The text of a file that loads; most of them let some writes through. */
export const policyText: fc.Arbitrary<string> = file.map((random) => {
  const named = <Line extends object>(lines: readonly Line[]) =>
    lines.map((line, index) => ({ name: `n${index}`, ...line }));
  return JSON.stringify({
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
    anomaly: { ...random.anomaly, lines: named(random.anomaly.lines ?? []) },
    validations: random.validations.map((line, index) => ({
      name: `v${index}`,
      reason: 'v',
      ...line,
    })),
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
  });
});

export const policy: fc.Arbitrary<Policy> = policyText.map(policyFrom);

// ---- random facts

const changed = fc.record({
  created: fc.integer({ min: 0, max: 4 }),
  updated: fc.integer({ min: 0, max: 4 }),
  deleted: fc.constantFrom(0, 0, 0, 2),
});
const countOf: fc.Arbitrary<ResourceCount> = fc
  .tuple(fc.boolean(), fc.constantFrom(...RESOURCES), changed)
  .map(([isDirect, resource, counts]) => (isDirect ? direct : cascade)(resource, counts));

const KINSHIPS: readonly Plan['partOf'][] = [
  {},
  {},
  { 'public.b': ['public.a'] },
  { 'audit.log': ['public.a'] },
  { 'public.a': ['audit.log'], 'public.b': ['audit.log'] },
  { 'public.b': ['audit.log', 'public.a'], 'audit.log': ['public.a'] },
];

const plan: fc.Arbitrary<Partial<Plan>> = fc.record({
  resource: fc.constantFrom(...RESOURCES),
  counts: fc.array(countOf, { maxLength: 3 }),
  effects: fc.constantFrom([], [row()], [row({ kind: 'delete' })]),
  partOf: fc.constantFrom(...KINSHIPS),
  effectsOmitted: fc.constantFrom(0, 0, 0, 1),
  evidence: fc.constant(null),
  columns: fc.constant([]),
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
  unmeasured: fc.constantFrom([], [], [], ['recipients'], ['bytes'], ['recipients', 'bytes']),
  reversibility: fc
    .constantFrom('proved' as const, 'proved' as const, 'conditional' as const, 'one-way' as const)
    .map((kind) => ({ kind, reason: 'x' })),
  checks: fc.subarray(
    [
      { name: 'v0', holds: true, message: null },
      { name: 'v1', holds: true, message: null },
      { name: 'v1', holds: false, message: 'no' },
    ],
    { minLength: 1 },
  ),
  warnings: fc.constantFrom([], [], [], ['not all was seen']),
});

/** A measured write of an agent that the file names, of a stranger, or of a person. */
export const facts: fc.Arbitrary<PolicyFacts> = fc
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

/** The steps of what one principal proposes: mostly one, else a chain. */
export const steps: fc.Arbitrary<readonly PolicyFacts[]> = fc
  .tuple(
    facts,
    fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, fc.array(facts, { maxLength: 2 })),
  )
  .map(([first, more]) => [first].concat(more.map((step) => proposedWith(first, step))));

function proposedWith(first: PolicyFacts, step: PolicyFacts): PolicyFacts {
  const { principal, environment, run, risk, now, compensation } = first;
  return { ...step, principal, environment, run, risk, now, compensation };
}

/** Nothing learned, then what makes all, some, and none of the random writes unusual. */
const USUAL: readonly [Usual, ...Usual[]] = [
  { baseline: undefined, key: 'k', uncounted: 1 },
  ...[[], ['public.a'], RESOURCES].map((resources, place) => ({
    baseline: learnedFrom({
      writes: 60,
      records: 1 + place * 2,
      value: place === 0 ? [] : [['GBP', 10 ** place] as const, ['EUR', 10 ** place] as const],
      recipients: place,
      resources: resources.map((name) => [name]),
    }),
    key: 'k',
    uncounted: place === 1 ? 0 : 1,
  })),
];

/** The facts, and what else a decision looks at. */
export type RandomInput = SpecInput & { readonly usual: readonly Usual[] };

const beside = fc.record({
  facts: steps,
  usual: fc.array(fc.constantFrom(...USUAL), { minLength: 3, maxLength: 3 }),
  frozen: fc.constantFrom(false, false, false, false, true),
  duplicate: fc.constantFrom(false, false, false, false, true),
  warnings: fc.constantFrom([], [], [], [], ['a step might be left standing']),
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

export const input: fc.Arbitrary<RandomInput> = beside.map(withUnusual);

function withUnusual(random: Omit<RandomInput, 'unusualAt'>): RandomInput {
  const unusualAt = random.facts.map((given, index) => {
    const usual = random.usual[index] ?? USUAL[0];
    return SENSITIVITIES.find((each) => unusual(given, usual, each).length > 0) ?? 'off';
  });
  return { ...random, unusualAt };
}
