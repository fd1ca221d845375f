import { strict as assert } from 'node:assert';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { learn, type Baseline, type BaselineSubject } from '../../model/baseline.ts';
import { baselineFacts } from '../../model/baseline-fact.ts';
import type { EntryPosition } from '../../model/entry.ts';
import { proposalId, type TenantId } from '../../model/ids.ts';
import type {
  Change,
  Commit,
  CommitConflict,
  Random,
  Sequencer,
  Store,
} from '../../model/ports.ts';
import { begin, fold, type Proposal } from '../../model/proposal.ts';
import { testRandom, type Ledger } from './ledger.ts';

/** A store under test, on durable state of its own. */
export interface OpenedStore {
  readonly store: Store;
  /** Closes the store and opens another on the same durable state. */
  reopen(): Promise<Store>;
  /** Lets so much of the time go by by which the store's leases run. */
  pass(ms: number): Promise<void>;
  /** How many transactions with a change in them were committed since it was opened first. */
  transactions(): Promise<number>;
  /** Closes whichever store is open and removes what it left. */
  dispose(): Promise<void>;
}

/** Opens an empty store that seals with what it is given. */
export type OpenStore = (sealing: {
  readonly sequencer: Sequencer;
  readonly random: Random;
}) => Promise<OpenedStore>;

/** What one test of the suite works with. */
export interface Setting extends OpenedStore {
  /** The position of every entry that was sealed, by leaf hash. */
  readonly positions: ReadonlyMap<string, EntryPosition>;
  readonly ledger: Ledger;
}

/** Declares a test on a fresh store. */
export type StoreTest = (name: string, run: (setting: Setting) => Promise<void>) => void;

export function storeTest(open: OpenStore, ledger: Ledger): StoreTest {
  return (name, run) => {
    test(name, async () => {
      const positions = new Map<string, EntryPosition>();
      const { sequencer } = ledger;
      const opened = await open({
        random: testRandom(),
        sequencer: {
          ...sequencer,
          bindsTo: (type) => sequencer.bindsTo(type),
          push: (tree, leafHash) => sequencer.push(tree, leafHash),
          seal: (body, position, random) => {
            const sealed = sequencer.seal(body, position, random);
            positions.set(sealed.leafHash, position);
            return sealed;
          },
        },
      });
      try {
        await run({ ...opened, positions, ledger });
      } finally {
        await opened.dispose();
      }
    });
  };
}

export async function committed(
  store: Store,
  change: Change,
): Promise<Commit & { kind: 'committed' }> {
  const commit = await store.commit(change);
  assert(commit.kind === 'committed', `conflict: ${JSON.stringify(commit)}`);
  return commit;
}

export async function conflicting(store: Store, change: Change): Promise<CommitConflict> {
  const commit = await store.commit(change);
  assert(commit.kind === 'conflict', 'the change was to conflict');
  return commit.conflict;
}

/** Everything that a store answers about a tenant; two that are equal are the same state. */
export async function stateOf(store: Store, tenant: TenantId): Promise<unknown> {
  const listed = await store.proposals(tenant, { limit: 200 });
  return {
    tree: await store.tree(tenant),
    entries: await store.entries(tenant, 0, 1_000),
    listed,
    proposals: await Promise.all(listed.map(({ id }) => store.proposal(tenant, id))),
    freezes: await store.freezes(tenant, 0),
    credentials: await store.credentials(tenant),
    baselines: await Promise.all(
      [...new Set(listed.map(({ proposer }) => proposer.name))].map((agent) =>
        store.baselines(tenant, agent),
      ),
    ),
  };
}

/**
 * Reads a tenant's log from its first entry and asserts that it is whole and that every row is the
 * fold of its entries (G5). Returns the number of entries.
 */
export async function assertFold(store: Store, tenant: TenantId, ledger: Ledger): Promise<number> {
  const folded = new Map<string, Proposal>();
  const steps = new Map<string, number>();
  const learned = new Map<string, { subject: BaselineSubject; baseline: Baseline }>();
  let tree: Awaited<ReturnType<Store['tree']>> = { size: 0, range: [] };
  for (;;) {
    const page = await store.entries(tenant, tree.size, 100);
    for (const entry of page) {
      const { act, at, index } = entry;
      assert.equal(index, tree.size);
      assert.equal(entry.step, (steps.get(act) ?? 0) + 1);
      steps.set(act, entry.step);
      const leafHash = createHash('sha256').update(Uint8Array.of(0)).update(entry.leaf);
      assert.equal(entry.leafHash, leafHash.digest('hex'));
      tree = ledger.sequencer.push(tree, entry.leafHash);
      const id = proposalId(act);
      if (id === undefined) continue;
      const body = ledger.open(entry.leaf, entry.payloads);
      const place = { act: id, tenant, at, index };
      const before = folded.get(act);
      const after =
        body.type === 'proposal'
          ? begin(body, place)
          : fold(before ?? assert.fail('an entry before its proposal'), body, place);
      folded.set(act, after);
      for (const { subject, fact } of baselineFacts(before, after, at)) {
        const name = JSON.stringify(subject);
        const baseline = learn(learned.get(name)?.baseline, fact);
        learned.set(name, { subject, baseline });
      }
    }
    if (page.length === 0) break;
  }
  assert.deepEqual(await store.tree(tenant), tree);
  for (const [act, proposal] of folded) {
    const id = proposalId(act) ?? assert.fail();
    assert.deepEqual(plain(await store.proposal(tenant, id)), plain(proposal));
  }
  for (const { subject, baseline } of learned.values()) {
    assert.deepEqual(await store.baseline(tenant, subject), baseline);
  }
  return tree.size;
}

/** Without the members that are undefined, which payloads do not carry. */
export function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
