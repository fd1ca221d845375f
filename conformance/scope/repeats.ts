/** Test 8.5: one write is one effect, however it comes again. */
import { strict as assert } from 'node:assert';
import type { JsonObject } from '../../src/lib/json.ts';
import type { Figures } from '../check.ts';
import { answered, idOf, write, type ScopeWorld } from './world.ts';

const DAY_MS = 86_400_000;

/** The same call again, many at once, is the first result again. */
export async function retriesAreReplayed(world: ScopeWorld): Promise<Figures> {
  const writer = world.agent('writer');
  const statement = 'UPDATE repeated SET quantity = quantity + 1 WHERE id = 1';
  const results = await Promise.all(Array.from({ length: 20 }, () => write(writer, statement)));
  const ids = new Set(results.map(({ proposalId }) => proposalId));
  assert.equal(ids.size, 1, 'one intent became several proposals');
  const again = answered(await write(writer, statement), 'applied', 'applied');
  assert.equal(again.replayed, true);
  assert.equal(await world.count('SELECT quantity FROM repeated WHERE id = 1'), 1);
  return { tries: 21, effects: 1 };
}

/** A fresh key of the agent's, another run or another agent does not make it another write. */
export async function freshKeysAreSeenThrough(world: ScopeWorld): Promise<Figures> {
  const statement = 'UPDATE repeated SET quantity = quantity + 1 WHERE id = 2';
  const first = answered(await write(world.agent('writer'), statement), 'applied', 'applied');
  for (const key of ['a', 'b', 'c']) {
    const more = { key: `fresh-${key}`, run: `run-${key}` };
    const again = await write(world.agent('writer'), statement, more);
    answered(again, 'denied', 'duplicate-write', idOf(first));
  }
  const twin = await write(world.agent('twin'), statement);
  answered(twin, 'denied', 'duplicate-write', idOf(first));
  await world.restart();
  const after = await write(world.agent('writer'), statement, { key: 'after-a-restart' });
  answered(after, 'denied', 'duplicate-write', idOf(first));
  assert.equal(await world.count('SELECT quantity FROM repeated WHERE id = 2'), 1);
  return { keys: 4, agents: 2, restarts: 1, effects: 1 };
}

/** SQL that parses to the same, and arguments that are the same but for their layout. */
export async function spellingsAreOne(world: ScopeWorld): Promise<Figures> {
  const spelled = [
    "UPDATE repeated SET quantity = quantity + 1, label = 'x' WHERE id = 3",
    "update  repeated\n set quantity=quantity+1, label='x' where (id = 3)",
    'UPDATE "repeated" SET "quantity" = quantity + 1, label = \'x\' WHERE id = 3;',
    'UPDATE repeated SET quantity = quantity + 1, label = $$x$$ WHERE id = 3.0 -- again',
    "UPDATE repeated SET label = E'x', quantity = quantity + 1 WHERE 3e0 = id",
  ];
  for (const [index, statement] of spelled.entries()) {
    const result = await write(world.agent('writer'), statement, { key: `spelled-${index}` });
    const isFirst = index === 0;
    answered(result, isFirst ? 'applied' : 'denied', isFirst ? 'applied' : 'duplicate-write');
  }
  assert.equal(await world.count('SELECT quantity FROM repeated WHERE id = 3'), 1);
  const rows: readonly JsonObject[] = [
    { table: 'repeated', rows: [{ id: 900, label: 'n', quantity: 1 }] },
    { rows: [{ quantity: 1, id: 900, label: 'n' }], table: 'repeated' },
  ];
  for (const [index, args] of rows.entries()) {
    const result = await world.agent('writer').propose({
      target: 'shop',
      operation: 'insert',
      arguments: args,
      idempotencyKey: `ordered-${index}`,
    });
    assert.equal(result.code, index === 0 ? 'applied' : 'duplicate-write', result.reason);
  }
  return { spellings: spelled.length, orders: rows.length, effects: 2 };
}

/** Another statement with the very same measured effect; the generated key does not tell them apart. */
export async function effectsAreCompared(world: ScopeWorld): Promise<Figures> {
  const writer = world.agent('writer');
  const first = await write(
    writer,
    `INSERT INTO postings (reference, amount) VALUES ('INV-1', 120.00)`,
  );
  answered(first, 'applied', 'applied');
  const others = [
    `INSERT INTO postings (amount, reference) VALUES (120, 'INV-1')`,
    `INSERT INTO postings (reference, amount) SELECT 'INV-' || 1, 60 * 2`,
  ];
  for (const [index, statement] of others.entries()) {
    const again = await write(writer, statement, { key: `posting-${index}`, run: 'another' });
    answered(again, 'denied', 'duplicate-write', idOf(first));
  }
  const other = await write(
    writer,
    `INSERT INTO postings (reference, amount) VALUES ('INV-2', 120.00)`,
  );
  answered(other, 'applied', 'applied');
  assert.equal(await world.count('SELECT count(*) FROM postings'), 2);
  return { statements: 4, effects: 2 };
}

/** After the window it is a write like any other. */
export async function windowsEnd(world: ScopeWorld): Promise<Figures> {
  const statement = 'UPDATE repeated SET quantity = quantity + 1 WHERE id = 4';
  answered(await write(world.agent('writer'), statement), 'applied', 'applied');
  world.advance(DAY_MS - 60_000);
  const early = await write(world.agent('writer'), statement, { key: 'early' });
  answered(early, 'denied', 'duplicate-write');
  world.advance(120_000);
  const late = await write(world.agent('writer'), statement, { key: 'late' });
  answered(late, 'applied', 'applied');
  assert.equal(await world.count('SELECT quantity FROM repeated WHERE id = 4'), 2);
  return { 'window hours': 24, effects: 2 };
}
