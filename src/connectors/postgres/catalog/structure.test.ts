import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { StructureNode } from '../../../model/dependents.ts';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';

const SCHEMA = `
CREATE TABLE customers (id int PRIMARY KEY, name text);
CREATE TABLE orders (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE);
CREATE TABLE lines (id int PRIMARY KEY, "order" int CONSTRAINT of_order REFERENCES orders);
CREATE TABLE friends (id int PRIMARY KEY REFERENCES customers, friend int REFERENCES friends);
CREATE VIEW active AS SELECT * FROM customers WHERE name IS NOT NULL;
CREATE MATERIALIZED VIEW board AS SELECT count(*) FROM active;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER note AFTER UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION noted();
CREATE TRIGGER off AFTER UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION noted();
ALTER TABLE customers DISABLE TRIGGER off;
CREATE FUNCTION how_many() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM customers; END;
CREATE FUNCTION rename(int) RETURNS void LANGUAGE plpgsql
  AS 'BEGIN UPDATE Customers SET name = null WHERE id = $1; END';
CREATE FUNCTION other() RETURNS void LANGUAGE sql AS 'SELECT 1 AS customers_old';
CREATE SCHEMA hidden;
CREATE TABLE hidden.secret (id int);
`;

let server: Postgres;
let bench: TargetBench;
before(async () => {
  server = await startPostgres();
  bench = await openTargetBench(server, SCHEMA, {}, { roles: true });
});
after(async () => {
  await bench.close();
  await server.stop();
});

async function tree(resource: string): Promise<readonly string[]> {
  const answer = await bench.target.structure?.(resource);
  assert.ok(answer !== undefined && !('code' in answer), JSON.stringify(answer));
  const lines = (nodes: readonly StructureNode[], indent: string): readonly string[] =>
    nodes.flatMap(({ kind, name, resource: leads, nodes: below }) => [
      `${indent}${kind} ${name}${leads === null ? '' : ` → ${leads}`}`,
      ...lines(below, `${indent}  `),
    ]);
  return lines(answer, '');
}

test('the tree below a table goes through keys and views, and a circle is not gone into again', async () => {
  assert.deepEqual(await tree('public.customers'), [
    'foreign key friends_id_fkey, on delete no action → public.friends',
    '  foreign key friends_friend_fkey, on delete no action → public.friends',
    'foreign key orders_customer_fkey, on delete cascade → public.orders',
    '  foreign key of_order, on delete no action → public.lines',
    'function public.how_many',
    'function public.rename, which names it',
    'trigger note, runs public.noted',
    'view active → public.active',
    '  materialized view board → public.board',
  ]);
  assert.deepEqual(await tree('public.lines'), []);
});

test('a table that is not there, or not governed, is refused alike', async () => {
  for (const name of ['public.customer', 'hidden.secret', 'pg_catalog.pg_class', 'x', "a'; --"]) {
    const answer = await bench.target.structure?.(name);
    assert.ok(answer !== undefined && 'code' in answer);
    assert.equal(answer.code, 'statement-relation');
    assert.match(answer.reason, /is not there; expected `schema.table` of `public`$/);
  }
});
