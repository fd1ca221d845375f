/** Decides cases with the production `decide`, and says which lines of the policy none of them reached. Pure. */
import { toMinor } from '../lib/money.ts';
import type { Approval, Decision } from '../model/decision.ts';
import type { Freeze } from '../model/freeze.ts';
import { newFreezeId } from '../model/ids.ts';
import { planDigest } from '../model/plan.ts';
import type { Configuration, Policy } from '../model/policy.ts';
import { factsOfCase, instantOf } from '../policy/cases/case-facts.ts';
import type { Case, CaseShape } from '../policy/cases/cases.ts';
import { budgetLines, routeOf, type PolicyFacts } from '../policy/evaluate.ts';
import { currencyOf } from '../policy/stages/lines.ts';
import { many } from '../policy/load/shape.ts';
import { decide, type DecisionInput } from './decide.ts';
import { coverageOf, type Coverage } from './coverage.ts';

/** How a case turned out. */
export interface CaseResult {
  readonly name: string;
  /** `file:line:column`. */
  readonly at: string;
  readonly isAsExpected: boolean;
  readonly expected: Verdict;
  readonly found: Verdict & Pick<Decision, 'reason'>;
}

/** A member that a case does not ask about is left out. */
export interface Verdict {
  readonly decision: string;
  readonly rule?: string;
  readonly code?: string;
  /** Routes joined by `+`, in the order of their names. */
  readonly route?: string;
}

export interface CasesReport {
  readonly passed: number;
  readonly failed: number;
  readonly cases: readonly CaseResult[];
  readonly coverage: Coverage;
}

/** Decides each case. An observing policy is asked what it would enforce. */
export function decideCases(configuration: Configuration, cases: readonly Case[]): CasesReport {
  const policy: Policy = { ...configuration.policy, mode: 'active' };
  const decided = cases.map((each) => {
    const facts = factsOfCase(each.shape, configuration);
    return { each, facts, decision: decideCase(policy, configuration, each.shape, facts) };
  });
  const results = decided.map(({ each, decision }) => resultOf(policy, each, decision));
  const passed = results.filter(({ isAsExpected }) => isAsExpected).length;
  return {
    passed,
    failed: results.length - passed,
    cases: results,
    coverage: coverageOf(
      policy,
      decided.map(({ facts, decision }) => ({ facts, decision })),
    ),
  };
}

function decideCase(
  policy: Policy,
  { targets }: Configuration,
  shape: CaseShape,
  facts: PolicyFacts,
): Decision {
  const { plan, blastRadius, risk, principal } = facts;
  const digest = planDigest(facts.target, facts.operation, plan);
  const now = instantOf(shape);
  const isUnknownAgent = principal.kind === 'agent' && !policy.agents.has(principal.name);
  const isUnknownTarget = targets.every(({ name }) => name !== shape.target);
  const decision = decide({
    policy,
    subject: { agent: principal.name, target: facts.target, run: facts.run },
    freezes: shape.stopped === true ? [stopAt(now)] : [],
    unknown: isUnknownTarget ? 'target' : isUnknownAgent ? 'agent' : null,
    duplicateOf: shape.duplicate === true ? 'an earlier proposal' : null,
    measured: {
      assessment: { plan, planDigest: digest, blastRadius, risk, assessedAt: now },
      facts: [facts],
      sameEffectAs: null,
      budgets: budgetsOf(policy, shape, facts),
      // Nothing is usual yet: what is unusual for an agent is not a case's to say.
      usual: [{ baseline: undefined, key: null, uncounted: 0 }],
    },
    approvals: (shape.approvals ?? []).map(({ person, verdict = 'approve' }): Approval => {
      const { groups = [] } = policy.people.get(person) ?? {};
      return { verdict, person, groups, planDigest: digest, reason: null, at: now };
    }),
    barred: [principal.name, ...(principal.owner === '' ? [] : [principal.owner])],
    expiresAt: null,
    now,
  });
  if (decision === undefined) throw new Error('a measured case was not decided');
  return decision;
}

function budgetsOf(
  policy: Policy,
  { used = {} }: CaseShape,
  facts: PolicyFacts,
): NonNullable<DecisionInput['measured']>['budgets'] {
  return budgetLines(policy, [facts]).map((line) => {
    const rule = policy.budgets.find(({ name }) => `budgets.${name}` === line.budget);
    const said = rule === undefined ? 0 : (used[rule.name] ?? 0);
    if (typeof said === 'number') return { line, used: said };
    const currency = rule === undefined ? '' : (currencyOf(rule) ?? '');
    return { line, used: Number(toMinor(said, currency) ?? 0n) };
  });
}

const NO_RANDOM = new Uint8Array(10);

function stopAt(at: number): Freeze {
  return {
    id: newFreezeId(at, NO_RANDOM),
    scope: { kind: 'all' },
    reason: 'the case says so',
    by: 'the case',
    at,
    releasedAt: null,
  };
}

function resultOf(policy: Policy, { shape, at }: Case, decision: Decision): CaseResult {
  const route = many(shape.route);
  const expected: Verdict = {
    decision: shape.expect,
    ...(shape.rule === undefined ? {} : { rule: shape.rule }),
    ...(shape.code === undefined ? {} : { code: shape.code }),
    ...(route.length === 0 ? {} : { route: joined(route) }),
  };
  const waits = decision.findings.filter(({ verdict }) => verdict === 'wait');
  const found = {
    decision: decision.kind,
    rule: decision.settledBy,
    code: decision.code,
    reason: decision.reason,
    ...(decision.kind === 'wait' ? { route: joined(routeOf(policy, waits).name.split('+')) } : {}),
  };
  const isAsExpected =
    expected.decision === found.decision &&
    (expected.rule === undefined || expected.rule === found.rule) &&
    (expected.code === undefined || expected.code === found.code) &&
    (expected.route === undefined || expected.route === found.route);
  return { name: shape.name, at, isAsExpected, expected, found };
}

function joined(routes: readonly string[]): string {
  return routes.toSorted().join('+');
}
