import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  agent,
  human,
  need,
  POLICY,
  setDraft,
  testGate,
  type TestGate,
} from '../../../test/support/gate.ts';
import type { Principal } from '../../model/principal.ts';
import type { ReplayBody, ReplayReport } from '../../model/replay.ts';
import { parseConfiguration } from '../../policy/parse.ts';
import { scoreOf } from '../../policy/stages/risk.ts';
import { openPast, type Past } from '../past.ts';
import { recordedVerdict } from './recorded.ts';

const AUDITOR = human('cleo', ['auditor']);
const MINUTE_MS = 60_000;

function pastOf(
  { store, clock, target }: TestGate,
  policy: string,
  bounds?: { proposalsMax?: number; timeMsMax?: number },
): Past {
  return openPast(
    {
      store,
      clock,
      targets: { find: () => target, names: () => [target.name] },
      pause: async () => undefined,
    },
    {
      configuration: () => parseConfiguration(policy, 'test.yaml'),
      score: scoreOf,
      ...(bounds === undefined ? {} : { bounds }),
    },
  );
}

/** The report over everything, of the policy in force unless the body says otherwise. */
async function replayed(
  bench: TestGate,
  policy: string,
  body: Partial<ReplayBody> = {},
  bounds?: { proposalsMax?: number },
): Promise<ReplayReport> {
  return reportOf(pastOf(bench, policy, bounds), { since: 0, ...body });
}

async function reportOf(past: Past, body: ReplayBody, as: Principal = AUDITOR) {
  let report: ReplayReport | undefined;
  for await (const step of past.replay(as, body, new AbortController().signal)) {
    if (step.kind === 'done') report = step.answer;
  }
  return need(report);
}

/** `allow to deny: 3`, one for each way in which decisions change. */
function changes({ groups }: ReplayReport): readonly string[] {
  return groups.map(({ from, to, proposals }) => `${from} to ${to}: ${proposals}`).toSorted();
}

/** A story with every kind of ending, over two hours. */
async function story(bench: TestGate): Promise<void> {
  const { gate, clock, target } = bench;
  const bot = agent('bot');
  const propose = (key: string, value: string | null, extra = {}) =>
    gate.propose(bot, setDraft(key, value, extra));
  const applied = await propose('a', '10');
  await propose('a', '10', { idempotencyKey: 'again' });
  await propose('b', null);
  const drafted = await gate.propose(agent('clerk'), setDraft('c', '1'));
  const shown = need(drafted.planDigest);
  const id = (await bench.proposal(drafted.proposalId)).id;
  clock.advance(MINUTE_MS);
  await gate.approve(human('ann'), id, { planDigest: shown, verdict: 'approve' });
  const refused = await gate.propose(agent('clerk'), setDraft('d', '1'));
  await gate.approve(human('ann'), (await bench.proposal(refused.proposalId)).id, {
    planDigest: need(refused.planDigest),
    verdict: 'deny',
  });
  await gate.propose(agent('clerk'), setDraft('e', '1'));
  const withdrawn = await gate.propose(agent('clerk'), setDraft('f', '1'));
  await gate.cancel(agent('clerk'), (await bench.proposal(withdrawn.proposalId)).id);
  clock.advance(45 * MINUTE_MS);
  await gate.tick();
  await gate.rollback(human('owner', ['operator']), (await bench.proposal(applied.proposalId)).id);
  await gate.propose(agent('stranger'), setDraft('g', '1'));
  await propose('h', '1', { target: 'elsewhere' });
  target.faults.plan.push('busy');
  await propose('i', '1');
  for (let each = 0; each < 9; each += 1) {
    await propose(`w${each}`, 'x', { run: `r${each}` });
    clock.advance(8_000);
  }
  target.beforeApply = () => void target.rows.set('drift', 'moved');
  target.rows.set('drift', 'first');
  clock.advance(2 * MINUTE_MS);
  await propose('drift', 'x');
  target.beforeApply = null;
  const stop = await gate.stop(human('ben', ['operator']), { kind: 'all' }, 'look');
  await propose('stopped', 'x');
  await gate.release(human('ben', ['operator']), stop.id, 'seen');
  await gate.propose(agent('clerk'), setDraft('waits', '1'));
}

describe('a replay', () => {
  test('of the policy in force over what was decided under it changes no decision', async () => {
    const bench = await testGate();
    await story(bench);
    const report = await replayed(bench, POLICY);
    assert.deepEqual(changes(report), []);
    const all = await bench.gate.list(AUDITOR, { limit: 200 });
    assert.equal(report.proposals, all.items.length);
    assert.equal(report.unchanged + report.changed, report.proposals - 1);
    assert.deepEqual(report.notReplayed, [
      {
        reason: 'the target refused it before it was decided on (target-busy)',
        proposals: 1,
      },
    ]);
    assert.equal(report.candidate.isInForce, true);
    assert.equal(report.policies, 1);
  });

  test('says which decisions a candidate changes, with rows, lines and examples', async () => {
    const bench = await testGate();
    await story(bench);
    const stricter = POLICY.replace('tier: autonomous', 'tier: confirm');
    const report = await replayed(bench, POLICY, { text: stricter });
    const [group] = report.groups;
    assert.ok(group !== undefined);
    assert.equal(`${group.from} to ${group.to}`, 'allow to wait');
    assert.equal(group.records, group.proposals, 'one row each');
    assert.equal(group.by[0]?.rule, 'agents.bot.permissions[0]');
    const [example] = group.examples;
    assert.match(example?.id ?? '', /^prop_/);
    const codes = [example?.recorded.code, example?.candidate.code];
    assert.deepEqual(codes, ['allowed', 'approval-required']);
    assert.equal(report.candidate.isInForce, false);
  });

  test('spends budgets by the candidate’s decisions, in sliding windows', async () => {
    const bench = await testGate({ policy: POLICY.replace('max: 5', 'max: 100') });
    for (let each = 0; each < 12; each += 1) {
      await bench.gate.propose(agent('bot'), setDraft(`k${each}`, 'x'));
      bench.clock.advance(20_000);
    }
    // Every third is denied by a budget of two a minute: what was denied has not spent.
    const two = await replayed(bench, POLICY, { text: POLICY.replace('max: 5', 'max: 2') });
    assert.deepEqual(changes(two), ['allow to deny: 4']);
    assert.equal(two.groups[0]?.by[0]?.rule, 'budgets.writes');
    const five = await replayed(bench, POLICY);
    assert.deepEqual(changes(five), []);
  });

  test('knows duplicates by the candidate’s own window', async () => {
    const hour = `${POLICY}duplicates: { window: 1h }\n`;
    const bench = await testGate({ policy: hour });
    const twice = async (key: string): Promise<void> => {
      await bench.gate.propose(agent('bot'), setDraft('a', key));
      bench.clock.advance(90 * MINUTE_MS);
    };
    await twice('1');
    await twice('2');
    await twice('1');
    const day = await replayed(bench, hour, { text: `${POLICY}duplicates: { window: 24h }\n` });
    assert.deepEqual(changes(day), ['allow to deny: 1']);
    assert.equal(day.groups[0]?.by[0]?.code, 'duplicate-write');
    assert.deepEqual(changes(await replayed(bench, hour)), []);
  });

  test('counts what was never measured and cannot be said', async () => {
    const bench = await testGate();
    await bench.gate.propose(agent('stranger'), setDraft('a', '1'));
    await bench.gate.propose(agent('bot'), setDraft('b', '1'));
    const known = POLICY.replace(
      '  clerk:',
      '  stranger: { permissions: [{ target: kv, tier: autonomous }] }\n  clerk:',
    );
    const report = await replayed(bench, POLICY, { text: known });
    assert.deepEqual(report.notReplayed, [
      { reason: 'nothing was measured: it was denied before (unknown-agent)', proposals: 1 },
    ]);
    assert.deepEqual([report.proposals, report.unchanged, report.changed], [2, 1, 0]);
  });

  test('counts only what was made since, on what had been spent before', async () => {
    const loose = POLICY.replace('max: 5', 'max: 100');
    const bench = await testGate({ policy: loose });
    for (let each = 0; each < 4; each += 1) {
      await bench.gate.propose(agent('bot'), setDraft(`k${each}`, 'x'));
    }
    bench.clock.advance(30_000);
    const since = bench.clock.now();
    for (let each = 4; each < 7; each += 1) {
      await bench.gate.propose(agent('bot'), setDraft(`k${each}`, 'x'));
    }
    const report = await replayed(bench, loose, { text: POLICY, since });
    assert.equal(report.proposals, 3);
    assert.deepEqual(changes(report), ['allow to deny: 2'], 'four of five were spent already');
  });

  test('over more proposals than its bound says that it was cut short', async () => {
    const bench = await testGate({ policy: POLICY.replace('max: 5', 'max: 1000') });
    for (let each = 0; each < 205; each += 1) {
      await bench.gate.propose(agent('bot'), setDraft(`k${each}`, 'x'));
      bench.clock.advance(1);
    }
    const report = await replayed(bench, POLICY, {}, { proposalsMax: 50 });
    assert.equal(report.proposals, 50);
    assert.match(report.cutShort ?? '', /more than 50 proposals; the oldest were left out/);
  });

  test('changes nothing, and is for operators and auditors', async () => {
    const bench = await testGate();
    await story(bench);
    const before = await bench.store.tree(AUDITOR.tenant);
    const past = pastOf(bench, POLICY);
    await reportOf(past, { since: 0, text: POLICY.replace('max: 5', 'max: 1') });
    assert.deepEqual(await bench.store.tree(AUDITOR.tenant), before);
    for (const [who, code] of [
      [agent('bot'), 'credential-kind'],
      [human('ann', ['approver']), 'role-missing'],
    ] as const) {
      await assert.rejects(reportOf(past, { since: 0 }, who), { code });
    }
    await assert.rejects(reportOf(past, { since: 0, text: 'rules: 5' }), {
      code: 'configuration-invalid',
    });
  });

  test('answers one question at a time, and is free again when one is given up', async () => {
    const bench = await testGate();
    await bench.gate.propose(agent('bot'), setDraft('a', '1'));
    const past = pastOf(bench, POLICY);
    const first = past.replay(AUDITOR, { since: 0 }, new AbortController().signal);
    await first.next();
    await assert.rejects(reportOf(past, { since: 0 }), { code: 'too-many-requests' });
    await first.return(undefined);
    assert.equal((await reportOf(past, { since: 0 })).proposals, 1);
  });
});

/** One thing that an agent or the world does, for random histories. */
const act = fc.record({
  who: fc.constantFrom('bot', 'bot', 'bot', 'clerk', 'stranger'),
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
  value: fc.constantFrom('1', '2', '3', null),
  hasKey: fc.boolean(),
  waitMs: fc.constantFrom(0, 0, 1_000, 15_000, 61_000, 4_000_000),
  answer: fc.constantFrom(
    'approve' as const,
    'approve' as const,
    'deny' as const,
    'leave' as const,
  ),
  fault: fc.constantFrom(null, null, null, null, 'busy' as const, 'request-lost' as const),
});

const RANDOM = `${POLICY}
thresholds: [{ name: risky, match: { resource: rows }, recordsOver: 1 }]
never: [{ name: odd, match: { operation: other }, reason: none }]
limits: [{ name: few, recordsMax: 3 }]
duplicates: { window: 1h }
`;

test('whatever happened under a policy, replaying it changes no decision (law)', async () => {
  let seen = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(act, { minLength: 1, maxLength: 25 }),
      fc.boolean(),
      async (acts, holds) => {
        const bench = await testGate({ policy: RANDOM, holds });
        for (const [place, each] of acts.entries()) {
          if (each.fault !== null) bench.target.faults.apply.push(each.fault);
          const key = each.hasKey ? { idempotencyKey: `k${place}` } : {};
          const result = await bench.gate.propose(
            agent(each.who),
            setDraft(each.key, each.value, key),
          );
          bench.target.faults.apply.length = 0;
          bench.clock.advance(each.waitMs);
          await bench.gate.tick();
          if (each.answer === 'leave' || result.state !== 'waiting') continue;
          const { id, state, assessment } = await bench.proposal(result.proposalId);
          if (state !== 'waiting') continue;
          const planDigest = need(assessment).planDigest;
          await bench.gate.approve(human('ann'), id, { planDigest, verdict: each.answer });
        }
        const report = await replayed(bench, RANDOM);
        assert.deepEqual(report.groups, []);
        seen += report.unchanged;
      },
    ),
    { numRuns: 60 },
  );
  assert.ok(seen > 300, 'decisions were compared');
});

test('what was observed replays to what an active policy decides (law)', async () => {
  const seen = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 20 }), async (acts) => {
      const active = await testGate({ policy: RANDOM });
      const observing = await testGate({ policy: `${RANDOM}mode: observe\n` });
      for (const [place, each] of acts.entries()) {
        // Keys of its own for each: what is measured does not rest on what was applied before.
        const draft = setDraft(`${each.key}${each.value === null ? '' : place % 4}`, each.value, {
          idempotencyKey: `k${place}`,
        });
        for (const { gate, clock } of [active, observing]) {
          await gate.propose(agent(each.who), draft);
          clock.advance(each.waitMs === 4_000_000 ? 0 : each.waitMs);
        }
      }
      const report = await replayed(observing, `${RANDOM}mode: observe\n`, { mode: 'active' });
      const wanted = new Map<string, number>();
      for (const { id } of (await active.gate.list(AUDITOR, { limit: 200 })).items) {
        const { decision } = await active.proposal(id);
        const verdict = recordedVerdict(need(decision));
        wanted.set(verdict, (wanted.get(verdict) ?? 0) + 1);
        seen.set(verdict, (seen.get(verdict) ?? 0) + 1);
      }
      const found = new Map<string, number>();
      if (report.unchanged > 0) found.set('deny', report.unchanged);
      for (const { from, to, proposals } of report.groups) {
        assert.ok(from === 'observed' || from === 'deny', from);
        found.set(to, (found.get(to) ?? 0) + proposals);
      }
      assert.deepEqual(Object.fromEntries(found), Object.fromEntries(wanted));
    }),
    { numRuns: 50 },
  );
  for (const verdict of ['allow', 'wait', 'deny']) assert.ok((seen.get(verdict) ?? 0) > 0, verdict);
});
