import assert from 'node:assert/strict';
import type { Finding, RouteStep } from '../../model/decision.ts';
import type { Policy, Route } from '../../model/policy.ts';

/**
 * Returns who must agree to a write that waits for several reasons: the routes of the lines that
 * wait, the default route for a line that names none. Each route once; a one-step route that the
 * others' people fill anyway adds nothing. The shortest expiry counts.
 */
export function routeOf(policy: Policy, waits: readonly Pick<Finding, 'rule'>[]): Route {
  const names = new Set(waits.map(({ rule }) => routeName(policy, rule)));
  const asked = [...names].map((name) => routeNamed(policy, name));
  return joinRoutes(asked.length === 0 ? [routeNamed(policy, policy.defaultRoute)] : asked);
}

/** Joins routes, each of another name; who must agree depends on which they are, not on their order. */
export function joinRoutes(asked: readonly Route[]): Route {
  let routes = asked;
  for (const route of asked.toSorted(bySize)) {
    const others = routes.filter((each) => each !== route);
    const steps = others.flatMap((each) => each.steps);
    // All that is left out, not this one alone: an earlier one may have leaned on this one.
    const dropped = asked.filter((each) => !others.includes(each));
    if (dropped.every((each) => isImplied(each, steps))) routes = others;
  }
  return {
    name: routes.map((route) => route.name).join('+'),
    steps: routes.flatMap((route) => route.steps),
    expiresAfterMs: Math.min(...asked.map((route) => route.expiresAfterMs)),
  };
}

function bySize(left: Route, right: Route): number {
  const people = ({ steps }: Route): number => steps.reduce((sum, { quorum }) => sum + quorum, 0);
  return people(left) - people(right) || (left.name < right.name ? -1 : 1);
}

/** Loading makes sure that every route exists: one that does not is a bug, and nobody may agree by it. */
function routeNamed(policy: Policy, name: string): Route {
  const route = policy.routes.get(name);
  assert(route !== undefined, `the policy has its route \`${name}\``);
  return route;
}

function routeName(policy: Policy, rule: string): string {
  const threshold = policy.thresholds.find((each) => `thresholds.${each.name}` === rule);
  const required = policy.rules.find((each) => `rules.${each.id}` === rule);
  const { otherwise, lines } = policy.anomaly;
  const anomaly = [otherwise, ...lines].find((each) => each.rule === rule);
  return threshold?.route ?? required?.route ?? anomaly?.route ?? policy.defaultRoute;
}

/** People fill one place each: those of steps within its groups are as many distinct people for it. */
function isImplied(route: Route, others: readonly RouteStep[]): boolean {
  const [step, ...rest] = route.steps;
  if (step === undefined || rest.length > 0) return false;
  const within = others.filter((other) => isWithin(other, step));
  return within.reduce((people, other) => people + other.quorum, 0) >= step.quorum;
}

/** Whether everybody who fills a place of `inner` fills one of `outer`. */
export function isWithin(inner: RouteStep, outer: RouteStep): boolean {
  if (outer.groups.length === 0) return true;
  return inner.groups.length > 0 && inner.groups.every((group) => outer.groups.includes(group));
}
