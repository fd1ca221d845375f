import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  agent,
  human,
  idOf,
  need,
  setDraft,
  testGate,
  type TestGate,
} from '../../test/support/gate.ts';
import type { Json, JsonObject } from '../lib/json.ts';
import type { Draft } from '../model/draft.ts';

const bot = agent('bot');
const clerk = agent('clerk');
const ann = human('ann');

/** The same intent in other words. */
function spelt(how: string, extra: Parameters<typeof setDraft>[2] = {}): Draft {
  const draft = setDraft('a', '9', extra);
  return { ...draft, arguments: { ...draft.arguments, spelt: how } };
}

/** A target that knows what is said whatever the words, and what it was asked for that. */
async function knowingGate(
  canonical = async (_operation: string, { key, value }: JsonObject): Promise<Json> => ({
    key: key ?? null,
    value: value ?? null,
  }),
): Promise<TestGate> {
  const opened = await testGate();
  Object.assign(opened.target, { canonical });
  return opened;
}

test('the same intent in other words gives the first result back, also after a restart', async () => {
  const { gate, restart, target } = await knowingGate();
  const first = await gate.propose(bot, spelt('one'));
  assert.equal(first.state, 'applied');
  for (const again of [gate, await restart()]) {
    const second = await again.propose(bot, spelt('two'));
    assert.deepEqual(second, { ...first, replayed: true });
  }
  assert.equal(target.committed.length, 1);
});

test('the same intent in other words under a fresh key, or of another agent, is a duplicate', async () => {
  const { gate, clock } = await knowingGate();
  const first = await gate.propose(bot, spelt('one'));
  const fresh = await gate.propose(bot, spelt('two', { idempotencyKey: 'fresh' }));
  const other = await gate.propose(clerk, spelt('three'));
  for (const result of [fresh, other]) {
    assert.equal(result.code, 'duplicate-write');
    assert.equal(result.state === 'denied' && result.duplicateOf, first.proposalId);
    assert.match(result.reason, /the same write was proposed before/);
  }
  clock.advance(24 * 3_600_000 + 1);
  assert.equal((await gate.propose(clerk, spelt('three'))).state, 'waiting');
});

test('a key that comes again with the same intent in other words gives the first result', async () => {
  const { gate } = await knowingGate();
  const first = await gate.propose(bot, spelt('one', { idempotencyKey: 'k' }));
  const second = await gate.propose(bot, spelt('two', { idempotencyKey: 'k' }));
  assert.deepEqual(second, { ...first, replayed: true });
  const draft = setDraft('a', '10', { idempotencyKey: 'k' });
  await assert.rejects(gate.propose(bot, draft), { code: 'idempotency-key-reused' });
});

test('the intent is free where the first was refused, and held while it is in doubt', async () => {
  const { gate, target } = await knowingGate();
  target.faults.apply.push('busy');
  assert.equal((await gate.propose(bot, spelt('one'))).state, 'refused');
  target.faults.apply.push('late');
  target.faults.probe.push('busy');
  const doubt = await gate.propose(bot, spelt('two'));
  assert.equal(doubt.state, 'in_doubt');
  const again = await gate.propose(bot, spelt('three'));
  assert.equal(again.proposalId, doubt.proposalId);
  assert.equal(again.replayed, true);
  assert.equal((await gate.propose(clerk, spelt('four'))).code, 'duplicate-write');
});

test('the intent stays held after it was taken back', async () => {
  const { gate, target } = await knowingGate();
  const first = await gate.propose(bot, spelt('one'));
  await gate.rollback(ann, idOf(first.proposalId));
  assert.equal(target.rows.get('a'), '1');
  const again = await gate.propose(bot, spelt('two'));
  assert.equal(again.proposalId, first.proposalId);
  assert.equal(target.rows.get('a'), '1');
});

test('of twenty ways to say it at once one is carried out, over two gateways', async () => {
  const { gate, another, target } = await knowingGate();
  const gates = [gate, another()];
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, n) => need(gates[n % 2]).propose(bot, spelt(`way ${n}`))),
  );
  assert.equal(new Set(results.map((result) => result.proposalId)).size, 1);
  assert.equal(target.committed.length, 1);
});

test('where no form can be made the arguments stand for themselves', async () => {
  for (const canonical of [
    () => Promise.resolve(null),
    () => Promise.reject(new Error('the parser broke')),
  ]) {
    const { gate } = await knowingGate(canonical);
    const first = await gate.propose(bot, setDraft('a', '9'));
    const second = await gate.propose(bot, setDraft('a', '9'));
    assert.equal(second.proposalId, first.proposalId);
    const other = await gate.propose(bot, setDraft('b', '9'));
    assert.notEqual(other.proposalId, first.proposalId);
  }
});

test('what was proposed while no form could be made is known by its arguments afterwards', async () => {
  const { gate, target } = await testGate();
  const first = await gate.propose(bot, spelt('one'));
  Object.assign(target, { canonical: () => Promise.resolve({ form: 1 }) });
  assert.equal((await gate.propose(bot, spelt('one'))).proposalId, first.proposalId);
});

test('a target is asked for the form of its own operations alone, and of no compensation', async () => {
  const asked: string[] = [];
  const { gate } = await knowingGate(async (operation, { key, value }) => {
    asked.push(operation);
    return { key: key ?? null, value: value ?? null };
  });
  const unknown = await gate.propose(bot, { ...spelt('one'), operation: 'drop' });
  assert.equal(unknown.code, 'unknown-operation');
  const first = await gate.propose(bot, spelt('one'));
  await gate.rollback(ann, idOf(first.proposalId));
  assert.deepEqual(asked, ['set']);
});
