/** The stage of what is unusual for an agent: it tightens and never loosens. Pure. */
import { quote } from '../../lib/quote.ts';
import type { PaceGuard } from '../../model/baseline.ts';
import type { Finding } from '../../model/decision.ts';
import {
  SENSITIVITIES,
  type AnomalyRule,
  type Policy,
  type Sensitivity,
} from '../../model/policy.ts';
import { matches, type MatchSubject } from './match.ts';
import { unusual, usualPaces, type Usual } from './unusual.ts';
import { writeOf, type PolicyFacts } from './write.ts';

export type { Usual } from './unusual.ts';

/**
 * Judges by what is usual for the agent and the operation: one finding for each thing that is not,
 * in the name of each line that matches, or of the section. None below `warmUp` applied writes, and
 * none for people or for a write that takes another back.
 */
export function anomalyFindings(
  policy: Policy,
  steps: readonly PolicyFacts[],
  usual: readonly Usual[],
): readonly Finding[] {
  return steps.flatMap((facts, index) => {
    const known = usual[index];
    if (known === undefined) throw new Error('every step has what is usual for it');
    const who = steps.length === 1 ? '' : `step ${index + 1} of ${steps.length}: `;
    return stepFindings(policy, facts, known, who);
  });
}

function stepFindings(
  policy: Policy,
  facts: PolicyFacts,
  usual: Usual,
  who: string,
): readonly Finding[] {
  const { recorded } = usual;
  if (recorded !== undefined) {
    return anomalyRules(policy, facts).flatMap((line) =>
      recorded.map(({ code, reason }) => findingOf(line, code, reason)),
    );
  }
  return judgedBy(policy, facts, usual).flatMap((line) =>
    unusual(facts, usual, line.sensitivity).map(({ code, reason }) =>
      findingOf(line, code, `${who}unusual for ${quote(facts.principal.name)}: ${reason}`),
    ),
  );
}

function findingOf({ rule, verdict }: AnomalyRule, code: Finding['code'], reason: string): Finding {
  return {
    stage: 'anomaly',
    verdict: verdict === 'forbid' ? 'deny' : 'wait',
    rule,
    code,
    reason,
  };
}

/** The lines that judge a write; none where nothing can be unusual. */
function judgedBy(policy: Policy, facts: PolicyFacts, usual: Usual): readonly AnomalyRule[] {
  if (facts.principal.kind !== 'agent' || facts.compensation) return [];
  const isWarm = (usual.baseline?.applied ?? 0) >= policy.anomaly.warmUp;
  return isWarm ? anomalyRules(policy, facts) : [];
}

/** How strictly the writes of a subject are judged: by the strictest of the lines that match. */
export function sensitivityOf({ anomaly }: Policy, subject: MatchSubject): Sensitivity {
  const matching = anomaly.lines.filter((line) => matches(line.match, subject));
  const ranks = (matching.length > 0 ? matching : [anomaly.otherwise]).map(({ sensitivity }) =>
    SENSITIVITIES.indexOf(sensitivity),
  );
  return SENSITIVITIES[Math.max(0, ...ranks)] ?? 'off';
}

/** The lines that judge a write, or the section; those that are off are none. */
function anomalyRules({ anomaly }: Policy, facts: PolicyFacts): readonly AnomalyRule[] {
  const { subject } = writeOf(facts);
  const matching = anomaly.lines.filter((line) => matches(line.match, subject));
  return (matching.length > 0 ? matching : [anomaly.otherwise]).filter(
    ({ sensitivity }) => sensitivity !== 'off',
  );
}

/**
 * Returns the paces up to which a decision that found nothing unusual holds: where other proposals
 * have passed one by the time of the commit, it is made again.
 */
export function paceGuards(
  policy: Policy,
  steps: readonly PolicyFacts[],
  usual: readonly Usual[],
): readonly PaceGuard[] {
  return steps.flatMap((facts, index) => {
    const known = usual[index];
    if (known === undefined || known.uncounted === 0) return [];
    const { principal, target, operation } = facts;
    const subject = { agent: principal.name, target, operation };
    return judgedBy(policy, facts, known).flatMap(({ sensitivity }) =>
      usualPaces(facts, known, sensitivity).map(({ window, max }) =>
        Object.assign({ window, max, uncounted: known.uncounted }, subject),
      ),
    );
  });
}
