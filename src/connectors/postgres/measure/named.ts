/** What a statement itself says that it does to the relations that it names. Pure. */
import type { TableWrite } from '../text/assign.ts';
import type { Table } from '../catalog/catalog.ts';
import type { RelationName } from '../text/tree.ts';

/** What the statement itself assigns in one relation that it names to write. */
export interface Named {
  /** `schema.table` or `schema.view`. */
  readonly resource: string;
  /** What that is a part of, nearest first. */
  readonly partOf: readonly string[];
  /** A view's rows are changed in the tables below it. */
  readonly isView: boolean;
  /** What it may do there by its words alone: MERGE and ON CONFLICT have several. */
  readonly operations: readonly ('insert' | 'update' | 'delete')[];
  /** The columns given to new rows; null: every one of them. */
  readonly inserted: readonly string[] | null;
  readonly updated: readonly string[];
}

/**
 * What a statement names, for the guards, each relation once. An INSERT without a list of columns gives
 * them by position; a relation that `tableOf` does not know is left out, and then nothing speaks for it.
 */
export function namedOf(
  writes: readonly TableWrite[],
  tableOf: (relation: RelationName) => Table | undefined,
): readonly Named[] {
  const byResource = new Map<string, Named>();
  for (const write of writes) {
    const table = tableOf(write.relation);
    if (table === undefined) continue;
    const one = oneNamed(write, table);
    const known = byResource.get(table.resource);
    byResource.set(table.resource, known === undefined ? one : both(known, one));
  }
  return [...byResource.values()];
}

function oneNamed(write: TableWrite, table: Table): Named {
  const given = write.inserted.map(({ column, position }) => {
    return column ?? table.columns[position]?.name;
  });
  const known = given.filter((column) => column !== undefined);
  const isInsert = write.kind === 'insert';
  return {
    resource: table.resource,
    partOf: table.partOf,
    isView: table.relationKind === 'v',
    operations: isInsert && write.updated.length > 0 ? ['insert', 'update'] : [write.kind],
    inserted: !isInsert ? [] : known.length === given.length && known.length > 0 ? known : null,
    updated: write.updated.flatMap(({ column }) => column ?? []),
  };
}

/** What is named in both, as one. */
export function both(left: Named, right: Named): Named {
  const isEvery = left.inserted === null || right.inserted === null;
  return {
    ...left,
    operations: [...new Set([...left.operations, ...right.operations])],
    inserted: isEvery ? null : [...new Set([...(left.inserted ?? []), ...(right.inserted ?? [])])],
    updated: [...left.updated, ...right.updated],
  };
}
