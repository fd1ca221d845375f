import type { OperationView } from '../model/api.ts';
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
