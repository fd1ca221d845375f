/** Holds the images of a table against the server's counters, which see what no image shows. Pure. */
import { unmeasurable, type Touched } from './footprint.ts';
import type { DirectCount } from './direct.ts';
import type { Compared } from './evidence.ts';

/** What the counters say beyond the images. */
export interface Difference {
  /** Work that left no image of its own: done twice, undone, or on rows that are hidden. */
  readonly surplus: Readonly<DirectCount>;
  /** Updates whose images came as a delete and a create, because nothing told which belong together. */
  readonly unpaired: number;
}

/** Throws where there are more images than counts: something blinds the counters. */
export function reconcile(relation: Touched, images: Compared): Difference {
  const after = images.created + images.updated - relation.created - relation.updated;
  const before = images.deleted + images.updated - relation.deleted - relation.updated;
  if (after > 0 || before > 0) {
    throw unmeasurable(
      `\`${relation.schema}.${relation.name}\` has more changed rows than the server counted`,
    );
  }
  const unpaired = Math.max(
    0,
    Math.min(images.created - relation.created, images.deleted - relation.deleted),
  );
  return {
    unpaired,
    surplus: {
      created: Math.max(0, relation.created - images.created),
      updated: Math.max(0, relation.updated - images.updated - unpaired),
      deleted: Math.max(0, relation.deleted - images.deleted),
    },
  };
}

/** Whether the rows that came back are all that the server counted. */
export function isExplained(
  relations: readonly Touched[],
  counts: ReadonlyMap<number, Readonly<DirectCount>>,
): boolean {
  const open = new Map(counts);
  for (const relation of relations) {
    const seen = open.get(relation.oid) ?? { created: 0, updated: 0, deleted: 0 };
    open.delete(relation.oid);
    const isSame =
      relation.created === seen.created &&
      relation.updated === seen.updated &&
      relation.deleted === seen.deleted;
    if (!isSame) return false;
  }
  return open.size === 0;
}
