import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { mergePlans } from '../model/merge.ts';
import { measure } from '../model/plan.ts';
import { policy, steps } from '../../test/support/policy-arbitraries.ts';
import { direct, factsOf, policyFrom, spoken } from '../../test/support/policy.ts';
import { budgetLines, type PolicyFacts } from './evaluate.ts';
import { judge } from './judge.ts';
import { specDecide } from './spec.ts';

const RANK = { allow: 0, wait: 1, deny: 2 } as const;

function rank(findings: ReturnType<typeof judge>): number {
  return Math.max(0, ...findings.map(({ verdict }) => RANK[verdict]));
}

const POLICY = policyFrom(`
version: 1
targets: {crm: {kind: fake}, shop: {kind: fake}}
agents: {billing-bot: {permissions: [{target: "*", tier: autonomous}]}}
limits:
  - {name: customers, match: {resource: public.customers}, recordsMax: 100, recordsPerResourceMax: 90}
thresholds:
  - {name: money, valueOver: {GBP: "10.00"}, recipientsOver: 5}
budgets:
  - {name: pace, per: agent, measure: writes, window: minute, max: 9}
  - {name: rows, per: target, measure: records, window: day, max: 500}
rules:
  - {id: all, effect: permit, match: {target: "*"}, reason: a test}
  - {id: many, effect: require, match: {target: crm}, when: effect.records > 80, reason: many rows}
`);

function customers(updated: number, target = 'crm'): PolicyFacts {
  return factsOf({ target, plan: { counts: [direct('public.customers', { updated })] } });
}

describe('the steps of a chain', () => {
  test('are held to a limit by what they do together', () => {
    assert.deepEqual(
      spoken(judge(POLICY, [customers(60)])).filter((each) => each.startsWith('deny')),
      [],
    );
    const findings = judge(POLICY, [customers(60), customers(41)]);
    const [over, inOne] = findings.filter(({ verdict }) => verdict === 'deny');
    assert.equal(over?.rule, 'limits.customers');
    assert.equal(over?.reason, 'the steps together: 101 records, at most 100');
    // Said once for a line, as of a single write.
    assert.equal(inOne, undefined);
  });

  test('on several targets count a resource of the same name apart, and the records of all', () => {
    const apart = judge(POLICY, [customers(60), customers(40, 'shop')]);
    assert.deepEqual(
      spoken(apart).filter((each) => each.startsWith('deny')),
      [],
    );
    const over = judge(POLICY, [customers(60), customers(41, 'shop')]);
    assert.match(over.map(({ reason }) => reason).join(), /together: 101 records/);
  });

  test('wait by a rule or a threshold that speaks of the sum', () => {
    const value = [{ currency: 'GBP', amountMinor: '600' }];
    const paid = factsOf({ plan: { counts: [direct('public.orders', { created: 50 })], value } });
    assert.deepEqual(
      spoken(judge(POLICY, [paid])).filter((each) => each.startsWith('wait')),
      [],
    );
    assert.deepEqual(
      spoken(judge(POLICY, [paid, paid, { ...paid, plan: { ...paid.plan } }])).filter((each) =>
        each.startsWith('wait'),
      ),
      ['wait rules.many rule-requires', 'wait thresholds.money threshold-exceeded'],
    );
  });

  test('that are not permitted are denied, whatever the others are', () => {
    const findings = judge(POLICY, [
      customers(1),
      factsOf({ agent: 'billing-bot', class: 'destroy' }),
    ]);
    const never = findings.find(({ verdict }) => verdict === 'deny');
    assert.equal(never?.rule, 'never.destroy');
    assert.match(never?.reason ?? '', /^step 2 of 2: /);
  });

  test('take from budgets what they would take one by one', () => {
    const lines = budgetLines(POLICY, [customers(3), customers(4), customers(5, 'shop')]);
    assert.deepEqual(
      lines.map(({ budget, scope, amount }) => `${budget} ${scope} ${amount}`),
      [
        'budgets.pace agent=billing-bot 3',
        'budgets.rows target=crm 7',
        'budgets.rows target=shop 5',
      ],
    );
  });

  test('that stand for one effect are counted once', () => {
    const one = customers(60);
    const again = { ...one, operation: 'update' };
    assert.deepEqual(
      spoken(judge(POLICY, [one, again])).filter((each) => each.startsWith('deny')),
      [],
    );
    assert.deepEqual(
      budgetLines(POLICY, [one, again]).map(({ amount }) => amount),
      [1, 60],
    );
  });
});

const CLASSES = ['create', 'update', 'delete'] as const;
const SPEAKERS = ['require', 'forbid', 'holds'] as const;

/** A line that speaks where a condition holds. */
function speaking(speaker: (typeof SPEAKERS)[number], when: string): string {
  return speaker === 'holds'
    ? `validations: [{name: v, holds: '!(${when})', reason: v}]\n`
    : `  - {id: r, effect: ${speaker}, when: '${when}', reason: r}\n`;
}

/** A step that does one thing, and takes back one that did another. */
function takingBack(done: (typeof CLASSES)[number], undone: (typeof CLASSES)[number]): PolicyFacts {
  const counts = [direct('public.customers', { updated: 1 })];
  return factsOf({ agent: 'bot', class: done, compensates: undone, plan: { counts } });
}

describe('a condition on the steps of a compensation', () => {
  const BASE = `
version: 1
targets: {crm: {kind: fake}}
agents: {bot: {permissions: [{target: crm, tier: autonomous}]}}
rules:
  - {id: all, effect: permit, match: {target: crm}, reason: a test}
`;
  const pairs = CLASSES.flatMap((done) => CLASSES.map((undone) => [done, undone] as const));
  for (const speaker of SPEAKERS) {
    test(`of a line that says ${speaker} sees the class of what is taken back, in the sum too`, () => {
      for (const asked of CLASSES) {
        for (const extent of ['', ' && effect.records > 1']) {
          const when = `operation.class == "${asked}"${extent}`;
          const loaded = policyFrom(`${BASE}${speaking(speaker, when)}`);
          for (const [first, second] of pairs.flatMap((each) =>
            pairs.map((other) => [each, other] as const),
          )) {
            const chain = [takingBack(...first), takingBack(...second)];
            const expected = specDecide(loaded, {
              facts: chain,
              frozen: false,
              duplicate: false,
              unusualAt: ['off', 'off'],
              warnings: [],
              budgetUsed: [],
              approvals: [],
              forbiddenApprovers: [],
            });
            const said = `${when}, ${first.join(' of ')}, ${second.join(' of ')}`;
            assert.equal(rank(judge(loaded, chain)), RANK[expected], said);
          }
        }
      }
    });
  }
});

describe('the work of a decision on a chain', () => {
  const HEAD = `
version: 1
targets: {crm: {kind: fake}}
agents: {billing-bot: {permissions: [{target: crm, tier: autonomous}]}}
`;

  for (const [what, lines, code] of [
    [
      'rules',
      `rules: [{id: r, effect: permit, match: {target: crm}, when: 'args.text != "b"', reason: r}]`,
      'rule-errored',
    ],
    [
      'rules on the steps together',
      `rules: [{id: r, effect: forbid, when: 'effect.records > 1 && args.text == "b"', reason: r}]`,
      'rule-errored',
    ],
    [
      'validations',
      `validations: [{name: v, holds: 'args.text != "b"', reason: v}]`,
      'validation-failed',
    ],
  ] as const) {
    test(`is bounded for the whole chain, by ${what}`, () => {
      const loaded = policyFrom(`${HEAD}${lines}\n`);
      const chain = Array.from({ length: 50 }, () => ({
        ...customers(1),
        args: { text: 'a'.repeat(1_000_000) },
      }));
      const tooMuch = (some: readonly PolicyFacts[]) =>
        judge(loaded, some).filter(
          (each) => each.code === code && each.reason.includes('more work than it may'),
        );
      assert.deepEqual(tooMuch(chain.slice(0, 2)), []);
      const [found] = tooMuch(chain);
      assert.equal(found?.verdict, 'deny');
    });
  }

  test('sees the same steps as one write once, however many lines ask', () => {
    const reads = (rules: number): number => {
      const lines = Array.from(
        { length: rules },
        (_, at) => `  - {id: r${at}, effect: forbid, when: effect.records > 90, reason: r}\n`,
      );
      const limits = lines.map((_, at) => `  - {name: l${at}, recordsMax: 90}\n`);
      const loaded = policyFrom(`${HEAD}rules:\n${lines.join('')}limits:\n${limits.join('')}`);
      let count = 0;
      const watched = (): PolicyFacts => {
        const facts = customers(1);
        const { effects } = facts.plan;
        const get = () => {
          count += 1;
          return effects;
        };
        Object.defineProperty(facts.plan, 'effects', { get });
        return facts;
      };
      judge(loaded, [watched(), watched(), watched()]);
      return count;
    };
    assert.equal(reads(20), reads(1));
  });
});

describe('a chain', () => {
  test('gets no more than each of its steps would get alone', () => {
    fc.assert(
      fc.property(policy, steps, (loaded, chain) => {
        const whole = rank(judge(loaded, chain));
        for (const step of chain) assert.ok(whole >= rank(judge(loaded, [step])));
      }),
      { numRuns: 300 },
    );
  });

  test('gets no more than one write that does the same to the same resources', () => {
    fc.assert(
      fc.property(policy, steps, fc.integer({ min: 2, max: 4 }), (loaded, [step], times) => {
        fc.pre(step !== undefined);
        const parts = Array.from({ length: times }, () => ({ ...step, plan: { ...step.plan } }));
        const plan = mergePlans(parts.map((part) => ({ target: part.target, plan: part.plan })));
        const whole = { ...step, plan, blastRadius: measure(plan) };
        assert.ok(rank(judge(loaded, parts)) >= rank(judge(loaded, [whole])));
        const taken = budgetLines(loaded, parts);
        for (const line of budgetLines(loaded, [whole])) {
          const mine = taken.find(
            ({ budget, scope }) => budget === line.budget && scope === line.scope,
          );
          assert.ok((mine?.amount ?? 0) >= line.amount);
        }
      }),
      { numRuns: 300 },
    );
  });
});
