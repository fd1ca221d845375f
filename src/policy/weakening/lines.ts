/** Lines that only tighten: never, limits, thresholds, budgets. */
import { moneyText } from '../../lib/money.ts';
import type { BudgetRule, Limit, Match, Policy, Threshold } from '../../model/policy.ts';
import { count } from '../stages/sentences.ts';
import { byName, paired, type Comparison } from './changes.ts';
import { covers, isSameMatch } from './cover.ts';
import { matchText } from './words.ts';

/** Compares what a line concerns: it must go on to concern all that it did. */
export function compareMatch(
  comparison: Comparison,
  path: string,
  [old, present]: readonly [Match, Match],
): 'same' | 'wider' | 'narrower' {
  const change = `match ${matchText(old)} → ${matchText(present)}`;
  if (!covers(present, old)) {
    comparison.weaker(path, change);
    return 'narrower';
  }
  if (isSameMatch(old, present)) return 'same';
  comparison.tighter(path, change);
  return 'wider';
}

export function compareNever(
  comparison: Comparison,
  before: Policy['never'],
  after: Policy['never'],
): void {
  for (const [name, old, present] of paired(byName(before), byName(after))) {
    const path = `never.${name}`;
    if (present === undefined) comparison.weaker(path, 'removed');
    else if (old === undefined) comparison.tighter(path, `added for ${matchText(present.match)}`);
    else {
      compareMatch(comparison, path, [old.match, present.match]);
      if (old.reason !== present.reason) comparison.same(path, 'reason reworded');
    }
  }
}

type Bound<Line> = (line: Line) => number | null;

/** Every bound of a limit but that on value; a key that nobody compares does not compile. */
const LIMIT_BOUNDS: {
  readonly [Key in Exclude<keyof Limit, 'name' | 'match' | 'valueMinorMax'>]: Bound<Limit>;
} = {
  recordsMax: (limit) => limit.recordsMax,
  recordsPerResourceMax: (limit) => limit.recordsPerResourceMax,
  recipientsMax: (limit) => limit.recipientsMax,
  bytesMax: (limit) => limit.bytesMax,
  amplificationMax: (limit) => limit.amplificationMax,
};

/** As `LIMIT_BOUNDS`, of a threshold. */
const THRESHOLD_BOUNDS: {
  readonly [
    Key in Exclude<keyof Threshold, 'name' | 'match' | 'route' | 'valueMinorOver'>
  ]: Bound<Threshold>;
} = {
  recordsOver: (threshold) => threshold.recordsOver,
  recordsPerResourceOver: (threshold) => threshold.recordsPerResourceOver,
  recipientsOver: (threshold) => threshold.recipientsOver,
  bytesOver: (threshold) => threshold.bytesOver,
  amplificationOver: (threshold) => threshold.amplificationOver,
  riskOver: (threshold) => threshold.riskOver,
};

interface BoundChange {
  readonly sentence: string;
  readonly isWeaker: boolean;
}

function boundChanges<Line>(
  bounds: Readonly<Record<string, Bound<Line>>>,
  old: Line,
  present: Line,
): readonly BoundChange[] {
  return Object.entries(bounds).flatMap(([name, bound]) =>
    boundChange(name, [bound(old), bound(present)], (value) => count(value)),
  );
}

function amountChanges(
  name: string,
  old: Readonly<Record<string, number>>,
  present: Readonly<Record<string, number>>,
): readonly BoundChange[] {
  return paired(Object.entries(old), Object.entries(present)).flatMap(([currency, from, to]) =>
    boundChange(name, [from ?? null, to ?? null], (value) => moneyText(BigInt(value), currency)),
  );
}

/** No bound is the widest one. */
function boundChange(
  name: string,
  [old, present]: readonly [number | null, number | null],
  text: (bound: number) => string,
): readonly BoundChange[] {
  if (old === present) return [];
  const shown = (bound: number | null): string => (bound === null ? 'none' : text(bound));
  const isWeaker = (present ?? Infinity) > (old ?? Infinity);
  return [{ sentence: `${name} ${shown(old)} → ${shown(present)}`, isWeaker }];
}

/** Notes the changes down; true where some bound is tighter. */
function note(comparison: Comparison, path: string, changes: readonly BoundChange[]): boolean {
  for (const { sentence, isWeaker } of changes) {
    comparison[isWeaker ? 'weaker' : 'tighter'](path, sentence);
  }
  return changes.some(({ isWeaker }) => !isWeaker);
}

export function compareLimits(
  comparison: Comparison,
  before: Policy['limits'],
  after: Policy['limits'],
): void {
  for (const [name, old, present] of paired(byName(before), byName(after))) {
    const path = `limits.${name}`;
    if (present === undefined) comparison.weaker(path, 'removed');
    else if (old === undefined) comparison.tighter(path, `added for ${matchText(present.match)}`);
    else {
      const match = compareMatch(comparison, path, [old.match, present.match]);
      if (match === 'wider' && old.amplificationMax !== null) {
        // Further steps of a chain count towards it, and may bring the ratio of all of them down.
        comparison.weaker(path, 'amplificationMax is over more steps of a chain');
      }
      note(comparison, path, [
        ...boundChanges(LIMIT_BOUNDS, old, present),
        ...amountChanges('valueMax', old.valueMinorMax, present.valueMinorMax),
      ]);
    }
  }
}

export function compareThresholds(
  comparison: Comparison,
  before: Policy['thresholds'],
  after: Policy['thresholds'],
): void {
  for (const [name, old, present] of paired(byName(before), byName(after))) {
    const path = `thresholds.${name}`;
    if (present === undefined) comparison.weaker(path, 'removed');
    else if (old === undefined) {
      comparison.tighter(path, `added for ${matchText(present.match)}`);
      comparison.asked.add(present.route);
    } else {
      const match = compareMatch(comparison, path, [old.match, present.match]);
      if (match === 'wider' && old.amplificationOver !== null) {
        // As with limits: the ratio of more steps together may be lower.
        comparison.weaker(path, 'amplificationOver is over more steps of a chain');
      }
      const isTighter = note(comparison, path, [
        ...boundChanges(THRESHOLD_BOUNDS, old, present),
        ...amountChanges('valueOver', old.valueMinorOver, present.valueMinorOver),
      ]);
      if (match === 'wider' || isTighter) comparison.asked.add(present.route);
      comparison.route(path, old.route, present.route);
    }
  }
}

/** What a budget counts under: the store keeps by it what was used. All but `match` and `max`. */
const COUNTER: {
  readonly [Key in Exclude<keyof BudgetRule, 'name' | 'match' | 'max'>]: (
    rule: BudgetRule,
  ) => string;
} = {
  measure: (rule) => rule.measure,
  window: (rule) => `per ${rule.window}`,
  per: (rule) => `for each ${rule.per.join(' and ') || 'tenant'}`,
};

export function compareBudgets(
  comparison: Comparison,
  before: Policy['budgets'],
  after: Policy['budgets'],
): void {
  for (const [name, old, present] of paired(byName(before), byName(after))) {
    const path = `budgets.${name}`;
    if (present === undefined) comparison.weaker(path, 'removed');
    else if (old === undefined) comparison.tighter(path, `added for ${matchText(present.match)}`);
    else compareBudget(comparison, path, [old, present]);
  }
}

/** Under another counter what was used so far counts no more, however tight the new bound is. */
function compareBudget(
  comparison: Comparison,
  path: string,
  [old, present]: readonly [BudgetRule, BudgetRule],
): void {
  const counter = (rule: BudgetRule): string =>
    Object.values(COUNTER)
      .map((part) => part(rule))
      .join(' ');
  compareMatch(comparison, path, [old.match, present.match]);
  if (counter(old) !== counter(present)) {
    const change = `${counter(old)} → ${counter(present)}`;
    comparison.weaker(path, `${change}: what was used so far counts no more`);
  }
  const currency = /^value:(.*)$/.exec(present.measure)?.[1];
  const text = (max: number) =>
    currency === undefined ? count(max) : moneyText(BigInt(max), currency);
  note(comparison, path, boundChange('max', [old.max, present.max], text));
}
