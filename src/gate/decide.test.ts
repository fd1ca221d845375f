import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DECISION_STAGES, type Decision, type Finding } from '../model/decision.ts';
import type { Freeze, FreezeScope, FreezeSubject } from '../model/freeze.ts';
import { newFreezeId } from '../model/ids.ts';
import { planDigest } from '../model/plan.ts';
import type { Policy } from '../model/policy.ts';
import { budgetLines } from '../policy/evaluate.ts';
import { specDecide } from '../policy/spec.ts';
import {
  input,
  policy,
  policyText,
  type RandomInput,
} from '../../test/support/policy-arbitraries.ts';
import { policyFrom } from '../../test/support/policy.ts';
import { decide, type DecisionInput } from './decide.ts';

const RUNS = 500;
/** Writes for each policy: to read one costs more than to decide by it. */
const SEVERAL = { minLength: 2, maxLength: 6 } as const;
const NOW = Date.UTC(2026, 10, 20, 13, 30);
const DEADLINE = NOW + 60_000;
const FIRST = 'prop_00000000000000000000000000';
const OTHER_DIGEST = `sha256:${'f'.repeat(64)}` as const;

/** Beside what the specification looks at: what must not matter, and what only the gate knows. */
const besides = fc.record({
  scope: fc.constantFrom('all', 'agent', 'target', 'run'),
  /** Stops that cover something else, or were released. */
  idle: fc.array(fc.constantFrom('released', 'other agent', 'other target', 'other run'), {
    maxLength: 3,
  }),
  /** How far each budget is from what the write would take: 0 fits to the last. */
  left: fc.array(fc.constantFrom(-1, 0, 0, 1, 5), { minLength: 3, maxLength: 3 }),
  /** How a duplicate is known. */
  duplicate: fc.constantFrom('intent', 'effect', 'both'),
  unknown: fc.constantFrom('target', 'operation', 'agent'),
  expiresAt: fc.constantFrom(null, DEADLINE),
});
type Besides = ReturnType<typeof besides.generate>['value'];

/** The same policy with a budget that every write counts towards. */
function withBudget(loaded: Policy): Policy {
  const all = {
    name: 'all',
    match: {},
    per: [],
    measure: 'writes',
    window: 'day',
    max: 9,
  } as const;
  return { ...loaded, budgets: [...loaded.budgets, all] };
}

/** The same with budgets near their bounds, where a decision turns. */
function nearBudgets(loaded: Policy, given: RandomInput, { left }: Besides): RandomInput {
  const budgetUsed = budgetLines(loaded, given.facts).map(({ max, amount }, index) =>
    Math.max(0, max - amount - (left[index] ?? 0)),
  );
  return { ...given, budgetUsed };
}

/** Puts together what the gate would hand in for the same facts. */
function inputOf(loaded: Policy, given: RandomInput, beside: Besides): DecisionInput {
  const { facts } = given;
  const [first] = facts;
  assert.ok(first !== undefined);
  const { principal, target, operation, plan, blastRadius, risk } = first;
  const run = first.run === '' ? 'r1' : first.run;
  const subject = { agent: principal.name, target, run };
  const digest = planDigest(target, operation, plan);
  const whole = { ...plan, warnings: [...plan.warnings, ...given.warnings] };
  return {
    policy: loaded,
    subject,
    freezes: [
      ...beside.idle.map((why) => idleFreeze(why)),
      ...(given.frozen ? [freezeOf(coveringScope(beside.scope, subject), null)] : []),
    ],
    unknown: null,
    duplicateOf: given.duplicate && beside.duplicate !== 'effect' ? FIRST : null,
    measured: {
      assessment: { plan: whole, planDigest: digest, blastRadius, risk, assessedAt: NOW },
      facts,
      sameEffectAs: given.duplicate && beside.duplicate !== 'intent' ? FIRST : null,
      budgets: budgetLines(loaded, facts).map((line, index) => ({
        line,
        used: given.budgetUsed[index] ?? Infinity,
      })),
      usual: given.usual,
    },
    approvals: given.approvals.map(({ person, groups, verdict, forThisDigest }) => ({
      person,
      groups,
      verdict,
      planDigest: forThisDigest ? digest : OTHER_DIGEST,
      reason: null,
      at: NOW,
    })),
    barred: given.forbiddenApprovers,
    expiresAt: beside.expiresAt,
    now: NOW,
  };
}

function freezeOf(scope: FreezeScope, releasedAt: number | null): Freeze {
  const id = newFreezeId(NOW, new Uint8Array(10));
  return { id, scope, reason: 'a test', by: 'ann', at: NOW - 1, releasedAt };
}

function coveringScope(kind: Besides['scope'], subject: FreezeSubject): FreezeScope {
  return kind === 'all' ? { kind } : { kind, name: subject[kind] ?? '' };
}

function idleFreeze(why: Besides['idle'][number]): Freeze {
  switch (why) {
    case 'released':
      return freezeOf({ kind: 'all' }, NOW - 1);
    case 'other agent':
      return freezeOf({ kind: 'agent', name: 'nobody' }, null);
    case 'other target':
      return freezeOf({ kind: 'target', name: 'nowhere' }, null);
    case 'other run':
      return freezeOf({ kind: 'run', name: 'never' }, null);
  }
}

function measuredDecision(given: DecisionInput): Decision {
  const decision = decide(given);
  assert.ok(decision !== undefined, 'what was measured is decided');
  return decision;
}

function stageOf({ stage }: Finding): number {
  return DECISION_STAGES.indexOf(stage);
}

/** Holds for every decision on random input; returns how often each kind was met. */
function met(
  check: (decision: Decision, asked: DecisionInput, given: RandomInput) => void,
): Readonly<Record<Decision['kind'], number>> {
  const seen = { allow: 0, wait: 0, deny: 0 };
  fc.assert(
    fc.property(policy, fc.array(fc.tuple(input, besides), SEVERAL), (random, writes) => {
      const loaded = withBudget(random);
      for (const [write, beside] of writes) {
        const given = nearBudgets(loaded, write, beside);
        const asked = inputOf(loaded, given, beside);
        const decision = measuredDecision(asked);
        seen[decision.kind] += 1;
        check(decision, asked, given);
      }
    }),
    { numRuns: RUNS },
  );
  return seen;
}

describe('a decision', () => {
  test('is the one of the specification, on random policies, writes, stops, budgets and approvals', () => {
    const seen = met((decision, asked, given) => {
      assert.equal(decision.kind, specDecide(asked.policy, given));
    });
    // Runs that met one kind alone would show little.
    for (const count of Object.values(seen)) assert.ok(count >= 20, JSON.stringify(seen));
  });

  test('is equal for equal inputs, whatever was decided between them', () => {
    fc.assert(
      fc.property(policyText, input, input, besides, (text, given, other, beside) => {
        const loaded = policyFrom(text);
        const first = decide(inputOf(loaded, given, beside));
        decide(inputOf(loaded, other, beside));
        assert.deepEqual(decide(inputOf(loaded, given, beside)), first);
        assert.deepEqual(decide(inputOf(policyFrom(text), given, beside)), first);
      }),
      { numRuns: RUNS },
    );
  });

  test('has its findings in the order of the stages, and a denial is settled by the first that denies', () => {
    const seen = met((decision) => {
      const { findings, kind, settledBy, code, reason } = decision;
      for (const [index, finding] of findings.entries()) {
        const next = findings[index + 1];
        assert.ok(next === undefined || stageOf(finding) <= stageOf(next));
      }
      const denials = findings.filter((finding) => finding.verdict === 'deny');
      assert.equal(kind === 'deny', denials.length > 0);
      if (kind !== 'deny') return;
      const first = Math.min(...denials.map(stageOf));
      const settling = denials.filter((finding) => stageOf(finding) === first);
      assert.ok(
        settling.some((each) => each.rule === settledBy && each.code === code),
        `${settledBy} settled it before ${DECISION_STAGES[first] ?? ''}`,
      );
      // What a write has to satisfy is told all together.
      const together = settling.map((each) => each.reason).join('; ');
      const isJoined = DECISION_STAGES[first] === 'validation';
      assert.ok(isJoined ? reason === together : settling.some((each) => each.reason === reason));
    });
    assert.ok(seen.deny >= 20, JSON.stringify(seen));
  });

  test('allows with every budget line reserved, waits with a route and a deadline', () => {
    const seen = met((decision, asked) => {
      const lines = asked.measured?.budgets.map(({ line }) => line);
      const verdicts = decision.findings.map((finding) => finding.verdict);
      assert.equal(decision.policyDigest, asked.policy.digest);
      assert.equal(decision.planDigest, asked.measured?.assessment.planDigest);
      assert.equal(decision.decidedAt, NOW);
      switch (decision.kind) {
        case 'allow':
          assert.deepEqual(decision.reserve, lines);
          assert.ok(verdicts.every((verdict) => verdict === 'allow'));
          break;
        case 'wait':
          assert.ok(decision.route.length > 0);
          assert.ok(decision.expiresAt > NOW);
          if (asked.expiresAt !== null) assert.equal(decision.expiresAt, asked.expiresAt);
          assert.ok(verdicts.includes('wait') && !verdicts.includes('deny'));
          break;
        case 'deny':
          assert.equal(
            decision.duplicateOf,
            asked.duplicateOf ?? asked.measured?.sameEffectAs ?? null,
          );
      }
    });
    for (const count of Object.values(seen)) assert.ok(count >= 20, JSON.stringify(seen));
  });

  test('before anything is measured is a denial or none, and measuring never lifts that denial', () => {
    fc.assert(
      fc.property(policy, input, besides, fc.boolean(), (loaded, given, beside, isKnown) => {
        const asked = inputOf(loaded, given, beside);
        const known = { ...asked, unknown: isKnown ? null : beside.unknown };
        const early = decide({ ...known, measured: null });
        const isDenied = given.frozen || known.duplicateOf !== null || !isKnown;
        assert.equal(early?.kind, isDenied ? 'deny' : undefined);
        if (early === undefined) return;
        assert.equal(early.planDigest, null);
        const measured = measuredDecision(known);
        assert.equal(measured.kind, 'deny');
        for (const finding of early.findings) {
          assert.ok(measured.findings.some((each) => each.rule === finding.rule));
        }
      }),
      { numRuns: RUNS },
    );
  });

  test('of a policy that only observes is always a denial, the same one where it would deny', () => {
    const seen = met((decision, asked) => {
      const observed = measuredDecision({ ...asked, policy: { ...asked.policy, mode: 'observe' } });
      assert.equal(observed.kind, 'deny');
      if (decision.kind === 'deny') assert.deepEqual(observed, decision);
      else assert.deepEqual([observed.code, observed.settledBy], ['observed', 'mode.observe']);
    });
    assert.ok(seen.allow >= 20 && seen.wait >= 20, JSON.stringify(seen));
  });
});
