/** What stands in the way of a change. All is asked before anything is written. */
import type { Digest } from '../../lib/canonical.ts';
import { pacesAt } from '../../model/baseline.ts';
import { LOG_ACT } from '../../model/entry.ts';
import { activeFreeze, type FreezeSubject } from '../../model/freeze.ts';
import type { ProposalId, TenantId } from '../../model/ids.ts';
import { isWithoutEffect } from '../../model/lifecycle.ts';
import type { Change, CommitConflict, KeyClaim } from '../../model/ports.ts';
import { findLostLease } from './leases.ts';
import type { Standing, Tables } from './tables.ts';

/** Returns the first conflict of a change: lease, steps, policy, freezes, keys, budgets, paces. */
export function findConflict(
  tables: Tables,
  change: Change,
  now: number,
): CommitConflict | undefined {
  const { tenant, guard } = change;
  return (
    (guard?.lease && findLostLease(tables.leases, tenant, guard.lease)) ??
    findMovedStep(tables, change) ??
    findMovedPolicy(tables, change) ??
    (guard?.notFrozen && findFrozen(tables, tenant, guard.notFrozen)) ??
    (guard?.keys && findTakenKey(tables, tenant, guard.keys)) ??
    findExceededBudget(tables, change, now) ??
    findPassedPace(tables, change)
  );
}

/** How far the proposal is that took a derived key last; `undefined` where nobody did. */
export type KeyHolders = (tenant: TenantId, key: Digest) => Standing | undefined;

export function holdersIn({ keys, proposals }: Pick<Tables, 'keys' | 'proposals'>): KeyHolders {
  return (tenant, key) => {
    const id = keys.derived(tenant, key);
    return id && proposals.standing(tenant, id);
  };
}

/**
 * Returns the first of the keys that is held, with the proposal whose hold on it counts: it may still
 * take effect, or did at or after `appliedSince`. One that ended without effect holds nothing.
 */
export function heldKey(
  holders: KeyHolders,
  tenant: TenantId,
  claim: Pick<KeyClaim, 'keys' | 'appliedSince'>,
  except?: ProposalId,
): { readonly key: Digest; readonly proposalId: ProposalId } | undefined {
  for (const key of claim.keys) {
    const id = holderOf(holders, tenant, key, claim.appliedSince);
    if (id !== undefined && id !== except) return { key, proposalId: id };
  }
  return undefined;
}

function holderOf(
  holders: KeyHolders,
  tenant: TenantId,
  key: Digest,
  appliedSince: number,
): ProposalId | undefined {
  const holder = holders(tenant, key);
  if (holder === undefined || isWithoutEffect(holder.state)) return undefined;
  const isPast = holder.settledAt !== null && holder.settledAt < appliedSince;
  return holder.state === 'applied' && isPast ? undefined : holder.id;
}

function findMovedStep(tables: Tables, change: Change): CommitConflict | undefined {
  for (const { act, expectStep } of change.acts) {
    const found = tables.log.step(change.tenant, act);
    if (found !== expectStep) return { kind: 'step', act, found };
  }
  return undefined;
}

function findMovedPolicy(tables: Tables, { tenant, guard }: Change): CommitConflict | undefined {
  if (guard?.logStep === undefined) return undefined;
  const isMoved = tables.log.step(tenant, LOG_ACT) !== guard.logStep;
  return isMoved ? { kind: 'policy' } : undefined;
}

function findFrozen(
  tables: Tables,
  tenant: TenantId,
  subject: FreezeSubject,
): CommitConflict | undefined {
  const freeze = activeFreeze(tables.freezes.inForce(tenant), subject);
  return freeze && { kind: 'frozen', freeze };
}

function findTakenKey(
  tables: Tables,
  tenant: TenantId,
  claim: KeyClaim,
): CommitConflict | undefined {
  // The supplied key first: who sends it again wants its first result, not to hear of a duplicate.
  const supplied = claim.supplied && tables.keys.supplied(tenant, claim.supplied);
  if (supplied) return { kind: 'key', key: 'supplied', proposalId: supplied };
  const held = heldKey(holdersIn(tables), tenant, claim, claim.proposalId);
  return held && { kind: 'key', ...held };
}

function findExceededBudget(
  tables: Tables,
  change: Change,
  now: number,
): CommitConflict | undefined {
  const { tenant, reserve } = change;
  if (reserve === undefined) return undefined;
  const exceeded = tables.budgets.findExceeded(tenant, reserve.lines, now, reserve.proposalId);
  return exceeded && { kind: 'budget', ...exceeded };
}

function findPassedPace(tables: Tables, change: Change): CommitConflict | undefined {
  for (const pace of change.guard?.paces ?? []) {
    const baseline = tables.baselines.find(change.tenant, pace);
    if (baseline === undefined) continue;
    const found = pacesAt(baseline, change.at)[pace.window].proposed;
    if (found + pace.uncounted > pace.max) return { kind: 'pace', pace, found };
  }
  return undefined;
}
