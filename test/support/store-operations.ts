/** What a gateway asks of its store, once each, on a store that somebody filled. */
import { randomBytes } from 'node:crypto';
import { LEASED_STATES } from '../../src/model/lease.ts';
import type { Store } from '../../src/model/ports.ts';
import {
  ACME,
  beginChange,
  claimOf,
  digestOf,
  goOn,
  lineOf,
  NOW,
  outcomeEntry,
  proposalOf,
} from '../../src/store/conformance/fixtures.ts';

const PAGE = 50;
const HOLDER = 'gateway/1';
const KEYS = { keys: [digestOf('1')], supplied: null, appliedSince: 0 } as const;

/** Fills with proposals that wait, and as many that are over; their numbers are below `2 * count`. */
export async function fillStore(store: Store, count: number): Promise<void> {
  const changes = Array.from({ length: 2 * count }, (_, number) => {
    const id = proposalOf(number);
    const derivedKey = digestOf(String(number));
    return store.commit(
      beginChange(id, number % 2 === 0 ? 'waiting' : 'applied', {
        derivedKey,
        guard: { keys: claimOf(id, { keys: [derivedKey] }) },
      }),
    );
  });
  for (const commit of await Promise.all(changes)) {
    if (commit.kind !== 'committed') throw new Error(`a ${commit.conflict.kind} conflict`);
  }
}

/** Each with a name; `turn` is another at each call. */
export function operations(
  store: Store,
  turn: number,
): ReadonlyMap<string, () => Promise<unknown>> {
  const middle = proposalOf(turn);
  return new Map<string, () => Promise<unknown>>([
    ['a write', () => write(store)],
    ['one proposal', () => store.proposal(ACME, middle)],
    ['what waits', () => store.proposals(ACME, { states: ['waiting'], limit: PAGE })],
    ['a page in the middle', () => store.proposals(ACME, { limit: PAGE, before: middle })],
    ["an agent's", () => store.proposals(ACME, { agent: 'ledger-bot', limit: PAGE })],
    ["a run's", () => store.proposals(ACME, { run: 'nightly', limit: PAGE })],
    ['who holds a key', () => store.keyHolders(ACME, KEYS)],
    ['what is in a budget', () => store.budgetUsed(ACME, [lineOf()], NOW)],
    ['budgets in use', () => store.budgetUses(ACME, NOW, PAGE)],
    ['when a budget is free', () => store.budgetFreeAt(ACME, lineOf(), NOW)],
    ['stops', () => store.freezes(ACME, NOW)],
    ['what is open', () => store.inStates(['executing', 'in_doubt'], PAGE)],
    [
      'a claim',
      () => store.claim({ holder: HOLDER, states: LEASED_STATES, forMs: 1_000, limit: 8 }),
    ],
    ['what is due', () => store.due(NOW - 1, 64)],
    ['what is put off', () => store.putOff([{ tenant: ACME, id: middle, until: NOW + 90_000 }])],
    ['a step', () => store.actStep(ACME, middle)],
    ['the latest entry', () => store.latest(ACME, middle)],
    ['entries of an act', () => store.actEntries(ACME, middle, { limit: PAGE })],
    ['entries', () => store.entries(ACME, turn, 32)],
    ['a leaf hash', () => store.leafHash(ACME, turn)],
    ['the tree', () => store.tree(ACME)],
    ['tenants', () => store.tenants()],
  ]);
}

let written = 0;

async function write(store: Store): Promise<void> {
  written += 1;
  const id = proposalOf(1_000_000 + written);
  const derivedKey = digestOf(randomBytes(8).toString('hex'));
  const begun = await store.commit(
    beginChange(id, 'executing', {
      derivedKey,
      guard: {
        notFrozen: { agent: 'ledger-bot', target: 'billing', run: null },
        keys: claimOf(id, { keys: [derivedKey] }),
        lease: { proposalId: id, holder: HOLDER, epoch: null, forMs: 60_000 },
      },
      reserve: { proposalId: id, lines: [lineOf({ max: Number.MAX_SAFE_INTEGER })] },
    }),
  );
  if (begun.kind !== 'committed') throw new Error(`a ${begun.conflict.kind} conflict`);
  const settled = await store.commit(
    goOn(id, 4, [outcomeEntry('applied')], {
      settle: id,
      guard: { lease: { proposalId: id, holder: HOLDER, epoch: begun.lease ?? 0, forMs: 60_000 } },
    }),
  );
  if (settled.kind !== 'committed') throw new Error(`a ${settled.conflict.kind} conflict`);
}
