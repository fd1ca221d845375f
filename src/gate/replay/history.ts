import type { ProposalId, TenantId } from '../../model/ids.ts';
import { PAGE_MAX, type Store } from '../../model/ports.ts';
import { momentsOf, type Moment } from './recorded.ts';

/** What happened in a time, in the order of the ledger. */
export interface History {
  readonly moments: readonly Moment[];
  /** Made in the time that is asked about; what is older only led up to it. */
  readonly asked: ReadonlySet<ProposalId>;
  /** Whether there were more than were taken; then the oldest are left out. */
  readonly isCut: boolean;
}

/**
 * Reads the history of a tenant, page by page: of what was made since `since`, and of what was made
 * in the time before it that still counts. `pause` lets the process answer others between pages.
 */
export async function historyOf(
  store: Store,
  asked: {
    readonly tenant: TenantId;
    readonly since: number;
    readonly leadMs: number;
    readonly proposalsMax: number;
  },
  pause: () => Promise<void>,
): Promise<History> {
  const moments: Moment[] = [];
  const ids = new Set<ProposalId>();
  const from = asked.since - asked.leadMs;
  let taken = 0;
  let before: ProposalId | undefined;
  for (;;) {
    const page = await store.proposals(asked.tenant, {
      limit: PAGE_MAX,
      ...(before === undefined ? {} : { before }),
    });
    const fresh = page.filter(({ proposedAt }) => proposedAt >= from);
    for (const proposal of fresh) {
      if (taken >= asked.proposalsMax) break;
      taken += 1;
      moments.push(...momentsOf(proposal));
      if (proposal.proposedAt >= asked.since) ids.add(proposal.id);
    }
    before = page.at(-1)?.id;
    // Ids are in the order of admission, entries in that of commits: a page may hold both sides.
    const isOver = before === undefined || page.length < PAGE_MAX || fresh.length === 0;
    const isCut = taken >= asked.proposalsMax && !isOver;
    if (isOver || isCut) {
      return { moments: moments.toSorted((a, b) => a.index - b.index), asked: ids, isCut };
    }
    await pause();
  }
}
