import type { Decision } from '../model/decision.ts';
import type { Match, Policy } from '../model/policy.ts';
import type { PolicyFacts } from '../policy/evaluate.ts';
import { matchesBeside } from '../policy/stages/match.ts';
import { concerns, writeOf } from '../policy/stages/write.ts';

/** Which lines of a policy spoke, and which did not. */
export interface Coverage {
  readonly lines: number;
  readonly spoke: number;
  readonly silent: readonly SilentLine[];
}

export interface SilentLine {
  /** As findings name it. */
  readonly rule: string;
  /** Whether some case is a write that the line is about; then none went over it, or met its condition. */
  readonly isAbout: boolean;
}

/** Holds every line of a policy against what was decided. */
export function coverageOf(
  policy: Policy,
  decided: readonly { readonly facts: PolicyFacts; readonly decision: Decision }[],
): Coverage {
  const spoken = new Set(
    decided.flatMap(({ decision }) => decision.findings.map(({ rule }) => rule)),
  );
  const lines = linesIn(policy);
  const silent = lines
    .filter(({ rule }) => !spoken.has(rule))
    .map(({ rule, match }) => ({
      rule,
      isAbout: decided.some(({ facts }) => isMeant(match, facts)),
    }));
  return { lines: lines.length, spoke: lines.length - silent.length, silent };
}

function isMeant(match: Match, facts: PolicyFacts): boolean {
  const write = writeOf(facts);
  return matchesBeside(match, write.subject) && concerns(match, write);
}

interface Line {
  readonly rule: string;
  readonly match: Match;
}

/** Every line that a finding can name, in the order of precedence. */
function linesIn(policy: Policy): readonly Line[] {
  const named = (
    section: string,
    lines: readonly { readonly name: string; readonly match: Match }[],
  ) => lines.map(({ name, match }) => ({ rule: `${section}.${name}`, match }));
  return [
    ...named('never', policy.never),
    ...[...policy.agents.values()].flatMap(({ name, permissions }) =>
      permissions.map(({ match }, index) => ({
        rule: `agents.${name}.permissions[${index}]`,
        match: { ...match, agent: [name] },
      })),
    ),
    ...named('limits', policy.limits),
    ...policy.rules.map(({ id, match }) => ({ rule: `rules.${id}`, match })),
    ...named('budgets', policy.budgets),
    ...named('thresholds', policy.thresholds),
  ];
}
