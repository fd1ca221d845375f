import { PAGE_MAX, type Store } from '../model/ports.ts';
import type { Principal } from '../model/principal.ts';
import type { Proposal } from '../model/proposal.ts';
import { traceOf, type TracePage } from '../model/trace.ts';

/** How many proposals of a run a trace tells, the newest; how many more there are is said. */
export const TRACED_MAX = 1_000;
/** How many are looked at, whoever proposed them; older ones are neither told nor counted. */
const LOOKED_AT_MAX = 20_000;

/**
 * Tells what was proposed under a run, to people, and to an agent what it proposed itself. A run is
 * the agent's own word: two agents may use the same. Reads the store page by page, and lets others
 * have their turn in between; changes nothing.
 */
export async function trace(
  { store, pause }: { readonly store: Store; readonly pause: () => Promise<void> },
  principal: Principal,
  run: string,
): Promise<TracePage> {
  const told: Proposal[] = [];
  let left = 0;
  let before = {};
  for (let lookedAt = 0; lookedAt < LOOKED_AT_MAX;) {
    const page = await store.proposals(principal.tenant, { run, limit: PAGE_MAX, ...before });
    for (const proposal of page) {
      if (!isSeenBy(principal, proposal)) continue;
      if (told.length < TRACED_MAX) told.push(proposal);
      else left += 1;
    }
    lookedAt += page.length;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_MAX) break;
    before = { before: last.id };
    await pause();
  }
  return { items: traceOf(run, told.toReversed()), left };
}

function isSeenBy(principal: Principal, { proposer }: Proposal): boolean {
  if (principal.kind === 'person') return true;
  return proposer.kind === 'agent' && proposer.name === principal.name;
}
