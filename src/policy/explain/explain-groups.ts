/** Kinds of write that the same holds for, put together: a table of few rows in place of each combination. */
import type { EffectClass } from '../../model/plan.ts';
import type { Cell, ExplainedRow } from './explained.ts';
import { ANY_OTHER } from './patterns.ts';

export interface Axes {
  readonly target: string;
  readonly resources: readonly string[];
  readonly operations: readonly string[];
  readonly classes: readonly EffectClass[];
  readonly cell: (resource: string, operation: string, effectClass: EffectClass) => Cell;
}

/**
 * Groups exactly: resources that agree in everything, of those the operations that agree, of those
 * the classes. Each combination is in one group.
 */
export function grouped(axes: Axes): readonly ExplainedRow[] {
  const { target, resources, operations, classes, cell } = axes;
  const known = new Map(resources.map((resource) => [resource, new Map<string, Cell>()]));
  const at = (resource: string, operation: string, effectClass: EffectClass): Cell => {
    const cells = known.get(resource) ?? new Map<string, Cell>();
    const key = `${effectClass} ${operation}`;
    const found = cells.get(key) ?? cell(resource, operation, effectClass);
    cells.set(key, found);
    return found;
  };
  return alike(resources, (resource) =>
    operations.flatMap((operation) => classes.map((each) => at(resource, operation, each))),
  ).flatMap(([resource, sameResources]) =>
    alike(operations, (operation) => classes.map((each) => at(resource, operation, each))).flatMap(
      ([operation, sameOperations]) =>
        alike(classes, (each) => at(resource, operation, each)).map(([effectClass, same]) => {
          const { tier, allows, because, speaking } = at(resource, operation, effectClass);
          return {
            target,
            resources: sameResources.map(shownName),
            operations: sameOperations.map(shownName),
            classes: same,
            tier,
            allows,
            because,
            speaking,
          };
        }),
    ),
  );
}

/** Puts together what comes to the same; each group with its first member. */
function alike<Item>(
  items: readonly Item[],
  of: (item: Item) => unknown,
): readonly (readonly [first: Item, all: readonly Item[]])[] {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = JSON.stringify(of(item));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return [...groups.values()].flatMap((all) => {
    const [first] = all;
    return first === undefined ? [] : [[first, all] as const];
  });
}

function shownName(name: string): string {
  return name === ANY_OTHER ? '*' : name;
}
