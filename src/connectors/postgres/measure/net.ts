/** What several steps leave together: every row once, as it was before the first and is after the last. */
import type { Catalog } from '../catalog/catalog.ts';
import type { CarryContext } from './carry.ts';
import { compare, readOwn } from './evidence.ts';
import type { Footprint } from './footprint.ts';
import { Gathering } from './gathering.ts';
import type { Masks } from './masks.ts';
import type { Courses } from './progress.ts';
import { isChanged, type Run } from './run.ts';
import type { Tallied } from './tally.ts';
import { readChanged } from '../catalog/touched.ts';
import type { Lane } from './write.ts';

/** As far as the images of the whole are had. */
export interface Net extends Pick<Run, 'unseen' | 'gaps'> {
  readonly tallied: Tallied;
}

/**
 * Compares the open transaction with what was there before it. A row that was deleted and came back
 * with the same key is one that was updated; one that was created and deleted is none.
 */
export async function netOf(
  lane: Lane,
  context: CarryContext,
  found: {
    readonly footprint: Footprint;
    readonly courses: Courses;
    readonly catalogs: readonly Catalog[];
    readonly masks: Masks;
  },
): Promise<Net> {
  const { footprint, courses, catalogs, masks } = found;
  const [catalog] = catalogs;
  if (catalog === undefined) throw new Error('there are no steps');
  // What each step did was judged when it was done; the scope holds for what is left of it all the same.
  const guarded = { kind: 'inverse' } as const;
  const gathering = new Gathering(context, { catalog, masks, guarded, sampled: false });
  const unseen: string[] = [];
  const gaps: string[] = [];
  try {
    const changed = footprint.relations.filter(isChanged);
    if (changed.length > 0 && footprint.transaction !== null) {
      const ends = { ...lane, own: await readOwn(context.sessions, footprint.transaction) };
      for (const each of await readChanged(lane.session, lane.snapshot, changed)) {
        if (each.unread !== null) {
          unseen.push(each.table.resource);
          gaps.push(`${each.unread}, so its changed rows have no images`);
          continue;
        }
        const { oid } = each.table;
        const wholeKey = catalogs.find(({ tables }) => tables.has(oid))?.target.key ?? [];
        const options = { renamed: courses.originsOf(oid), wholeKey, byKey: true };
        await compare(ends, each, options, (changes) =>
          gathering.take(changes.map((change) => courses.withCause(change))),
        );
      }
    }
    return { tallied: await gathering.finish(), unseen, gaps };
  } catch (error) {
    await gathering.discard();
    throw error;
  }
}
