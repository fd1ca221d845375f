import { nearest } from '../lib/nearest.ts';
import { covers, type Freeze, type FreezeScope } from '../model/freeze.ts';
import { newFreezeId, type FreezeId, type TenantId } from '../model/ids.ts';
import { isTerminal, STATES } from '../model/lifecycle.ts';
import type { Policy } from '../model/policy.ts';
import { PAGE_MAX, type Clock, type Random, type Store, type Targets } from '../model/ports.ts';
import type { PersonPrincipal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import { subjectOf } from '../model/proposal.ts';
import { FREEZE_LOOKBACK_MS } from './facts.ts';

/**
 * Turns a stop on. Durable when it returns; every later intent within the scope meets it in the
 * transaction that would commit that intent, on every gateway over the same store.
 *
 * Problem `request-invalid` where the scope names an agent or target that is neither configured nor
 * has anything under way: a stop that binds nothing must not look like one that binds.
 */
export async function stop(
  ports: {
    readonly store: Store;
    readonly clock: Clock;
    readonly random: Random;
    readonly targets: Targets;
    readonly policy: () => Policy;
  },
  operator: PersonPrincipal,
  scope: FreezeScope,
  reason: string,
): Promise<Freeze> {
  await checkScope(ports, operator.tenant, scope);
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

/** The id of a run is the agent's own word, and may be stopped before the first write of it comes. */
async function checkScope(
  ports: { readonly store: Store; readonly targets: Targets; readonly policy: () => Policy },
  tenant: TenantId,
  scope: FreezeScope,
): Promise<void> {
  if (scope.kind === 'all' || scope.kind === 'run') return;
  const { agents, people } = ports.policy();
  const known =
    scope.kind === 'agent' ? [...agents.keys(), ...people.keys()] : (ports.targets.names?.() ?? []);
  if (known.includes(scope.name)) return;
  if (scope.kind === 'target' && ports.targets.find(scope.name) !== undefined) return;
  if (await hasUnderWay(ports.store, tenant, scope)) return;
  const near = nearest(scope.name, known);
  const hint =
    near === undefined
      ? `it names ${known.map((name) => `\`${name}\``).join(', ') || 'none'}`
      : `did you mean \`${near}\``;
  throw new Problem(
    'request-invalid',
    `nothing was stopped: the configuration names no ${scope.kind} \`${scope.name}\`, and nothing of that name is under way; ${hint}`,
    { at: '/scope/name' },
  );
}

/** Whether something that is not over falls under the scope, as after a name was taken out of the file. */
async function hasUnderWay(store: Store, tenant: TenantId, scope: FreezeScope): Promise<boolean> {
  const states = STATES.filter((state) => !isTerminal(state));
  for (let filter = {}; ;) {
    const page = await store.proposals(tenant, { states, limit: PAGE_MAX, ...filter });
    if (page.some((proposal) => covers(scope, subjectOf(proposal)))) return true;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_MAX) return false;
    filter = { before: last.id };
  }
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
