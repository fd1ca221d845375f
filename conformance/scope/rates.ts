/** Test 8.2: in no window, wherever it begins, more than the budget, by whatever way. */
import { strict as assert } from 'node:assert';
import type { Figures } from '../check.ts';
import { answered, write, type AgentName, type ScopeWorld } from './world.ts';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

function put(
  world: ScopeWorld,
  table: string,
  id: number,
  more: { readonly agent?: AgentName; readonly run?: string; readonly key?: string } = {},
) {
  const { agent = 'writer', ...rest } = more;
  return write(world.agent(agent), `INSERT INTO ${table} (id) VALUES (${id})`, rest);
}

/** 64 at once, on as many connections, under runs and keys of their own. */
export async function burstsAreHeld(world: ScopeWorld): Promise<Figures> {
  const results = await Promise.all(
    Array.from({ length: 64 }, (_, id) =>
      put(world, 'rate_minute', id, { run: `run-${id}`, key: `key-${id}` }),
    ),
  );
  const applied = results.filter(({ state }) => state === 'applied').length;
  const denied = results.filter(({ code }) => code === 'budget-exceeded').length;
  assert.equal(applied, 5, results.map(({ code }) => code).join(' '));
  assert.equal(denied, 59);
  assert.equal(await world.count('SELECT count(*) FROM rate_minute'), 5);
  return { 'at once': 64, applied, denied };
}

/** The window slides: full before a boundary is full after it, for exactly as long as it is long. */
export async function boundariesGiveNothing(world: ScopeWorld): Promise<Figures> {
  world.advance(2 * 60 * SECOND_MS);
  // To shortly before a full minute of the clock, where a window that is fixed would begin anew.
  world.advance(60 * SECOND_MS - (Date.now() % (60 * SECOND_MS)) - SECOND_MS);
  for (let id = 100; id < 105; id += 1) {
    answered(await put(world, 'rate_minute', id), 'applied', 'applied');
  }
  const denied = answered(await put(world, 'rate_minute', 105), 'denied', 'budget-exceeded', '5');
  assert.ok((denied.retryAfterMs ?? 0) > 0 && (denied.retryAfterMs ?? 0) <= 60 * SECOND_MS);
  world.advance(10 * SECOND_MS);
  answered(await put(world, 'rate_minute', 106), 'denied', 'budget-exceeded');
  world.advance(51 * SECOND_MS);
  answered(await put(world, 'rate_minute', 107), 'applied', 'applied');
  return { 'before the boundary': 5, 'after it': 0, 'a minute later': 1 };
}

/** Records and not statements; the hour and the day as the minute. */
export async function hoursAndDays(world: ScopeWorld): Promise<Figures> {
  const many = (from: number, to: number) =>
    write(
      world.agent('writer'),
      `INSERT INTO rate_hour (id) SELECT n FROM generate_series(${from}, ${to}) AS n`,
    );
  answered(await many(1, 8), 'applied', 'applied');
  answered(await many(11, 13), 'denied', 'budget-exceeded', /8 used and 3/);
  answered(await many(21, 22), 'applied', 'applied');
  world.advance(HOUR_MS / 2);
  answered(await many(31, 31), 'denied', 'budget-exceeded');
  world.advance(HOUR_MS / 2 + SECOND_MS);
  answered(await many(41, 50), 'applied', 'applied');
  for (let id = 1; id <= 4; id += 1) {
    answered(await put(world, 'rate_day', id), 'applied', 'applied');
  }
  world.advance(DAY_MS - 60 * SECOND_MS);
  answered(await put(world, 'rate_day', 5), 'denied', 'budget-exceeded');
  world.advance(61 * SECOND_MS);
  answered(await put(world, 'rate_day', 6), 'applied', 'applied');
  return { 'records in an hour': 10, 'writes in a day': 4 };
}

/** Money of a day, whatever the rows. */
export async function valueOverTime(world: ScopeWorld): Promise<Figures> {
  const pay = (id: number, amount: string) =>
    write(world.agent('writer'), `INSERT INTO rate_value VALUES (${id}, ${amount})`);
  answered(await pay(1, '60.00'), 'applied', 'applied');
  answered(await pay(2, '40.01'), 'denied', 'budget-exceeded');
  answered(await pay(3, '-40.01'), 'denied', 'budget-exceeded');
  answered(await pay(4, '40.00'), 'applied', 'applied');
  assert.equal(await world.count('SELECT sum(amount) FROM rate_value'), 100);
  return { pence: 10_000 };
}

/** Two agents, each in many runs, take from the one budget that they share. */
export async function agentsAndRunsShare(world: ScopeWorld): Promise<Figures> {
  const results = await Promise.all(
    Array.from({ length: 24 }, (_, id) => {
      const agent = id % 2 === 0 ? 'writer' : 'twin';
      return put(world, 'rate_shared', id, { agent, run: `run-${id}` });
    }),
  );
  const applied = results.filter(({ state }) => state === 'applied').length;
  assert.equal(applied, 6, results.map(({ code }) => code).join(' '));
  return { agents: 2, runs: 24, applied };
}

/** Neither a restart nor a clock that is set back gives anything back. */
export async function restartsForgetNothing(world: ScopeWorld): Promise<Figures> {
  for (let id = 1; id <= 3; id += 1) {
    answered(await put(world, 'rate_restart', id), 'applied', 'applied');
  }
  await world.restart();
  answered(await put(world, 'rate_restart', 4), 'denied', 'budget-exceeded');
  world.advance(-30 * 60 * SECOND_MS);
  await world.restart();
  answered(await put(world, 'rate_restart', 5), 'denied', 'budget-exceeded');
  // Forward again by what it was set back: half an hour has passed, not an hour and a half.
  world.advance(60 * 60 * SECOND_MS);
  answered(await put(world, 'rate_restart', 6), 'denied', 'budget-exceeded');
  world.advance(31 * 60 * SECOND_MS);
  answered(await put(world, 'rate_restart', 7), 'applied', 'applied');
  return { restarts: 2, 'clock steps': 3 };
}

/** A chain takes from the budget for each of its steps. */
export async function chainsCountTheirSteps(world: ScopeWorld): Promise<Figures> {
  const chain = (from: number, steps: number) =>
    world.agent('writer').propose({
      steps: Array.from({ length: steps }, (_, step) => ({
        target: 'shop',
        operation: 'sql',
        arguments: { statement: `INSERT INTO rate_chain (id) VALUES (${from + step})` },
      })),
    });
  answered(await chain(0, 6), 'denied', 'budget-exceeded', '6');
  answered(await chain(10, 4), 'applied', 'applied');
  answered(await chain(20, 2), 'denied', 'budget-exceeded', /4 used and 2/);
  answered(await put(world, 'rate_chain', 30), 'applied', 'applied');
  assert.equal(await world.count('SELECT count(*) FROM rate_chain'), 5);
  return { steps: 5 };
}
