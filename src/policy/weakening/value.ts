/**
 * Bounds on value beyond their figures. Where some line bounds value, value in a currency that none
 * bounds waits, in the name of the first such line; so a further bound can take a wait away, and a
 * line that comes first can hand it to another route (`policy/stages/value.ts`).
 */
import type { Match, Policy } from '../../model/policy.ts';
import type { Comparison } from './changes.ts';
import { areApart, covers } from './cover.ts';
import { currencyOf } from '../stages/lines.ts';

interface ValueLine {
  readonly path: string;
  readonly match: Match;
  readonly currencies: readonly string[];
  /** Of what waits in its name. */
  readonly route: string;
}

/** More pairs of lines than this are not looked at one by one. */
const PAIRS_MAX = 10_000;

/** In the order in which they are asked: limits, thresholds, budgets. */
function valueLines({ limits, thresholds, budgets, defaultRoute }: Policy): readonly ValueLine[] {
  const lines = [
    ...limits.map(({ name, match, valueMinorMax }) => ({
      path: `limits.${name}`,
      match,
      currencies: Object.keys(valueMinorMax),
      route: defaultRoute,
    })),
    ...thresholds.map(({ name, match, valueMinorOver, route }) => ({
      path: `thresholds.${name}`,
      match,
      currencies: Object.keys(valueMinorOver),
      route,
    })),
    ...budgets.map((budget) => ({
      path: `budgets.${budget.name}`,
      match: budget.match,
      currencies: [currencyOf(budget) ?? []].flat(),
      route: defaultRoute,
    })),
  ];
  return lines.filter(({ currencies }) => currencies.length > 0);
}

export function compareValueLines(comparison: Comparison): void {
  const old = valueLines(comparison.before.policy);
  const present = valueLines(comparison.after.policy);
  // A write that no line on value concerned, or in a currency that a line was for, may wait now.
  if (JSON.stringify(old) !== JSON.stringify(present)) {
    for (const { route } of present) comparison.asked.add(route);
  }
  for (const line of present) compareCurrencies(comparison, line, old);
  compareFirst(comparison, old, present);
}

/** A currency that is bounded now must have been bounded wherever value was bounded at all. */
function compareCurrencies(
  comparison: Comparison,
  line: ValueLine,
  old: readonly ValueLine[],
): void {
  for (const currency of line.currencies) {
    const isBounded = old.some(
      (each) => each.currencies.includes(currency) && covers(each.match, line.match),
    );
    if (isBounded || old.every((each) => areApart(each.match, line.match))) continue;
    const sentence = `bounds ${currency}, in which value waited for people where no line bounded it`;
    comparison.weaker(line.path, sentence);
  }
}

/** Notes each pair of routes that a wait for unbounded value may have been handed over between. */
function compareFirst(
  comparison: Comparison,
  old: readonly ValueLine[],
  present: readonly ValueLine[],
): void {
  const routes = new Set([...old, ...present].map(({ route }) => route));
  if (routes.size === 1) return;
  const pairs = new Map<string, readonly [ValueLine, ValueLine]>();
  const isTooMany = old.length * present.length > PAIRS_MAX;
  for (const [position, first] of present.entries()) {
    for (const [place, former] of isTooMany ? [] : old.entries()) {
      const key = JSON.stringify([former.route, first.route]);
      if (pairs.has(key)) continue;
      // Where `first` is asked first now, an earlier line was before, or is now before `first`.
      const wasLater = old.slice(0, place).some((each) => covers(each.match, first.match));
      const isLater = present.slice(0, position).some((each) => covers(each.match, former.match));
      if (!wasLater && !isLater) pairs.set(key, [former, first]);
    }
  }
  if (isTooMany) comparison.weaker('thresholds', 'more lines on value than can be compared');
  for (const [former, first] of pairs.values()) {
    comparison.route(first.path, former.route, first.route);
  }
}
