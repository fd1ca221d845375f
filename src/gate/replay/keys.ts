import type { Digest } from '../../lib/canonical.ts';
import type { ProposalId } from '../../model/ids.ts';

/** How long a proposal holds what it took: for good while live, from when it was applied, or until it expires. */
type Hold =
  | { readonly kind: 'live' }
  | { readonly kind: 'applied'; readonly at: number }
  | { readonly kind: 'waiting'; readonly until: number };

const LIVE: Hold = { kind: 'live' };

/**
 * Who holds the keys that make a repeated write a no-op, in memory, as the store keeps them: the
 * proposal that took a key last, while it is live, or applied within the window.
 */
export class Holders {
  readonly #holders = new Map<Digest, ProposalId>();
  /** One that ended without effect is not here. */
  readonly #holds = new Map<ProposalId, Hold>();

  holder(key: Digest, appliedSince: number, now: number): ProposalId | null {
    const id = this.#holders.get(key);
    const hold = id === undefined ? undefined : this.#holds.get(id);
    if (id === undefined || hold === undefined) return null;
    switch (hold.kind) {
      case 'live':
        return id;
      case 'applied':
        return hold.at < appliedSince ? null : id;
      case 'waiting':
        return hold.until <= now ? null : id;
    }
  }

  take(key: Digest, id: ProposalId): void {
    this.#holders.set(key, id);
    if (!this.#holds.has(id)) this.#holds.set(id, LIVE);
  }

  applied(id: ProposalId, at: number): void {
    if (this.#holds.has(id)) this.#holds.set(id, { kind: 'applied', at });
  }

  /** It waits for people who, as far as is known, do not answer in time. */
  waits(id: ProposalId, until: number): void {
    if (this.#holds.has(id)) this.#holds.set(id, { kind: 'waiting', until });
  }

  /** It took no effect and never will. */
  ended(id: ProposalId): void {
    this.#holds.delete(id);
  }
}
