/** Dependents make risk higher and nothing else: fewer of them, or lesser ones, lower it. */
import { CRITICALITIES, type DependentLine } from '../../model/dependents.ts';
import type { Policy } from '../../model/policy.ts';
import { byName, paired, type Comparison } from './changes.ts';
import { covers } from './cover.ts';
import { riskMoves } from './risk.ts';
import { orNone } from './words.ts';

interface Part {
  readonly text: (line: DependentLine) => string;
  readonly isLess: (old: DependentLine, present: DependentLine) => boolean;
}

/** What of a line is compared; a key that nobody compares does not compile. */
const PARTS: {
  readonly [Key in Exclude<keyof DependentLine, 'name' | 'target' | 'how'>]: Part;
} = {
  resource: {
    text: ({ target, resource }) =>
      `resource ${orNone(resource?.join(', '))} on ${target?.join(', ') ?? 'any target'}`,
    // A line without a resource relies on nothing of a target.
    isLess: (old, present) =>
      old.resource !== undefined && (present.resource === undefined || !covers(present, old)),
  },
  dependsOn: {
    text: ({ dependsOn }) => `dependsOn ${dependsOn.join(', ') || 'none'}`,
    isLess: (old, present) => old.dependsOn.some((name) => !present.dependsOn.includes(name)),
  },
  criticality: {
    text: ({ criticality }) => `criticality ${criticality}`,
    isLess: (old, present) =>
      CRITICALITIES.indexOf(present.criticality) < CRITICALITIES.indexOf(old.criticality),
  },
};

export function compareDependents(
  comparison: Comparison,
  before: Policy['dependents'],
  after: Policy['dependents'],
): void {
  let moves = false;
  for (const [name, old, present] of paired(byName(before), byName(after))) {
    const path = `dependents.${name}`;
    if (present === undefined) comparison.weaker(path, 'removed, which lowers risk');
    else if (old === undefined) comparison.tighter(path, 'added, which raises risk');
    else compareLine(comparison, path, [old, present]);
    moves ||= JSON.stringify(old) !== JSON.stringify(present);
  }
  if (moves) riskMoves(comparison, 'dependents');
}

function compareLine(
  comparison: Comparison,
  path: string,
  [old, present]: readonly [DependentLine, DependentLine],
): void {
  for (const { text, isLess } of Object.values(PARTS)) {
    const [from, to] = [text(old), text(present)];
    if (from === to) continue;
    comparison[isLess(old, present) ? 'weaker' : 'tighter'](path, `${from} → ${to}`);
  }
  if (old.how !== present.how) comparison.same(path, 'how reworded');
}
