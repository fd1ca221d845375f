import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench } from '../../../../test/support/postgres-target.ts';

let server: Postgres;
before(async () => {
  server = await startPostgres({ settings: { fsync: 'off' } });
});
after(() => server?.stop());

const SCHEMA = `
CREATE TABLE customers (id integer PRIMARY KEY);
CREATE TABLE parts (id integer, part integer) PARTITION BY LIST (part);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE VIEW named AS SELECT id FROM customers;
CREATE SCHEMA hidden;
CREATE TABLE hidden.salaries (id integer);
`;

test('a target names what is governed, parts by their whole, and nothing else', async () => {
  const all = await openTargetBench(server, SCHEMA);
  const one = await openTargetBench(server, SCHEMA, { tables: ['customers'] });
  try {
    assert.deepEqual(await all.target.resources?.(), [
      'public.customers',
      'public.named',
      'public.parts',
    ]);
    assert.deepEqual(await one.target.resources?.(), ['public.customers']);
  } finally {
    await all.close();
    await one.close();
  }
});
