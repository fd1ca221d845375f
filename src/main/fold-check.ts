/** Whether the rows of a store are what its entries fold to (G5), read through its port alone. */
import { isDeepStrictEqual } from 'node:util';
import { openEntry } from '../ledger/entry.ts';
import type { ProposalId, TenantId } from '../model/ids.ts';
import { PAGE_MAX, type Store, type StoredEntry } from '../model/ports.ts';
import { Problem } from '../model/problem.ts';
import { begin, fold, type Proposal } from '../model/proposal.ts';

/** Proposals that are looked at side by side. */
const ABREAST = 8;

/**
 * Folds the entries of every proposal of a tenant and compares. Returns how many there are. Problem
 * `store-unusable` with the first that differs.
 */
export async function checkFold(
  store: Store,
  tenant: TenantId,
  progress: (done: number) => void,
): Promise<number> {
  let done = 0;
  let before: ProposalId | undefined;
  do {
    const page = await store.proposals(tenant, { limit: PAGE_MAX, ...(before && { before }) });
    for (let at = 0; at < page.length; at += ABREAST) {
      const some = page.slice(at, at + ABREAST);
      await Promise.all(some.map(({ id }) => checkProposal(store, tenant, id)));
      done += some.length;
      progress(done);
    }
    before = page.length < PAGE_MAX ? undefined : page.at(-1)?.id;
  } while (before !== undefined);
  return done;
}

async function checkProposal(store: Store, tenant: TenantId, id: ProposalId): Promise<void> {
  const found = await store.proposal(tenant, id);
  const folded = foldOf(await entriesOf(store, tenant, id), tenant, id);
  if (isDeepStrictEqual(plain(found), plain(folded))) return;
  throw new Problem('store-unusable', `the record of ${id} is not what its entries come to`);
}

/** All of an act, oldest first. */
async function entriesOf(
  store: Store,
  tenant: TenantId,
  act: string,
): Promise<readonly StoredEntry[]> {
  const entries: StoredEntry[] = [];
  let before: number | undefined;
  do {
    const range = { limit: PAGE_MAX, ...(before !== undefined && { before }) };
    const page = await store.actEntries(tenant, act, range);
    entries.push(...page);
    before = page.length < PAGE_MAX ? undefined : page.at(-1)?.step;
  } while (before !== undefined);
  return entries.toReversed();
}

function foldOf(
  entries: readonly StoredEntry[],
  tenant: TenantId,
  act: ProposalId,
): Proposal | undefined {
  let proposal: Proposal | undefined;
  for (const { leaf, payloads, at, index } of entries) {
    const body = openEntry(leaf, payloads);
    const place = { act, tenant, at, index };
    if (body.type === 'proposal') proposal = begin(body, place);
    else proposal = proposal && fold(proposal, body, place);
  }
  return proposal;
}

/** Without the members that are undefined, which a store does not keep. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null));
}
