import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agent, human, idOf, setDraft, testGate } from '../../test/support/gate.ts';
import { trace, TRACED_MAX } from './trace.ts';

const bot = agent('bot');
const clerk = agent('clerk');
const run = 'run_9f2d';
const pause = (): Promise<void> => Promise.resolve();

test('a trace tells calls, people, effects and why the run stopped, in the order of their time', async () => {
  const { gate, store, clock } = await testGate();
  const first = await gate.propose(bot, setDraft('a', '9', { run }));
  clock.advance(1);
  await gate.propose(bot, setDraft('a', '9', { run, idempotencyKey: 'fresh' }));
  clock.advance(1);
  const waiting = await gate.propose(clerk, setDraft('b', '3', { run }));
  clock.advance(1);
  const body = { planDigest: waiting.planDigest ?? '', verdict: 'deny' } as const;
  await gate.approve(human('ann'), idOf(waiting.proposalId), body);
  clock.advance(1);
  for (const value of ['1', '2', '3', '4', '5']) {
    await gate.propose(bot, setDraft('c', value, { run }));
  }
  await gate.propose(bot, setDraft('other', '1', { run: 'another' }));

  const { items, left } = await trace({ store, pause }, human('ann'), run);
  assert.equal(left, 0);
  assert.deepEqual(
    items.map(({ step }) => step),
    items.map((_each, index) => index + 1),
  );
  const told = items.map((line) => {
    switch (line.event) {
      case 'tool_call':
        return `${line.tool} ${line.decision} ${line.ok}`;
      case 'approval':
        return `${line.approver} ${line.verdict}`;
      case 'stop':
        return line.reason;
      case 'effect':
      case 'compensated':
        return line.event;
    }
  });
  assert.deepEqual(told.slice(0, 7), [
    'kv.set allow true',
    'effect',
    'kv.set deny false',
    'duplicate_write',
    'kv.set deny false',
    'ann deny',
    'approval_denied',
  ]);
  assert.equal(told.at(-1), 'budget_exceeded');
  const [call] = items;
  assert.ok(call?.event === 'tool_call');
  assert.equal(call.proposal, first.proposalId);
  assert.match(call.args_hash, /^sha256:[0-9a-f]{64}$/);
});

test('an agent is told what it proposed itself, whoever else used the name of the run', async () => {
  const { gate, store } = await testGate();
  await gate.propose(bot, setDraft('a', '9', { run }));
  await gate.propose(clerk, setDraft('b', '9', { run }));
  const own = await trace({ store, pause }, clerk, run);
  assert.deepEqual(
    own.items.map((line) => (line.event === 'stop' ? line.reason : line.event)),
    ['tool_call', 'approval_required'],
  );
  assert.equal((await trace({ store, pause }, human('ann'), run)).items.length, 4);
  assert.deepEqual(await trace({ store, pause }, clerk, 'no such run'), { items: [], left: 0 });
});

test('of more proposals than a trace tells it tells the newest, and how many it leaves out', async () => {
  const { gate, store, proposal } = await testGate();
  const result = await gate.propose(bot, setDraft('a', '9', { run }));
  const one = await proposal(result.proposalId);
  const many = Array.from({ length: TRACED_MAX + 7 }, () => one);
  let at = 0;
  const paged = {
    ...store,
    proposals: async (_tenant: string, { limit }: { readonly limit: number }) => {
      at += limit;
      return many.slice(at - limit, at);
    },
  };
  const { items, left } = await trace({ store: paged, pause }, human('ann'), run);
  assert.equal(items.length, 2 * TRACED_MAX);
  assert.equal(left, 7);
});

test('a run that others fill is looked through only so far, and every page lets others have a turn', async () => {
  const { gate, store, proposal } = await testGate();
  const one = await proposal((await gate.propose(bot, setDraft('a', '9', { run }))).proposalId);
  let pages = 0;
  let turns = 0;
  const endless = {
    ...store,
    proposals: async (_tenant: string, { limit }: { readonly limit: number }) => {
      pages += 1;
      return Array.from({ length: limit }, () => one);
    },
  };
  const counted = async (): Promise<void> => void (turns += 1);
  const page = await trace({ store: endless, pause: counted }, clerk, run);
  assert.deepEqual(page, { items: [], left: 0 });
  assert.deepEqual([pages, turns], [100, 100]);
});
