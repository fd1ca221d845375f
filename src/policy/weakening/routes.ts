/**
 * Who must agree. A write that waits for several lines asks their routes joined, and a join can ask
 * fewer people than its parts would: so routes are held against each other in every combination.
 */
import type { RouteStep } from '../../model/decision.ts';
import type { Policy, Route } from '../../model/policy.ts';
import { isWithin, joinRoutes } from '../stages/routing.ts';
import { paired, type Comparison } from './changes.ts';
import { durationText, stepsText } from './words.ts';

/** Beyond so many routes that lines ask, combinations are not tried one by one. */
const COMBINED_MAX = 8;

export function compareRoutes(
  comparison: Comparison,
  before: Policy['routes'],
  after: Policy['routes'],
): void {
  const { routes, asked } = comparison;
  const inUse = new Set([...routes.flatMap((pair) => [pair.before, pair.after]), ...asked]);
  for (const [name, old, present] of paired(before, after)) {
    if (old !== undefined && present !== undefined) {
      compareRoute(comparison, inUse.has(name), [old, present]);
    } else comparison.same(`routes.${name}`, old === undefined ? 'added' : 'removed');
  }
  const defaults = routes.find(({ path }) => path === 'defaultRoute');
  for (const pair of routes) {
    const { path, before: old, after: present } = pair;
    // A line that names no route changed with the default one, which is said once.
    const isDefault = old === defaults?.before && present === defaults.after && pair !== defaults;
    if (old === present || isDefault) continue;
    const isEnough = isAtLeast(routeOf(after, present), routeOf(before, old));
    comparison[isEnough ? 'tighter' : 'weaker'](path, `route ${old} → ${present}`);
  }
  const isWeaker = comparison.changes.some(
    ({ path, sentence, effect }) =>
      effect === 'weaker' && (path.startsWith('routes.') || sentence.startsWith('route ')),
  );
  // Where a single route is weaker already, its combinations say nothing more.
  if (!isWeaker) compareJoined(comparison, before, after);
}

/** A route that no line asks decides nothing. */
function compareRoute(
  comparison: Comparison,
  isInUse: boolean,
  [old, present]: readonly [Route, Route],
): void {
  const path = `routes.${old.name}`;
  const note = (isEnough: boolean, sentence: string): void => {
    const effect = isEnough ? 'tighter' : 'weaker';
    comparison[isInUse ? effect : 'same'](path, sentence);
  };
  const [oldSteps, steps] = [stepsText(old.steps), stepsText(present.steps)];
  if (oldSteps !== steps) note(hasAtLeast(present.steps, old.steps), stepsChange(old, present));
  if (old.expiresAfterMs !== present.expiresAfterMs) {
    const texts = [old, present].map(({ expiresAfterMs }) => durationText(expiresAfterMs));
    note(present.expiresAfterMs < old.expiresAfterMs, `expiresAfter ${texts.join(' → ')}`);
  }
}

function stepsChange(old: Route, present: Route): string {
  const [[from, ...restFrom], [to, ...restTo]] = [old.steps, present.steps];
  const isOne = restFrom.length + restTo.length === 0 && from !== undefined && to !== undefined;
  if (isOne && from.groups.join('\n') === to.groups.join('\n')) {
    return `quorum ${from.quorum} → ${to.quorum}`;
  }
  return `steps ${stepsText(old.steps)} → ${stepsText(present.steps)}`;
}

function routeOf(routes: Policy['routes'], name: string): Route {
  return routes.get(name) ?? { name, steps: [], expiresAfterMs: Infinity };
}

/** Whether whoever fills `route` fills `other` too, and no later. */
function isAtLeast(route: Route, other: Route): boolean {
  return (
    hasAtLeast(route.steps, other.steps) &&
    // What does not exist is asked by no policy that loads: it is no bound.
    route.expiresAfterMs <= other.expiresAfterMs
  );
}

/** Whether each place of `others` has a place of `steps` for itself that only its own people fill. */
export function hasAtLeast(steps: readonly RouteStep[], others: readonly RouteStep[]): boolean {
  const places = placesOf(steps);
  const taken: (number | undefined)[] = places.map(() => undefined);
  const wanted = placesOf(others);
  const seat = (want: number, tried: Set<number>): boolean => {
    const place = wanted[want];
    if (place === undefined) return false;
    for (const [position, found] of places.entries()) {
      if (tried.has(position) || !isWithin(found, place)) continue;
      tried.add(position);
      const sitting = taken[position];
      if (sitting === undefined || seat(sitting, tried)) {
        taken[position] = want;
        return true;
      }
    }
    return false;
  };
  return wanted.every((_place, want) => seat(want, new Set()));
}

function placesOf(steps: readonly RouteStep[]): readonly RouteStep[] {
  return steps.flatMap((step) => Array.from({ length: step.quorum }, () => step));
}

/**
 * Holds the join of every combination of routes against what it was, with whatever else may be asked
 * now. Adding a wait can make a join smaller: a route that needs two of anyone and one of finance
 * need three people, and with one of finance then anyone, two.
 */
function compareJoined(
  comparison: Comparison,
  before: Policy['routes'],
  after: Policy['routes'],
): void {
  const { routes, asked } = comparison;
  const pairs = [
    ...new Map(routes.map((pair) => [`${pair.before}\n${pair.after}`, pair])).values(),
  ];
  const more = [...asked];
  if (more.length === 0 && pairs.every((pair) => isUnchanged(pair, before, after))) return;
  if (pairs.length + more.length > COMBINED_MAX) {
    comparison.weaker('routes', 'too many to show that no combination asks fewer people');
    return;
  }
  for (const old of subsetsOf(pairs)) {
    const wanted = joinRoutes(old.map((pair) => routeOf(before, pair.before)));
    for (const extra of subsetsOf(more)) {
      const names = new Set([...old.map((pair) => pair.after), ...extra]);
      const found = joinRoutes([...names].map((name) => routeOf(after, name)));
      if (hasAtLeast(found.steps, wanted.steps)) continue;
      const change = `${stepsText(wanted.steps)} → ${stepsText(found.steps)}`;
      comparison.weaker('routes', `${[...names].join(' and ')} asked together: ${change}`);
      return;
    }
  }
}

function isUnchanged(
  pair: { readonly before: string; readonly after: string },
  before: Policy['routes'],
  after: Policy['routes'],
): boolean {
  const [old, present] = [routeOf(before, pair.before), routeOf(after, pair.after)];
  return pair.before === pair.after && stepsText(old.steps) === stepsText(present.steps);
}

function subsetsOf<Item>(items: readonly Item[]): readonly (readonly Item[])[] {
  const subsets: (readonly Item[])[] = [[]];
  for (const item of items) {
    subsets.push(...subsets.map((subset) => [...subset, item]));
  }
  return subsets;
}
