import type { OperationView, ResourceView } from '../model/api.ts';
import type { Target } from '../model/ports.ts';
import { QUERY_OPERATION } from '../model/read.ts';

/** What the targets offer, reads too where they answer them. */
export function operationsOf(targets: ReadonlyMap<string, Target>): readonly OperationView[] {
  return [...targets.values()].flatMap(({ name, kind, operations, schemas, read }) => {
    const all = read === undefined ? operations : [...operations, QUERY_OPERATION];
    return all.map((operation) => ({
      target: name,
      kind,
      operation,
      schema: schemas?.[operation] ?? null,
    }));
  });
}

/** What the targets have; one that cannot say now is no reason that the others are not told. */
export function resourcesOf(
  targets: ReadonlyMap<string, Target>,
): Promise<readonly ResourceView[]> {
  return Promise.all(
    [...targets.values()].map(async (target) => ({
      target: target.name,
      resources: (await target.resources?.().catch(() => null)) ?? null,
    })),
  );
}
