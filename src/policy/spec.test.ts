import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Policy } from '../model/policy.ts';
import { anomalyFindings } from './stages/anomaly.ts';
import {
  budgetLines,
  limitFindings,
  neverFindings,
  permissionFindings,
  routeOf,
  ruleFindings,
  thresholdFindings,
} from './evaluate.ts';
import { judge, wholeFindings } from './judge.ts';
import { repeatedFindings } from './stages/repeated.ts';
import { routeSatisfied } from './stages/route.ts';
import { specDecide } from './spec.ts';
import { facts, input, policy, type RandomInput } from '../../test/support/policy-arbitraries.ts';
import { policyFrom } from '../../test/support/policy.ts';

// ---- the production functions, put together as a decision puts them

function decided(loaded: Policy, given: RandomInput): 'allow' | 'deny' | 'wait' {
  const findings = [
    ...judge(loaded, given.facts),
    ...wholeFindings(given.warnings, given.facts),
    ...repeatedFindings(loaded, given.facts),
    ...anomalyFindings(loaded, given.facts, given.usual),
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
        for (const stage of [
          neverFindings,
          permissionFindings,
          limitFindings,
          ruleFindings,
          thresholdFindings,
        ]) {
          for (const { rule, code, reason } of stage(loaded, given)) {
            assert.match(
              rule,
              /^(?:never|agents|people|limits|rules|thresholds|budgets|effect|risk)\b/,
            );
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
        assert.equal(specDecide(empty, { ...given, facts: [other] }), 'deny');
      }),
      { numRuns: 200 },
    );
  });
});
