/** The rows of a proposal, page by page: out of the plan, or out of the evidence that it refers to. */
import type { RowPage, RowQuery } from '../model/api.ts';
import { whyMissing } from '../model/evidence.ts';
import { isWithoutEffect } from '../model/lifecycle.ts';
import type { Effect, EvidenceReference, Plan } from '../model/plan.ts';
import type { EvidenceFiles } from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';

/** Rows of one page at most, and where the caller does not say. */
export const ROWS_PAGE_MAX = 1_000;
export const ROWS_PAGE_DEFAULT = 100;

const NOT_KEPT = 'they are counted and covered by the plan digest, their images were not kept';
const REMOVED =
  'they are counted and covered by the plan digest; their images were removed, as those of a write that was not applied';

/**
 * Gives the rows from `query.from` on that are of the resource and kind asked for. Where a file
 * holds them, one of its frames is in memory at a time; with a filter the whole file is read.
 */
export async function rowsOf(
  evidence: EvidenceFiles | undefined,
  proposal: Proposal,
  query: RowQuery,
  now: number,
): Promise<RowPage> {
  const { plan, effects, reference, as } = kept(proposal);
  const maskedColumns = as === 'planned' ? (plan?.maskedColumns ?? []) : [];
  const said = { as, maskedColumns };
  const page = { ...query, limit: Math.min(query.limit ?? ROWS_PAGE_DEFAULT, ROWS_PAGE_MAX) };
  const reader = reference === null ? undefined : await evidence?.open(reference.id);
  if (reader === undefined) {
    const lost = reference === null ? (plan?.effectsOmitted ?? 0) : reference.rows - effects.length;
    const reason = reference === null ? NOT_KEPT : whyGone(proposal, reference, now);
    const missing = lost > 0 ? { rows: lost, reason } : null;
    return { ...(await pageOf([effects], page)), ...said, missing };
  }
  try {
    if (page.resource === undefined && page.kind === undefined) {
      const from = page.from ?? 0;
      const items = await reader.page(from, page.limit);
      return { ...placed(items, from, reader.rows), ...said, missing: null };
    }
    return { ...(await pageOf(reader.batches(), page)), ...said, missing: null };
  } finally {
    await reader.close();
  }
}

/** The images of a write that ended without being applied go early; any other file should be there. */
function whyGone({ state }: Proposal, { id }: EvidenceReference, now: number): string {
  return isWithoutEffect(state)
    ? REMOVED
    : `they are counted and covered by the plan digest; ${whyMissing(id, now)}`;
}

/** What the proposal shows: as applied where that is known to differ, else as planned. */
function kept(proposal: Proposal): {
  readonly plan: Plan | null;
  readonly effects: readonly Effect[];
  readonly reference: EvidenceReference | null;
  readonly as: RowPage['as'];
} {
  const { assessment, outcome } = proposal;
  const plan = assessment?.plan ?? null;
  const as = proposal.state === 'applied' ? 'applied' : 'planned';
  return {
    plan,
    effects: outcome?.effects ?? plan?.effects ?? [],
    reference: outcome?.evidence ?? plan?.evidence ?? null,
    as,
  };
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
