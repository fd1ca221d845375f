import type { Digest } from '../lib/canonical.ts';
import { effectKey, type Assessment } from '../model/plan.ts';
import type { Policy } from '../model/policy.ts';
import type { KeyClaim, Store } from '../model/ports.ts';
import type { Proposal } from '../model/proposal.ts';
import { isRepeatable } from '../policy/evaluate.ts';
import { measuredSteps } from './steps.ts';

/** The keys that a decision on a measured effect takes and gives back in its commit. */
export type EffectClaim = Required<Pick<KeyClaim, 'keys' | 'dropped' | 'appliedSince'>>;

/** When an effect must have been applied to be still in the duplicate window. */
export function windowStart(policy: Policy, now: number): number {
  return now - policy.duplicates.windowMs;
}

/**
 * What an effect is known by, so that it is not had twice; of a chain, the effect of each step. None where it may be: of a write that may
 * lawfully repeat, of a compensation, which is bound to what it takes back, and of no effect at all.
 */
export function effectKeysOf(
  policy: Policy,
  { draft, proposer, environment }: Proposal,
  assessment: Assessment | null,
): readonly Digest[] {
  if (assessment === null || draft.compensates !== undefined) return [];
  const keys = measuredSteps(draft, assessment.plan).flatMap(({ target, operation, plan }) => {
    const isFree = isRepeatable(policy, { agent: proposer.name, environment, target, operation });
    return isFree ? [] : (effectKey(target, plan) ?? []);
  });
  return [...new Set(keys)];
}

/** The other proposal that has this effect, live or applied within the window. */
export async function sameEffectAs(
  store: Store,
  policy: Policy,
  proposal: Proposal,
  about: { readonly assessment: Assessment; readonly now: number },
): Promise<string | null> {
  const keys = effectKeysOf(policy, proposal, about.assessment);
  if (keys.length === 0) return null;
  const { derived } = await store.keyHolders(proposal.tenant, {
    keys,
    supplied: null,
    appliedSince: windowStart(policy, about.now),
  });
  return derived === undefined || derived === proposal.id ? null : derived;
}

/**
 * Claims the effect of a proposal that was not denied, for the commit of its decision: of two that
 * race with one effect the second conflicts, and is decided on again. A plan that replaced another
 * gives back the key of that one, which surely had no effect.
 */
export function claimEffect(
  policy: Policy,
  proposal: Proposal,
  about: {
    readonly before: Assessment | null;
    readonly isDenied: boolean;
    readonly now: number;
  },
): EffectClaim {
  const keys = effectKeysOf(policy, proposal, proposal.assessment);
  const former = effectKeysOf(policy, proposal, about.before);
  return {
    keys: about.isDenied ? [] : keys,
    dropped: former.filter((key) => !keys.includes(key)),
    appliedSince: windowStart(policy, about.now),
  };
}
