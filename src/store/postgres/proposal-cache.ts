import type { ProposalId, TenantId } from '../../model/ids.ts';
import type { Proposal } from '../../model/proposal.ts';
import { EFFECT_SIDES, nestedEffects } from '../state/nested-effects.ts';
import { Recent } from '../state/recent.ts';
import { placeName } from './loaded.ts';

/** How much of proposals is kept parsed, by the length of their texts. */
const RECENT_CHARACTERS_MAX = 32 * 1024 * 1024;

/** About what one effect takes of that. */
const EFFECT_CHARACTERS = 200;

/**
 * Proposals with their effects, as they were read or committed last. One that has as many entries as
 * the server says is the same: entries are only added.
 */
export class ProposalCache {
  readonly #recent = new Recent<Proposal>(RECENT_CHARACTERS_MAX);

  get(tenant: TenantId, id: ProposalId): Proposal | undefined {
    return this.#recent.get(placeName(tenant, id));
  }

  keep(proposal: Proposal, recordLength: number): void {
    const { tenant, id } = proposal;
    const size = recordLength + EFFECT_CHARACTERS * effectsIn(proposal);
    this.#recent.set(placeName(tenant, id), proposal, size);
  }

  /** For when the server may have lost what it had committed. */
  forget(): void {
    this.#recent.forget();
  }
}

function effectsIn(proposal: Proposal): number {
  const nested = EFFECT_SIDES.flatMap((side) => nestedEffects(proposal, side));
  const own = [proposal.assessment?.plan.effects ?? [], proposal.outcome?.effects ?? []];
  return [...own, ...nested].reduce((sum, effects) => sum + effects.length, 0);
}
