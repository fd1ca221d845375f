/** The rows of a proposal, page by page: out of the plan, or out of the evidence that it refers to. */
import type { RowPage, RowQuery } from '../model/api.ts';
import type { AppliedSegment } from '../model/entry.ts';
import { whyMissing } from '../model/evidence.ts';
import { isWithoutEffect } from '../model/lifecycle.ts';
import { overTargets, placedName } from '../model/merge.ts';
import type { Effect, EvidenceReference, Plan } from '../model/plan.ts';
import type { EvidenceFiles, EvidenceReader } from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';

/** Rows of one page at most, and where the caller does not say. */
export const ROWS_PAGE_MAX = 1_000;
export const ROWS_PAGE_DEFAULT = 100;

const NOT_KEPT = 'they are counted and covered by the plan digest, their images were not kept';
const REMOVED =
  'they are counted and covered by the plan digest; their images were removed, as those of a write that was not applied';

/**
 * Gives the rows from `query.from` on that are of the resource and kind asked for. Where a file
 * holds them, one of its frames is in memory at a time; with a filter, and of a chain over several
 * transactions, the whole file is read.
 */
export async function rowsOf(
  evidence: EvidenceFiles | undefined,
  proposal: Proposal,
  query: RowQuery,
  now: number,
): Promise<RowPage> {
  const as = proposal.state === 'applied' ? 'applied' : 'planned';
  const maskedColumns = as === 'planned' ? (proposal.assessment?.plan.maskedColumns ?? []) : [];
  const said = { as, maskedColumns } as const;
  const page = { ...query, limit: Math.min(query.limit ?? ROWS_PAGE_DEFAULT, ROWS_PAGE_MAX) };
  const parts = partsOf(proposal);
  const sources = await Promise.all(parts.map((part) => sourceOf(evidence, proposal, part, now)));
  try {
    const missing = missingOf(sources.flatMap((source) => source.missing ?? []));
    const [only] = sources;
    const isWhole = page.resource === undefined && page.kind === undefined;
    if (sources.length === 1 && only?.reader !== undefined && isWhole) {
      const from = page.from ?? 0;
      const items = await only.reader.page(from, page.limit);
      return { ...placed(items, from, only.reader.rows), ...said, missing };
    }
    return { ...(await pageOf(batchesOf(sources), page)), ...said, missing };
  } finally {
    for (const { reader } of sources) await reader?.close();
  }
}

/** What one transaction of the proposal changes: as applied where that is known to differ. */
interface Part {
  /** Null of a write that is no chain over several targets. */
  readonly target: string | null;
  readonly effects: readonly Effect[];
  readonly effectsOmitted: number;
  readonly reference: EvidenceReference | null;
}

function partsOf({ assessment, outcome }: Proposal): readonly Part[] {
  const plan = assessment?.plan;
  if (plan?.segments === undefined) return [partOf(null, plan, outcome)];
  const isSpread = overTargets(plan.segments);
  return plan.segments.map((segment, index) =>
    partOf(isSpread ? segment.target : null, segment.plan, outcome?.segments?.[index]),
  );
}

function partOf(
  target: string | null,
  plan: Plan | undefined,
  applied: Pick<AppliedSegment, 'effects' | 'evidence'> | null | undefined,
): Part {
  return {
    target,
    effects: applied?.effects ?? plan?.effects ?? [],
    effectsOmitted: plan?.effectsOmitted ?? 0,
    reference: applied?.evidence ?? plan?.evidence ?? null,
  };
}

interface Source {
  readonly part: Part;
  readonly reader: EvidenceReader | undefined;
  readonly missing: RowPage['missing'];
}

async function sourceOf(
  evidence: EvidenceFiles | undefined,
  proposal: Proposal,
  part: Part,
  now: number,
): Promise<Source> {
  const { effects, effectsOmitted, reference } = part;
  const reader = reference === null ? undefined : await evidence?.open(reference.id);
  if (reader !== undefined) return { part, reader, missing: null };
  const lost = reference === null ? effectsOmitted : reference.rows - effects.length;
  const reason = reference === null ? NOT_KEPT : whyGone(proposal, reference, now);
  return { part, reader, missing: lost > 0 ? { rows: lost, reason } : null };
}

function missingOf(all: readonly NonNullable<RowPage['missing']>[]): RowPage['missing'] {
  const [first] = all;
  if (first === undefined) return null;
  return { ...first, rows: all.reduce((sum, { rows }) => sum + rows, 0) };
}

async function* batchesOf(sources: readonly Source[]): AsyncIterable<readonly Effect[]> {
  for (const { part, reader } of sources) {
    const batches = reader?.batches() ?? [part.effects];
    for await (const batch of batches) yield batch.map((effect) => namedIn(part.target, effect));
  }
}

function namedIn(target: string | null, effect: Effect): Effect {
  return target === null ? effect : { ...effect, resource: placedName(target, effect.resource) };
}

/** The images of a write that ended without being applied go early; any other file should be there. */
function whyGone({ state }: Proposal, { id }: EvidenceReference, now: number): string {
  return isWithoutEffect(state)
    ? REMOVED
    : `they are counted and covered by the plan digest; ${whyMissing(id, now)}`;
}

type Page = RowQuery & { readonly limit: number };

async function pageOf(
  batches: AsyncIterable<readonly Effect[]> | Iterable<readonly Effect[]>,
  page: Page,
): Promise<Pick<RowPage, 'items' | 'from' | 'total' | 'left'>> {
  const { from = 0, limit } = page;
  const items: Effect[] = [];
  let total = 0;
  for await (const batch of batches) {
    for (const effect of batch) {
      if (!isAskedFor(effect, page)) continue;
      if (total >= from && items.length < limit) items.push(effect);
      total += 1;
    }
  }
  return placed(items, from, total);
}

function isAskedFor(effect: Effect, { resource, kind }: Page): boolean {
  return (
    (resource === undefined || effect.resource === resource) &&
    (kind === undefined || effect.kind === kind)
  );
}

function placed(
  items: readonly Effect[],
  from: number,
  total: number,
): Pick<RowPage, 'items' | 'from' | 'total' | 'left'> {
  return { items, from, total, left: Math.max(total - from - items.length, 0) };
}
