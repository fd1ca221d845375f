/** Slots at a target: bounded, fair among credentials, people first, and nothing lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newCredentialId } from '../model/ids.ts';
import { Problem } from '../model/problem.ts';
import { fakeClock } from '../../test/support/fakes.ts';
import { need } from '../../test/support/gate.ts';
import { openSlots, SLOT_BOUNDS, type SlotBounds, type Slots } from './slots.ts';

type Caller = Parameters<Slots['during']>[0];

function agent(number: number): Caller {
  return { kind: 'agent', credential: newCredentialId(number, new Uint8Array(10)) };
}
const person: Caller = { kind: 'person', credential: newCredentialId(999, new Uint8Array(10)) };

const SMALL: SlotBounds = { allMax: 4, agentsMax: 3, oneMax: 2, waitingMax: 8, waitMsMax: 5_000 };

interface Bench {
  readonly slots: Slots;
  readonly clock: ReturnType<typeof fakeClock>;
  /** Who was let in, in order, by the names that `call` was given. */
  readonly entered: string[];
  /** Begins a call and lets everything that is ready run. */
  call(name: string, caller: Caller, places?: readonly string[]): Promise<void>;
  /** Ends a call that was let in. */
  end(name: string): Promise<void>;
  /** The code with which a call was refused, if it was. */
  refused(name: string): string | undefined;
}

function bench(write: SlotBounds = SMALL): Bench {
  const clock = fakeClock();
  const slots = openSlots(clock, { ...SLOT_BOUNDS, write });
  const entered: string[] = [];
  const ends = new Map<string, () => void>();
  const codes = new Map<string, string>();
  return {
    slots,
    clock,
    entered,
    async call(name, caller, places = ['crm']) {
      const work = (): Promise<void> => {
        entered.push(name);
        return new Promise((resolve) => ends.set(name, resolve));
      };
      slots.during(caller, 'write', places, work).catch((error: unknown) => {
        assert.ok(error instanceof Problem);
        codes.set(name, error.code);
      });
      await settled();
    },
    async end(name) {
      need(ends.get(name))();
      ends.delete(name);
      await settled();
    },
    refused: (name) => codes.get(name),
  };
}

/** Lets what is ready run. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate);
}

test('one credential leaves slots to others, agents leave some to people, and all are bounded', async () => {
  const { call, entered } = bench();
  for (const name of ['a1', 'a2', 'a3']) await call(name, agent(1));
  assert.deepEqual(entered, ['a1', 'a2']);
  await call('b1', agent(2));
  await call('c1', agent(3));
  assert.deepEqual(entered, ['a1', 'a2', 'b1']);
  await call('p1', person);
  await call('p2', person);
  assert.deepEqual(entered, ['a1', 'a2', 'b1', 'p1']);
});

test('what comes free goes to people first, then to the credentials in turn', async () => {
  const { call, end, entered } = bench({ ...SMALL, allMax: 1, agentsMax: 1, oneMax: 1 });
  await call('a1', agent(1));
  for (const name of ['a2', 'a3', 'a4']) await call(name, agent(1));
  await call('b1', agent(2));
  await call('b2', agent(2));
  await call('c1', agent(3));
  await call('p1', person);
  for (let turn = 0; turn < 7; turn += 1) await end(need(entered.at(-1)));
  assert.deepEqual(entered, ['a1', 'p1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
});

test('what does not get its turn in time is told to come again, and takes no slot after that', async () => {
  const { call, end, refused, entered, clock } = bench({ ...SMALL, oneMax: 1 });
  await call('a1', agent(1));
  await call('a2', agent(1));
  clock.advance(4_999);
  await settled();
  assert.equal(refused('a2'), undefined);
  clock.advance(1);
  await end('a1');
  assert.equal(refused('a2'), 'too-many-requests');
  assert.deepEqual(entered, ['a1']);
  await call('a3', agent(1));
  assert.deepEqual(entered, ['a1', 'a3'], 'the slot came back');
});

test('the waiting room is bounded, and a credential takes no more of it than it leaves free', async () => {
  const { call, refused } = bench({ ...SMALL, allMax: 2, agentsMax: 1 });
  await call('busy', agent(9));
  for (let number = 0; number < 5; number += 1) await call(`a${number}`, agent(1));
  assert.deepEqual([refused('a3'), refused('a4')], [undefined, 'too-many-requests']);
  for (let number = 0; number < 3; number += 1) await call(`b${number}`, agent(2));
  assert.deepEqual([refused('b1'), refused('b2')], [undefined, 'too-many-requests']);
  await call('c0', agent(3));
  assert.equal(refused('c0'), undefined, 'another one still finds a place');
});

test('a call over several targets takes them in one order, and gives up what it has if one fails', async () => {
  const { call, end, refused, entered, clock } = bench({ ...SMALL, allMax: 1, agentsMax: 1 });
  await call('crm', agent(1), ['crm']);
  await call('both', agent(2), ['erp', 'crm', 'erp']);
  await call('erp', agent(3), ['erp']);
  assert.deepEqual(entered, ['crm', 'erp'], 'it waits at the first of them and holds none');
  await end('erp');
  clock.advance(5_000);
  await settled();
  assert.equal(refused('both'), 'too-many-requests');
  await call('again', agent(3), ['erp']);
  assert.deepEqual(entered, ['crm', 'erp', 'again']);
});

test('what is with one target does not stand in the way of another', async () => {
  const { call, entered } = bench({ ...SMALL, allMax: 1, agentsMax: 1 });
  await call('crm', agent(1), ['crm']);
  await call('erp', agent(1), ['erp']);
  assert.deepEqual(entered, ['crm', 'erp']);
});

test('a gateway that stops sends those away that wait, and lets the others end', async () => {
  const { call, end, refused, entered, slots } = bench({ ...SMALL, oneMax: 1 });
  await call('a1', agent(1));
  await call('a2', agent(1));
  slots.close();
  await settled();
  assert.equal(refused('a2'), 'gateway-stopping');
  await call('a3', agent(1));
  assert.equal(refused('a3'), 'gateway-stopping');
  await call('b1', agent(2));
  assert.deepEqual(entered, ['a1', 'b1'], 'what need not wait goes on');
  await end('a1');
  assert.deepEqual(entered, ['a1', 'b1']);
});

test('work that throws gives its slot back, and its error is the caller’s', async () => {
  const { slots, call, entered } = bench({ ...SMALL, oneMax: 1 });
  const work = slots.during(agent(1), 'write', ['crm'], () => Promise.reject(new Error('no')));
  await assert.rejects(work, /no/);
  await call('a1', agent(1));
  assert.deepEqual(entered, ['a1']);
});

test('however calls come, go and give up, no bound is passed and no slot is lost', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ who: fc.integer({ min: 0, max: 4 }) }) },
    { weight: 3, arbitrary: fc.record({ end: fc.nat(9) }) },
    { weight: 1, arbitrary: fc.constant({ late: true } as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { call, end, entered, clock } = bench();
      const inside = new Map<string, number>();
      let seen = 0;
      const look = (): void => {
        for (const name of entered.slice(seen)) inside.set(name, Number(name.split(' ')[0]));
        seen = entered.length;
        const who = [...inside.values()];
        const agents = who.filter((each) => each > 0);
        assert.ok(who.length <= SMALL.allMax && agents.length <= SMALL.agentsMax);
        for (const each of agents) {
          assert.ok(agents.filter((other) => other === each).length <= SMALL.oneMax);
        }
      };
      for (const [number, each] of steps.entries()) {
        if ('who' in each) {
          await call(`${each.who} ${number}`, each.who === 0 ? person : agent(each.who));
        } else if ('end' in each) {
          const name = [...inside.keys()][each.end];
          if (name === undefined) continue;
          inside.delete(name);
          await end(name);
        } else clock.advance(5_000);
        look();
      }
      while (inside.size > 0) {
        const [name = ''] = inside.keys();
        inside.delete(name);
        await end(name);
        look();
      }
      for (let number = 0; number < SMALL.allMax; number += 1)
        await call(`0 last ${number}`, person);
      look();
      assert.equal(inside.size, SMALL.allMax, 'every slot is free again');
    }),
    { numRuns: 60 },
  );
});
