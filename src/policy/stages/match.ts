import type { EffectClass } from '../../model/plan.ts';
import type { Match } from '../../model/policy.ts';

/**
 * What a match is held against. A member left out is not known yet: a line that names one there
 * does not match.
 */
export interface MatchSubject {
  /** Left out for a person: no line that names an agent matches a person. */
  readonly agent?: string;
  readonly environment: string;
  readonly target: string;
  readonly operation: string;
  readonly resource?: string;
  readonly class?: EffectClass;
}

/** Reports whether every member of the match holds for the subject; an empty match always does. */
export function matches(match: Match, subject: MatchSubject): boolean {
  return matchesBeside(match, subject) && matchesResource(match, subject.resource);
}

/** As `matches`, all but the resource: what the index of a policy can settle once. */
export function matchesBeside(match: Match, subject: MatchSubject): boolean {
  return (
    named(match.agent, subject.agent) &&
    named(match.environment, subject.environment) &&
    named(match.target, subject.target) &&
    named(match.operation, subject.operation) &&
    (match.class === undefined ||
      (subject.class !== undefined && match.class.includes(subject.class)))
  );
}

/** The rest of `matches`. */
export function matchesResource(match: Match, resource: string | undefined): boolean {
  return named(match.resource, resource);
}

function named(patterns: readonly string[] | undefined, text: string | undefined): boolean {
  if (patterns === undefined) return true;
  return text !== undefined && patterns.some((pattern) => matchesPattern(pattern, text));
}

/** Reports whether a name matches a pattern in which `*` stands for any run of characters. */
export function matchesPattern(pattern: string, text: string): boolean {
  if (!isPattern(pattern)) return pattern === text;
  const [head = '', ...rest] = pattern.split('*');
  const tail = rest.pop() ?? '';
  if (text.length < head.length + tail.length) return false;
  if (!text.startsWith(head) || !text.endsWith(tail)) return false;
  // Leftmost fit for each part in turn: no backtracking, so no pattern makes this slow.
  const end = text.length - tail.length;
  let position = head.length;
  for (const part of rest) {
    const found = text.indexOf(part, position);
    if (found < 0 || found + part.length > end) return false;
    position = found + part.length;
  }
  return true;
}

/** Reports whether a name in a match is a pattern and not one exact name. */
export function isPattern(name: string): boolean {
  return name.includes('*');
}
