import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { facts as randomFacts, policyText } from '../../test/support/policy-arbitraries.ts';
import type { Finding } from '../model/decision.ts';
import type { Configuration, Policy } from '../model/policy.ts';
import { judge } from './judge.ts';
import { parseConfiguration } from './parse.ts';
import { mostWithin, quantile, roundedUp, type SeenWrite } from './suggest/seen.ts';
import { SEEN_MIN, suggest } from './suggest.ts';
import type { PolicyFacts } from './stages/write.ts';

const FILE = `# What agents may write.
version: 1
mode: observe
targets:
  crm: { kind: postgres, url: '\${env:CRM_URL}' } # the variable, not the secret
people: { ada: { roles: [operator, approver] } }
agents:
  bot:
    owner: ada
    permissions:
      - { target: crm, class: [create, update], tier: autonomous }
      - { target: crm, resource: public.drafts, class: delete, tier: confirm }
      - { target: crm, resource: public.rates, tier: read-only }
  idle: { permissions: [{ target: crm, tier: autonomous }] }
limits:
  - { name: records, recordsMax: 1000 } # for everybody
rules: [{ id: all, effect: permit, match: { target: crm }, reason: a test }]
`;

const CONFIGURATION = parseConfiguration(FILE, 'writegate.yaml');
const DAY_MS = 86_400_000;

function write(changes: Partial<SeenWrite> = {}): SeenWrite {
  return {
    agent: 'bot',
    environment: 'production',
    target: 'crm',
    operation: 'sql',
    class: 'update',
    resources: ['public.customers'],
    tier: 'autonomous',
    records: 1,
    value: [],
    at: 0,
    ...changes,
  };
}

function draftOf(
  writes: readonly SeenWrite[],
  configuration: Configuration = CONFIGURATION,
): { readonly text: string; readonly policy: Policy } {
  const agents = [...configuration.policy.agents.keys()];
  const about = (agent: string) => [`seen of \`${agent}\``];
  const text = suggest({ configuration, writes, agents, about });
  return { text, policy: parseConfiguration(text, 'draft.yaml').policy };
}

describe('a draft', () => {
  const usual = Array.from({ length: 200 }, (_, place) =>
    write({
      at: place * 600_000,
      records: place === 7 ? 40 : 1 + (place % 12),
      resources: [place % 5 === 0 ? 'public.invoices' : 'public.customers'],
      operation: place % 2 === 0 ? 'sql' : 'update',
      value: place % 5 === 0 ? [{ currency: 'GBP', amountMinor: String(place * 100) }] : [],
    }),
  );
  const deletes = Array.from({ length: 3 }, () =>
    write({ class: 'delete', resources: ['public.drafts'], tier: 'confirm' }),
  );

  test('permits what was used, by full names, and keeps the rest of the file with its comments', () => {
    const { text, policy } = draftOf([...usual, ...deletes]);
    assert.equal(policy.mode, 'active');
    assert.match(text, /# the variable, not the secret/);
    assert.match(text, /# for everybody/);
    const { permissions } = policy.agents.get('bot') ?? { permissions: [] };
    assert.deepEqual(
      permissions.map(({ match, tier }) => [match.class, match.resource, match.operation, tier]),
      [
        [['update'], ['public.customers', 'public.invoices'], ['sql', 'update'], 'autonomous'],
        [['delete'], ['public.drafts'], ['sql'], 'confirm'],
        [undefined, ['public.rates'], undefined, 'read-only'],
      ],
    );
    assert.deepEqual(policy.agents.get('idle')?.permissions, [], 'what was not used');
    assert.match(text, /# seen 200 writes to 2 resources/);
  });

  test('bounds with room above what is usual, and says the figures that each bound came from', () => {
    const { text, policy } = draftOf(usual);
    const limit = policy.limits.find(({ name }) => name === 'seen-bot');
    assert.deepEqual([limit?.recordsMax, limit?.valueMinorMax], [40, { GBP: 39_000 }]);
    const [threshold] = policy.thresholds;
    assert.deepEqual([threshold?.recordsOver, threshold?.match], [12, { agent: ['bot'] }]);
    assert.deepEqual(
      policy.budgets.map(({ measure, window, max }) => `${max} ${measure} ${window}`),
      [
        '2 writes minute',
        '60 records minute',
        '9 writes hour',
        '140 records hour',
        '220 writes day',
        '1500 records day',
      ],
    );
    assert.ok(policy.budgets.every(({ per }) => per.join() === 'agent'));
    assert.match(text, /# seen 200 writes, p99 12 records, most 40; p99 195\.00 GBP/);
    assert.match(text, /# seen at most 1 writes in any minute/);
  });

  test('bounds nothing by a handful of writes', () => {
    const few = draftOf(Array.from({ length: SEEN_MIN - 1 }, () => write()));
    assert.deepEqual([few.policy.thresholds, few.policy.budgets], [[], []]);
  });

  test('is never above confirm where anything waited, nor for a delete', () => {
    const { policy } = draftOf([write(), write({ tier: 'confirm' }), ...deletes]);
    const tiers = policy.agents.get('bot')?.permissions.map(({ tier }) => tier);
    assert.deepEqual(tiers, ['confirm', 'confirm', 'read-only']);
  });

  test('leaves out what no line can name, and what the file does not let', () => {
    const odd = ['a*b', '', 'line\nbreak', ' spaced'].map((name) => write({ resources: [name] }));
    const beyond = [
      write({ agent: 'stranger' }),
      write({ class: 'delete', resources: ['public.customers'], tier: 'confirm' }),
      write({ class: 'destroy' }),
      write({ target: 'elsewhere' }),
    ];
    const { policy } = draftOf([...odd, ...beyond]);
    assert.deepEqual(
      policy.agents.get('bot')?.permissions.map(({ tier }) => tier),
      ['read-only'],
    );
  });
});

const name = fc.oneof(
  fc.constantFrom('public.a', 'public.b', 'audit.log', 'public.*'),
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
);

const seen: fc.Arbitrary<SeenWrite> = fc.record({
  agent: fc.constantFrom('bot', 'clerk', 'stranger'),
  environment: fc.constantFrom('production', 'staging'),
  target: fc.constantFrom('crm', 'shop'),
  operation: fc.constantFrom('sql', 'other'),
  class: fc.constantFrom('create', 'update', 'delete', 'destroy'),
  resources: fc.array(name, { minLength: 1, maxLength: 3 }),
  tier: fc.constantFrom('confirm', 'autonomous'),
  records: fc.integer({ min: 0, max: 5_000_000 }),
  value: fc.array(
    fc.record({
      currency: fc.constantFrom('GBP', 'JPY', 'KWD', 'nonsense'),
      amountMinor: fc.constantFrom('0', '1', '999999', '90071992547409930000'),
    }),
    { maxLength: 2 },
  ),
  at: fc.integer({ min: 0, max: 3 * DAY_MS }),
});

const history = fc.oneof(
  fc.array(seen, { maxLength: 12 }),
  fc.array(seen, { minLength: 25, maxLength: 60 }),
);

const STRENGTH = { deny: 0, wait: 1, allow: 2 } as const;

function strengthOf(policy: Policy, facts: PolicyFacts): number {
  const verdicts = judge(policy, [facts]).map(({ verdict }: Finding) => STRENGTH[verdict]);
  return Math.min(2, ...verdicts);
}

test('every draft loads, and lets nothing through that the file does not (law)', () => {
  let narrower = 0;
  fc.assert(
    fc.property(
      policyText,
      history,
      fc.array(randomFacts, { minLength: 5, maxLength: 20 }),
      (file, writes, all) => {
        const configuration = parseConfiguration(file, 'writegate.yaml');
        const { policy } = draftOf(writes, configuration);
        for (const facts of all) {
          const [before, after] = [configuration.policy, policy].map((each) =>
            strengthOf(each, facts),
          );
          assert.ok(after !== undefined && before !== undefined && after <= before);
          if (after < before) narrower += 1;
        }
      },
    ),
    { numRuns: 150, endOnFailure: true },
  );
  assert.ok(narrower > 0, 'some drafts are narrower');
});

describe('figures', () => {
  test('a quantile is one of what was seen, and not below its share', () => {
    assert.deepEqual(
      [quantile([], 0.99), quantile([5], 0.5), quantile([1, 2, 3, 4], 0.5)],
      [0, 5, 2],
    );
    fc.assert(
      fc.property(
        fc.array(fc.nat(), { minLength: 1 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (figures, share) => {
          const found = quantile(figures, share);
          assert.ok(figures.includes(found));
          assert.ok(
            figures.filter((each) => each <= found).length >= share * figures.length - 1e-9,
          );
        },
      ),
    );
  });

  test('the most within a window is that of some window, wherever it begins', () => {
    const at = fc.array(fc.record({ at: fc.nat(100), amount: fc.nat(9) }), { maxLength: 20 });
    fc.assert(
      fc.property(at, fc.integer({ min: 1, max: 50 }), (given, windowMs) => {
        const ordered = given.toSorted((left, right) => left.at - right.at);
        const sums = ordered.map(({ at: end }) =>
          ordered
            .filter((each) => each.at <= end && each.at > end - windowMs)
            .reduce((sum, { amount }) => sum + amount, 0),
        );
        assert.equal(mostWithin(ordered, windowMs), Math.max(0, ...sums));
      }),
    );
  });

  test('a bound reads as one, and is never below what it came from', () => {
    assert.deepEqual([7, 12, 101, 1_234, 98_001].map(roundedUp), [7, 12, 110, 1_300, 99_000]);
    fc.assert(fc.property(fc.nat(), (figure) => assert.ok(roundedUp(figure) >= figure)));
  });
});
