import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { measure, type Plan, type Risk } from '../../model/plan.ts';
import { assessRisk } from './risk.ts';
import { cascade, direct, planOf } from '../../../test/support/policy.ts';

function riskOf(plan: Partial<Plan>, recordsMax: number | null = null): Risk {
  const whole = planOf(plan);
  return assessRisk(whole, measure(whole), { recordsMax, dependents: [] });
}

const ONE_WAY = { kind: 'one-way', reason: 'mail was sent' } as const;

describe('the risk of a plan', () => {
  test('is low for one row, proved, with nothing that depends on it, whatever the limit', () => {
    for (const resourceSize of [null, 1, 47_000]) {
      assert.equal(riskOf({ resourceSize }).level, 'low');
      assert.equal(riskOf({ resourceSize }, 1).level, 'low');
    }
  });

  test('is critical for 47,000 of 47,000 rows one way', () => {
    const risk = riskOf({
      counts: [direct('public.customers', { updated: 47_000 })],
      resourceSize: 47_000,
      reversibility: ONE_WAY,
    });
    assert.equal(risk.level, 'critical');
    assert.equal(risk.score, 90);
    assert.equal(
      risk.terms.find((term) => term.name === 'scope')?.reason,
      '47,000 records on a scale to 1,000, 100 % of about 47,000 there',
    );
    assert.equal(
      risk.terms.find((term) => term.name === 'reversibility')?.reason,
      'one-way: mail was sent',
    );
  });

  test('is critical for one file that seven services read, proved or not', () => {
    const dependents = Array.from({ length: 7 }, (_each, index) => `service ${index}`);
    assert.equal(riskOf({ dependents }).level, 'critical');
  });

  test('stays low for one row of a table with the usual keys, views and triggers', () => {
    const dependents = ['foreign key orders.customer_id', 'view active', 'trigger audit'];
    assert.equal(riskOf({ dependents }).level, 'low');
    const ofChain = dependents.map((name) => `crm:${name}`);
    assert.deepEqual(riskOf({ dependents: ofChain }).score, riskOf({ dependents }).score);
  });

  test('counts what changes along with it', () => {
    const risk = riskOf({
      counts: [
        direct('public.customers', { deleted: 1 }),
        cascade('public.orders', { deleted: 12 }),
        cascade('public.lines', { deleted: 200 }),
      ],
    });
    assert.equal(risk.level, 'high');
    assert.match(risk.terms[2]?.reason ?? '', /^2 other resources changed along with it/);
  });

  test('weighs the tighter limit more', () => {
    const counts = [direct('public.customers', { updated: 100 })];
    assert.ok(riskOf({ counts }, 100).score > riskOf({ counts }, 10_000).score);
  });

  test('keeps its score, its terms and its level within bounds, and its score the product of its terms', () => {
    fc.assert(
      fc.property(arbitraryPlan(), fc.option(fc.integer({ min: 1, max: 1e6 })), (plan, max) => {
        const risk = riskOf(plan, max);
        assert.ok(Number.isInteger(risk.score) && risk.score >= 0 && risk.score <= 100);
        for (const { value, reason } of risk.terms) {
          assert.ok(value >= 0 && value <= 1);
          assert.notEqual(reason, '');
        }
        const kept = risk.terms.reduce((product, term) => product * (1 - term.value), 1);
        assert.equal(risk.score, Math.round(100 * (1 - kept)));
        const floors = { low: 0, medium: 25, high: 50, critical: 75 };
        assert.ok(risk.score >= floors[risk.level]);
        assert.ok(risk.level === 'critical' || risk.score < floors[risk.level] + 25);
      }),
    );
  });

  test('never falls when more records change or another dependent is known', () => {
    fc.assert(
      fc.property(arbitraryPlan(), fc.integer({ min: 1, max: 1e5 }), (plan, more) => {
        const before = riskOf(plan).score;
        const wider = [...(plan.counts ?? []), direct('public.customers', { updated: more })];
        assert.ok(riskOf({ ...plan, counts: wider }).score >= before);
        const dependents = [...(plan.dependents ?? []), 'one more service'];
        assert.ok(riskOf({ ...plan, dependents }).score >= before);
      }),
    );
  });
});

function arbitraryPlan(): fc.Arbitrary<Partial<Plan>> {
  const records = fc.integer({ min: 0, max: 100_000 });
  const resource = fc.constantFrom('public.customers', 'public.orders', 'public.lines');
  return fc.record({
    counts: fc.array(
      fc
        .tuple(fc.boolean(), resource, records)
        .map(([isDirect, name, updated]) => (isDirect ? direct : cascade)(name, { updated })),
      { maxLength: 4 },
    ),
    resourceSize: fc.option(fc.integer({ min: 0, max: 1e6 }), { nil: null }),
    dependents: fc.array(fc.constantFrom('view a', 'service b', 'foreign key c')),
    reversibility: fc.constantFrom(
      { kind: 'proved' as const, reason: 'tried' },
      { kind: 'conditional' as const, reason: 'only while nobody writes' },
      ONE_WAY,
    ),
  });
}
