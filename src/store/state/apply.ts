import { strict as assert } from 'node:assert';
import { learn, type Baseline, type BaselineSubject } from '../../model/baseline.ts';
import { baselineFacts, type TaughtFact } from '../../model/baseline-fact.ts';
import { proposalId, type CredentialId, type TenantId } from '../../model/ids.ts';
import type { EntryBody } from '../../model/entry.ts';
import type { LeaseGuard } from '../../model/lease.ts';
import { isTerminal } from '../../model/lifecycle.ts';
import type { ActChange, Change, Commit, Random, Sequencer, TreeState } from '../../model/ports.ts';
import { begin, fold, type EntryPlace, type Proposal } from '../../model/proposal.ts';
import { findConflict } from './guards.ts';
import { leaveLease, type LeaseRows } from './leases.ts';
import type { DeadlineRows, Tables } from './tables.ts';

/** What turns bodies into leaves, and the randomness that it needs. */
export interface Sealing {
  readonly sequencer: Sequencer;
  readonly random: Random;
}

interface Written {
  readonly tree: TreeState;
  readonly entries: readonly { readonly index: number; readonly leafHash: string }[];
  readonly proposal: Proposal | undefined;
}

/**
 * Carries out one change inside the transaction that is open: entries, and the rows that they fold
 * to. A conflict has written nothing; after a throw the caller must roll back.
 */
export function applyChange(tables: Tables, sealing: Sealing, change: Change): Commit {
  const { tenant, acts, guard, reserve, settle, release } = change;
  assert(Number.isSafeInteger(change.at) && change.at >= 0, 'a change has its time in whole ms');
  assert(new Set(acts.map((each) => each.act)).size === acts.length, 'no act comes twice');
  const head = tables.log.head(tenant);
  // A clock that was set back must not give budgets their past again (G7).
  const now = Math.max(change.at, head.latestAt);
  const conflict = findConflict(tables, change, now);
  if (conflict !== undefined) return { kind: 'conflict', conflict };

  let tree = head.tree;
  const entries = [];
  const proposals: Proposal[] = [];
  for (const act of acts) {
    const written = writeAct(tables, sealing, { tenant, at: change.at, act, tree });
    tree = written.tree;
    entries.push(...written.entries);
    if (written.proposal !== undefined) proposals.push(written.proposal);
  }
  if (guard?.keys !== undefined) tables.keys.take(tenant, guard.keys);
  if (reserve !== undefined) tables.budgets.reserve(tenant, reserve.proposalId, reserve.lines, now);
  if (settle !== undefined) tables.budgets.settle(tenant, settle, now);
  if (release !== undefined) tables.budgets.release(tenant, release);
  const lease = leave(tables.leases, proposals, guard?.lease);
  // Last, so that a change that throws has not moved the head.
  tables.log.setHead(tenant, { tree, latestAt: now });
  return { kind: 'committed', entries, proposals, ...(lease === undefined ? {} : { lease }) };
}

/** Leaves the leases as the change asks; what is settled has none. Returns the epoch, if one was asked. */
function leave(
  leases: LeaseRows,
  proposals: readonly Proposal[],
  guard: LeaseGuard | undefined,
): number | undefined {
  const settled = proposals.filter(({ state }) => isTerminal(state));
  const kept = guard && proposals.find(({ id }) => id === guard.proposalId);
  assert(guard === undefined || kept !== undefined, 'a lease is of a proposal that is changed');
  const epoch = guard && kept && leaveLease(leases, kept, guard);
  for (const { tenant, id } of settled) leases.end(tenant, id);
  return epoch;
}

function writeAct(
  tables: Tables,
  sealing: Sealing,
  place: {
    readonly tenant: TenantId;
    readonly at: number;
    readonly act: ActChange;
    tree: TreeState;
  },
): Written {
  const { tenant, at, act } = place;
  const id = proposalId(act.act);
  // Its step was found to be 0: then there is none, and none to look for.
  const before = id && act.expectStep > 0 ? tables.proposals.find(tenant, id) : undefined;
  let { tree } = place;
  let proposal = before;
  const hashes = new LatestHashes(tables, tenant, act);
  const entries = [];
  const taught: TaughtFact[] = [];
  for (const [offset, body] of act.entries.entries()) {
    const position = { act: act.act, step: act.expectStep + offset + 1, at };
    const index = tree.size;
    const sealed = { ...seal(sealing, hashes, body, position), index };
    tables.log.add(tenant, body.type, position, sealed);
    hashes.add(body.type, sealed.leafHash);
    tree = sealing.sequencer.push(tree, sealed.leafHash);
    assert(tree.size === index + 1, 'a push grows the tree by one');
    entries.push({ index, leafHash: sealed.leafHash });
    if (id === undefined) foldOther(tables, tenant, body, at);
    else {
      const folded = foldProposal(proposal, body, { act: id, tenant, at, index });
      taught.push(...baselineFacts(proposal, folded, at));
      proposal = folded;
    }
  }
  if (proposal === before) return { tree, entries, proposal: undefined };
  assert(proposal?.step === act.expectStep + act.entries.length, 'record and log agree (G5)');
  tables.proposals.save(proposal, before);
  followDeadline(tables.deadlines, proposal, before);
  learnFacts(tables, tenant, taught);
  return { tree, entries, proposal };
}

/** Leaf hashes of an act's latest entries: of those written just now, else of the stored ones. */
class LatestHashes {
  readonly #stored: (type?: EntryBody['type']) => string;
  readonly #fresh = new Map<EntryBody['type'], string>();
  #latest: string | undefined;

  constructor(tables: Tables, tenant: TenantId, { act, expectStep }: ActChange) {
    // An act that begins here has none stored.
    this.#stored = (type) => (expectStep === 0 ? '' : tables.log.latestLeafHash(tenant, act, type));
  }

  add(type: EntryBody['type'], hash: string): void {
    this.#latest = hash;
    this.#fresh.set(type, hash);
  }

  get latest(): string {
    return this.#latest ?? this.#stored();
  }

  ofType(type: EntryBody['type'] | null): string {
    return type === null ? '' : (this.#fresh.get(type) ?? this.#stored(type));
  }
}

function seal(
  { sequencer, random }: Sealing,
  hashes: LatestHashes,
  body: EntryBody,
  position: { readonly act: string; readonly step: number; readonly at: number },
): ReturnType<Sequencer['seal']> {
  const boundType = sequencer.bindsTo(body.type);
  return sequencer.seal(
    body,
    {
      ...position,
      id: Buffer.from(random.bytes(16)).toString('hex'),
      previous: hashes.latest,
      binds: hashes.ofType(boundType),
    },
    random,
  );
}

function foldProposal(
  proposal: Proposal | undefined,
  body: EntryBody,
  place: EntryPlace,
): Proposal {
  if (body.type === 'proposal') {
    assert(proposal === undefined, 'a proposal begins once');
    return begin(body, place);
  }
  assert(proposal !== undefined, `a ${body.type} entry of a proposal that was never begun`);
  return fold(proposal, body, place);
}

/** Folds an entry of the log itself, a freeze or a credential. */
function foldOther(tables: Tables, tenant: TenantId, body: EntryBody, at: number): void {
  switch (body.type) {
    case 'genesis':
    case 'policy':
      return;
    case 'freeze':
      return tables.freezes.add(tenant, body.freeze);
    case 'release':
      return speak(tables, tenant, body, at);
    case 'credential':
      if (body.change === 'added') return tables.credentials.add(tenant, body.credential);
      return revoke(tables, tenant, body.credential.id, at);
    case 'proposal':
    case 'preview':
    case 'decision':
    case 'approval':
    case 'intent':
    case 'outcome':
    case 'rollback':
      throw new assert.AssertionError({ message: `a ${body.type} entry outside a proposal` });
  }
}

/** Adds a voice; with the last one the freeze is released. */
function speak(
  { freezes }: Tables,
  tenant: TenantId,
  entry: EntryBody & { type: 'release' },
  at: number,
): void {
  const { freezeId: id, by, source, missing } = entry;
  const freeze = freezes.find(tenant, id);
  assert(freeze !== undefined, 'a release names a freeze of the tenant');
  assert(freeze.releasedAt === null, 'a freeze is released once');
  const voice = { by, ...(source === undefined ? {} : { source }), at };
  const releasedAt = missing === undefined ? at : null;
  freezes.save(tenant, { ...freeze, releasedAt, voices: [...(freeze.voices ?? []), voice] });
}

function revoke({ credentials }: Tables, tenant: TenantId, id: CredentialId, at: number): void {
  const found = credentials.find(id);
  assert(found?.tenant === tenant, 'a revocation names a credential of the tenant');
  credentials.save(tenant, { ...found.credential, revokedAt: at });
}

/** Folds facts in, in the order of their entries. */
function learnFacts({ baselines }: Tables, tenant: TenantId, taught: readonly TaughtFact[]): void {
  const learned = new Map<string, { subject: BaselineSubject; baseline: Baseline }>();
  for (const { subject, fact } of taught) {
    const name = JSON.stringify([subject.agent, subject.target, subject.operation]);
    const known = learned.get(name)?.baseline ?? baselines.find(tenant, subject);
    learned.set(name, { subject, baseline: learn(known, fact) });
  }
  for (const { subject, baseline } of learned.values()) baselines.save(tenant, subject, baseline);
}

/** Follows a proposal into and out of waiting. */
function followDeadline(
  deadlines: DeadlineRows,
  proposal: Proposal,
  before: Proposal | undefined,
): void {
  const { tenant, id } = proposal;
  const dueAt = dueAtOf(proposal);
  const earlier = before === undefined ? null : dueAtOf(before);
  // One whose deadline stands keeps what it was put off by.
  if (dueAt === earlier) return;
  if (dueAt === null) deadlines.drop(tenant, id);
  else deadlines.set(tenant, id, dueAt);
}

function dueAtOf({ state, expiresAt }: Proposal): number | null {
  return state === 'waiting' ? expiresAt : null;
}
