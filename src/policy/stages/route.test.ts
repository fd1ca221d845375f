import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { RouteStep } from '../../model/decision.ts';
import { routeSatisfied, type RouteApproval } from './route.ts';
import { routeOf } from './routing.ts';
import { policyFrom } from '../../../test/support/policy.ts';

function yes(person: string, ...groups: string[]): RouteApproval {
  return { person, groups, verdict: 'approve' };
}

const ANYONE: readonly RouteStep[] = [{ groups: [], quorum: 1 }];
const TWO_STEPS: readonly RouteStep[] = [
  { groups: ['finance'], quorum: 1 },
  { groups: [], quorum: 1 },
];

describe('a route', () => {
  test('of one step without groups takes any one person', () => {
    assert.deepEqual(routeSatisfied(ANYONE, [yes('ann')], []), { satisfied: true, missing: '' });
  });

  test('says who is missing', () => {
    assert.deepEqual(routeSatisfied([{ groups: ['finance', 'risk'], quorum: 2 }], [], []), {
      satisfied: false,
      missing: '2 more people (finance or risk)',
    });
    assert.equal(
      routeSatisfied(TWO_STEPS, [yes('ann', 'finance')], []).missing,
      '1 more person (any approver)',
    );
  });

  test('counts one person once, however often they say yes (G9)', () => {
    const steps = [{ groups: [], quorum: 2 }];
    assert.equal(routeSatisfied(steps, [yes('ann'), yes('ann', 'finance')], []).satisfied, false);
    assert.equal(routeSatisfied(steps, [yes('ann'), yes('ben')], []).satisfied, true);
  });

  test('of two steps takes two people, even where one could fill either', () => {
    assert.equal(routeSatisfied(TWO_STEPS, [yes('ann', 'finance')], []).satisfied, false);
    assert.equal(
      routeSatisfied(TWO_STEPS, [yes('ann', 'finance'), yes('ben')], []).satisfied,
      true,
    );
  });

  test('moves a person to another step where that lets both be filled', () => {
    const steps = [
      { groups: ['finance', 'risk'], quorum: 1 },
      { groups: ['finance'], quorum: 1 },
    ];
    const approvals = [yes('ann', 'finance'), yes('ben', 'risk')];
    assert.equal(routeSatisfied(steps, approvals, []).satisfied, true);
    assert.equal(routeSatisfied(steps, approvals.toReversed(), []).satisfied, true);
  });

  test('ignores the barred, the outsiders and every no', () => {
    const steps = [{ groups: ['finance'], quorum: 1 }];
    const approvals: RouteApproval[] = [
      yes('owner', 'finance'),
      yes('ben', 'sales'),
      { person: 'cem', groups: ['finance'], verdict: 'deny' },
    ];
    assert.equal(routeSatisfied(steps, approvals, ['owner']).satisfied, false);
    assert.equal(routeSatisfied(steps, approvals, []).satisfied, true);
  });

  test('is filled exactly where some assignment of distinct people fills it', () => {
    const groups = fc.subarray(['f', 'g', 'h']);
    const step = fc.record({ groups, quorum: fc.integer({ min: 1, max: 2 }) });
    const approval = fc.record({
      person: fc.constantFrom('p1', 'p2', 'p3', 'p4', 'p5'),
      groups,
      verdict: fc.constant('approve' as const),
    });
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 3 }),
        fc.uniqueArray(approval, { maxLength: 5, selector: ({ person }) => person }),
        (steps, approvals) => {
          const places = steps.flatMap((each) => Array.from({ length: each.quorum }, () => each));
          assert.equal(routeSatisfied(steps, approvals, []).satisfied, canFill(places, approvals));
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

/** Tries every assignment. */
function canFill(places: readonly RouteStep[], people: readonly RouteApproval[]): boolean {
  const [place, ...rest] = places;
  if (place === undefined) return true;
  return people.some(
    (person) =>
      (place.groups.length === 0 || place.groups.some((group) => person.groups.includes(group))) &&
      canFill(
        rest,
        people.filter((each) => each !== person),
      ),
  );
}

const ROUTES = `
version: 1
people:
  ann: {roles: approver, groups: [finance, risk]}
  ben: {roles: approver, groups: finance}
  cem: {roles: approver, groups: risk}
routes:
  finance: {steps: [{groups: finance}], expiresAfter: 10m}
  risk: {steps: [{groups: risk}], expiresAfter: 20m}
  two: {steps: [{quorum: 2}]}
  either: {steps: [{groups: [finance, risk]}]}
  chain: {steps: [{groups: finance}, {groups: risk}]}
thresholds:
  - {name: a, recordsOver: 1, route: finance}
  - {name: b, recordsOver: 1, route: risk}
  - {name: c, recordsOver: 1, route: two}
  - {name: d, recordsOver: 1, route: either}
  - {name: e, recordsOver: 1, route: chain}
  - {name: f, recordsOver: 1}
rules:
  - {id: r, effect: require, reason: r, route: risk}
`;

describe('the route of a wait', () => {
  const policy = policyFrom(ROUTES);
  const named = (...rules: string[]) =>
    routeOf(
      policy,
      rules.map((rule) => ({ rule })),
    ).name;

  test('is that of the line, and the default route where a line names none', () => {
    assert.equal(named('thresholds.a'), 'finance');
    assert.equal(named('rules.r'), 'risk');
    assert.equal(named('thresholds.f'), 'default');
    assert.equal(named('agents.bot.permissions[0]'), 'default');
    assert.equal(named(), 'default');
  });

  test('joins the routes of several lines, each once, with the shortest expiry', () => {
    const route = routeOf(policy, [
      { rule: 'thresholds.a' },
      { rule: 'thresholds.b' },
      { rule: 'rules.r' },
    ]);
    assert.equal(route.name, 'finance+risk');
    assert.equal(route.steps.length, 2);
    assert.equal(route.expiresAfterMs, 600_000);
  });

  test('leaves out a one-step route that the people of the others fill anyway', () => {
    assert.equal(named('risk.critical', 'thresholds.a'), 'finance');
    assert.equal(named('thresholds.a', 'thresholds.d'), 'finance');
    assert.equal(named('thresholds.c', 'thresholds.e'), 'chain');
    assert.equal(named('thresholds.c', 'thresholds.a'), 'two+finance');
    assert.equal(named('thresholds.d', 'risk.critical'), 'either');
  });

  test('is never satisfied by people who do not satisfy each route by itself', () => {
    const rule = fc
      .constantFrom('a', 'b', 'c', 'd', 'e', 'f')
      .map((name) => ({ rule: `thresholds.${name}` }));
    const approvals = fc
      .subarray(['p1', 'p2', 'p3', 'p4'])
      .chain((people) =>
        fc.tuple(
          ...people.map((person) =>
            fc.subarray(['finance', 'risk']).map((groups) => yes(person, ...groups)),
          ),
        ),
      );
    fc.assert(
      fc.property(fc.array(rule, { minLength: 1, maxLength: 4 }), approvals, (waits, people) => {
        fc.pre(routeSatisfied(routeOf(policy, waits).steps, people, []).satisfied);
        for (const each of waits) {
          assert.equal(routeSatisfied(routeOf(policy, [each]).steps, people, []).satisfied, true);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
