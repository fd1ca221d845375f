import { nearest } from '../lib/nearest.ts';
import { covers, type Freeze, type FreezeScope } from '../model/freeze.ts';
import { newFreezeId, type FreezeId, type TenantId } from '../model/ids.ts';
import { isTerminal, STATES } from '../model/lifecycle.ts';
import type { Policy } from '../model/policy.ts';
import { PAGE_MAX, type Clock, type Random, type Store, type Targets } from '../model/ports.ts';
import type { PersonPrincipal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import { subjectOf } from '../model/proposal.ts';
import { mayRelease, releaseState } from '../policy/load/release.ts';
import { contended, policyInForce, ROUNDS_MAX, type InForce, type PolicyPorts } from './commit.ts';
import { FREEZE_LOOKBACK_MS } from './facts.ts';

/**
 * Turns a stop on. Durable when it returns; every later intent within the scope meets it in the
 * transaction that would commit that intent, on every gateway over the same store.
 *
 * Problem `request-invalid` where the scope names an agent or target that is neither configured nor
 * has anything under way: a stop that binds nothing must not look like one that binds.
 */
export async function stop(
  ports: FreezePorts & { readonly random: Random; readonly targets: Targets },
  operator: PersonPrincipal,
  scope: FreezeScope,
  reason: string,
): Promise<Freeze> {
  if ('name' in scope && scope.kind !== 'run') await checkName(ports, operator.tenant, scope);
  return begin(ports, operator.tenant, { scope, reason, by: operator.name });
}

/** A run is the agent's own word, and may be stopped before its first write; other names are known. */
async function checkName(
  ports: { readonly store: Store; readonly targets: Targets; readonly policy: () => Policy },
  tenant: TenantId,
  scope: FreezeScope & { readonly name: string },
): Promise<void> {
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

/**
 * Speaks for the release of a stop, as a person: the last voice that the policy asks for releases
 * it. Each voice is an entry of its own, durable when this returns; one person counts once.
 *
 * Problems: `freeze-unknown`, also for a stop of another tenant; `release-not-named` where the policy
 * lets others release; `release-spoken`; `state-conflict` while the file that made it still says so.
 */
export async function release(
  ports: FreezePorts & { readonly isStoppedByFile: (freeze: Freeze) => boolean },
  operator: PersonPrincipal,
  id: FreezeId,
  reason: string,
): Promise<Freeze> {
  const { tenant, name } = operator;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const freeze = await ownFreeze(ports, tenant, id);
    if (freeze.releasedAt !== null) return freeze;
    if (freeze.source === 'file' && ports.isStoppedByFile(freeze)) {
      const message = `\`${id}\` is of the configuration file of \`${freeze.by}\`, which says \`writes: { enabled: false }\`; take that out first`;
      throw new Problem('state-conflict', message);
    }
    const inForce = await policyInForce(ports, tenant);
    checkVoice(inForce.policy, operator, freeze);
    const voice = { by: name, reason, credential: operator.credential };
    const spoken = await speak({ ...ports, tenant }, inForce, freeze, voice);
    if (spoken !== undefined) return spoken;
  }
  throw contended();
}

async function ownFreeze(ports: FreezePorts, tenant: TenantId, id: FreezeId): Promise<Freeze> {
  const known = await ports.store.freezes(tenant, ports.clock.now() - FREEZE_LOOKBACK_MS);
  const freeze = known.find((each) => each.id === id);
  // What another tenant stopped is seen here, and lifted there.
  const isOwn = freeze !== undefined && (await ports.store.actStep(tenant, id)) > 0;
  if (isOwn) return freeze;
  throw new Problem('freeze-unknown', `there is no freeze \`${id}\` of this tenant`);
}

function checkVoice(
  policy: Policy,
  { name, roles, groups }: PersonPrincipal,
  freeze: Freeze,
): void {
  const { release: rule } = policy.stop;
  if (!mayRelease(rule, { roles, groups })) {
    const message = `stops are released by operators in ${rule.groups.map((each) => `\`${each}\``).join(', ')}; \`${name}\` is in none of them`;
    throw new Problem('release-not-named', message);
  }
  const { spoken, quorum } = releaseState(policy, freeze);
  const voices = freeze.voices ?? [];
  // With a quorum that was lowered since, the voices that are there may be enough.
  if (spoken >= quorum || !voices.some(({ by, source }) => source !== 'file' && by === name))
    return;
  const message = `\`${name}\` has spoken for the release of \`${freeze.id}\` already; ${spoken} of ${quorum} have, and another person must`;
  throw new Problem('release-spoken', message);
}

/** Commits one voice; undefined where somebody else spoke, or another policy came into force, meanwhile. */
async function speak(
  { store, clock, tenant }: FreezePorts & { readonly tenant: TenantId },
  { policy, logStep }: InForce,
  freeze: Freeze,
  voice: {
    readonly by: string;
    readonly reason: string;
    readonly source?: 'file';
    readonly credential?: string;
  },
): Promise<Freeze | undefined> {
  const at = clock.now();
  const { by, source } = voice;
  const voices = [...(freeze.voices ?? []), { by, ...(source && { source }), at }];
  const { quorum, missing } = releaseState(policy, { ...freeze, voices });
  const open = missing === 0 ? {} : { missing };
  const entry = { type: 'release', freezeId: freeze.id, ...voice, quorum, ...open } as const;
  const expectStep = 1 + (freeze.voices?.length ?? 0);
  const commit = await store.commit({
    tenant,
    at,
    acts: [{ act: freeze.id, expectStep, entries: [entry] }],
    guard: { logStep },
  });
  if (commit.kind === 'conflict') return undefined;
  return { ...freeze, voices, releasedAt: missing === 0 ? at : null };
}

const FILE_REASON = 'the configuration file says `writes: { enabled: false }`';

/**
 * Makes the store agree with the switch in a gateway's configuration file. Off: a stop of the whole
 * tenant, made by the file, is on when this returns. On: the file has spoken for the release of the
 * stops that it made; where the policy asks for more voices, people are still to speak. Idempotent,
 * so it is called at each look at the file; a crash between two looks leaves what the next one mends.
 */
export async function obeySwitch(
  ports: FreezePorts & { readonly random: Random },
  { tenant, gateway, isOff }: FileSwitch,
): Promise<void> {
  const known = await ports.store.freezes(tenant, Infinity);
  // A stop that the file has spoken for cannot stand for what it says now: people may release it.
  const held = known.filter(
    ({ by, source, voices = [] }) =>
      source === 'file' && by === gateway && !voices.some((voice) => voice.source === 'file'),
  );
  if (!isOff) {
    const reason = 'the configuration file lets writes through';
    for (const freeze of held) {
      const inForce = await policyInForce(ports, tenant);
      await speak({ ...ports, tenant }, inForce, freeze, { by: gateway, reason, source: 'file' });
    }
    return;
  }
  if (held.length > 0) return;
  const scope = { kind: 'tenant' } as const;
  await begin(ports, tenant, { scope, reason: FILE_REASON, by: gateway, source: 'file' });
}

/** What a gateway's file says of writes. */
export interface FileSwitch {
  readonly tenant: TenantId;
  /** The gateway's name: each lifts only the stops of its own file. */
  readonly gateway: string;
  readonly isOff: boolean;
}

interface FreezePorts extends PolicyPorts {
  readonly store: Store;
  readonly clock: Clock;
}

async function begin(
  { store, clock, random }: FreezePorts & { readonly random: Random },
  tenant: TenantId,
  said: Pick<Freeze, 'scope' | 'reason' | 'by' | 'source'>,
): Promise<Freeze> {
  const at = clock.now();
  const id = newFreezeId(at, random.bytes(10));
  const freeze: Freeze = { id, ...said, at, releasedAt: null };
  const commit = await store.commit({
    tenant,
    at,
    acts: [{ act: id, expectStep: 0, entries: [{ type: 'freeze', freeze }] }],
  });
  if (commit.kind === 'committed') return freeze;
  throw new Error(`a fresh freeze met a ${commit.conflict.kind} conflict`);
}
