/** Every stage that the policy settles, over all steps of what is proposed. Pure. */
import type { Finding } from '../model/decision.ts';
import { mergePlans } from '../model/merge.ts';
import { measure, type Plan } from '../model/plan.ts';
import type { Limit, Policy, Rule, Threshold, Validation } from '../model/policy.ts';
import { beginStage } from './conditions/conditions.ts';
import type { Spent } from './conditions/work.ts';
import {
  limitFindings,
  limitLineFindings,
  neverFindings,
  permissionFindings,
  ruleFinding,
  ruleFindings,
  thresholdFindings,
  thresholdLineFindings,
  tighteningRules,
  warningFindings,
} from './evaluate.ts';
import { limitsOf, thresholdsOf } from './stages/lines.ts';
import { validationFinding, validationFindings, validationsOf } from './stages/validate.ts';
import { writeOf, type PolicyFacts } from './stages/write.ts';

const TOGETHER = 'the steps together';

/**
 * Judges a write, or the steps of a chain, each of which is judged as it would be alone. Beside
 * that, a line that tightens and concerns several steps is held against what those do together: a
 * chain gets no more than its steps would one by one, nor than one write that did the same.
 */
export function judge(policy: Policy, steps: readonly PolicyFacts[]): readonly Finding[] {
  const [only] = steps;
  const work: Work = { rules: { steps: 0 }, validations: { steps: 0 } };
  if (only !== undefined && steps.length === 1) return alone(policy, only, work);
  const each = steps.flatMap((facts, index) =>
    alone(policy, facts, work).map((finding) =>
      prefixed(`step ${index + 1} of ${steps.length}`, finding),
    ),
  );
  return distinct([...each, ...together(policy, steps, work)]);
}

/** Judges what is not known of the whole plan, beside what is said of its steps. */
export function wholeFindings(
  warnings: readonly string[],
  steps: readonly PolicyFacts[],
): readonly Finding[] {
  const said = new Set(steps.flatMap(({ plan }) => plan.warnings));
  const unsaid = warnings.filter((warning) => !said.has(warning));
  return warningFindings(unsaid).map((finding) => prefixed(TOGETHER, finding));
}

/** What the conditions of each stage have taken; the steps of a chain share it. */
interface Work {
  readonly rules: Spent;
  readonly validations: Spent;
}

function alone(policy: Policy, facts: PolicyFacts, work: Work): readonly Finding[] {
  return [
    ...neverFindings(policy, facts),
    ...permissionFindings(policy, facts),
    ...limitFindings(policy, facts),
    ...ruleFindings(policy, facts, work.rules),
    ...validationFindings(policy, facts, work.validations),
    ...thresholdFindings(policy, facts),
  ];
}

/** What a line says of one step is not said again of the next. */
function distinct(findings: readonly Finding[]): readonly Finding[] {
  const said = new Set<string>();
  return findings.filter(({ stage, verdict, rule, code, reason }) => {
    // Of validations every failure counts: a line may have several.
    const key = JSON.stringify([verdict, rule, code, stage === 'validation' ? reason : '']);
    if (verdict !== 'allow' && said.has(key)) return false;
    said.add(key);
    return true;
  });
}

/** What each line says of all the steps that it concerns, seen as one write. */
function together(policy: Policy, steps: readonly PolicyFacts[], work: Work): readonly Finding[] {
  // Many lines concern the same steps: those are put together once.
  const asOne = oncePerSteps(steps, merged);
  const asEach = oncePerSteps(steps, seenTogether);
  return [
    ...bySteps<Limit>(steps, (facts) => limitsOf(policy, facts)).flatMap(([limit, concerned]) =>
      limitLineFindings(limit, asOne(concerned)),
    ),
    ...bySteps<Rule>(steps, (facts) => tighteningRules(policy, facts)).flatMap(
      ([rule, concerned]) =>
        rule.when === null ? [] : ruleTogether(rule, asEach(concerned), work.rules),
    ),
    ...bySteps<Validation>(steps, (facts) => conditionsOf(policy, facts)).flatMap(
      ([line, concerned]) =>
        asEach(concerned).flatMap((each) => {
          beginStage(each, work.validations);
          return validationFinding(line, each);
        }),
    ),
    ...bySteps<Threshold>(steps, (facts) => thresholdsOf(policy, facts)).flatMap(
      ([threshold, concerned]) => thresholdLineFindings(threshold, asOne(concerned)),
    ),
  ].map((finding) => prefixed(TOGETHER, finding));
}

function prefixed(who: string, finding: Finding): Finding {
  return { ...finding, reason: `${who}: ${finding.reason}` };
}

/**
 * A condition sees the effect of all the steps that its rule concerns, with the arguments of each;
 * resources have the names that they have alone.
 */
function ruleTogether(rule: Rule, seen: readonly PolicyFacts[], spent: Spent): readonly Finding[] {
  return seen.flatMap((facts) => {
    beginStage(facts, spent);
    return ruleFinding(rule, facts) ?? [];
  });
}

/** Remembers what is made of some of the steps. */
function oncePerSteps<Made>(
  steps: readonly PolicyFacts[],
  make: (concerned: readonly PolicyFacts[]) => Made,
): (concerned: readonly PolicyFacts[]) => Made {
  const places = new Map(steps.map((facts, place) => [facts, place]));
  const known = new Map<string, Made>();
  return (concerned) => {
    const key = concerned.map((facts) => places.get(facts)).join();
    const made = known.get(key) ?? make(concerned);
    known.set(key, made);
    return made;
  };
}

function seenTogether(concerned: readonly PolicyFacts[]): readonly PolicyFacts[] {
  const { plan, blastRadius } = merged(concerned.map((facts) => ({ ...facts, target: '' })));
  // A condition sees the class that lines are matched with: of a compensation, what it takes back.
  return concerned.map((facts) => ({ ...facts, class: writeOf(facts).class, plan, blastRadius }));
}

/** The validations that see the effect; a schema is of one step's arguments, a check saw them all. */
function conditionsOf(policy: Policy, facts: PolicyFacts): readonly Validation[] {
  return validationsOf(policy, facts).filter(({ asks }) => asks.kind === 'holds');
}

/** The lines that concern more than one step, each with those. */
function bySteps<Line>(
  steps: readonly PolicyFacts[],
  linesOf: (facts: PolicyFacts) => readonly Line[],
): readonly (readonly [Line, readonly PolicyFacts[]])[] {
  const concerned = new Map<Line, PolicyFacts[]>();
  for (const facts of steps) {
    for (const line of linesOf(facts)) {
      const others = concerned.get(line);
      if (others === undefined) concerned.set(line, [facts]);
      else others.push(facts);
    }
  }
  return [...concerned].filter(([, facts]) => facts.length > 1);
}

/** Several steps seen as one write. A plan that stands for more than one of them counts once. */
function merged(steps: readonly PolicyFacts[]): PolicyFacts {
  const [first] = steps;
  if (first === undefined) throw new Error('no step is no write');
  const targets = new Map<Plan, string>(steps.map(({ plan, target }) => [plan, target]));
  const plan = mergePlans([...targets].map(([each, target]) => ({ plan: each, target })));
  return { ...first, resource: plan.resource, plan, blastRadius: measure(plan) };
}
