/** Expiry: exact however many wait, and no more read than is due. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openGate, type OpenGate } from '../gate.ts';
import { replacing } from '../lib/around.ts';
import type { FreezeView } from '../model/api.ts';
import type { Clock, Store } from '../model/ports.ts';
import type { Result } from '../model/result.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { scoreOf } from '../policy/stages/risk.ts';
import { countingRandom } from '../../test/support/fakes.ts';
import {
  agent,
  human,
  need,
  POLICY,
  setDraft,
  testGate,
  type TestGate,
} from '../../test/support/gate.ts';

const clerk = agent('clerk');
const ben = human('ben', ['operator']);
const MINUTE = 60_000;
const EXPIRES_AFTER = 30 * MINUTE;

/** A gate over the same store that writes down which proposals it read. */
function counted(world: TestGate): { gate: OpenGate; read: string[] } {
  const { store } = world;
  const read: string[] = [];
  const counting: Store = new Proxy(store, {
    get(of, name) {
      const method: unknown = Reflect.get(of, name);
      if (typeof method !== 'function') return method;
      return (...given: unknown[]): unknown => {
        if (name === 'proposal') read.push(String(given[1]));
        return Reflect.apply(method, of, given);
      };
    },
  });
  return { gate: gateOver(world, { store: counting }), read };
}

/** Another gate over the same target. */
function gateOver(
  { store, clock, target }: TestGate,
  own: { readonly store?: Store; readonly clock?: Clock },
): OpenGate {
  const { policy } = parseConfiguration(POLICY, 'test.yaml');
  return openGate(
    {
      store,
      clock,
      random: countingRandom(7),
      targets: { find: (name) => (name === target.name ? target : undefined) },
      notifier: { waiting: () => Promise.resolve() },
      ...own,
    },
    { holder: 'counted/1', policy: () => policy, score: scoreOf, links: { human: () => null } },
  );
}

/** Begins `count` waits, each a minute after the one before it. */
async function waits({ gate, clock }: TestGate, count: number): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let number = 0; number < count; number += 1) {
    const { state, proposalId } = await gate.propose(clerk, setDraft(`k${number}`, 'v'));
    assert.equal(state, 'waiting');
    ids.push(proposalId ?? '');
    clock.advance(MINUTE);
  }
  return ids;
}

test('a tick reads what is due and nothing else', async () => {
  const world = await testGate();
  const ids = await waits(world, 20);
  const { gate, read } = counted(world);
  await gate.tick();
  assert.deepEqual(read, [], 'nothing is due yet');
  world.clock.advance(EXPIRES_AFTER - 20 * MINUTE);
  await gate.tick();
  assert.deepEqual(read, ids.slice(0, 1));
  world.clock.advance(3 * MINUTE);
  await gate.tick();
  assert.deepEqual(new Set(read), new Set(ids.slice(0, 4)));
  await gate.tick();
  assert.equal(read.length, 4, 'what ended is not read again');
});

test('what is over is expired at once, however many are due together', async () => {
  const world = await testGate();
  const waiting: Result[] = [];
  for (let number = 0; number < 200; number += 1) {
    waiting.push(await world.gate.propose(clerk, setDraft(`k${number}`, 'v')));
  }
  world.clock.advance(EXPIRES_AFTER);
  await world.gate.tick();
  for (const { proposalId } of waiting) {
    assert.equal((await world.proposal(proposalId)).state, 'expired');
  }
});

test('under a stop each is read once until it can be due, and is expired when it is', async () => {
  const world = await testGate();
  const ids = await waits(world, 20);
  const { gate, read } = counted(world);
  // The first has ten minutes of its own left, the second eleven, and so on.
  const freeze = await gate.stop(ben, { kind: 'all' }, 'a test');
  world.clock.advance(60 * MINUTE);
  await gate.tick();
  assert.deepEqual(new Set(read), new Set(ids), 'each is past its first deadline');
  assert.equal(read.length, ids.length);
  read.length = 0;
  for (let minute = 0; minute < 9; minute += 1) {
    world.clock.advance(MINUTE);
    await gate.tick();
  }
  assert.deepEqual(read, [], 'none can be due so early, whenever it is released');
  await gate.release(ben, freeze.id, 'over');
  world.clock.advance(10 * MINUTE);
  await gate.tick();
  const states = await Promise.all(ids.map(async (id) => (await world.proposal(id)).state));
  assert.deepEqual(states, ['expired', ...ids.slice(1).map(() => 'waiting')]);
  world.clock.advance(MINUTE);
  await gate.tick();
  assert.equal((await world.proposal(ids[1] ?? '')).state, 'expired');
});

test('a stop that a clock behind placed since the look holds it up', async () => {
  const world = await testGate();
  const { gate, clock, store } = world;
  const [id] = await waits(world, 1);
  let stopped: Promise<FreezeView> | undefined;
  // The other gateway's clock is an hour ahead, and by that it is over.
  const ahead = gateOver(world, {
    clock: { now: () => clock.now() + 2 * EXPIRES_AFTER, sleep: () => Promise.resolve() },
    store: replacing(store, {
      freezes: async (tenant, since) => {
        const found = await store.freezes(tenant, since);
        stopped ??= gate.stop(ben, { kind: 'all' }, 'just in time');
        await stopped;
        return found;
      },
    }),
  });
  await ahead.tick();
  assert.equal((await world.proposal(id ?? '')).state, 'waiting');
  clock.advance(EXPIRES_AFTER);
  await ahead.tick();
  assert.equal((await world.proposal(id ?? '')).state, 'waiting', 'for as long as it is on');
  const { id: freeze } = await need(stopped);
  await gate.release(ben, freeze, 'over');
  // The other has put the next look off by its own clock.
  clock.advance(3 * EXPIRES_AFTER);
  await gate.tick();
  assert.equal((await world.proposal(id ?? '')).state, 'expired');
});

test('one that cannot be read keeps no other from its end', async () => {
  const world = await testGate();
  const ids = await waits(world, 3);
  const broken: Store = new Proxy(world.store, {
    get(of, name) {
      const method: unknown = Reflect.get(of, name);
      if (typeof method !== 'function') return method;
      return (...given: unknown[]): unknown => {
        if (name === 'proposal' && given[1] === ids[0]) throw new Error('a broken record');
        return Reflect.apply(method, of, given);
      };
    },
  });
  const { gate } = counted({ ...world, store: broken });
  world.clock.advance(EXPIRES_AFTER);
  await assert.rejects(gate.tick(), AggregateError);
  assert.equal((await world.proposal(ids[2] ?? '')).state, 'expired');
  await gate.tick();
  assert.equal(
    (await world.proposal(ids[0] ?? '')).state,
    'waiting',
    'it is looked at again later',
  );
});
