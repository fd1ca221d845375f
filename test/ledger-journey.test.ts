// The log that the gate really writes, published and verified.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openEntry } from '../src/ledger/entry.ts';
import { folderReader } from '../src/ledger/folder.ts';
import { createPublisher } from '../src/ledger/publish.ts';
import { verifyLedger } from '../src/ledger/verify.ts';
import { credentialId, proposalId, tenantId, type TenantId } from '../src/model/ids.ts';
import type { Store } from '../src/model/ports.ts';
import type { PersonPrincipal } from '../src/model/principal.ts';
import { begin, fold, type Proposal } from '../src/model/proposal.ts';
import { agent, human, idOf, need, setDraft, testGate, type TestGate } from './support/gate.ts';
import { ORIGIN, testSigner, withFolder } from './support/ledger.ts';

const TENANT = need(tenantId('acme'));
const ANN: PersonPrincipal = {
  ...human('ann'),
  credential: need(credentialId(`cred_${'1'.repeat(26)}`)),
};
const BEN: PersonPrincipal = {
  ...human('ben', ['operator']),
  credential: need(credentialId(`cred_${'2'.repeat(26)}`)),
};

/** Plays a write of each fate. */
async function play({ gate, target, store, clock }: TestGate): Promise<void> {
  const genesis = { type: 'genesis', origin: ORIGIN } as const;
  const acts = [{ act: 'log', expectStep: 0, entries: [genesis] }];
  await store.commit({ tenant: TENANT, at: clock.now(), acts });
  const states: string[] = [];
  const keep = <Answer extends { readonly state: string }>(answer: Answer): Answer => {
    states.push(answer.state);
    return answer;
  };

  const applied = keep(await gate.propose(agent('bot'), setDraft('a', '9')));
  const waiting = keep(await gate.propose(agent('clerk'), setDraft('b', '7')));
  target.rows.set('b', '5');
  const approve = (answer: { proposalId: string | null; planDigest: string | null }) =>
    gate.approve(ANN, idOf(answer.proposalId), {
      planDigest: need(answer.planDigest),
      verdict: 'approve',
    });
  keep(await approve(keep(await approve(waiting))));
  keep(await gate.rollback(BEN, idOf(applied.proposalId)));
  target.faults.apply.push('reply-lost');
  keep(await gate.propose(agent('bot'), setDraft('c', '1')));
  target.faults.apply.push('request-lost');
  keep(await gate.propose(agent('bot'), setDraft('d', '1')));
  target.faults.plan.push('busy');
  keep(await gate.propose(agent('bot'), setDraft('e', '1')));
  keep(await gate.propose(agent('bot'), setDraft('e', '1', { target: 'nowhere' })));
  const freeze = await gate.stop(BEN, { kind: 'all' }, 'a test');
  keep(await gate.propose(agent('bot'), setDraft('f', '1')));
  await gate.release(BEN, freeze.id, 'over');
  const cancelled = await gate.propose(agent('clerk'), setDraft('g', '7'));
  keep(await gate.cancel(agent('clerk'), idOf(cancelled.proposalId)));
  const fates = ['applied', 'waiting', 'stale', 'refused', 'denied', 'cancelled'];
  assert.deepEqual([...new Set(states)].toSorted(), fates.toSorted());
}

test('the log that the gate writes verifies, whatever became of the writes', async () => {
  const world = await testGate();
  await play(world);
  await withFolder(async (folder) => {
    const { store } = world;
    const signer = testSigner();
    const source = {
      tree: () => store.tree(TENANT),
      entries: (from: number, limit: number) => store.entries(TENANT, from, limit),
    };
    await (await createPublisher({ folder, signer, source })).publish();
    const report = await verifyLedger({ reader: folderReader(folder), vkey: signer.vkey });
    assert.deepEqual(report.findings, []);
    assert(report.figures.states.applied >= 4);
    assert.equal(report.figures.openIntents, 0);
  });
});

test('G5: folding the opened entries of the ledger gives the rows of the store', async () => {
  const world = await testGate();
  await play(world);
  const folded = await foldedFromLedger(world.store, TENANT);
  assert(folded.size > 8);
  for (const [id, proposal] of folded) {
    assert.deepEqual(await world.store.proposal(TENANT, need(proposalId(id))), proposal);
  }
});

async function foldedFromLedger(store: Store, tenant: TenantId): Promise<Map<string, Proposal>> {
  const folded = new Map<string, Proposal>();
  for (const { leaf, payloads, act, at, index } of await store.entries(tenant, 0, 1_000)) {
    const id = proposalId(act);
    if (id === undefined) continue;
    const body = openEntry(leaf, payloads);
    const place = { act: id, tenant, at, index };
    const before = folded.get(id);
    if (body.type === 'proposal') folded.set(id, begin(body, place));
    else folded.set(id, fold(need(before), body, place));
  }
  return folded;
}
