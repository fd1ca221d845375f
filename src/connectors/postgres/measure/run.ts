/**
 * One run of a write in an open transaction, measured: what the statement returned, what the footprint
 * says beyond, and the visibility diff for all that is not explained by then.
 */
import { strict as assert } from 'node:assert';
import type { ResourceCount } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import { Attribution, readCauses, resourceCounts } from './attribution.ts';
import type { CarryContext } from './carry.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Change } from './change.ts';
import type { DirectCount, DirectRows } from './direct.ts';
import { compareAgain } from './evidence-again.ts';
import { compare, readOwn, type Ends, type Own } from './evidence.ts';
import { readFootprint, type Footprint, type Touched } from './footprint.ts';
import { Gathering, type GatheringOptions } from './gathering.ts';
import { treeOf } from './images.ts';
import { isExplained, reconcile, type Difference } from './reconcile.ts';
import type { Session } from '../session/session.ts';
import type { Snapshot } from '../session/snapshot.ts';
import { readChanged, type Changed } from '../catalog/touched.ts';
import type { RelationName } from '../text/tree.ts';
import type { Lane, Take } from './write.ts';

/** What is carried out, as far as measuring goes. */
export interface Doing {
  readonly catalog: Catalog;
  /** What the statement names to write to. */
  readonly written: readonly RelationName[];
  /**
   * Runs it; null where it returned nothing of its rows. With `isAgain` the snapshot is older than what
   * it finds.
   */
  readonly run: (lane: Lane, take: Take, isAgain: boolean) => Promise<DirectRows | null>;
  /** Rows of the receipt table that this transaction has written itself. */
  readonly receipts: number;
  readonly gathering: GatheringOptions;
  /**
   * Counts of the write that is taken back: its updates are updates again, in however many steps they
   * are carried out.
   */
  readonly inverseOf?: readonly ResourceCount[];
  /** What went before in the same transaction. */
  readonly since?: Since;
}

/** What a step has to know of those before it. */
export interface Since {
  /** Whether an earlier step changed the relation; `holdVersions` was called for it then. */
  isChanged(oid: number): boolean;
  /** What this step alone has touched by now. */
  footprint(): Promise<Footprint>;
  /** What its versions are known by. */
  own(transaction: string): Promise<Own>;
}

/** A run that was measured; its transaction and its snapshot are open. */
export interface Run {
  readonly gathering: Gathering;
  readonly counts: readonly ResourceCount[];
  readonly footprint: Footprint;
  /** What makes the measure incomplete, a sentence each; not empty means one-way. */
  readonly gaps: readonly string[];
  /** Tables with changed rows that nobody saw. */
  readonly unseen: readonly string[];
  /** Resources whose new values a trigger, a rule or a default below may have made up. */
  readonly filled: readonly string[];
}

/** Carries the write out and measures it. Throws `Refused` with the transaction open. */
export async function measureRun(lane: Lane, context: CarryContext, doing: Doing): Promise<Run> {
  const { since, catalog, receipts } = doing;
  let gathering = new Gathering(context, doing.gathering);
  try {
    const isAgain = since !== undefined && treeOf(catalog).some(({ oid }) => since.isChanged(oid));
    const take: Take = (changes) => gathering.take(isAgain ? changes.map(asAgain) : changes);
    const direct = await doing.run(lane, take, isAgain);
    const footprint =
      (await since?.footprint()) ?? (await readFootprint(lane.session, context.settings, receipts));
    const changed = footprint.relations.filter(isChanged);
    const own = changed.filter(({ oid }) => direct?.isOf(oid) === true);
    const explained = direct?.isWhole === true && isExplained(own, direct.counts);
    if (!explained) {
      await gathering.discard();
      gathering = new Gathering(context, doing.gathering);
    }
    const open = explained ? changed.filter((relation) => !own.includes(relation)) : changed;
    return await explain(lane, context, { doing, direct, gathering, footprint, open });
  } catch (error) {
    await gathering.discard();
    throw error;
  }
}

/** What is there before may be what an earlier step left. */
function asAgain({ kind, before, after }: Change): Change {
  return before === null ? { kind, before, after } : { kind, before, after, again: true };
}

export function isChanged({ kind, created, updated, deleted }: Touched): boolean {
  return kind !== 'S' && created + updated + deleted > 0;
}

interface Found {
  readonly doing: Doing;
  readonly direct: DirectRows | null;
  readonly gathering: Gathering;
  readonly footprint: Footprint;
  /** Changed relations that are not explained yet. */
  readonly open: readonly Touched[];
}

async function explain(lane: Lane, context: CarryContext, found: Found): Promise<Run> {
  const { doing, direct, gathering, footprint, open } = found;
  const needsCauses = open.length > 0 || direct === null;
  const attribution = needsCauses
    ? new Attribution(await readCauses(lane.session, footprint, doing.written), footprint)
    : null;
  const differences = new Map<number, Difference>();
  const gaps: string[] = [];
  const unseen: string[] = [];
  if (open.length > 0) {
    assert(attribution !== null && footprint.transaction !== null, 'what changed has its id');
    const { transaction } = footprint;
    const own =
      (await doing.since?.own(transaction)) ?? (await readOwn(context.sessions, transaction));
    const ends = { ...lane, own };
    for (const each of inOrder(await readChanged(lane.session, lane.snapshot, open), direct)) {
      const difference = await seen(ends, each, { attribution, direct, doing, gathering });
      const gap = gapOf(each, difference);
      if (doing.inverseOf !== undefined && gap?.isUnseen !== true) {
        differences.set(each.counts.oid, inSteps(each, gathering, doing.inverseOf));
        continue;
      }
      differences.set(each.counts.oid, difference);
      if (gap === null) continue;
      gaps.push(gap.sentence);
      if (gap.isUnseen) unseen.push(each.table.resource);
    }
  }
  const counts = resourceCounts(linesOf(found, attribution, differences));
  return {
    gathering,
    counts,
    footprint,
    gaps,
    unseen,
    filled: filledAmong(found, attribution),
  };
}

/** The statement's own table first: what it led to is judged after what led to it. */
function inOrder(changed: readonly Changed[], direct: DirectRows | null): readonly Changed[] {
  const isOwn = ({ table }: Changed): boolean => direct?.isOf(table.oid) === true;
  return [...changed.filter(isOwn), ...changed.filter((each) => !isOwn(each))];
}

async function seen(
  ends: Ends,
  changed: Changed,
  found: Pick<Found, 'direct' | 'doing' | 'gathering'> & { readonly attribution: Attribution },
): Promise<Difference> {
  const { counts, table, unread } = changed;
  const { direct, doing, gathering, attribution } = found;
  if (unread !== null) return { unpaired: 0, surplus: counts };
  const isOwn = direct?.isOf(table.oid) === true;
  const renamed = isOwn && direct !== null ? direct.renamed : new Map<string, never>();
  const wholeKey = isOwn ? doing.catalog.target.key : [];
  // Where no row of the table was deleted, one that is gone has another key by now.
  const movesKeys = isOwn && direct !== null && !direct.isWhole && counts.deleted === 0;
  const label = (change: Change): Change => {
    const isDirect =
      direct === null
        ? attribution.isWritten(table.oid)
        : direct.has(change) || (movesKeys && change.kind === 'delete');
    return isDirect ? change : { ...change, by: attribution.causeOf(table.oid, change.kind) };
  };
  const byKey = doing.inverseOf !== undefined;
  const compared = doing.since?.isChanged(table.oid) === true ? compareAgain : compare;
  const images = await compared(ends, changed, { renamed, wholeKey, byKey }, (changes) =>
    gathering.take(changes.map(label)),
  );
  return reconcile(counts, images);
}

const NOTHING: Readonly<DirectCount> = { created: 0, updated: 0, deleted: 0 };

/** What an inverse comes to in one table, whose rows it may remove first and write anew later. */
function inSteps(
  { table }: Changed,
  gathering: Gathering,
  inverseOf: readonly ResourceCount[],
): Difference {
  const updates = inverseOf
    .filter(({ resource }) => resource === table.resource)
    .reduce((sum, { updated }) => sum + updated, 0);
  const paired = gathering.counts
    .filter((each) => each.table.oid === table.oid)
    .reduce((sum, { updated }) => sum + updated, 0);
  return { unpaired: Math.max(0, updates - paired), surplus: NOTHING };
}

/** What cannot be told of a table; null where every count has its images. */
function gapOf(
  { table, unread, isFiltered, counts }: Changed,
  { surplus }: Difference,
): { readonly sentence: string; readonly isUnseen: boolean } | null {
  const rows = surplus.created + surplus.updated + surplus.deleted;
  if (rows === 0) return null;
  if (unread !== null) {
    return { sentence: `${unread}, so ${rows} changed rows have no images`, isUnseen: true };
  }
  const needsNow = counts.created + counts.updated > 0 && isFiltered.now;
  const needsBefore = counts.updated + counts.deleted > 0 && isFiltered.before;
  if (needsNow || needsBefore) {
    return {
      sentence:
        `row security hides changed rows of \`${table.resource}\` from the target's role, so up to ` +
        `${rows} have no images; an evidence role that may see them helps`,
      isUnseen: true,
    };
  }
  return {
    sentence: `rows of \`${table.resource}\` were changed more than once, or changed and changed back (${rows} times)`,
    isUnseen: false,
  };
}

type Line = Parameters<typeof resourceCounts>[0][number];

/** What was counted: by the images, and what the server's counters have beyond them. */
function linesOf(
  { direct, gathering, footprint }: Found,
  attribution: Attribution | null,
  differences: ReadonlyMap<number, Difference>,
): readonly Line[] {
  const lines: Line[] = [...pairedUp(gathering.counts, differences)];
  for (const [oid, { surplus }] of differences) {
    const relation = footprint.relations.find((each) => each.oid === oid);
    if (relation === undefined || attribution === null) continue;
    const resource = `${relation.schema}.${relation.name}`;
    const images = gathering.counts.filter((each) => each.table.oid === oid);
    for (const kind of ['create', 'update', 'delete'] as const) {
      const rows = surplus[`${kind}d`];
      // Of rows that nobody saw, as many are direct as came back, or all where nothing could.
      const isUnread = images.length === 0;
      const returned = direct?.counts.get(oid)?.[`${kind}d`] ?? 0;
      const named = direct === null && attribution.isWritten(oid) ? rows : 0;
      const own = isUnread ? Math.min(rows, direct === null ? named : returned) : 0;
      lines.push({ resource, by: undefined, ...NOTHING, [`${kind}d`]: own });
      const by = attribution.causeOf(oid, kind);
      lines.push({ resource, by, ...NOTHING, [`${kind}d`]: rows - own });
    }
  }
  return lines;
}

/**
 * Updates whose images came as a delete and a create are one row each: who made them is told by the
 * create, whose key a statement returned.
 */
function pairedUp(
  counted: Gathering['counts'],
  differences: ReadonlyMap<number, Difference>,
): readonly Line[] {
  const creates = new Map<number, number>();
  const deletes = new Map<number, number>();
  for (const [oid, { unpaired }] of differences) {
    const own = counted.filter(({ table }) => table.oid === oid);
    const created = own.reduce((sum, each) => sum + each.created, 0);
    const deleted = own.reduce((sum, each) => sum + each.deleted, 0);
    const pairs = Math.min(unpaired, created, deleted);
    creates.set(oid, pairs);
    deletes.set(oid, pairs);
  }
  return counted.map(({ table, by, created, updated, deleted }) => {
    const come = taken(creates, table.oid, created);
    const gone = taken(deletes, table.oid, deleted);
    return {
      resource: table.resource,
      by,
      created: created - come,
      updated: updated + come,
      deleted: deleted - gone,
    };
  });
}

/** Takes up to `most` of what is open, and says how many. */
function taken(open: Map<number, number>, oid: number, most: number): number {
  const left = open.get(oid) ?? 0;
  const found = Math.min(left, most);
  open.set(oid, left - found);
  return found;
}

/** Resources with new values that the next run may fill with others. */
function filledAmong(
  { direct, gathering, doing }: Found,
  attribution: Attribution | null,
): readonly string[] {
  const filled = gathering.counts.filter(({ table, by, created, updated }) => {
    if (created + updated === 0) return false;
    if (table.hasBeforeTrigger || by?.attribution === 'trigger') return true;
    if (by?.attribution === 'rule' || by?.attribution === 'indirect') return true;
    if (by?.attribution === 'cascade') return attribution?.setsDefault(table.oid) === true;
    // Masks of what the statement says itself are known for the columns of its target alone.
    return direct === null && table.oid !== doing.catalog.target.oid;
  });
  return [...new Set(filled.map(({ table }) => table.resource))];
}

/** Everything that the open transaction has changed by now, but for receipts; any order, all images. */
export async function readNet(
  lane: { readonly session: Session; readonly snapshot: Snapshot },
  context: CarryContext,
  receipts: number,
  take: (changes: readonly Change[]) => Promise<void>,
): Promise<void> {
  const footprint = await readFootprint(lane.session, context.settings, receipts);
  const changed = footprint.relations.filter(isChanged);
  if (changed.length === 0 || footprint.transaction === null) return;
  const ends = { ...lane, own: await readOwn(context.sessions, footprint.transaction) };
  for (const each of await readChanged(lane.session, lane.snapshot, changed)) {
    if (each.unread !== null) throw new Refused('rollback-impossible', each.unread);
    await compare(ends, each, { renamed: new Map(), wholeKey: [] }, take);
  }
}
