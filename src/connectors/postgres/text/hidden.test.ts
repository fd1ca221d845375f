import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';

const SCHEMA = `
CREATE TABLE orders (id int PRIMARY KEY, note text, total int, made_at timestamptz DEFAULT now());
INSERT INTO orders SELECT i, 'note', i FROM generate_series(1, 100) i;
CREATE VIEW open_orders AS SELECT id, note AS remark, total FROM orders;
CREATE TABLE parted (id int, kind text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE parted_a PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE parted_b PARTITION OF parted FOR VALUES FROM (10) TO (20);
INSERT INTO parted SELECT i, 'k' FROM generate_series(1, 15) i;
CREATE TABLE docs (id int PRIMARY KEY, body text);
CREATE TABLE old_docs (extra text) INHERITS (docs);
INSERT INTO docs VALUES (1, 'a'); INSERT INTO old_docs VALUES (2, 'b', 'c');
CREATE TABLE audit (id bigserial PRIMARY KEY, what text, at timestamptz DEFAULT clock_timestamp());
CREATE VIEW audits AS SELECT id AS number, what, at AS moment FROM audit;
CREATE TABLE accounts (id int PRIMARY KEY, balance int, updated_at timestamptz);
INSERT INTO accounts SELECT i, 100, now() FROM generate_series(1, 10) i;
CREATE VIEW account_view AS SELECT id, balance AS held FROM accounts;
CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO audit (what) VALUES (NEW.id); NEW.updated_at := clock_timestamp(); RETURN NEW; END$$;
CREATE TRIGGER audited BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION audited();
`;

let server: Postgres;
let bench: TargetBench;

before(async () => {
  server = await startPostgres();
  bench = await openTargetBench(server, SCHEMA, {});
});
after(async () => {
  await bench.close();
  await server.stop();
});

test('no mask hides a value of the statement, whichever of its writes gives it, and by whatever name', async () => {
  for (const statement of [
    `WITH a AS (UPDATE orders SET note = 'gold' WHERE id = 6 RETURNING id) UPDATE orders SET note = now()::text WHERE id = 66`,
    `WITH a AS (UPDATE public.orders SET note = 'gold' WHERE id = 6) UPDATE orders SET note = now()::text WHERE id = 66`,
    `WITH a AS (INSERT INTO orders VALUES (901, 'gold')) UPDATE orders SET note = now()::text WHERE id = 66`,
    `WITH a AS (UPDATE open_orders SET remark = 'gold' WHERE id = 6) UPDATE orders SET note = now()::text WHERE id = 66`,
    `WITH a AS (UPDATE orders SET note = 'gold' WHERE id = 6) UPDATE open_orders SET remark = now()::text WHERE id = 66`,
    `WITH a AS (UPDATE parted_a SET kind = 'gold' WHERE id = 1) UPDATE parted SET kind = now()::text WHERE id = 11`,
    `WITH a AS (UPDATE parted SET kind = 'gold' WHERE id = 11) UPDATE parted_a SET kind = now()::text WHERE id = 1`,
    `WITH a AS (UPDATE old_docs SET body = 'gold' WHERE id = 2) UPDATE docs SET body = now()::text WHERE id = 1`,
    `WITH a AS (INSERT INTO audit VALUES (999, 'x', '1999-01-01')) UPDATE accounts SET balance = 1 WHERE id = 1`,
    `WITH a AS (INSERT INTO audits VALUES (999, 'x', '1999-01-01')) UPDATE accounts SET balance = 1 WHERE id = 1`,
    `WITH a AS (INSERT INTO audit (what, at) VALUES ('x', '1999-01-01')) UPDATE accounts SET balance = 1 WHERE id = 1`,
    `WITH a AS (UPDATE accounts SET updated_at = '1999-01-01' WHERE id = 2) UPDATE accounts SET balance = 1 WHERE id = 1`,
  ]) {
    const { code, reason } = await bench.refused(statement);
    assert.equal(code, 'statement-unsupported', `${statement}: ${reason}`);
    assert.match(reason, /propose them as two writes/, statement);
  }
});

test('and what hides nothing passes', async () => {
  for (const statement of [
    `WITH a AS (UPDATE orders SET total = 1 WHERE id = 6) UPDATE orders SET note = now()::text WHERE id = 66`,
    `WITH a AS (UPDATE docs SET body = 'gold' WHERE id = 1) UPDATE orders SET note = now()::text WHERE id = 66`,
    `UPDATE account_view SET held = 7 WHERE id = 1`,
    `UPDATE open_orders SET remark = 'gold' WHERE id = 6`,
    `WITH a AS (INSERT INTO audit (what) VALUES ('x')) UPDATE accounts SET balance = 1 WHERE id = 1`,
  ]) {
    await bench.planned(statement);
  }
});

test('attribute notation calls nothing in a write either', async () => {
  for (const statement of [
    'UPDATE orders o SET note = o.row_to_json WHERE id = 1',
    'UPDATE orders SET note = orders.to_json::text WHERE id = 1',
    'UPDATE orders SET note = d.to_json::text FROM docs d WHERE d.id = orders.id',
    'INSERT INTO docs SELECT o.id + 500, o.concat FROM orders o WHERE o.id = 1',
    `DELETE FROM orders o WHERE o.row_to_json::text LIKE '%gold%'`,
    `INSERT INTO docs VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET body = excluded.to_json`,
    'MERGE INTO docs d USING orders o ON d.id = o.id WHEN MATCHED THEN UPDATE SET body = o.to_json::text',
    `WITH a AS (UPDATE orders SET note = 'x' WHERE id = 6 RETURNING orders.to_json AS j) INSERT INTO docs SELECT 77, j FROM a`,
  ]) {
    assert.equal((await bench.refused(statement)).code, 'statement-function', statement);
  }
  for (const statement of [
    `INSERT INTO docs VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET body = excluded.body || docs.body`,
    'UPDATE orders o SET note = s.count FROM (SELECT count(*) FROM docs) s WHERE o.id = 1',
    'MERGE INTO docs d USING orders o ON d.id = o.id WHEN MATCHED THEN UPDATE SET body = o.note',
    `WITH a AS (UPDATE orders SET note = 'x' WHERE id = 6 RETURNING orders.id) UPDATE docs SET body = 'y' FROM a WHERE docs.id = a.id - 5`,
  ]) {
    await bench.planned(statement);
  }
});

test('where a table may not be read, a plain INSERT is all that may be proposed', async () => {
  const closed = await openTargetBench(
    server,
    `CREATE TABLE inbox (id int PRIMARY KEY, msg text); INSERT INTO inbox VALUES (1, 'private');`,
    { tables: { inbox: { read: false, insert: true, update: true, delete: true } } },
  );
  try {
    for (const statement of [
      `UPDATE inbox SET msg = 'x' WHERE msg LIKE 'p%'`,
      'UPDATE inbox SET msg = msg || msg WHERE id = 1',
      `DELETE FROM inbox WHERE msg LIKE 'p%'`,
      `INSERT INTO inbox VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET msg = inbox.msg`,
      `WITH a AS (INSERT INTO inbox VALUES (2, 'x') RETURNING msg) SELECT 1`,
      `MERGE INTO inbox USING (VALUES (1)) v(id) ON inbox.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id)`,
    ]) {
      assert.equal((await closed.refused(statement)).code, 'not-permitted', statement);
    }
    await closed.planned(`INSERT INTO inbox VALUES (3, 'x')`);
  } finally {
    await closed.close();
  }
});
