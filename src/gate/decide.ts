import type { BudgetLine } from '../model/budget.ts';
import {
  DECISION_STAGES,
  type Approval,
  type Decision,
  type Finding,
  type RouteStep,
} from '../model/decision.ts';
import { activeFreeze, type Freeze, type FreezeSubject } from '../model/freeze.ts';
import type { Assessment } from '../model/plan.ts';
import type { Policy } from '../model/policy.ts';
import { anomalyFindings, type Usual } from '../policy/stages/anomaly.ts';
import { routeOf, type PolicyFacts } from '../policy/evaluate.ts';
import { judge, wholeFindings } from '../policy/judge.ts';
import { repeatedFindings } from '../policy/stages/repeated.ts';
import { routeSatisfied } from '../policy/stages/route.ts';
import { measureText } from '../policy/stages/sentences.ts';

/** A budget line and what its budget has used. */
export interface BudgetState {
  readonly line: BudgetLine;
  readonly used: number;
  /** When enough of it is free again; null or absent where that cannot be told. */
  readonly freeAt?: number | null;
}

/** Everything a decision looks at. Two decisions on equal inputs are equal. */
export interface DecisionInput {
  readonly policy: Policy;
  readonly subject: FreezeSubject;
  readonly freezes: readonly Freeze[];
  /** What is not configured, in the proposer's words' place: `target`, `operation`, `agent`. */
  readonly unknown: 'target' | 'operation' | 'agent' | null;
  readonly duplicateOf: string | null;
  /** Null before anything was measured; then only what needs no measure is judged. */
  readonly measured: {
    readonly assessment: Assessment;
    /** One for each step of a chain, in order; else one. */
    readonly facts: readonly PolicyFacts[];
    /** Another proposal with the same effect, live or applied within the window. */
    readonly sameEffectAs: string | null;
    /** With what each line's budget has used; empty where the proposal holds its reservation. */
    /** What is usual for each of `facts`. */
    readonly usual: readonly Usual[];
    readonly budgets: readonly BudgetState[];
  } | null;
  readonly approvals: readonly Approval[];
  /** People whose approval never counts: the proposer and the agent's owner. */
  readonly barred: readonly string[];
  /** When waiting ends, where it has begun. */
  readonly expiresAt: number | null;
  readonly now: number;
}

/**
 * Decides: allow, deny or wait, with every rule that spoke. Pure.
 *
 * Order: freeze, NEVER, permission, limits, rules, validation, interlocks, budgets, duplicates,
 * anomaly, approval. Deny beats wait beats allow whatever the order; the order names the rule that
 * settled it. Before anything is measured the answer is a denial, or undefined for "measure it".
 */
export function decide(input: DecisionInput): Decision | undefined {
  const early = earlyFindings(input);
  if (input.measured === null) {
    return early.length === 0 ? undefined : settle(input, early);
  }
  const { facts, budgets, assessment, usual } = input.measured;
  const findings = [
    ...early,
    ...judge(input.policy, facts),
    ...wholeFindings(assessment.plan.warnings, facts),
    ...budgets.flatMap((budget) => budgetFinding(budget, input.now)),
    ...effectFindings(input.measured.sameEffectAs),
    ...repeatedFindings(input.policy, facts),
    ...anomalyFindings(input.policy, facts, usual),
  ];
  return settle(input, withPeople(input, assessment, findings));
}

function earlyFindings(input: DecisionInput): Finding[] {
  const findings: Finding[] = [];
  const freeze = activeFreeze(input.freezes, input.subject);
  if (freeze !== undefined) {
    findings.push({
      stage: 'freeze',
      verdict: 'deny',
      rule: `freeze.${freeze.scope.kind}`,
      code: 'frozen',
      reason: `a stop is on for ${scopeText(freeze)}; nothing is written until a person resumes`,
    });
  }
  if (input.unknown !== null) {
    findings.push({
      stage: 'permission',
      verdict: 'deny',
      rule: `configuration.${input.unknown}`,
      code: `unknown-${input.unknown}`,
      reason: `the configuration names no such ${input.unknown}; what is not named is denied`,
    });
  }
  if (input.duplicateOf !== null) {
    findings.push({
      stage: 'duplicate',
      verdict: 'deny',
      rule: 'duplicates.window',
      code: 'duplicate-write',
      reason: `the same write was proposed before as ${input.duplicateOf}; ask for its status instead of sending it again`,
    });
  }
  return findings;
}

function effectFindings(first: string | null): Finding[] {
  if (first === null) return [];
  return [
    {
      stage: 'duplicate',
      verdict: 'deny',
      rule: 'duplicates.window',
      code: 'duplicate-write',
      reason: `the same measured effect is that of ${first}, however this write is put; ask for its status instead of making it again`,
    },
  ];
}

function scopeText(freeze: Freeze): string {
  const { scope } = freeze;
  switch (scope.kind) {
    case 'all':
      return 'everything';
    case 'tenant':
      return 'the whole tenant';
    default:
      return `${scope.kind} \`${scope.name}\``;
  }
}

function budgetFinding({ line, used, freeAt }: BudgetState, now: number): Finding[] {
  const { amount, max, measure } = line;
  if (used + amount <= max) return [];
  const text = (figure: number): string => measureText(measure, figure);
  const said = `${measure} per ${line.window} for ${line.scope}: ${text(used)} used and ${text(amount)} asked for, at most ${text(max)}`;
  const common = { stage: 'budget', verdict: 'deny', rule: line.budget } as const;
  const code = 'budget-exceeded';
  if (amount > max) {
    return [
      { ...common, code, reason: `${said}; by itself it is over the budget, make it smaller` },
    ];
  }
  if (freeAt === null || freeAt === undefined) {
    const reason = `${said}; other writes that are under way hold it`;
    return [{ ...common, code, reason, retryAfterMs: line.windowMs }];
  }
  const retryAfterMs = Math.max(freeAt - now, 1);
  const reason = `${said}; enough of it is free in ${Math.ceil(retryAfterMs / 1_000)} s`;
  return [{ ...common, code, reason, retryAfterMs }];
}

/** Lets people's approvals of this very plan answer the waits; a person's no denies. */
function withPeople(
  input: DecisionInput,
  assessment: Assessment,
  findings: readonly Finding[],
): readonly Finding[] {
  const onThisPlan = input.approvals.filter(
    (approval) => approval.planDigest === assessment.planDigest,
  );
  const no = onThisPlan.find((approval) => approval.verdict === 'deny');
  if (no !== undefined) {
    return [
      ...findings,
      {
        stage: 'approval',
        verdict: 'deny',
        rule: 'approval.person',
        code: 'denied-by-person',
        reason: 'a person decided against this plan',
      },
    ];
  }
  const waits = findings.filter((finding) => finding.verdict === 'wait');
  if (waits.length === 0) return findings;
  const yes = onThisPlan.filter((approval) => approval.verdict === 'approve');
  const { steps } = routeOf(input.policy, waits);
  if (!routeSatisfied(steps, yes, input.barred).satisfied) return findings;
  return [
    ...findings.map((finding) =>
      finding.verdict === 'wait' ? { ...finding, verdict: 'allow' as const } : finding,
    ),
    {
      stage: 'approval',
      verdict: 'allow',
      rule: 'approval.route',
      code: 'approved',
      reason: `approved by ${yes.length} ${yes.length === 1 ? 'person' : 'people'} for exactly this plan`,
    },
  ];
}

function settle(input: DecisionInput, spoken: readonly Finding[]): Decision {
  const findings = spoken.toSorted(
    (left, right) => DECISION_STAGES.indexOf(left.stage) - DECISION_STAGES.indexOf(right.stage),
  );
  const digest = input.measured?.assessment.planDigest ?? null;
  const common = {
    findings,
    planDigest: digest,
    policyDigest: input.policy.digest,
    decidedAt: input.now,
  };
  const by = (finding: Finding) => ({
    code: finding.code,
    reason: finding.reason,
    settledBy: finding.rule,
  });
  const denial = findings.find((finding) => finding.verdict === 'deny');
  if (denial !== undefined) {
    const duplicateOf = input.duplicateOf ?? input.measured?.sameEffectAs ?? null;
    const reason = denial.stage === 'validation' ? failures(findings) : denial.reason;
    return { ...common, ...by(denial), reason, kind: 'deny', duplicateOf };
  }
  if (input.policy.mode === 'observe') {
    return { ...common, ...observed(findings), kind: 'deny', duplicateOf: null };
  }
  const waits = findings.filter((finding) => finding.verdict === 'wait');
  const [firstWait] = waits;
  if (firstWait !== undefined) {
    const route = routeOf(input.policy, waits);
    const expiresAt = input.expiresAt ?? input.now + route.expiresAfterMs;
    const reason = `${firstWait.reason}${nobodyLeft(input, route.steps)}`;
    return { ...common, ...by(firstWait), reason, kind: 'wait', route: route.steps, expiresAt };
  }
  const grant =
    findings.find((finding) => finding.code === 'approved') ??
    findings.find((finding) => finding.verdict === 'allow');
  if (grant === undefined) {
    // Nothing spoke for it: default deny, whatever the stages above forgot.
    return {
      ...common,
      code: 'nothing-permits',
      reason: 'nothing in the policy permits this write',
      settledBy: 'default',
      kind: 'deny',
      duplicateOf: null,
    };
  }
  const reserve = (input.measured?.budgets ?? []).map((budget) => budget.line);
  return { ...common, ...by(grant), kind: 'allow', reserve };
}

/** Whoever mends a write is told all that is wrong with it at once. */
function failures(findings: readonly Finding[]): string {
  const failed = findings.filter(
    ({ stage, verdict }) => stage === 'validation' && verdict === 'deny',
  );
  return failed.map(({ reason }) => reason).join('; ');
}

/** What is said of a route that the people of the policy cannot fill: waiting would be in vain. */
function nobodyLeft({ policy, barred }: DecisionInput, steps: readonly RouteStep[]): string {
  const approvers = [...policy.people.values()].filter(({ roles }) => roles.includes('approver'));
  const all = approvers.map(({ name, groups }) => ({
    person: name,
    groups,
    verdict: 'approve' as const,
  }));
  const { satisfied, missing } = routeSatisfied(steps, all, barred);
  if (satisfied) return '';
  const out = approvers.filter(({ name }) => barred.includes(name)).map(({ name }) => name);
  const why =
    out.length === 0
      ? ''
      : `: ${out.map((name) => `\`${name}\``).join(' and ')} may not, as who proposed it or owns the agent that did`;
  return `; as the configuration is, there are not enough people who may approve it${why}; name ${missing} under \`people\` with the role \`approver\``;
}

function observed(findings: readonly Finding[]): Pick<Decision, 'code' | 'reason' | 'settledBy'> {
  const would = findings.some((finding) => finding.verdict === 'wait')
    ? 'wait for people'
    : 'be allowed';
  return {
    code: 'observed',
    reason: `the policy only observes: this write would ${would}; nothing was changed and nothing waits`,
    settledBy: 'mode.observe',
  };
}
