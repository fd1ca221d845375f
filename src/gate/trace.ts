import { PAGE_MAX, type Store } from '../model/ports.ts';
import type { Principal } from '../model/principal.ts';
import type { Proposal } from '../model/proposal.ts';
import { traceOf, type TracePage } from '../model/trace.ts';

/** How many proposals of a run a trace tells, the newest; how many more there are is said. */
export const TRACED_MAX = 1_000;
/** Beyond what is told, older ones are counted up to this. */
const COUNTED_MAX = 100_000;

/**
 * Tells what was proposed under a run, to people, and to an agent what it proposed itself. A run is
 * the agent's own word: two agents may use the same. Reads the store page by page; changes nothing.
 */
export async function trace(
  { store }: { readonly store: Store },
  principal: Principal,
  run: string,
): Promise<TracePage> {
  const told: Proposal[] = [];
  let left = 0;
  for (let before = {}; told.length + left < COUNTED_MAX;) {
    const filter = { run, limit: PAGE_MAX, ...before };
    const page = await store.proposals(principal.tenant, filter);
    for (const proposal of page) {
      if (principal.kind === 'agent' && proposal.proposer.name !== principal.name) continue;
      if (told.length < TRACED_MAX) told.push(proposal);
      else left += 1;
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_MAX) break;
    before = { before: last.id };
  }
  return { items: traceOf(run, told.toReversed()), left };
}
