import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agent, human, need, POLICY, setDraft, testGate } from '../../test/support/gate.ts';
import type { SuggestAnswer, SuggestBody } from '../model/suggest.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { scoreOf } from '../policy/stages/risk.ts';
import { openPast } from './past.ts';

const OPERATOR = human('ben', ['operator']);

async function observed() {
  const policy = `${POLICY.replace('max: 5', 'max: 500')}mode: observe\n`;
  const bench = await testGate({ policy });
  for (let each = 0; each < 30; each += 1) {
    await bench.gate.propose(agent('bot'), setDraft(`k${each}`, 'x'));
    bench.clock.advance(60_000);
  }
  await bench.gate.propose(agent('bot'), setDraft('a', null));
  await bench.gate.propose(agent('clerk'), setDraft('c', '1'));
  await bench.gate.propose(agent('bot'), setDraft('k1', 'x', { target: 'elsewhere' }));
  const past = openPast(
    {
      store: bench.store,
      clock: bench.clock,
      targets: { find: () => bench.target, names: () => ['kv'] },
      pause: async () => undefined,
    },
    { configuration: () => parseConfiguration(policy, 'test.yaml'), score: scoreOf },
  );
  const suggest = async (body: Partial<SuggestBody> = {}): Promise<SuggestAnswer> => {
    let answer: SuggestAnswer | undefined;
    const signal = new AbortController().signal;
    for await (const step of past.suggest(OPERATOR, { since: 0, ...body }, signal)) {
      if (step.kind === 'done') answer = step.answer;
    }
    return need(answer);
  };
  return { bench, suggest };
}

test('what was only observed is drafted into a policy that enforces it, with its replay', async () => {
  const { bench, suggest } = await observed();
  const before = await bench.store.tree(OPERATOR.tenant);
  const { text, agents, replay } = await suggest();
  const { policy } = parseConfiguration(text, 'draft.yaml');
  assert.equal(policy.mode, 'active');
  const lines = policy.agents.get('bot')?.permissions ?? [];
  assert.deepEqual(
    lines.map(({ match, tier }) => [match.target, match.resource, match.class, tier]),
    [
      [['kv'], ['rows'], ['create'], 'autonomous'],
      [['kv'], ['rows'], ['delete'], 'confirm'],
    ],
  );
  const [bot] = agents;
  assert.deepEqual([bot?.writes, bot?.records], [31, { p50: 1, p99: 1, max: 1 }]);
  assert.deepEqual(bot?.denied, [{ code: 'unknown-target', proposals: 1 }]);
  assert.match(text, /# seen 31 writes over 1 day, p99 1 record, most 1/);
  assert.match(text, /since it was not let through: 1 unknown-target/);
  assert.deepEqual(
    replay.groups.map(({ from, to, proposals }) => `${from} to ${to}: ${proposals}`).toSorted(),
    ['observed to allow: 30', 'observed to wait: 2'],
  );
  assert.deepEqual(await bench.store.tree(OPERATOR.tenant), before, 'nothing was written');
});

test('one agent can be drafted alone, by a name that the policy has, and by people who may look', async () => {
  const { suggest } = await observed();
  const { text, agents } = await suggest({ agent: 'clerk' });
  assert.deepEqual(
    agents.map((each) => each.agent),
    ['clerk'],
  );
  const { policy } = parseConfiguration(text, 'draft.yaml');
  assert.equal(policy.agents.get('bot')?.permissions.length, 2, 'the lines of the file');
  await assert.rejects(suggest({ agent: 'nobody' }), { code: 'request-invalid' });
});
