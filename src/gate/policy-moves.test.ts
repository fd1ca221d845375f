import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  agent,
  human,
  idOf,
  need,
  POLICY,
  setDraft,
  testGate,
  type TestGate,
} from '../../test/support/gate.ts';
import { LOG_ACT } from '../model/entry.ts';
import type { Change } from '../model/ports.ts';
import { parseConfiguration } from '../policy/parse.ts';

const bot = agent('bot');
const clerk = agent('clerk');
const ann = human('ann');

const STRICTER = POLICY.replace('effect: permit', 'effect: forbid');
const digestOf = (text: string): string => parseConfiguration(text, 'test.yaml').policy.digest;

/** Puts a policy into the ledger and then into force, as a running gateway does. */
async function bringIn(opened: TestGate, text: string, commit: TestGate['store']['commit']) {
  const { digest, mode } = parseConfiguration(text, 'test.yaml').policy;
  const { tenant } = bot;
  const expectStep = await opened.store.actStep(tenant, LOG_ACT);
  const entries = [{ type: 'policy', digest, mode, text }] as const;
  const acts = [{ act: LOG_ACT, expectStep, entries }];
  const answer = await commit({ tenant, at: opened.clock.now(), acts });
  assert.equal(answer.kind, 'committed');
  opened.setPolicy(text);
}

function intends(change: Change): boolean {
  return change.acts.some(({ entries }) => entries.some(({ type }) => type === 'intent'));
}

/** While a decision that was made already is on its way into the store, the stricter policy comes into force. */
function tightenAtTheCommit(opened: TestGate): void {
  const { store } = opened;
  const commit = store.commit.bind(store);
  let isMoved = false;
  store.commit = async (change) => {
    if (!isMoved && intends(change)) {
      isMoved = true;
      await bringIn(opened, STRICTER, commit);
    }
    return commit(change);
  };
}

/** The same while the decision still reads its facts, after it has read the policy. */
function tightenAtTheDecision(opened: TestGate): void {
  const { store } = opened;
  const budgetUsed = store.budgetUsed.bind(store);
  let isMoved = false;
  store.budgetUsed = async (...asked) => {
    if (!isMoved) {
      isMoved = true;
      await bringIn(opened, STRICTER, store.commit.bind(store));
    }
    return budgetUsed(...asked);
  };
}

for (const [when, tighten] of [
  ['while the decision is made', tightenAtTheDecision],
  ['while its commit waits for its turn', tightenAtTheCommit],
] as const) {
  for (const holds of [true, false]) {
    const how = holds ? 'that holds' : 'that does not hold';

    test(`a stricter policy binds that comes ${when}, on a target ${how}`, async () => {
      const opened = await testGate({ holds });
      tighten(opened);
      const result = await opened.gate.propose(bot, setDraft('a', '9'));
      assert.equal(result.state, 'denied');
      assert.equal(result.code, 'rule-forbids');
      assert.equal(opened.target.rows.get('a'), '1');
      assert.equal(opened.target.open(), 0);
      const [kept, ...more] = await opened.store.proposals(bot.tenant, { limit: 10 });
      assert.equal(need(kept).decision?.policyDigest, digestOf(STRICTER));
      assert.deepEqual(more, []);
    });
  }

  test(`a stricter policy binds what people let through that comes ${when}`, async () => {
    const opened = await testGate();
    const waiting = await opened.gate.propose(clerk, setDraft('a', '9'));
    assert.equal(waiting.state, 'waiting');
    tighten(opened);
    const body = { planDigest: need(waiting.planDigest), verdict: 'approve' } as const;
    const result = await opened.gate.approve(ann, idOf(waiting.proposalId), body);
    assert.equal(result.code, 'rule-forbids');
    assert.equal(opened.target.rows.get('a'), '1');
  });

  test(`a stricter policy binds a second attempt that comes ${when}`, async () => {
    const opened = await testGate();
    opened.target.faults.apply.push('request-lost');
    opened.target.faults.probe.push('request-lost');
    const open = await opened.gate.propose(bot, setDraft('a', '9'));
    assert.equal(open.state, 'in_doubt');
    tighten(opened);
    await opened.gate.tick();
    assert.equal((await opened.proposal(open.proposalId)).outcome?.code, 'interrupted');
    assert.equal(opened.target.rows.get('a'), '1');
  });
}

const RELIED_ON = `${POLICY}dependents:
  - { name: shop, target: kv, resource: rows, criticality: critical }
  - { name: books, target: kv, resource: rows, criticality: critical }
  - { name: mail, target: kv, resource: rows, criticality: critical }
`;

for (const holds of [true, false]) {
  const how = holds ? 'held' : 'not held';

  test(`what was measured under a former policy is measured and scored anew (${how})`, async () => {
    const opened = await testGate({ holds });
    const { store } = opened;
    const actStep = store.actStep.bind(store);
    let looks = 0;
    store.actStep = async (...asked) => {
      looks += 1;
      // The first look is before the measure, the second before the decision on it.
      if (looks === 2) {
        await bringIn(opened, RELIED_ON, store.commit.bind(store));
      }
      return actStep(...asked);
    };
    const result = await opened.gate.propose(bot, setDraft('a', '9'));
    assert.equal(result.state, 'waiting');
    const { decision, assessment } = await opened.proposal(result.proposalId);
    assert.equal(assessment?.risk.level, 'critical');
    assert.ok(decision?.findings.some(({ code }) => code === 'risk-critical'));
    assert.equal(opened.target.rows.get('a'), '1');
    assert.equal(opened.target.open(), 0);
  });
}

test('a policy that comes into force and lets it through as well costs another round, not the write', async () => {
  const opened = await testGate({ holds: true });
  const wider = POLICY.replace('max: 5', 'max: 6');
  const { store } = opened;
  const commit = store.commit.bind(store);
  let moves = 0;
  store.commit = async (change) => {
    if (intends(change) && moves === 0) {
      moves += 1;
      await bringIn(opened, wider, commit);
    }
    return commit(change);
  };
  const result = await opened.gate.propose(bot, setDraft('a', '9'));
  assert.equal(result.state, 'applied');
  assert.equal(opened.target.committed.length, 1);
  const { decision } = await opened.proposal(result.proposalId);
  assert.equal(decision?.policyDigest, digestOf(wider));
});

for (const holds of [true, false]) {
  test(`policies that never hold still end it after bounded rounds, with nothing written (${holds ? 'held' : 'not held'})`, async () => {
    const opened = await testGate({ holds });
    const { store } = opened;
    const commit = store.commit.bind(store);
    let moves = 0;
    store.commit = async (change) => {
      if (intends(change)) {
        moves += 1;
        await bringIn(opened, POLICY.replace('max: 5', `max: ${5 + moves}`), commit);
      }
      return commit(change);
    };
    await assert.rejects(opened.gate.propose(bot, setDraft('a', '9')), {
      code: 'too-many-requests',
    });
    assert.equal(moves, 4);
    assert.equal(opened.target.open(), 0);
    assert.equal(opened.target.rows.get('a'), '1');
  });
}
