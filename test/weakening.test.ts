// The law of `policy/weakening.ts`, against the decision itself on random policies, changes and writes.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decide, type DecisionInput } from '../src/gate/decide.ts';
import type { BudgetLine } from '../src/model/budget.ts';
import type { Decision } from '../src/model/decision.ts';
import type { Configuration } from '../src/model/policy.ts';
import { budgetLines, isRepeatable, type PolicyFacts } from '../src/policy/evaluate.ts';
import { parseConfiguration } from '../src/policy/parse.ts';
import { scoreOf } from '../src/policy/stages/risk.ts';
import { changesOf, weakenings } from '../src/policy/weakening.ts';
import { hasAtLeast } from '../src/policy/weakening/routes.ts';
import { PEOPLE, steps } from './support/policy-arbitraries.ts';
import { changedTexts } from './support/policy-changes.ts';

const RUNS = Number(process.env['WRITEGATE_WEAKENING_RUNS'] ?? 150);
const NOW = Date.UTC(2026, 10, 20, 13, 30);
const PLAN_DIGEST = `sha256:${'1'.repeat(64)}` as const;

/** What happens to a write whatever the policy: the world, and who says yes. */
interface World {
  /** One for each step. */
  readonly steps: readonly PolicyFacts[];
  /** Whether its risk is that which the policy makes it, and not a random one. */
  readonly isScored: boolean;
  readonly yes: readonly string[];
  /** How long ago the same arguments were written; null: never. */
  readonly repeatedMs: number | null;
  readonly usedSeed: number;
}

const world: fc.Arbitrary<World> = fc.record({
  steps,
  isScored: fc.boolean(),
  yes: fc.subarray(PEOPLE),
  repeatedMs: fc.constantFrom(null, null, null, 1_800_000, 40_000_000, 100_000_000),
  usedSeed: fc.nat({ max: 12 }),
});

/** What the store has counted: a budget goes on counting under its name, scope, measure and window. */
function used(line: BudgetLine, seed: number): number {
  const key = `${line.budget} ${line.scope} ${line.measure} ${line.window}`;
  let hash = seed;
  for (const character of key) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) % 1_009;
  return hash % 10;
}

/** Decides the same write in the same world under a policy. */
function decided(configuration: Configuration, given: World): Decision {
  const { policy } = configuration;
  const [first] = given.steps;
  assert.ok(first !== undefined, 'something is proposed');
  const { name, kind } = first.principal;
  const agent = kind === 'agent' ? policy.agents.get(name) : undefined;
  const owner = agent?.owner ?? '';
  const score = scoreOf(policy);
  const facts = given.steps.map((step): PolicyFacts => {
    const plan = { ...step.plan, resourceSize: 20 };
    const risk = given.isScored ? score(plan, step.blastRadius, step.target) : step.risk;
    return { ...step, plan, risk, principal: { ...step.principal, owner } };
  });
  const { plan, blastRadius, risk, environment, target, operation } = first;
  const subject = { ...(kind === 'agent' && { agent: name }), environment, target, operation };
  const isRepeated =
    given.repeatedMs !== null &&
    given.repeatedMs <= policy.duplicates.windowMs &&
    !isRepeatable(policy, subject);
  const approvers = given.yes.flatMap((person) => policy.people.get(person) ?? []);
  const input: DecisionInput = {
    policy,
    subject: { agent: name, target, run: null },
    freezes: [],
    unknown: kind === 'agent' && agent === undefined ? 'agent' : null,
    duplicateOf: isRepeated ? 'prop_1' : null,
    measured: {
      assessment: { plan, planDigest: PLAN_DIGEST, blastRadius, risk, assessedAt: NOW },
      facts,
      usual: facts.map(() => ({ baseline: undefined, key: null, uncounted: 0 })),
      sameEffectAs: null,
      budgets: budgetLines(policy, facts).map((line) => ({
        line,
        used: used(line, given.usedSeed),
      })),
    },
    approvals: approvers
      .filter(({ roles }) => roles.includes('approver'))
      .map((person) => ({
        verdict: 'approve',
        person: person.name,
        groups: person.groups,
        planDigest: PLAN_DIGEST,
        reason: null,
        at: NOW,
      })),
    barred: owner === '' ? [name] : [name, owner],
    expiresAt: null,
    now: NOW,
  };
  const decision = decide(input);
  assert.ok(decision !== undefined, 'what was measured is decided');
  return decision;
}

const RANK = { deny: 0, wait: 1, allow: 2 } as const;

function loaded(text: string): Configuration | undefined {
  try {
    return parseConfiguration(text, 'writegate.yaml');
  } catch {
    return undefined;
  }
}

describe('a policy that is not weaker', { timeout: 300_000 }, () => {
  test('decides no write more permissively, and asks at least the same people', () => {
    const seen = { pairs: 0, tighter: 0, strictlyTighter: 0 };
    fc.assert(
      fc.property(
        changedTexts,
        fc.array(world, { minLength: 10, maxLength: 20 }),
        ([first, second], worlds) => {
          const [before, after] = [loaded(first), loaded(second)];
          if (before === undefined || after === undefined) return;
          seen.pairs += 1;
          if (weakenings(before, after).length > 0) return;
          seen.tighter += 1;
          for (const given of worlds) {
            const [old, present] = [decided(before, given), decided(after, given)];
            assert.ok(
              RANK[present.kind] <= RANK[old.kind],
              `${old.kind} by ${old.settledBy}, then ${present.kind} by ${present.settledBy}`,
            );
            if (RANK[present.kind] < RANK[old.kind]) seen.strictlyTighter += 1;
            if (old.kind !== 'wait' || present.kind !== 'wait') continue;
            assert.ok(hasAtLeast(present.route, old.route), 'at least as many people');
            assert.ok(present.expiresAt <= old.expiresAt, 'no longer');
          }
        },
      ),
      { numRuns: RUNS },
    );
    assert.ok(seen.tighter > seen.pairs / 5, `${seen.tighter} of ${seen.pairs} were not weaker`);
    assert.ok(seen.strictlyTighter > 0, 'some decisions did become stricter');
  });

  test('is itself, and has no change', () => {
    fc.assert(
      fc.property(changedTexts, ([text]) => {
        const [before, after] = [loaded(text), loaded(text)];
        if (before === undefined || after === undefined) return;
        assert.deepEqual(changesOf(before, after), []);
      }),
      { numRuns: 200 },
    );
  });
});
