import { digestJson, type Digest } from '../lib/canonical.ts';
import { derivedKeyOf, type Draft, type DraftStep } from '../model/draft.ts';
import type { ProposalEntry } from '../model/entry.ts';
import { newProposalId, type ProposalId, type TenantId } from '../model/ids.ts';
import type { Clock, KeyClaim, Random, Store, Targets } from '../model/ports.ts';
import type { Principal } from '../model/principal.ts';
import { Problem } from '../model/problem.ts';
import type { Proposal } from '../model/proposal.ts';

/** A draft that became a proposal, or that turned out to be one that is here already. */
export type Admitted =
  | { readonly kind: 'replay'; readonly id: ProposalId }
  | {
      readonly kind: 'new';
      readonly id: ProposalId;
      readonly entry: ProposalEntry;
      readonly claim: KeyClaim;
      /** An earlier proposal of the same intent under another key, within the window. */
      readonly duplicateOf: ProposalId | null;
    };

export interface AdmitPorts {
  readonly store: Store;
  readonly targets: Targets;
  readonly clock: Clock;
  readonly random: Random;
}

export interface AdmitRules {
  readonly duplicateWindowMs: number;
  /** Whether an operation may lawfully repeat with the same arguments. */
  readonly isRepeatable: (write: DraftStep) => boolean;
}

/**
 * Turns a draft into a proposal, or finds the one that it repeats.
 *
 * The gateway derives the keys of an intent from tenant, target, operation and arguments, and from the
 * canonical form that the target has for these; an agent cannot choose fresh ones for the same intent. Nothing is durable yet: the key is taken in the
 * commit that begins the proposal, so a race of two equal drafts is settled there. A crash here
 * leaves nothing. Throws `idempotency-key-reused` where a supplied key belongs to other arguments.
 */
export async function admit(
  ports: AdmitPorts,
  principal: Principal,
  draft: Draft,
  rules: AdmitRules,
): Promise<Admitted> {
  const now = ports.clock.now();
  const entry = proposalEntry(ports.targets, principal, draft);
  const repeatable = (draft.steps ?? [draft]).every(rules.isRepeatable);
  const own = await intentKeys(ports.targets, principal.tenant, draft, entry.derivedKey);
  const keys = [...own, ...(await stepKeys(ports.targets, principal.tenant, draft, rules))];
  const supplied =
    draft.idempotencyKey === undefined
      ? null
      : { agent: principal.name, key: draft.idempotencyKey };
  // A write that may lawfully repeat is the same intent only until it has settled.
  const appliedSince = repeatable ? Number.MAX_SAFE_INTEGER : now - rules.duplicateWindowMs;
  const holders = await ports.store.keyHolders(principal.tenant, {
    keys,
    supplied,
    appliedSince,
  });

  if (holders.supplied !== undefined) {
    const first = await ports.store.proposal(principal.tenant, holders.supplied);
    const isSame = first !== undefined && (await isSameIntent(ports.targets, first, own));
    if (isSame) return { kind: 'replay', id: holders.supplied };
    throw new Problem(
      'idempotency-key-reused',
      'the idempotency key was used with other arguments; send the first arguments again or take another key',
      { at: '/idempotencyKey' },
    );
  }

  const duplicateOf = await duplicate(ports, principal, holders.derived, {
    own,
    hasFreshKey: supplied !== null,
    repeatable,
  });
  if (duplicateOf?.isSameIntent === true) return { kind: 'replay', id: duplicateOf.id };

  const id = newProposalId(now, ports.random.bytes(10));
  const isFree = duplicateOf === null && !(repeatable && supplied !== null);
  return {
    kind: 'new',
    id,
    entry,
    claim: { proposalId: id, keys: isFree ? keys : [], appliedSince, supplied },
    duplicateOf: duplicateOf?.id ?? null,
  };
}

/** Writes down a draft and who sent it. Tenant and environment come from the credential. */
export function proposalEntry(targets: Targets, principal: Principal, draft: Draft): ProposalEntry {
  const argumentsDigest = digestJson(draft.arguments);
  const named = draft.steps ?? [draft];
  return {
    type: 'proposal',
    draft,
    proposer: {
      kind: principal.kind,
      name: principal.name,
      credential: principal.credential,
      owner: principal.kind === 'agent' ? (principal.owner ?? null) : null,
    },
    environment: principal.environment,
    known: named.every(({ target, operation }) => {
      const operations = targets.find(target)?.operations;
      if (operations === undefined) return false;
      return draft.compensates !== undefined || operations.includes(operation);
    }),
    argumentsDigest,
    derivedKey: derivedKeyOf(principal.tenant, draft),
  };
}

/**
 * The keys of a chain's steps, as they would be of single writes: what was written once is not written
 * again as a part of something, nor the other way round. Throws `draft-invalid` where one step repeats
 * another.
 */
export async function stepKeys(
  targets: Targets,
  tenant: TenantId,
  draft: Draft,
  rules: Pick<AdmitRules, 'isRepeatable'>,
): Promise<readonly Digest[]> {
  if (draft.steps === undefined || draft.compensates !== undefined) return [];
  const claimed = new Map<Digest, number>();
  for (const [index, step] of draft.steps.entries()) {
    if (rules.isRepeatable(step)) continue;
    const write = { ...step, compensates: undefined };
    const keys = await intentKeys(targets, tenant, write, derivedKeyOf(tenant, write));
    const first = keys.map((key) => claimed.get(key)).find((each) => each !== undefined);
    if (first !== undefined) {
      throw new Problem(
        'draft-invalid',
        `step ${index + 1} is the same write as step ${first + 1}; leave one of them out, or have the operation listed as repeatable`,
        { at: `/steps/${index}` },
      );
    }
    for (const key of keys) claimed.set(key, index);
  }
  return [...claimed.keys()];
}

/**
 * The keys of an intent: `derivedKey`, of its arguments as they stand, and where the target knows more,
 * of their canonical form. Both are claimed, so that a form that could not be made once hides nothing.
 */
export async function intentKeys(
  targets: Targets,
  tenant: TenantId,
  { target: name, operation, arguments: args, compensates, steps }: Intent,
  derivedKey: Digest,
): Promise<readonly Digest[]> {
  const target = targets.find(name);
  if (target?.canonical === undefined || compensates !== undefined) return [derivedKey];
  if (steps !== undefined || !target.operations.includes(operation)) return [derivedKey];
  try {
    const form = await target.canonical(operation, args);
    // Without the operation: where two of them have one form, they are one intent.
    return form === null ? [derivedKey] : [derivedKey, digestJson([tenant, name, { form }])];
  } catch {
    return [derivedKey];
  }
}

type Intent = DraftStep & Pick<Draft, 'compensates' | 'steps'>;

/** Whether an earlier proposal is the intent with these keys; a chain is none of its steps. */
async function isSameIntent(
  targets: Targets,
  { tenant, draft, derivedKey }: Proposal,
  keys: readonly Digest[],
): Promise<boolean> {
  const held = await intentKeys(targets, tenant, draft, derivedKey);
  return held.some((key) => keys.includes(key));
}

/** The holder of the derived key: the same intent again, or a duplicate under another key. */
async function duplicate(
  { store, targets }: AdmitPorts,
  principal: Principal,
  holder: ProposalId | undefined,
  how: {
    readonly own: readonly Digest[];
    readonly hasFreshKey: boolean;
    readonly repeatable: boolean;
  },
): Promise<{ readonly id: ProposalId; readonly isSameIntent: boolean } | null> {
  if (holder === undefined) return null;
  const first = await store.proposal(principal.tenant, holder);
  if (first === undefined) return null;
  const { name, kind } = first.proposer;
  const isOwn = name === principal.name && kind === principal.kind;
  // A chain that has this write for a step, or of which it is one, is another intent.
  const isSame = isOwn && (await isSameIntent(targets, first, how.own));
  if (isSame && !how.hasFreshKey) return { id: holder, isSameIntent: true };
  return how.repeatable ? null : { id: holder, isSameIntent: false };
}
