import type { Freeze, FreezeScope } from '../model/freeze.ts';
import { newFreezeId, type FreezeId } from '../model/ids.ts';
import type { Clock, Random, Store } from '../model/ports.ts';
import type { PersonPrincipal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import { FREEZE_LOOKBACK_MS } from './facts.ts';

/**
 * Turns a stop on. Durable when it returns; every later intent within the scope meets it in the
 * transaction that would commit that intent, on every gateway over the same store.
 */
export async function stop(
  ports: { readonly store: Store; readonly clock: Clock; readonly random: Random },
  operator: PersonPrincipal,
  scope: FreezeScope,
  reason: string,
): Promise<Freeze> {
  const at = ports.clock.now();
  const id = newFreezeId(at, ports.random.bytes(10));
  const freeze: Freeze = { id, scope, reason, by: operator.name, at, releasedAt: null };
  const commit = await ports.store.commit({
    tenant: operator.tenant,
    at,
    acts: [{ act: id, expectStep: 0, entries: [{ type: 'freeze', freeze }] }],
  });
  if (commit.kind === 'committed') return freeze;
  throw new Error(`a fresh freeze met a ${commit.conflict.kind} conflict`);
}

/** Turns a stop off: a person's doing, and an entry of its own. */
export async function release(
  ports: { readonly store: Store; readonly clock: Clock },
  operator: PersonPrincipal,
  id: FreezeId,
  reason: string,
): Promise<Freeze> {
  const at = ports.clock.now();
  const known = await ports.store.freezes(operator.tenant, at - FREEZE_LOOKBACK_MS);
  const freeze = known.find((each) => each.id === id);
  if (freeze === undefined) throw new Problem('freeze-unknown', `there is no freeze \`${id}\``);
  if (freeze.releasedAt !== null) return freeze;
  const commit = await ports.store.commit({
    tenant: operator.tenant,
    at,
    acts: [
      {
        act: id,
        expectStep: 1,
        entries: [{ type: 'release', freezeId: id, by: operator.name, reason }],
      },
    ],
  });
  if (commit.kind === 'conflict') {
    throw new Problem('state-conflict', `\`${id}\` was released by somebody else just now`);
  }
  return { ...freeze, releasedAt: at };
}
