import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import type { JsonObject } from '../../../lib/json.ts';
import { Secret } from '../../../lib/secret.ts';
import type { ReadAnswer, TargetRefusal } from '../../../model/ports.ts';
import { openParser } from '../text/parse.ts';
import { openReads, type Read } from './read.ts';
import { openSessions } from '../session/session.ts';
import { parsePostgresSettings } from '../settings.ts';

const SCHEMA = `
CREATE SCHEMA shop; CREATE SCHEMA hr; SET search_path = shop;
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE people(id int PRIMARY KEY, name text NOT NULL, email text, colour colour, born date);
INSERT INTO people SELECT i, 'p' || i, 'p' || i || '@example.com', 'red', '2000-01-01' FROM generate_series(1, 20) i;
CREATE TABLE people_old(left_at date) INHERITS (people);
INSERT INTO people_old VALUES (100, 'old', 'old@example.com', 'green', '1950-01-01', '2020-01-01');
CREATE TABLE orders(id int PRIMARY KEY, person int, total numeric(12,2), tags text[], details jsonb);
INSERT INTO orders SELECT i, 1 + i % 20, i * 1.5, ARRAY['a', 'b'], jsonb_build_object('n', i) FROM generate_series(1, 100) i;
CREATE TABLE secrets(id int, token text); INSERT INTO secrets VALUES (1, 'sesame');
CREATE TABLE hr.salaries(id int, amount int); INSERT INTO hr.salaries VALUES (1, 7);
CREATE VIEW order_totals AS SELECT p.id, p.name, sum(o.total) AS total FROM people p JOIN orders o ON o.person = p.id GROUP BY 1, 2;
CREATE VIEW only_orders AS SELECT id, total FROM orders;
CREATE VIEW cards AS SELECT p.id, (SELECT token FROM secrets LIMIT 1) AS card FROM people p;
CREATE FUNCTION peek() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT token FROM shop.secrets';
CREATE VIEW peeking AS SELECT id, peek() AS card FROM orders;
CREATE FUNCTION raising(text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'the value is %', $1; END$$;
CREATE VIEW raises AS SELECT raising(details::text) AS r FROM orders;
CREATE MATERIALIZED VIEW stored AS SELECT token FROM secrets;
CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION wipe(o orders) RETURNS int LANGUAGE sql AS 'SELECT 1';
GRANT USAGE ON SCHEMA shop, hr TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA shop, hr TO PUBLIC;
`;

const TABLES: JsonObject = {
  people: {},
  orders: {},
  order_totals: {},
  only_orders: {},
  cards: {},
  peeking: {},
  raises: {},
  stored: {},
  secrets: { read: false, insert: true },
};

let server: Postgres;
let now = 1_000_000;
const closing: (() => Promise<void>)[] = [];

before(async () => {
  server = await startPostgres();
  await server.createDatabase('reads');
  const admin = new pg.Client(server.url('reads'));
  await admin.connect();
  await admin.query(SCHEMA);
  await admin.query(`CREATE ROLE reading LOGIN PASSWORD 'reading'`);
  await admin.end();
});
after(async () => {
  for (const close of closing) await close();
  await server.stop();
});

function open(given: JsonObject = {}): Read {
  const url = new URL(server.url('reads'));
  url.username = 'reading';
  url.password = 'reading';
  const settings = parsePostgresSettings('reads', {
    url: server.url('reads'),
    schemas: ['shop'],
    tables: TABLES,
    ...given,
  });
  const sessions = openSessions(new Secret(server.url('reads')), settings, {
    reader: new Secret(url.href),
  });
  const parser = openParser();
  closing.push(
    () => sessions.close(),
    () => parser.close(),
  );
  return openReads({ sessions, settings, parser, clock: { now: () => now } });
}

const LIMITS = { readRows: 50, readBytes: 100_000, readTimeoutMs: 1_000, readsPerMinute: 10_000 };

function asking(read: Read) {
  const ask = (statement: string, parameters: readonly string[] = []): Promise<ReadAnswer> =>
    read(
      { arguments: { statement, parameters: [...parameters] }, permits: () => true },
      AbortSignal.timeout(20_000),
    );
  return {
    async rows(statement: string, parameters: readonly string[] = []) {
      const answer = await ask(statement, parameters);
      assert(answer.kind === 'read', JSON.stringify(answer));
      return answer;
    },
    async refused(statement: string): Promise<TargetRefusal> {
      const answer = await ask(statement);
      assert(answer.kind === 'refused', JSON.stringify(answer).slice(0, 500));
      return answer;
    },
  };
}

test('a read gives its rows as text, with names, bytes and what was read', async () => {
  const { rows } = asking(open());
  const answer = await rows(
    'SELECT p.name, o.total AS sum FROM people p JOIN shop.orders o ON o.person = p.id WHERE o.id = $1',
    ['3'],
  );
  assert.deepEqual(answer, {
    kind: 'read',
    columns: [
      { name: 'name', isMasked: false },
      { name: 'sum', isMasked: false },
    ],
    rows: [['p4', '4.50']],
    resources: ['shop.orders', 'shop.people'],
    bytes: 6,
  });
  assert.deepEqual((await rows('VALUES (1, NULL)')).rows, [['1', null]]);
  assert.equal((await rows('TABLE people')).rows.length, 21);
  assert.deepEqual((await rows('SELECT WHERE false')).rows, []);
});

test('what lies below a view has to be readable, whoever runs it', async () => {
  const { rows, refused } = asking(open());
  assert.equal((await rows('SELECT count(*) FROM order_totals')).rows[0]?.[0], '20');
  for (const view of ['cards', 'stored', 'secrets', 'hr.salaries', 'people_old_not_there']) {
    assert.equal((await refused(`SELECT * FROM ${view}`)).code, 'statement-relation', view);
  }
  // Only its locks tell what a function reads.
  const peeked = await refused('SELECT * FROM peeking');
  assert.equal(peeked.code, 'statement-relation');
  assert.match(peeked.reason, /reaches `shop.secrets`/);
  assert.equal((await rows('SELECT * FROM people_old')).rows.length, 1);
});

test('no error quotes a value of a row', async () => {
  const { refused } = asking(open());
  for (const statement of [
    'SELECT * FROM raises',
    'SELECT details::text::int FROM orders',
    `SELECT 1 / (id - id) FROM orders`,
    `SELECT to_tsquery(details::text || ':') FROM orders`,
  ]) {
    const { reason } = await refused(statement);
    assert.doesNotMatch(reason, /"n"|"n|value is|\{/, statement);
  }
});

test('a read over a limit is refused and never cut short', async () => {
  const { rows, refused } = asking(open({ limits: LIMITS }));
  assert.equal((await refused('SELECT * FROM orders')).code, 'limit-exceeded');
  assert.equal((await rows('SELECT * FROM orders LIMIT 50')).rows.length, 50);
  assert.equal((await refused(`SELECT repeat('x', 100001)`)).code, 'limit-exceeded');
  assert.equal((await rows(`SELECT repeat('x', 100000)`)).bytes, 100_000);
  assert.equal((await refused(`SELECT repeat('x', 1100000000)`)).code, 'limit-exceeded');
  assert.equal(
    (await refused('SELECT count(*) FROM generate_series(1, 1000000000000)')).code,
    'statement-timeout',
  );
});

test('a value of hundreds of megabytes does not fill the gateway, and the next read works', async () => {
  const { rows, refused } = asking(open({ limits: { ...LIMITS, readTimeoutMs: 60_000 } }));
  const at = process.memoryUsage.rss();
  assert.equal((await refused(`SELECT repeat('x', 400000000)`)).code, 'limit-exceeded');
  assert(process.memoryUsage.rss() - at < 100_000_000);
  assert.equal((await rows('SELECT 1')).rows.length, 1);
});

test('reads have a rate of their own, and the window slides', async () => {
  const { rows, refused } = asking(open({ limits: { ...LIMITS, readsPerMinute: 2 } }));
  now = 5_000_000;
  await rows('SELECT 1');
  now += 30_000;
  await rows('SELECT 1');
  const over = await refused('SELECT 1');
  assert.equal(over.code, 'limit-exceeded');
  assert.equal(over.permanent, false);
  assert.match(over.reason, /2 reads a minute; try again in 30 s/);
  now += 30_000;
  await rows('SELECT 1');
  assert.equal((await refused('SELECT 1')).code, 'limit-exceeded');
});

test('only what the agent holds a permission on is read', async () => {
  const read = open();
  const asked: string[] = [];
  const answer = await read(
    {
      arguments: { statement: 'SELECT 1 FROM people_old, orders' },
      permits(resource) {
        asked.push(resource);
        return resource === 'shop.people';
      },
    },
    AbortSignal.timeout(20_000),
  );
  assert(answer.kind === 'refused');
  assert.equal(answer.code, 'not-permitted');
  assert.match(answer.reason, /`shop.orders`/);
  assert(asked.includes('shop.people'));
});

test('attribute notation calls nothing: a qualified name is a column of what it is qualified with', async () => {
  const { rows, refused } = asking(open({ masked: ['people.email'] }));
  for (const statement of [
    'SELECT p.row_to_json FROM people p WHERE id = 7',
    'SELECT p.to_jsonb FROM people p',
    'SELECT p.json_agg FROM people p',
    'SELECT p.array_agg FROM people p',
    'SELECT p.quote_literal FROM people p',
    'SELECT p.concat FROM people p',
    'SELECT p.max FROM people p',
    'SELECT p.count FROM people p',
    'SELECT id FROM people ORDER BY people.to_json::text',
    'SELECT shop.people.to_json FROM shop.people',
    'SELECT people.to_json FROM shop.people',
    'SELECT people_old.to_json FROM people_old',
    `SELECT id FROM people p WHERE p.row_to_json::text LIKE '%p7@%'`,
    'SELECT (SELECT p.row_to_json) FROM people p',
    'SELECT x.j FROM people p, LATERAL (SELECT p.row_to_json AS j) x',
    // A query of that name beside, or around, makes no column of it.
    'SELECT p.json_agg FROM people p, (SELECT 1 AS json_agg) s',
    'SELECT (SELECT p.json_agg FROM (SELECT 1 AS x) s, (SELECT 1 AS json_agg) p LIMIT 1) FROM people p',
    'SELECT j.row_to_json FROM (people p JOIN orders o ON o.person = p.id) AS j',
    'SELECT j.record FROM (people p JOIN orders o ON o.person = p.id) AS j',
    'SELECT j.row_to_json FROM (people p JOIN orders o USING (id)) AS j',
    'SELECT p.row_to_json FROM people p UNION ALL SELECT NULL',
    'SELECT s.row_to_json FROM (SELECT 1 AS one) s',
  ]) {
    assert.equal((await refused(statement)).code, 'statement-function', statement);
  }
  for (const statement of [
    'SELECT (p).row_to_json FROM people p',
    'SELECT (SELECT p FROM people p LIMIT 1).email',
    'SELECT (p).* FROM people p',
    'SELECT row_to_json(p) FROM people p',
    'SELECT row_to_json(people) FROM people',
    'SELECT s.p FROM (SELECT p FROM people p) s',
    'SELECT row_to_json(j) FROM (people p JOIN orders o ON o.person = p.id) AS j',
  ]) {
    assert.equal((await refused(statement)).code, 'statement-unsupported', statement);
  }
  for (const statement of [
    'SELECT s.count FROM (SELECT count(*) FROM people) s',
    'WITH w AS (SELECT max(id) FROM people) SELECT w.max FROM w',
    'SELECT s.sum FROM (SELECT total AS sum FROM orders) s LIMIT 1',
    'SELECT s.lower FROM (VALUES (1)) AS s(lower)',
    'SELECT g.date FROM generate_series(1, 2) AS g(date)',
    'SELECT j.id FROM (orders o JOIN only_orders p USING (id)) AS j LIMIT 1',
    'SELECT shop.orders.total FROM shop.orders LIMIT 1',
    'SELECT x.id FROM orders x WHERE EXISTS (SELECT FROM people p WHERE p.born IS NOT NULL) LIMIT 1',
  ]) {
    assert((await rows(statement)).rows.length > 0, statement);
  }
});

test('how long a masked value is does not count', async () => {
  const limits = { ...LIMITS, readBytes: 1_024 };
  const { rows } = asking(open({ masked: ['people.email'], limits }));
  const answer = await rows(
    `SELECT email, repeat(name, 126) || id FROM people WHERE id IN (2, 3, 4, 5)`,
  );
  assert.deepEqual([answer.bytes, answer.rows.length], [1_012, 4]);
});

test('a masked column may be shown as null and used for nothing', async () => {
  const { rows, refused } = asking(open({ masked: ['people.email'] }));
  const shown = await rows('SELECT email AS mail, name FROM people WHERE id = 1');
  assert.deepEqual(shown.columns, [
    { name: 'mail', isMasked: true },
    { name: 'name', isMasked: false },
  ]);
  assert.deepEqual(shown.rows, [[null, 'p1']]);
  const all = await rows('SELECT * FROM people p JOIN orders o ON o.person = p.id WHERE o.id = 1');
  assert.deepEqual(all.columns[2], { name: 'email', isMasked: true });
  assert.equal(all.rows[0]?.[2], null);
  assert(!JSON.stringify(all.rows).includes('@'));
  // A child table shows the rows of its parent's masked column.
  assert.equal((await rows('SELECT email FROM people_old')).rows[0]?.[0], null);
  assert.equal((await rows('SELECT count(*) FROM people')).rows[0]?.[0], '21');
  assert.equal((await rows('SELECT id, total FROM only_orders WHERE id = 1')).rows.length, 1);
  const statements = [
    `SELECT id FROM people WHERE email LIKE 'p1%'`,
    'SELECT email FROM people p JOIN people_old USING (email)',
    'SELECT upper(email) FROM people',
    'SELECT email || name FROM people',
    'SELECT id FROM people ORDER BY email',
    'SELECT email FROM people ORDER BY 1',
    'SELECT email AS e FROM people ORDER BY e',
    'SELECT DISTINCT email FROM people',
    'SELECT email FROM people GROUP BY 1',
    'SELECT email FROM people UNION SELECT name FROM people',
    'SELECT s.email FROM (SELECT email FROM people) s',
    'SELECT * FROM (SELECT * FROM people) s',
    'WITH p AS (TABLE people) SELECT * FROM p',
    'SELECT p FROM people p',
    'SELECT row_to_json(people) FROM people',
    'SELECT to_jsonb(p) FROM people p',
    'SELECT count(p.*) FROM people p',
    'SELECT a.c FROM people AS a(a, b, c)',
    'SELECT (SELECT p.email FROM people p LIMIT 1)',
    'SELECT 1 FROM people a JOIN people_old b USING (email)',
    'SELECT 1 FROM people NATURAL JOIN people_old',
    'SELECT 1 FROM people a, people b WHERE a = b',
    'SELECT max(email) OVER () FROM people',
    `SELECT 1 / (CASE WHEN email = 'x' THEN 0 ELSE 1 END) FROM people`,
    'SELECT total FROM order_totals',
  ];
  for (const statement of statements) {
    const refusal = await refused(statement);
    assert.equal(refusal.code, 'statement-unsupported', `${statement}: ${refusal.reason}`);
  }
});

test('enumerations may be cast to; domains and whatever runs code may not', async () => {
  const { rows, refused } = asking(open());
  const statement = `SELECT count(*) FROM people WHERE colour = 'red'::colour OR colour = ANY ($1::shop.colour[])`;
  assert.equal((await rows(statement, ['{green}'])).rows[0]?.[0], '21');
  for (const each of [
    `SELECT 1::positive`,
    `SELECT '(1)'::shop.orders`,
    `SELECT 'x'::hr.thing`,
    'SELECT lower(name) FROM people',
    'SELECT o.wipe FROM orders o',
    'SELECT (o).id FROM orders o',
  ]) {
    assert.match((await refused(each)).code, /^statement-(?:function|unsupported)$/, each);
  }
});

test('a target without a reader, and arguments that are none, are refused', async () => {
  const settings = parsePostgresSettings('reads', { url: server.url('reads') });
  const sessions = openSessions(new Secret(server.url('reads')), settings);
  const parser = openParser();
  closing.push(
    () => sessions.close(),
    () => parser.close(),
  );
  const read = openReads({ sessions, settings, parser, clock: { now: () => now } });
  const { refused } = asking(read);
  const { code, reason } = await refused('SELECT 1');
  assert.equal(code, 'target-refused');
  assert.match(reason, /set `reader`/);
  const other = open();
  for (const args of [{}, { statement: 1 }, { statement: 'SELECT 1', more: 1 }]) {
    const answer = await other(
      { arguments: args, permits: () => true },
      AbortSignal.timeout(9_000),
    );
    assert(answer.kind === 'refused');
    assert.equal(answer.code, 'arguments-invalid');
  }
  assert.equal((await asking(other).refused('SELECT $1')).code, 'arguments-invalid');
});

test('a read that is given up ends at once, and the connection is not used again', async () => {
  const read = open({ limits: { ...LIMITS, readTimeoutMs: 30_000 } });
  const controller = new AbortController();
  const answer = read(
    {
      arguments: { statement: 'SELECT count(*) FROM generate_series(1, 1000000000000)' },
      permits: () => true,
    },
    controller.signal,
  );
  const stop = setTimeout(() => controller.abort(), 300);
  const { kind } = await answer;
  clearTimeout(stop);
  assert.equal(kind, 'refused');
  assert.equal((await asking(read).rows('SELECT 1')).rows.length, 1);
});
