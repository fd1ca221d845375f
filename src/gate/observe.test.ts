// `mode: observe` evaluates and records, lets nothing through, and makes nothing that could be approved.
import assert from 'node:assert/strict';
import { readFileSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import {
  agent,
  chainDraft,
  human,
  need,
  POLICY,
  setDraft,
  testGate,
} from '../../test/support/gate.ts';
import type { Result } from '../model/result.ts';

const OBSERVE = `${POLICY}mode: observe\n`;
const OWNER = human('owner', ['operator', 'approver']);
const ANN = human('ann');

/** What it would have been is said; that it was only observed, too. */
function assertObserved(result: Result, would: RegExp): void {
  assert.equal(result.state, 'denied');
  assert.equal(result.code, 'observed');
  assert.match(result.reason, would);
  assert.match(result.reason, /only observes.*nothing was changed and nothing waits/);
  assert.equal(result.next, 'none', 'no retry would help');
}

describe('an observing policy', () => {
  for (const holds of [false, true]) {
    const how = holds ? 'held' : 'measured';
    test(`lets no write through that would be allowed, or would wait, where it is ${how}`, async () => {
      const { gate, target, waitingShown } = await testGate({ policy: OBSERVE, holds });
      const rows = new Map(target.rows);
      assertObserved(await gate.propose(agent('bot'), setDraft('a', '9')), /would be allowed/);
      assertObserved(
        await gate.propose(agent('clerk'), setDraft('a', '8')),
        /would wait for people/,
      );
      assertObserved(
        await gate.propose(agent('bot'), setDraft('a', null)),
        /would wait for people/,
      );
      assert.deepEqual(target.rows, rows);
      assert.deepEqual([target.committed, waitingShown, target.open()], [[], [], 0]);
    });
  }

  test('lets no chain through, and holds none of its steps', async () => {
    const bench = await testGate({ policy: OBSERVE });
    const chain = chainDraft([
      ['kv', 'a', '9'],
      ['kv', 'b', '8'],
    ]);
    assertObserved(await bench.gate.propose(agent('bot'), chain), /would be allowed/);
    assertObserved(await bench.gate.propose(agent('bot'), setDraft('a', '9')), /would be allowed/);
    assert.deepEqual([bench.target.committed, bench.waitingShown], [[], []]);
  });

  test('still denies for the reason that an active one has', async () => {
    const { gate } = await testGate({ policy: OBSERVE });
    const denied = await gate.propose(agent('clerk'), setDraft('a', null));
    assert.deepEqual([denied.state, denied.code], ['denied', 'never']);
    const stranger = await gate.propose(agent('stranger'), setDraft('a', '1'));
    assert.equal(stranger.code, 'unknown-agent');
  });

  test('leaves the inbox empty, also after a restart, and nothing that can be approved', async () => {
    const bench = await testGate({ policy: OBSERVE });
    const waited = await bench.gate.propose(agent('clerk'), setDraft('a', '8'));
    const again = await bench.restart();
    await again.tick();
    for (const gate of [bench.gate, again]) {
      const inbox = await gate.list(ANN, { states: ['waiting'], limit: 200 });
      assert.deepEqual(inbox.items, []);
      const { id } = await bench.proposal(waited.proposalId);
      const planDigest = need(waited.planDigest);
      for (const verdict of ['approve', 'deny'] as const) {
        await assert.rejects(gate.approve(ANN, id, { planDigest, verdict }), {
          code: 'state-conflict',
        });
      }
      await assert.rejects(gate.cancel(agent('clerk'), id), { code: 'state-conflict' });
      await assert.rejects(gate.rollback(OWNER, id), { code: 'not-compensable' });
    }
  });

  test('keeps a record of what it would have done, with every line that spoke', async () => {
    const bench = await testGate({ policy: OBSERVE });
    const { proposalId } = await bench.gate.propose(agent('clerk'), setDraft('a', '8'));
    const { state, assessment, decision, attempt, expiresAt } = await bench.proposal(proposalId);
    assert.deepEqual([state, attempt, expiresAt], ['denied', 0, null]);
    assert.equal(assessment?.blastRadius.records, 1);
    assert.equal(decision?.settledBy, 'mode.observe');
    const spoken = decision?.findings.map(({ verdict, code }) => `${verdict} ${code}`);
    assert.deepEqual(spoken, ['wait approval-required', 'allow rule-permits']);
  });

  test('says in a preview what would be, and leaves nothing', async () => {
    const { gate, store, target } = await testGate({ policy: OBSERVE });
    const rows = new Map(target.rows);
    const before = await store.tree(OWNER.tenant);
    const signal = new AbortController().signal;
    const preview = await gate.preview(agent('bot'), setDraft('a', '9'), signal);
    assert.equal(preview.state === 'previewed' && preview.wouldBe, 'deny');
    assert.match(preview.reason, /only observes: this write would be allowed/);
    assert.deepEqual([target.rows, await store.tree(OWNER.tenant)], [rows, before]);
  });

  test('takes no budget and holds no key: what is observed is not a duplicate of itself', async () => {
    const bench = await testGate({ policy: OBSERVE });
    for (let each = 0; each < 7; each += 1) {
      assertObserved(await bench.gate.propose(agent('bot'), setDraft('a', '9')), /be allowed/);
    }
    bench.setPolicy(POLICY);
    const active = await bench.gate.propose(agent('bot'), setDraft('a', '9'));
    assert.equal(active.state, 'applied', 'none of the five of the budget was used up');
  });

  test('lets a rollback of what was applied before not through either', async () => {
    const bench = await testGate();
    const applied = await bench.gate.propose(agent('bot'), setDraft('a', '9'));
    bench.setPolicy(OBSERVE);
    const { id } = await bench.proposal(applied.proposalId);
    assertObserved(await bench.gate.rollback(OWNER, id), /would be allowed/);
    assert.equal(bench.target.rows.get('a'), '9');
  });

  test('that comes into force ends what waited, at the first answer, without an effect', async () => {
    const bench = await testGate();
    const waiting = await bench.gate.propose(agent('clerk'), setDraft('a', '8'));
    assert.equal(waiting.state, 'waiting');
    bench.setPolicy(OBSERVE);
    const { id } = await bench.proposal(waiting.proposalId);
    const planDigest = need(waiting.planDigest);
    const answered = await bench.gate.approve(ANN, id, { planDigest, verdict: 'approve' });
    assert.deepEqual([answered.state, answered.code], ['denied', 'observed']);
    assert.deepEqual((await bench.gate.list(ANN, { states: ['waiting'], limit: 9 })).items, []);
    assert.equal(bench.target.rows.get('a'), '1');
  });

  test('that comes into force while an attempt is open tries nothing again', async () => {
    const bench = await testGate();
    bench.target.faults.apply.push('request-lost');
    bench.target.faults.probe.push('busy');
    const lost = await bench.gate.propose(agent('bot'), setDraft('a', '9'));
    assert.equal(lost.state, 'in_doubt');
    bench.setPolicy(OBSERVE);
    const again = await bench.restart();
    await again.tick();
    const { state } = await bench.proposal(lost.proposalId);
    assert.equal(state, 'refused', 'its key was fenced in the target');
    assert.equal(bench.target.rows.get('a'), '1');
  });
});

test('observing has no other name in what is printed and written down', () => {
  const root = join(import.meta.dirname, '../..');
  const texts = globSync(['docs/**/*.md', 'README.md', 'src/**/*.ts', 'schema/*.json'], {
    cwd: root,
  });
  assert.ok(texts.length > 100);
  const others = texts.flatMap((file) =>
    readFileSync(join(root, file), 'utf8')
      .split('\n')
      .filter((line) => /dry[- ]?run|shadow mode|audit mode|monitor(?:ing)? mode/i.test(line))
      .filter(() => !file.endsWith('observe.test.ts'))
      .map((line) => `${file}: ${line.trim()}`),
  );
  assert.deepEqual(others, []);
});
