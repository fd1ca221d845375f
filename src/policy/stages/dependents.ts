import type { Criticality, Dependent, DependentLine } from '../../model/dependents.ts';
import { matchesResource, type MatchSubject } from './match.ts';

/** How much of the distance to 1 a dependent covers that relies on the resource itself. */
export const COUPLING_BY_CRITICALITY: Readonly<Record<Criticality, number>> = {
  low: 0.1,
  medium: 0.2,
  high: 0.3,
  critical: 0.45,
};
/** What is left of it for each dependent in between. */
const REMOTE_SHARE = 0.5;

/**
 * Returns everything that relies on any of the resources, directly or through others, each once, at
 * its least depth: nearest first, then by name. Cycles among dependents end where they began. Pure.
 */
export function dependentsOf(
  lines: readonly DependentLine[],
  target: string,
  resources: readonly string[],
): readonly Dependent[] {
  const found = new Map<string, Dependent>();
  const add = (line: DependentLine, depth: number, via: string | null): void => {
    if (found.has(line.name)) return;
    const { name, criticality, how } = line;
    found.set(name, { name, criticality, how, depth, via });
  };
  const subjects = resources.map((resource) => ({ target, resource }));
  for (const line of byName(lines)) {
    if (subjects.some((subject) => reliesOn(line, subject))) add(line, 1, null);
  }
  // Each round goes one dependent further out, and ends when it finds no more.
  for (let depth = 2, before = 0; found.size > before; depth += 1) {
    const near = [...found.keys()].slice(before);
    before = found.size;
    for (const line of byName(lines)) {
      const via = line.dependsOn.find((name) => near.includes(name));
      if (via !== undefined) add(line, depth, via);
    }
  }
  return [...found.values()];
}

function byName(lines: readonly DependentLine[]): readonly DependentLine[] {
  return lines.toSorted((left, right) => (left.name < right.name ? -1 : 1));
}

function reliesOn(
  { target, resource }: DependentLine,
  subject: Pick<MatchSubject, 'target' | 'resource'>,
): boolean {
  if (resource === undefined) return false;
  const onTarget = target === undefined || matchesResource({ resource: target }, subject.target);
  return onTarget && matchesResource({ resource }, subject.resource);
}

/** What is left of 1 − coupling once the dependents are counted: 1 of none. */
export function apartFrom(dependents: readonly Dependent[]): number {
  return dependents.reduce(
    (apart, { criticality, depth }) =>
      apart * (1 - COUPLING_BY_CRITICALITY[criticality] * REMOTE_SHARE ** (depth - 1)),
    1,
  );
}
