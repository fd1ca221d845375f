/** Test 8.1: at a bound, one over it, and over it only through what the statement does not name. */
import { strict as assert } from 'node:assert';
import type { Figures } from '../check.ts';
import { answered, digestOf, idOf, write, type ScopeWorld } from './world.ts';

/** Exactly the limit is let through, one more is not, and the figure is the measured one. */
export async function recordsAtTheLimit(world: ScopeWorld): Promise<Figures> {
  const writer = world.agent('writer');
  const at = await write(writer, 'UPDATE items SET stock = 11 WHERE id <= 50');
  answered(at, 'applied', 'applied');
  const over = await write(writer, 'UPDATE items SET stock = 12 WHERE id <= 51');
  answered(over, 'denied', 'limit-exceeded', /51 records/, '50');
  assert.equal(await world.count('SELECT count(*) FROM items WHERE stock = 12'), 0);
  assert.equal(await world.count('SELECT count(*) FROM items WHERE stock = 11'), 50);
  return { allowed: 50, denied: 51 };
}

/** Each of these names few rows, or one, and changes more than the limit. */
export async function indirectRecordsCount(world: ScopeWorld): Promise<Figures> {
  const writer = world.agent('writer');
  const snapshot = async (): Promise<string> =>
    String(
      await world.count(
        `SELECT hashtext(concat_ws('|',
           (SELECT string_agg(m::text, ',' ORDER BY id) FROM members m),
           (SELECT string_agg(v::text, ',' ORDER BY id) FROM visits v),
           (SELECT string_agg(a::text, ',' ORDER BY id) FROM accounts a),
           (SELECT count(*)::text FROM account_log),
           (SELECT string_agg(i::text, ',' ORDER BY id) FROM items i)))`,
      ),
    );
  const before = await snapshot();
  const cascade = await write(writer, 'UPDATE members SET id = id + 1000 WHERE id <= 2');
  answered(cascade, 'denied', 'limit-exceeded', '82 records');
  const trigger = await write(writer, 'UPDATE accounts SET balance = 1 WHERE id <= 26');
  answered(trigger, 'denied', 'limit-exceeded', '52 records');
  const join = await write(
    writer,
    `UPDATE items SET price = items.price + members.id FROM members
     WHERE items.id % 20 = members.id % 20 AND members.id <= 5`,
  );
  answered(join, 'denied', 'limit-exceeded', '100 records');
  const hidden = await write(
    writer,
    `WITH moved AS (UPDATE items SET stock = 0 WHERE id > 349 RETURNING id)
     UPDATE members SET name = 'x' WHERE id = 1`,
  );
  answered(hidden, 'denied', 'limit-exceeded', '52 records');
  const merged = await write(
    writer,
    `MERGE INTO items USING members ON items.id % 20 = members.id % 20 AND members.id <= 3
     WHEN MATCHED THEN UPDATE SET stock = 1`,
  );
  answered(merged, 'denied', 'limit-exceeded', '60 records');
  const amplified = await write(writer, 'UPDATE members SET id = 2000 WHERE id = 3');
  answered(amplified, 'denied', 'limit-exceeded', '40 indirect records for each direct one');
  assert.equal(await snapshot(), before, 'something was changed');
  return { ways: 6, denied: 6, changed: 0 };
}

/** A write in parts is held to the sum of them. */
export async function partsAreAddedUp(world: ScopeWorld): Promise<Figures> {
  const part = (from: number): string =>
    `UPDATE items SET stock = 13 WHERE id BETWEEN ${from} AND ${from + 25}`;
  const result = await world.agent('writer').propose({
    steps: [100, 200].map((from) => ({
      target: 'shop',
      operation: 'sql',
      arguments: { statement: part(from) },
    })),
  });
  answered(result, 'denied', 'limit-exceeded', '52 records');
  assert.equal(await world.count('SELECT count(*) FROM items WHERE stock = 13'), 0);
  return { parts: 2, records: 52, changed: 0 };
}

/** Money over the limit by the second column, by the sign, by many rows, in a currency without one. */
export async function valueHidesNowhere(world: ScopeWorld): Promise<Figures> {
  const writer = world.agent('writer');
  const pay = (id: number, columns: string, values: string) =>
    write(writer, `INSERT INTO payments (id, ${columns}) VALUES (${id}, ${values})`);
  answered(await pay(1, 'amount, currency', "1000.00, 'GBP'"), 'applied', 'applied');
  const over = await pay(2, 'amount, currency', "1000.01, 'GBP'");
  answered(over, 'denied', 'limit-exceeded', 'GBP 1,000.01');
  const fee = await pay(3, 'amount, fee, currency', "999.00, 1.01, 'GBP'");
  answered(fee, 'denied', 'limit-exceeded', 'GBP 1,000.01');
  const negative = await pay(4, 'amount, currency', "-1000.01, 'GBP'");
  answered(negative, 'denied', 'limit-exceeded', 'GBP 1,000.01');
  const opposite = await write(
    writer,
    `INSERT INTO payments (id, amount, currency)
     SELECT 10 + n, CASE WHEN n % 2 = 0 THEN 600 ELSE -600 END, 'GBP' FROM generate_series(0, 1) AS n`,
  );
  answered(opposite, 'denied', 'limit-exceeded', 'GBP 1,200.00');
  const other = await pay(5, 'amount, currency', "5.00, 'EUR'");
  assert.notEqual(other.state, 'applied', 'a currency that no line bounds went through');
  const nonsense = await pay(6, 'amount, currency', "5.00, 'gold'");
  assert.notEqual(nonsense.state, 'applied', 'money in no currency went through');
  assert.equal(await world.count('SELECT count(*) FROM payments'), 1);
  return { ways: 6, 'let through': 1 };
}

/** Recipients are people, not rows; bytes are what is written. */
export async function recipientsAndBytes(world: ScopeWorld): Promise<Figures> {
  const writer = world.agent('writer');
  const send = (from: number, people: number, body: string) =>
    write(
      writer,
      `INSERT INTO mails SELECT ${from} + n, 'p' || n % ${people} || '@example.org', $1 FROM generate_series(0, 7) AS n`,
      { parameters: [body] },
    );
  answered(await send(0, 3, 'hello'), 'applied', 'applied');
  answered(await send(100, 4, 'hello'), 'denied', 'limit-exceeded', '4 recipients');
  const long = await send(200, 3, 'x'.repeat(2_000));
  answered(long, 'denied', 'limit-exceeded', /[\d,]+ bytes, at most 2,000/);
  assert.equal(await world.count('SELECT count(*) FROM mails'), 8);
  return { recipients: 3, denied: 2 };
}

/** A person who would agree is not even asked, and a limit that came later binds as well. */
export async function approvalLiftsNoLimit(world: ScopeWorld): Promise<Figures> {
  const clerk = world.agent('clerk');
  const over = await write(clerk, 'UPDATE items SET stock = 14 WHERE id <= 60');
  answered(over, 'denied', 'limit-exceeded', '60 records');
  const approval = { planDigest: digestOf(over), verdict: 'approve' } as const;
  await assert.rejects(world.person('alice').approve(idOf(over), approval), {
    code: 'state-conflict',
  });
  assert.equal(await world.count('SELECT count(*) FROM items WHERE stock = 14'), 0);
  return { records: 60, changed: 0 };
}

/** What no configuration enables, and what nobody permitted. */
export async function destructionIsNever(world: ScopeWorld): Promise<Figures> {
  const statements = [
    'DROP TABLE items',
    'TRUNCATE items',
    'TRUNCATE items CASCADE',
    'ALTER TABLE items DROP COLUMN price',
    'DROP SCHEMA public CASCADE',
    'DELETE FROM items',
    'DELETE FROM items WHERE id = 1',
    'DELETE FROM items USING members WHERE items.id = members.id',
    'WITH gone AS (DELETE FROM items RETURNING id) UPDATE members SET name = name WHERE id = 1',
    'MERGE INTO items USING members ON items.id = members.id WHEN MATCHED THEN DELETE',
  ];
  for (const name of ['writer', 'clerk', 'reader'] as const) {
    for (const statement of statements) {
      const result = await write(world.agent(name), statement);
      assert.equal(result.state, 'denied', `${name}: ${statement}: ${result.code}`);
    }
  }
  const readOnly = await write(world.agent('reader'), 'UPDATE items SET stock = 1 WHERE id = 1');
  answered(readOnly, 'denied', 'read-only');
  assert.equal(await world.count('SELECT count(*) FROM items'), 400);
  return { statements: statements.length, agents: 3, rows: 400 };
}
