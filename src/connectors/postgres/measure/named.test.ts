/** What a statement may name: parts of governed tables, columns that keep their value, types of extensions. */
import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';

const SCHEMA = `
CREATE TABLE events (id int, day int, kind text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_a PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_b PARTITION OF events FOR VALUES FROM (10) TO (20);
INSERT INTO events SELECT i, i % 20, 'k' FROM generate_series(1, 40) i;
CREATE TABLE docs (id int PRIMARY KEY, body text);
CREATE TABLE docs_old () INHERITS (docs);
INSERT INTO docs_old VALUES (1, 'old');
CREATE TABLE loose (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
CREATE TABLE loose_a PARTITION OF loose FOR VALUES FROM (0) TO (10);
CREATE TABLE people (id int PRIMARY KEY, name text, salary int, mood text, tags text);
INSERT INTO people SELECT i, 'p' || i, 100, 'good' FROM generate_series(1, 5) i;
CREATE VIEW names AS SELECT id, name, salary FROM people;
CREATE TABLE closed (id int PRIMARY KEY, n int);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN small AS int CHECK (VALUE < 10);
`;

let server: Postgres;
let bench: TargetBench;

before(async () => {
  server = await startPostgres();
  bench = await openTargetBench(server, SCHEMA, {
    tables: {
      events: { update: ['kind'], delete: true },
      events_b: {},
      docs: { update: ['body'] },
      people: { insert: ['id', 'name'], update: ['name', 'mood', 'tags'], delete: true },
      names: { insert: ['id', 'name'], update: ['name'] },
      closed: {},
    },
  });
});
after(async () => {
  await bench.close();
  await server.stop();
});

test('a part that is named goes by its whole, unless it has an entry of its own', async () => {
  const plan = await bench.planned(`UPDATE events_a SET kind = 'x' WHERE id IN (1, 2)`);
  assert.equal(plan.headline, '2 updates in public.events_a');
  await bench.planned('DELETE FROM events_a WHERE id = 1');
  await bench.planned(`UPDATE docs_old SET body = 'x' WHERE id = 1`);
  await bench.planned(
    `UPDATE docs SET body = 'x' WHERE id IN (SELECT id FROM events_a) AND id = 1`,
  );
  // The entry of `events_b` opens it to reads by its name, and takes nothing from the whole.
  await bench.planned(`UPDATE events SET kind = 'x' WHERE id = 12`);
  await bench.planned(`UPDATE people SET name = 'x' WHERE id IN (SELECT id FROM events_b)`);
  for (const [text, code] of [
    [`UPDATE events_b SET kind = 'x' WHERE id = 12`, 'not-permitted'],
    ['UPDATE events_a SET day = 2 WHERE id = 1', 'not-permitted'],
    ['DELETE FROM docs_old WHERE id = 1', 'not-permitted'],
    ['DELETE FROM loose_a WHERE id = 1', 'statement-relation'],
  ] as const) {
    const found = await bench.refused(text);
    assert.equal(found.code, code, `${text}: ${found.reason}`);
  }
});

test('a permission on the whole is one on a part that is named, to write or to read', async () => {
  const asked = (statement: string, permitted: readonly string[]) =>
    bench.plan({
      ...bench.ask(statement),
      permits: (resource) => permitted.includes(resource),
    });
  const both = ['public.people', 'public.events'];
  for (const [text, permitted, kind] of [
    ['DELETE FROM events_a WHERE id = 1', ['public.events'], 'planned'],
    ['DELETE FROM events_a WHERE id = 1', ['public.people'], 'refused'],
    ['DELETE FROM people WHERE id IN (SELECT id FROM events_a)', both, 'planned'],
    ['DELETE FROM people WHERE id IN (SELECT id FROM events_a)', ['public.people'], 'refused'],
    ['DELETE FROM people WHERE id IN (SELECT id FROM events_a)', ['public.events'], 'refused'],
  ] as const) {
    const answer = await asked(text, permitted);
    assert.equal(answer.kind, kind, `${text} with ${permitted.join()}: ${JSON.stringify(answer)}`);
    if (answer.kind === 'refused') assert.equal(answer.code, 'not-permitted');
  }
});

test('a column that may not be changed may not be named either, also with its present value', async () => {
  await bench.planned(`UPDATE people SET name = 'x', mood = 'bad' WHERE id = 1`);
  await bench.planned(`INSERT INTO people (id, name) VALUES (9, 'x') ON CONFLICT (id) DO NOTHING`);
  const refused = [
    'UPDATE people SET salary = salary WHERE id = 1',
    'UPDATE people SET salary = 100 WHERE id = 1',
    'UPDATE people SET salary = DEFAULT WHERE false',
    `UPDATE people SET (name, salary) = ('x', 100) WHERE id = 1`,
    `INSERT INTO people (id, name, salary) SELECT 9, 'x', 1 WHERE false`,
    `INSERT INTO people (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET salary = people.salary`,
    `INSERT INTO people (id, name) VALUES (8, 'x') ON CONFLICT (id) DO UPDATE SET salary = 1`,
    'MERGE INTO people p USING events_a e ON p.id = e.id WHEN MATCHED THEN UPDATE SET salary = p.salary',
    `MERGE INTO people p USING events_a e ON p.id = e.id
     WHEN NOT MATCHED AND false THEN INSERT (id, salary) VALUES (e.id, 1)`,
    `WITH w AS (UPDATE people SET salary = salary WHERE id = 1) UPDATE docs SET body = 'x' WHERE id = 1`,
    'UPDATE names SET salary = salary WHERE id = 1',
    'UPDATE closed SET n = n WHERE id = 1',
    'DELETE FROM closed WHERE id = 1',
  ];
  for (const text of refused) {
    const { code, reason } = await bench.refused(text);
    assert.equal(code, 'not-permitted', `${text}: ${reason}`);
    assert.doesNotMatch(reason, /100/);
  }
});

test('a cast may name an enumeration and a type of an extension, as in reads, and no other', async () => {
  await bench.planned(`UPDATE people SET mood = 'bad'::mood::text WHERE id = 1`);
  const small = await bench.refused(`UPDATE people SET tags = 5::small::text WHERE id = 1`);
  assert.equal(small.code, 'statement-unsupported', small.reason);
});

test('so may one of an extension', async (context) => {
  const { rowCount } = await bench.admin.query(
    `SELECT FROM pg_available_extensions WHERE name = 'citext'`,
  );
  if (rowCount === 0) return context.skip('the server has no extension to try');
  await bench.admin.query('CREATE EXTENSION citext');
  await bench.planned(`UPDATE people SET tags = 'A'::citext::text WHERE id = 1`);
});
