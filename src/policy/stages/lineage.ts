import type { Plan } from '../../model/plan.ts';

/** Returns every name by which a line may mean a resource: its own, then what it is a part of, nearest first. */
export function lineageOf(plan: Plan, resource: string): readonly string[] {
  const wholes = Object.hasOwn(plan.partOf, resource) ? plan.partOf[resource] : undefined;
  return [resource, ...(wholes ?? [])];
}
