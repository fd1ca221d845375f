import type { Approval, RouteStep } from '../../model/decision.ts';

/** What counts about an approval: who, from which groups, and that it is a yes. */
export type RouteApproval = Pick<Approval, 'person' | 'groups' | 'verdict'>;

export interface RouteState {
  readonly satisfied: boolean;
  /** Who is still to agree, for a person to read; empty where satisfied. */
  readonly missing: string;
}

/**
 * Reports whether the people who said yes fill every step of a route.
 *
 * Each place of each step takes a person of its own: one person counts once, in one step. Which
 * step is not theirs to choose: the assignment that fills the most places counts. Barred people
 * (who proposed, shaped, or own the agent) never count. The approvals must be of the plan at hand.
 */
export function routeSatisfied(
  steps: readonly RouteStep[],
  approvals: readonly RouteApproval[],
  barred: readonly string[],
): RouteState {
  const places = steps.flatMap((step) => Array.from({ length: step.quorum }, () => step));
  const filled = fill(places, groupsByPerson(approvals, barred));
  const open = places.filter((_place, position) => filled[position] === undefined);
  return { satisfied: open.length === 0, missing: missingText(steps, open) };
}

function groupsByPerson(
  approvals: readonly RouteApproval[],
  barred: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  const people = new Map<string, readonly string[]>();
  for (const { person, groups, verdict } of approvals) {
    if (verdict !== 'approve' || barred.includes(person)) continue;
    people.set(person, [...(people.get(person) ?? []), ...groups]);
  }
  return people;
}

/** Who fills each place: a largest matching of people to places, by augmenting paths (Kuhn). */
function fill(
  places: readonly RouteStep[],
  people: ReadonlyMap<string, readonly string[]>,
): readonly (string | undefined)[] {
  const filled: (string | undefined)[] = places.map(() => undefined);
  const seat = (person: string, tried: Set<number>): boolean => {
    const groups = people.get(person) ?? [];
    for (const [position, place] of places.entries()) {
      if (tried.has(position) || !mayFill(place, groups)) continue;
      tried.add(position);
      const sitting = filled[position];
      if (sitting === undefined || seat(sitting, tried)) {
        filled[position] = person;
        return true;
      }
    }
    return false;
  };
  for (const person of people.keys()) seat(person, new Set());
  return filled;
}

function mayFill(step: RouteStep, groups: readonly string[]): boolean {
  return step.groups.length === 0 || step.groups.some((group) => groups.includes(group));
}

function missingText(steps: readonly RouteStep[], open: readonly RouteStep[]): string {
  const parts: string[] = [];
  for (const step of steps) {
    const count = open.filter((place) => place === step).length;
    if (count === 0) continue;
    const whom = step.groups.length === 0 ? 'any approver' : step.groups.join(' or ');
    parts.push(`${count} more ${count === 1 ? 'person' : 'people'} (${whom})`);
  }
  return parts.join(' and ');
}
