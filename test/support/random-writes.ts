/** Writes made at random, by a seed, over `random-schema.ts`. */

/** A generator whose whole state is its seed: a run replays exactly. */
export interface Dice {
  /** A whole number from `from` to `to`, both included. */
  whole(from: number, to: number): number;
  pick<Item>(items: readonly [Item, ...Item[]]): Item;
}

/** A linear congruential generator (Numerical Recipes), its upper bits used. */
export function diceOf(seed: number): Dice {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
  for (let warm = 0; warm < 4; warm += 1) next();
  return {
    whole: (from, to) => from + Math.floor(next() * (to - from + 1)),
    pick: (items) => items[Math.floor(next() * items.length)] ?? items[0],
  };
}

type Maker = (dice: Dice) => string;

const some = (dice: Dice, max: number): string =>
  dice.pick<() => string>([
    () => `id = ${dice.whole(1, max)}`,
    () => `id BETWEEN ${dice.whole(1, max)} AND ${dice.whole(1, max)}`,
    () => `id % ${dice.whole(2, 7)} = 0`,
    () => `id IN (${dice.whole(1, max)}, ${dice.whole(1, max)}, ${dice.whole(1, max)})`,
  ])();

const fresh = (dice: Dice): number => dice.whole(1_000, 900_000);

const CASCADES: readonly Maker[] = [
  (dice) => `DELETE FROM customers WHERE ${some(dice, 20)} AND id > 1`,
  (dice) => `DELETE FROM orders WHERE ${some(dice, 40)}`,
  (dice) => `DELETE FROM items WHERE line % ${dice.whole(2, 9)} = 0`,
  (dice) => `DELETE FROM tree WHERE id = ${dice.whole(1, 30)}`,
  (dice) => `UPDATE customers SET id = id + 1000 WHERE ${some(dice, 20)} AND id > 1`,
  (dice) => `UPDATE orders SET id = id + 1000 WHERE ${some(dice, 40)}`,
  (dice) => `UPDATE orders SET id = id + 1 WHERE id >= ${dice.whole(20, 40)} AND id < 41`,
  (dice) => `UPDATE items SET line = line + 500 WHERE ${some(dice, 80).replaceAll('id', 'line')}`,
  (dice) => `UPDATE tree SET id = id + 100 WHERE ${some(dice, 30)}`,
  (dice) => `UPDATE tree SET parent = ${dice.whole(1, 30)} WHERE ${some(dice, 30)}`,
  (dice) => `UPDATE customers SET email = 'new' || id, mood = 'gone' WHERE ${some(dice, 20)}`,
  (dice) => `UPDATE customers SET manager = ${dice.whole(1, 20)} WHERE ${some(dice, 20)}`,
  (dice) =>
    `UPDATE orders SET customer = ${dice.whole(1, 20)}, note = '{"x" : 1}' WHERE ${some(dice, 40)}`,
  (dice) => `UPDATE coupons SET code = code || 'x', "order" = NULL WHERE ${some(dice, 20)}`,
  (dice) => `INSERT INTO customers (id, email) VALUES (${fresh(dice)}, 'n${fresh(dice)}')`,
  (dice) =>
    `INSERT INTO orders (id, customer) SELECT ${fresh(dice)} + id, id FROM customers WHERE ${some(dice, 20)}`,
  (dice) => `INSERT INTO tickets (title, owner) VALUES ('t', ${dice.whole(1, 20)}), ('tt', 1)`,
  (dice) => `UPDATE tickets SET title = title || '!' WHERE ${some(dice, 20)}`,
  (dice) => `DELETE FROM tickets WHERE ${some(dice, 20)}`,
  (dice) =>
    `INSERT INTO coupons (id, "order", code) VALUES (${dice.whole(15, 25)}, 2, 'u${fresh(dice)}') ` +
    `ON CONFLICT (id) DO UPDATE SET code = EXCLUDED.code`,
  (dice) =>
    `WITH gone AS (DELETE FROM item_notes WHERE line = ${dice.whole(1, 80)} RETURNING line) ` +
    `UPDATE items SET sku = 'cte' WHERE line IN (SELECT line FROM gone)`,
  (dice) =>
    `WITH made AS (INSERT INTO customers (id, email) VALUES (${fresh(dice)}, 'm') RETURNING id) ` +
    `UPDATE orders SET total = total + 1 WHERE ${some(dice, 40)}`,
  (dice) =>
    `MERGE INTO coupons AS t USING (SELECT i FROM generate_series(${dice.whole(1, 10)}, 23) i) AS s ` +
    `ON t.id = s.i WHEN MATCHED AND t.id % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET code = 'm' || t.id ` +
    `WHEN NOT MATCHED THEN INSERT (id, code) VALUES (s.i, 'i' || s.i)`,
];

const TRIGGERS: readonly Maker[] = [
  (dice) => `UPDATE accounts SET balance = balance - ${dice.whole(1, 50)} WHERE ${some(dice, 20)}`,
  (dice) => `INSERT INTO accounts (id, balance) VALUES (${fresh(dice)}, 5)`,
  (dice) => `DELETE FROM accounts WHERE ${some(dice, 20)}`,
  (dice) => `UPDATE movements SET amount = amount + ${dice.whole(1, 9)} WHERE ${some(dice, 20)}`,
  (dice) => `DELETE FROM movements WHERE ${some(dice, 20)}`,
  (dice) => `INSERT INTO movements VALUES (${fresh(dice)}, 'sku${dice.whole(1, 5)}', 7)`,
  (dice) => `UPDATE stock SET sku = sku || 'b' WHERE sku = 'sku${dice.whole(1, 5)}'`,
  (dice) => `UPDATE jobs SET state = 'run' WHERE ${some(dice, 10)}`,
  (dice) => `UPDATE twice SET n = n + 1 WHERE ${some(dice, 10)}`,
  (dice) => `UPDATE twice SET seen = 9 WHERE ${some(dice, 10)}`,
  (dice) => `UPDATE undone SET v = v || '!' WHERE ${some(dice, 10)}`,
  (dice) => `UPDATE balances SET balance = ${dice.whole(1, 99)} WHERE id = ${dice.whole(1, 20)}`,
];

const SHAPES: readonly Maker[] = [
  (dice) => `UPDATE events SET day = ${dice.whole(0, 24)} WHERE ${some(dice, 50)}`,
  (dice) => `UPDATE events SET kind = kind || 'x' WHERE ${some(dice, 50)}`,
  (dice) => `UPDATE events_b SET kind = 'leaf' WHERE ${some(dice, 50)}`,
  (dice) => `DELETE FROM events WHERE ${some(dice, 50)}`,
  (dice) =>
    `INSERT INTO events VALUES (${fresh(dice)}, ${dice.whole(0, 30)}, 'n', ${dice.whole(1, 20)})`,
  (dice) => `UPDATE ruled SET v = v || '!' WHERE ${some(dice, 10)}`,
  (dice) => `DELETE FROM ruled WHERE ${some(dice, 10)}`,
  (dice) => `DELETE FROM kept WHERE ${some(dice, 10)}`,
  (dice) => `INSERT INTO kept VALUES (${fresh(dice)})`,
  (dice) => `UPDATE base SET name = name || '+' WHERE ${some(dice, 20)}`,
  (dice) => `DELETE FROM base WHERE ${some(dice, 20)}`,
  (dice) => `UPDATE special SET extra = NULL WHERE ${some(dice, 20)}`,
  (dice) => `UPDATE secured SET v = v || 's' WHERE ${some(dice, 20)}`,
  (dice) => `UPDATE calm SET mood = 'busy' WHERE ${some(dice, 20)}`,
  (dice) => `UPDATE loose SET b = b || '!' WHERE a = ${dice.whole(1, 3)}`,
  (dice) => `DELETE FROM loose WHERE a = ${dice.whole(1, 3)}`,
  (dice) => `INSERT INTO loose VALUES (1, 'x'), (${dice.whole(1, 3)}, 'x')`,
  (dice) => `UPDATE mixed SET flag = NOT flag WHERE ${some(dice, 3)}`,
  (dice) => `DELETE FROM mixed WHERE ${some(dice, 3)}`,
  (dice) =>
    `UPDATE mixed SET f = '-0', n = 'NaN', j = '{"k":  1}', ts = 'infinity', a = '{NULL,""}' WHERE ${some(dice, 3)}`,
  () => `INSERT INTO mixed (j, n) VALUES ('{ }', '1.10')`,
  (dice) => `UPDATE mixed SET n = n WHERE ${some(dice, 3)}`,
];

/** One write, as text; about a third of each kind. */
export function randomWrite(dice: Dice): string {
  const group = dice.pick([CASCADES, TRIGGERS, SHAPES]);
  return group[dice.whole(0, group.length - 1)]?.(dice) ?? '';
}

/** Tables that only triggers and rules write to here. */
export const TRIGGER_TABLES: ReadonlySet<string> = new Set([
  'public.audit',
  'public.stock',
  'public.job_log',
  'public.rule_log',
]);
