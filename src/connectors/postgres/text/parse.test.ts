import { strict as assert } from 'node:assert';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { TargetRefusal } from '../../../model/ports.ts';
import { Refused } from '../../connector.ts';
import { openParser, PARSE_BOUNDS, type ParseSettings } from './parse.ts';
import { parsePostgresSettings } from '../settings.ts';
import type { Query, Statement } from './statement.ts';

const parser = openParser();
after(() => parser.close());

const SETTINGS: ParseSettings = parsePostgresSettings('parsed', {
  url: 'postgres://nowhere',
  schemas: ['public', 'shop'],
});
const parse = (text: string): Promise<Statement> => parser.parse(text, SETTINGS);

async function refusalOf(text: string): Promise<TargetRefusal> {
  const outcome = await parse(text).catch((error: unknown) => error);
  assert(outcome instanceof Refused, `accepted or broke: ${text.slice(0, 200)} ${String(outcome)}`);
  return outcome.refusal;
}

/** Statement, the code that refuses it, and the offending part where the parser tells the place. */
const REFUSED: readonly (readonly [text: string, code: string, span: string | null])[] = [
  ['', 'statement-kind', null],
  ['-- nothing', 'statement-kind', null],
  ['UPDATE t SET a = 1; DELETE FROM t', 'statement-multiple', 'DELETE'],
  ['DELETE FROM t WHERE a = 1 /* */; DELETE FROM t', 'statement-multiple', 'DELETE'],
  ['SELECT 1', 'statement-kind', 'SELECT'],
  ['SELECT * INTO c FROM t', 'statement-kind', 'SELECT'],
  ['DO $$BEGIN DELETE FROM t; END$$', 'statement-kind', 'DO'],
  ['COPY t FROM STDIN', 'statement-kind', 'COPY'],
  ['DROP TABLE t', 'statement-kind', 'DROP'],
  ['TRUNCATE t', 'statement-kind', 'TRUNCATE'],
  ['CREATE TABLE c AS SELECT 1', 'statement-kind', 'CREATE'],
  ['SET track_counts = off', 'statement-kind', 'SET'],
  ['BEGIN', 'statement-kind', 'BEGIN'],
  ['COMMIT', 'statement-kind', 'COMMIT'],
  ['EXPLAIN ANALYZE DELETE FROM t', 'statement-kind', 'EXPLAIN'],
  ['PREPARE p AS DELETE FROM t', 'statement-kind', 'PREPARE'],
  ['EXECUTE p', 'statement-kind', 'EXECUTE'],
  ['CALL p()', 'statement-kind', 'CALL'],
  ['SELEC 1', 'statement-invalid', 'SELEC'],
  ["UPDATE é SET a = 'x", 'statement-invalid', "'"],
  ["UPDATE t SET a = 'é' WHERE nosuch('é') = 1", 'statement-function', 'nosuch'],
  ['UPDATE t SET a = pg_sleep(9)', 'statement-function', 'pg_sleep'],
  ["UPDATE t SET a = nextval('s')", 'statement-function', 'nextval'],
  ["UPDATE t SET a = set_config('a', 'b', false)", 'statement-function', 'set_config'],
  ['DELETE FROM t WHERE random() < 0.1', 'statement-function', 'random'],
  ['DELETE FROM t WHERE a < clock_timestamp()', 'statement-function', 'clock_timestamp'],
  [`UPDATE t SET a = CASE WHEN random() < 2 THEN 'gold' END`, 'statement-function', 'random'],
  [`UPDATE t SET a = left('gold' || now(), 4)`, 'statement-function', 'now'],
  [`INSERT INTO t VALUES (left('gold' || CURRENT_DATE, 4))`, 'statement-function', 'CURRENT_DATE'],
  ['UPDATE t SET a = b + (extract(epoch from now()) * 0)::int', 'statement-function', 'now'],
  ['INSERT INTO t (a) SELECT 9 + random()::int FROM s', 'statement-function', 'random'],
  ['UPDATE t SET a = (SELECT max(b) + CURRENT_DATE FROM s)', 'statement-function', 'CURRENT_DATE'],
  [`UPDATE t SET a[1] = 'gold', a[2] = now()::text`, 'statement-function', 'now'],
  [`INSERT INTO t (a[1], a[2]) VALUES ('gold', now())`, 'statement-function', 'now'],
  ['UPDATE t SET a = random(9, 9)', 'statement-function', 'random'],
  ['INSERT INTO t SELECT now(), s.* FROM s', 'statement-function', 'now'],
  ['INSERT INTO t SELECT 1 UNION SELECT now()', 'statement-function', 'now'],
  ['INSERT INTO t SELECT 1 UNION VALUES (now()::text)', 'statement-function', 'now'],
  ['INSERT INTO t SELECT * FROM s UNION SELECT f(1)', 'statement-function', 'f'],
  ['INSERT INTO t SELECT * FROM s UNION SELECT * FROM hr.s', 'statement-relation', 'hr.s'],
  ['INSERT INTO t SELECT * FROM s UNION (SELECT 1 ORDER BY f(1))', 'statement-function', 'f'],
  ['INSERT INTO t SELECT * FROM s FOR UPDATE', 'statement-unsupported', null],
  [`INSERT INTO t SELECT 1 ${'UNION SELECT 1 '.repeat(300)}`, 'statement-too-large', null],
  ['INSERT INTO t (a, b) SELECT (x).* FROM s x', 'statement-unsupported', 'x'],
  ['UPDATE t SET a = -random()', 'statement-function', 'random'],
  ['UPDATE t SET a = random()::int', 'statement-function', 'random'],
  ['UPDATE t SET a = random()::numeric(1, 0)', 'statement-function', 'random'],
  ['UPDATE t SET a = gen_random_uuid()::varchar(3)', 'statement-function', 'gen_random_uuid'],
  ['UPDATE t SET a = gen_random_uuid()::text::bytea', 'statement-function', 'gen_random_uuid'],
  ['UPDATE t SET a = ARRAY[gen_random_uuid()]', 'statement-function', 'gen_random_uuid'],
  ['UPDATE t SET a[1] = gen_random_uuid()', 'statement-function', 'gen_random_uuid'],
  ['UPDATE t SET a = (SELECT gen_random_uuid())', 'statement-function', 'gen_random_uuid'],
  ['UPDATE t SET (a, b) = (SELECT 1, random())', 'statement-function', 'random'],
  ['UPDATE t SET a = random() FILTER (WHERE b > 1)', 'statement-function', 'random'],
  ['UPDATE t SET a = uuidv7() OVER (ORDER BY b)', 'statement-function', 'uuidv7'],
  [`UPDATE t SET a = uuidv7(interval '1 day')`, 'statement-function', 'uuidv7'],
  [
    `UPDATE t SET a = clock_timestamp() + interval '1 day'`,
    'statement-function',
    'clock_timestamp',
  ],
  ['UPDATE t SET a = clock_timestamp()::date', 'statement-function', 'clock_timestamp'],
  [
    'UPDATE t SET a = now()::timestamptz(gen_random_uuid())',
    'statement-function',
    'gen_random_uuid',
  ],
  ['UPDATE t SET a = now() OVER ()', 'statement-function', 'now'],
  ['UPDATE t SET a = random_normal()', 'statement-function', 'random_normal'],
  ['UPDATE t SET a = shop.gen_random_uuid()', 'statement-function', 'shop.gen_random_uuid'],
  ['INSERT INTO t SELECT gen_random_uuid() FROM s', 'statement-function', 'gen_random_uuid'],
  ['INSERT INTO t SELECT gen_random_uuid()', 'statement-function', 'gen_random_uuid'],
  [
    'INSERT INTO t SELECT * FROM (VALUES (gen_random_uuid())) x',
    'statement-function',
    'gen_random_uuid',
  ],
  [
    'INSERT INTO t SELECT 1 UNION VALUES (gen_random_uuid())',
    'statement-function',
    'gen_random_uuid',
  ],
  [
    'INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1 WHERE random() < 1',
    'statement-function',
    'random',
  ],
  [
    'MERGE INTO t USING s ON t.a = s.a AND random() < 1 WHEN MATCHED THEN DELETE',
    'statement-function',
    'random',
  ],
  [
    'MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND random() < 1 THEN DELETE',
    'statement-function',
    'random',
  ],
  [
    'WITH w AS (SELECT gen_random_uuid() AS a) INSERT INTO t SELECT a FROM w',
    'statement-function',
    'gen_random_uuid',
  ],
  [
    'WITH w AS (UPDATE s SET b = 1 RETURNING gen_random_uuid() AS a) INSERT INTO t SELECT a FROM w',
    'statement-function',
    'gen_random_uuid',
  ],
  ['UPDATE t SET a = CURRENT_DATE - $1', 'statement-function', 'CURRENT_DATE'],
  ['UPDATE t SET a = now() + 30', 'statement-function', 'now'],
  ['UPDATE t SET a = CURRENT_DATE + b', 'statement-function', 'CURRENT_DATE'],
  ['UPDATE t SET a = CASE WHEN b > 1 THEN now() END', 'statement-function', 'now'],
  ['UPDATE t SET a = CASE WHEN random() > 0.5 THEN 1 END', 'statement-function', 'random'],
  ['UPDATE t SET a = s.x FROM (SELECT now() AS x) s', 'statement-function', 'now'],
  ['UPDATE t SET a = s.x FROM (VALUES (now())) AS s(x)', 'statement-function', 'now'],
  ['WITH s AS (SELECT now() AS x) UPDATE t SET a = s.x FROM s', 'statement-function', 'now'],
  ['WITH s AS (SELECT now() AS x) INSERT INTO t SELECT * FROM s', 'statement-function', 'now'],
  ['INSERT INTO t SELECT x FROM (SELECT (SELECT now()) AS x) s', 'statement-function', 'now'],
  [
    'MERGE INTO t USING (SELECT now() AS x) s ON true WHEN MATCHED THEN UPDATE SET a = s.x',
    'statement-function',
    'now',
  ],
  [
    'WITH w AS (UPDATE s SET b = 1 RETURNING now() AS x) INSERT INTO t SELECT x FROM w',
    'statement-function',
    'now',
  ],
  ['UPDATE t SET a = (x).row_to_json FROM s x', 'statement-unsupported', null],
  [`DELETE FROM t WHERE a = 1 ${'/*'.repeat(65)}${'*/'.repeat(65)}`, 'statement-too-large', '/*'],
  [`DELETE FROM t WHERE a = 1 ${'/*'.repeat(30_000)}`, 'statement-too-large', '/*'],
  [`UPDATE t SET a = CURRENT_DATE - date '2000-01-01'`, 'statement-function', 'CURRENT_DATE'],
  [`UPDATE t SET a = (now() + interval '7000 years')::varchar(4)`, 'statement-function', 'now'],
  ['UPDATE t SET a = now()::text::bytea', 'statement-function', 'now'],
  ['DELETE FROM t WHERE shop.f(a)', 'statement-function', 'shop.f'],
  [
    'DELETE FROM t WHERE pg_catalog.pg_sleep(1) IS NULL',
    'statement-function',
    'pg_catalog.pg_sleep',
  ],
  [
    'INSERT INTO t SELECT gen_random_uuid() ORDER BY 1 LIMIT 3',
    'statement-function',
    'gen_random_uuid',
  ],
  ['DELETE FROM t WHERE a OPERATOR(shop.=) 1', 'statement-function', 'OPERATOR'],
  ['DELETE FROM t WHERE a === 1', 'statement-function', '='],
  ['UPDATE t SET a = b::regclass', 'statement-function', 'regclass'],
  ['DELETE FROM pg_class', 'statement-relation', 'pg_class'],
  ['DELETE FROM hr.salaries', 'statement-relation', 'hr.salaries'],
  ['DELETE FROM other.shop.t', 'statement-relation', 'other.shop.t'],
  ['UPDATE t SET a = (SELECT x FROM information_schema.tables)', 'statement-relation', null],
  ['UPDATE t SET a = 1 RETURNING a', 'statement-unsupported', null],
  ["DELETE FROM t WHERE ctid = '(0,1)'", 'statement-unsupported', 'ctid'],
  ['DELETE FROM t WHERE t.xmin IS NULL', 'statement-unsupported', 't.xmin'],
  ['DELETE FROM t WHERE (t).f = 1', 'statement-unsupported', 't'],
  ['DELETE FROM t WHERE a IN (SELECT a FROM s FOR UPDATE)', 'statement-unsupported', null],
  ['UPDATE t SET a = current_user', 'statement-unsupported', 'current_user'],
  ['UPDATE t SET a.b = 1', 'statement-unsupported', null],
  ["UPDATE t SET a = xmlparse(content 'x')", 'statement-unsupported', 'xmlparse'],
  ['DELETE FROM t\0; DROP TABLE t', 'statement-invalid', '\0'],
  ['DELETE FROM t /* \u202e */', 'statement-invalid', '\u202e'],
  ['DELETE FROM t\u200b', 'statement-invalid', '\u200b'],
  ["UPDATE t SET a = '\u001b'", 'statement-invalid', '\u001b'],
  ['UPDATE t SET "\u0001" = 1', 'statement-invalid', '\u0001'],
  ['UPDATE t SET a = 1 -- \u000c', 'statement-invalid', '\u000c'],
  [`DELETE FROM t WHERE a = '\ud800'`, 'statement-invalid', '\ud800'],
  [`DELETE FROM t -- ${'x'.repeat(PARSE_BOUNDS.textBytesMax)}`, 'statement-too-large', null],
  [`DELETE FROM t WHERE ${'NOT '.repeat(500)}true`, 'statement-too-large', null],
  [`DELETE FROM t WHERE a IN (${'1,'.repeat(10_000)}1)`, 'statement-too-large', null],
  [`DELETE FROM t WHERE a IN (${'1,'.repeat(1_000_000)}1)`, 'statement-too-large', null],
  [`SELECT a FROM t`, 'statement-kind', 'SELECT'],
  ['WITH w AS (SELECT 1) SELECT 1 FROM w', 'statement-kind', 'WITH'],
  ['SELECT 1 FROM (WITH w AS (DELETE FROM t) SELECT 1) x', 'statement-kind', 'SELECT'],
  [
    'DELETE FROM t WHERE a IN (WITH w AS (DELETE FROM s RETURNING a) SELECT a FROM w)',
    'statement-unsupported',
    's',
  ],
  ['WITH w AS (UPDATE t SET a = 1 WHERE nosuch(a)) SELECT 1', 'statement-function', 'nosuch'],
  ['WITH w AS (DELETE FROM t RETURNING nosuch(a)) SELECT 1', 'statement-function', 'nosuch'],
  ['WITH w AS (DELETE FROM hr.t) SELECT 1', 'statement-relation', 'hr.t'],
  [
    'WITH w AS (MERGE INTO t USING s ON f(1) WHEN MATCHED THEN DELETE) SELECT 1',
    'statement-function',
    'f',
  ],
  ['MERGE INTO t USING s ON true WHEN MATCHED AND f(1) THEN DELETE', 'statement-function', 'f'],
  ['MERGE INTO t USING s ON true WHEN MATCHED THEN UPDATE SET a = f(1)', 'statement-function', 'f'],
  [
    'MERGE INTO t USING s ON true WHEN NOT MATCHED THEN INSERT VALUES (f(1))',
    'statement-function',
    'f',
  ],
  [
    'MERGE INTO t USING s ON true WHEN NOT MATCHED THEN INSERT (a[f(1)]) VALUES (1)',
    'statement-function',
    'f',
  ],
  [
    'MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE RETURNING a',
    'statement-unsupported',
    'a',
  ],
  ['INSERT INTO t (a[f(1)]) VALUES (1)', 'statement-function', 'f'],
  ['INSERT INTO t (a[(SELECT 1 FROM hr.s)]) VALUES (1)', 'statement-relation', 'hr.s'],
  ['INSERT INTO t VALUES (1) ON CONFLICT (f(a)) DO NOTHING', 'statement-function', 'f'],
  ['INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE f(a) DO NOTHING', 'statement-function', 'f'],
  [
    'INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 1 WHERE f(a)',
    'statement-function',
    'f',
  ],
  ['DELETE FROM t WHERE CURRENT OF c', 'statement-unsupported', null],
  [
    'UPDATE t SET a = 1 WHERE b IN (SELECT b FROM s TABLESAMPLE system (1))',
    'statement-unsupported',
    'system',
  ],
  ['UPDATE t SET a = (b).c', 'statement-unsupported', null],
  ['UPDATE t SET a = (SELECT s FROM s).c', 'statement-unsupported', null],
  ['UPDATE t SET a = b::regclass[]', 'statement-function', 'regclass'],
  ['UPDATE t SET a = b::hr.mood', 'statement-function', 'hr.mood'],
  ['UPDATE t SET a = xmlelement(name foo)', 'statement-unsupported', 'xmlelement'],
  ["UPDATE t SET a = setval('s', 1)", 'statement-function', 'setval'],
  ['DELETE FROM t WHERE a IN (SELECT 1 FROM s, LATERAL f(s.a) x)', 'statement-function', 'f'],
  [
    'DELETE FROM t WHERE a IN (SELECT 1 FROM ROWS FROM (unnest(b), f(1)) x)',
    'statement-function',
    'f',
  ],
  ['DELETE FROM t WHERE a = (SELECT max(b) FILTER (WHERE f(b)) FROM s)', 'statement-function', 'f'],
  [
    'DELETE FROM t WHERE a = (SELECT mode() WITHIN GROUP (ORDER BY f(b)) FROM s)',
    'statement-function',
    'f',
  ],
  [
    'DELETE FROM t WHERE a = (SELECT sum(b) OVER (ROWS f(1) PRECEDING) FROM s)',
    'statement-function',
    'f',
  ],
  ['DELETE FROM t WHERE a = (SELECT b FROM s LIMIT f(1))', 'statement-function', 'f'],
  [
    'DELETE FROM t WHERE a = (SELECT b FROM s ORDER BY b USING OPERATOR(shop.<))',
    'statement-function',
    null,
  ],
  ['UPDATE t SET a = make_interval(days => f(1))', 'statement-function', 'f'],
];

for (const [text, code, span] of REFUSED) {
  test(`refused as ${code}: ${JSON.stringify(text.slice(0, 60))}`, async () => {
    const refusal = await refusalOf(text);
    assert.equal(refusal.code, code, refusal.reason);
    assert.match(refusal.reason, /^[^A-Z]|^U\+|^RETURNING/);
    if (span !== null) {
      assert(refusal.span !== null, refusal.reason);
      assert.equal(text.slice(refusal.span.from, refusal.span.to), span);
    }
  });
}

const ACCEPTED: readonly string[] = [
  'DELETE FROM t',
  'delete from only shop.t as x using s where x.a = s.a;',
  "UPDATE t SET a = 'it''s; DROP TABLE t', b = $1, c = now() WHERE d IN (1, 2) AND e LIKE '%x' -- end",
  'UPDATE t SET (a, b) = (SELECT max(x), count(*) FROM s WHERE s.t = t.a)',
  'UPDATE t SET a = CASE WHEN b IS NULL THEN 1 ELSE coalesce(b, 2) END, c = c || \'{"x":1}\'::jsonb',
  'INSERT INTO t VALUES (1, DEFAULT, now()), (2, 3, CURRENT_DATE)',
  'INSERT INTO t (a) SELECT a FROM s JOIN r USING (a) LEFT JOIN u ON u.a = s.a ORDER BY a LIMIT 3',
  'INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = excluded.b WHERE t.c > 1',
  `UPDATE t SET a = (now() + interval '7 days')::date, b = CURRENT_TIMESTAMP - $1::interval, c = LOCALTIMESTAMP::text`,
  'UPDATE t SET a = statement_timestamp()::timestamptz(0) WHERE c < now() - d',
  'UPDATE t SET a = random(), b = gen_random_uuid()::text, c = pg_catalog.clock_timestamp()',
  'UPDATE t SET (a, b) = (1, uuidv4()::uuid), c = random()::numeric',
  'INSERT INTO t VALUES (gen_random_uuid(), uuidv7()), (gen_random_uuid(), uuidv7())',
  'INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = gen_random_uuid()',
  'MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = random() WHEN NOT MATCHED THEN INSERT VALUES (gen_random_uuid())',
  'INSERT INTO t DEFAULT VALUES',
  'WITH w AS (SELECT a FROM s), v AS (SELECT a FROM w) DELETE FROM t WHERE a IN (SELECT a FROM v)',
  'WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) INSERT INTO t SELECT n FROM r',
  "UPDATE t SET a = extract(year FROM b), c = trim(d), e = b AT TIME ZONE 'UTC' WHERE f[1] = 2 AND g -> 'x' IS NOT NULL",
  'DELETE FROM t WHERE a BETWEEN 1 AND 2 AND b = ANY ($1) AND EXISTS (SELECT 1 FROM s WHERE s.a = t.a)',
  'UPDATE t SET (a, b) = (1, now()), c[2] = d[1]',
  "UPDATE t SET a = make_interval(days => 3), b = 'x'::region, c = 5::numeric(10, 2)",
  'MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND s.b > 1 THEN UPDATE SET b = s.b WHEN MATCHED THEN DELETE',
  'MERGE INTO t USING s ON t.a = s.a WHEN NOT MATCHED BY SOURCE THEN DO NOTHING WHEN NOT MATCHED THEN INSERT (a, b) OVERRIDING SYSTEM VALUE VALUES (s.a, DEFAULT)',
  'INSERT INTO t (a) OVERRIDING USER VALUE VALUES (1) ON CONFLICT ON CONSTRAINT k DO NOTHING',
  "UPDATE t SET a = JSON_VALUE(b, '$.x' RETURNING int DEFAULT 0 ON EMPTY), c = JSON_OBJECT('k': d)",
  'WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SEARCH DEPTH FIRST BY n SET o CYCLE n SET c USING p DELETE FROM t USING r WHERE t.a = r.n',
  'UPDATE t SET a = s.total FROM (SELECT b, sum(c) OVER (PARTITION BY d ORDER BY e) AS total FROM s) s WHERE s.b = t.b',
];

for (const text of ACCEPTED) {
  test(`accepted: ${text.slice(0, 70)}`, async () => {
    const statement = await parse(text);
    assert.equal(statement.text, text.replace(/;$/, ''));
    assert.equal(statement.target.name, 't');
  });
}

test('all that a statement writes to is told, its own object first', async () => {
  const told = async (text: string) => {
    const { kind, target, isPlain, written, writes } = await parse(text);
    return [
      kind,
      target.name,
      isPlain ? 'plain' : 'not plain',
      written.map((each) => each.name).join(),
      writes.map((each) => `${each.kind} ${each.relation.name}`).join(),
    ];
  };
  assert.deepEqual(await told('UPDATE t SET a = 1'), ['update', 't', 'plain', 't', 'update t']);
  assert.deepEqual(
    await told(
      'WITH d AS (DELETE FROM s RETURNING a), u AS (UPDATE t SET b = 2) INSERT INTO t SELECT a FROM d',
    ),
    ['insert', 't', 'not plain', 't,s', 'insert t,delete s,update t'],
  );
  assert.deepEqual(await told('WITH d AS (DELETE FROM s RETURNING a) SELECT a FROM d'), [
    'delete',
    's',
    'not plain',
    's',
    'delete s',
  ]);
  assert.deepEqual(
    await told(
      'MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = 1 WHEN NOT MATCHED THEN INSERT VALUES (1)',
    ),
    ['merge', 't', 'not plain', 't', 'update t,insert t'],
  );
  const { inserted, updated, reads } = await parse(
    'WITH s AS (UPDATE u SET x = 1 RETURNING y) INSERT INTO t (a) SELECT y FROM s ON CONFLICT (a) DO UPDATE SET b = now()',
  );
  assert.deepEqual(
    [inserted.map((each) => each.column), updated.map((each) => each.column), reads],
    [['a'], ['b'], []],
  );
});

test('it is told of which columns is computed what rows are chosen by', async () => {
  const told = async (text: string) =>
    (await parse(text)).computed.map(({ column, levels }) => {
      const names = levels.map((level) => level.map(({ name }) => name).join('+'));
      return `${column} of ${names.join(' or ')}`;
    });
  assert.deepEqual(await told('DELETE FROM t WHERE a % 2 = 0 OR b LIKE c'), [
    'a of t',
    'b of t',
    'c of t',
  ]);
  assert.deepEqual(
    await told(
      'UPDATE t SET a = 1 FROM s x, r WHERE t.b = x.c % 4 AND lower(d) = r.e AND mod((SELECT max(g) FROM q WHERE h = 1), 2) = 0',
    ),
    ['c of s', 'd of t+s+r', 'g of q or t+s+r'],
  );
  assert.deepEqual(await told('DELETE FROM t WHERE a IN (SELECT b # 1 FROM s WHERE c > 0)'), [
    'b of s or t',
  ]);
  for (const text of [
    'DELETE FROM t WHERE a + 1 > 2 AND b IN (1, 2) AND c BETWEEN 1 AND 2 AND d = ANY ($1)',
    'UPDATE t SET a = b % 2, c = CASE WHEN d % 2 = 0 THEN md5(e) END WHERE f IS NULL',
    'INSERT INTO t SELECT a % 2, b || 1 FROM s WHERE c = (SELECT max(d) FROM r)',
    'DELETE FROM t WHERE bool_of IS NOT DISTINCT FROM coalesce(a = 1, b < 2)',
  ]) {
    assert.deepEqual(await told(text), [], text);
  }
});

test('an operator that is looked up without being named is cleared as well', async () => {
  const operators = async (text: string) => (await parse(text)).operators;
  for (const text of [
    'DELETE FROM t WHERE a IN (SELECT b FROM s)',
    `UPDATE t SET a = CASE b WHEN 'x' THEN 1 END`,
    'DELETE FROM t USING s JOIN r USING (a) WHERE true',
    'DELETE FROM t USING s NATURAL JOIN r WHERE true',
    'UPDATE t SET a = NULLIF(b, c)',
  ]) {
    assert((await operators(text)).includes('='), text);
  }
});

test('where nobody sees which column gets what, each counts as given by the agent', async () => {
  const some = await parse('INSERT INTO t (a, b) SELECT x.* FROM s x WHERE at < now()');
  assert.deepEqual(
    some.inserted.map(({ column, plain, changing }) => [column, plain, changing]),
    [
      ['a', true, false],
      ['b', true, false],
    ],
  );
  const all = await parse('INSERT INTO t SELECT * FROM s UNION ALL TABLE r');
  assert.equal(all.inserted.length, 1_600);
  assert(all.inserted.every(({ plain, byDefault }) => plain && !byDefault));
  assert.deepEqual(
    all.reads.map((each) => each.name),
    ['s', 'r'],
  );
});

test('a plain UPDATE or DELETE comes with a query that finds its rows', async () => {
  const counting = async (text: string) =>
    (await parse(text)).countQuery
      ?.replaceAll(/\s+/g, ' ')
      .replaceAll(/\( | \)/g, (each) => each.trim());
  assert.equal(
    await counting("UPDATE t SET a = (SELECT 1 FROM s WHERE true) WHERE b = 'FROM' -- WHERE"),
    "SELECT 1 FROM t WHERE (b = 'FROM')",
  );
  assert.equal(
    await counting('WITH s AS (SELECT 1) DELETE FROM ONLY t AS x USING s, r WHERE x.a = r.a;'),
    'WITH s AS (SELECT 1) SELECT 1 FROM ONLY t AS x WHERE EXISTS (SELECT 1 FROM s, r WHERE (x.a = r.a))',
  );
  // Values that only the rest uses can still be bound.
  assert.equal(
    await counting('UPDATE t SET a = $1, b = c IS DISTINCT FROM d FROM s WHERE e = $2 OR true'),
    'SELECT 1 FROM t WHERE EXISTS (SELECT 1 FROM s WHERE (e = $2 OR true)) AND ($1::text IS NULL OR true)',
  );
  assert.equal(await counting('DELETE FROM t'), 'SELECT 1 FROM t WHERE true');
  for (const text of [
    'INSERT INTO t VALUES (1)',
    'MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE',
    'WITH w AS (DELETE FROM s) DELETE FROM t WHERE true',
  ]) {
    assert.equal((await parse(text)).countQuery, null, text);
  }
});

test('a DELETE of a soft deleted table becomes an UPDATE, and nothing else can delete there', async () => {
  const settings: ParseSettings = parsePostgresSettings('parsed', {
    url: 'postgres://nowhere',
    schemas: ['public', 'shop'],
    softDelete: { t: { column: 'Gone at' }, 'shop.s': { column: 'state', value: "it's" } },
  });
  const made = async (text: string) => {
    const { kind, rewritten, text: own, updated } = await parser.parse(text, settings);
    return [kind, rewritten, own.replaceAll(/\s+/g, ' '), updated[0]?.changing];
  };
  assert.deepEqual(
    await made(
      `WITH w AS (SELECT 1) DELETE FROM ONLY t AS "where" USING r WHERE r.a = 'USING' -- end`,
    ),
    [
      'update',
      'soft-delete',
      `WITH w AS (SELECT 1) UPDATE ONLY t AS "where" SET "Gone at" = now() FROM r WHERE (r.a = 'USING' ) AND "where"."Gone at" IS NULL`,
      true,
    ],
  );
  assert.deepEqual(await made('DELETE FROM public.t'), [
    'update',
    'soft-delete',
    'UPDATE public.t SET "Gone at" = now() WHERE "t"."Gone at" IS NULL',
    true,
  ]);
  assert.deepEqual(await made('DELETE FROM shop.s WHERE a = 1'), [
    'update',
    'soft-delete',
    `UPDATE shop.s SET "state" = 'it''s' WHERE (a = 1 ) AND "s"."state" IS DISTINCT FROM 'it''s'`,
    false,
  ]);
  for (const where of [
    'a IN (1, 2)',
    'a = 1 AND (a = 2 AND a = 3)',
    'a = 1 OR a = 2',
    'NOT a = 1',
  ]) {
    const [, rewritten, text] = await made(`DELETE FROM t WHERE ${where}`);
    assert.equal(rewritten, 'soft-delete');
    assert.equal(
      text,
      `UPDATE t SET "Gone at" = now() WHERE (${where} ) AND "t"."Gone at" IS NULL`,
    );
  }
  assert.deepEqual((await made('DELETE FROM shop.t WHERE a = 1')).slice(0, 2), ['delete', null]);
  for (const [text, code] of [
    ['DELETE FROM s WHERE a = 1', 'statement-relation'],
    ['WITH w AS (DELETE FROM t WHERE a = 1) SELECT 1', 'statement-unsupported'],
    ['MERGE INTO t USING r ON true WHEN MATCHED THEN DELETE', 'statement-unsupported'],
  ] as const) {
    const outcome = await parser.parse(text, settings).catch((error: unknown) => error);
    assert(outcome instanceof Refused, text);
    assert.equal(outcome.refusal.code, code, text);
  }
});

test('where the target bounds what a write may change, UPDATE and DELETE need a WHERE', async () => {
  const settings = { ...SETTINGS, limits: { ...SETTINGS.limits, rows: 10 } };
  for (const text of [
    'DELETE FROM t',
    'UPDATE t SET a = 1',
    'DELETE FROM t USING s',
    'WITH w AS (DELETE FROM t) SELECT 1',
  ]) {
    const outcome = await parser.parse(text, settings).catch((error: unknown) => error);
    assert(outcome instanceof Refused, text);
    assert.equal(outcome.refusal.code, 'statement-unsupported');
    const { span } = outcome.refusal;
    assert(span !== null);
    assert.equal(text.slice(span.from, span.to), 't');
  }
  assert.equal((await parser.parse('DELETE FROM t WHERE true', settings)).kind, 'delete');
});

test('rows picked without an order are warned of', async () => {
  const some = 'DELETE FROM t WHERE a IN (SELECT a FROM t';
  assert.equal((await parse(`${some} LIMIT 3)`)).warnings.length, 1);
  assert.equal((await parse(`${some} ORDER BY a LIMIT 3)`)).warnings.length, 0);
});

test('a statement that was judged before is not judged again, and what is kept is bounded', async () => {
  const text = 'DELETE FROM t WHERE kept = 1';
  const first = await parse(text);
  assert.equal(await parse(text), first);
  assert.notEqual(await parser.parse(text, { ...SETTINGS, schemas: ['other'] }), first);
  for (let n = 0; n <= PARSE_BOUNDS.keptMax; n += 1) await parse(`DELETE FROM t WHERE a = ${n}`);
  assert.notEqual(await parse(text), first);
});

const read = (text: string): Promise<Query> => parser.parseRead(text, SETTINGS);

test('a read that is one passes, with what it names', async () => {
  const query = await read(
    'WITH w AS (SELECT * FROM s) SELECT w.a, count(*), random() FROM w JOIN shop.t USING (a) WHERE b = $2::shop.colour GROUP BY 1;',
  );
  assert.deepEqual(
    query.reads.map((each) => each.name),
    ['s', 't'],
  );
  assert.deepEqual(
    query.types.map((each) => each.name),
    ['colour'],
  );
  assert.equal(query.parameters, 2);
  assert(!query.text.endsWith(';'));
});

test('a read of any other kind, or with a write inside, is refused with its place', async () => {
  for (const [text, code, span] of [
    ['DELETE FROM t', 'statement-kind', 'DELETE'],
    ['EXPLAIN SELECT 1', 'statement-kind', 'EXPLAIN'],
    ['SHOW ALL', 'statement-kind', 'SHOW'],
    ['', 'statement-kind', null],
    ['SELECT 1; SELECT 2', 'statement-multiple', 'SELECT'],
    ['WITH w AS (DELETE FROM t RETURNING a) SELECT * FROM w', 'statement-kind', 't'],
    ['SELECT 1 INTO u', 'statement-unsupported', 'u'],
    ['SELECT a FROM t FOR SHARE OF t', 'statement-unsupported', 't'],
    ["SELECT nextval('s')", 'statement-function', 'nextval'],
    ["SELECT é, nosuch('é')", 'statement-function', 'nosuch'],
    ['SELECT * FROM hr.s', 'statement-relation', 'hr.s'],
    ['SELECT current_user', 'statement-unsupported', 'current_user'],
    ['SELECT 1 FROM t TABLESAMPLE shop.some (1)', 'statement-unsupported', 'shop.some'],
    [`SELECT '1'::"integer"`, null, null],
  ] as const) {
    const outcome: unknown = await read(text).catch((error: unknown) => error);
    if (code === null) {
      // Somebody's own type of that name: the connection clears it.
      assert(!(outcome instanceof Error));
      continue;
    }
    assert(outcome instanceof Refused, text);
    assert.equal(outcome.refusal.code, code, `${text}: ${outcome.refusal.reason}`);
    const place = outcome.refusal.span;
    if (span !== null) assert.equal(text.slice(place?.from, place?.to), span, text);
  }
});

test('a WITH name hides a table only where it is in scope', async () => {
  const names = async (text: string) => (await parse(text)).reads.map((each) => each.name);
  assert.deepEqual(await names('WITH s AS (SELECT 1 AS a) DELETE FROM t USING s'), []);
  assert.deepEqual(await names('WITH s AS (SELECT 1 AS a) DELETE FROM t USING shop.s'), ['s']);
  // The later name is not yet there for the earlier query, nor within itself.
  assert.deepEqual(
    await names('WITH a AS (SELECT * FROM s), s AS (SELECT * FROM s) DELETE FROM t USING a, s'),
    ['s', 's'],
  );
});

test('what only the commit will know is noted per column', async () => {
  const changing = async (text: string) => {
    const { inserted, updated } = await parse(text);
    return [...inserted, ...updated].map((each) => [
      each.column ?? each.position,
      each.changing ? 'changing' : each.byDefault ? 'default' : 'given',
    ]);
  };
  assert.deepEqual(await changing('INSERT INTO t VALUES (1, now(), DEFAULT), (2, NULL, 3)'), [
    [0, 'given'],
    [1, 'changing'],
    [2, 'default'],
  ]);
  assert.deepEqual(await changing("UPDATE t SET a = CURRENT_DATE, b = 'now()', c = DEFAULT"), [
    ['a', 'changing'],
    ['b', 'given'],
    ['c', 'default'],
  ]);
  assert.deepEqual(await changing('DELETE FROM t WHERE a < now()'), []);
});

test('sixty deeply nested texts, one after the other, and then a statement parses as ever', async () => {
  const depth = 7_000;
  const hostile = [
    `DELETE FROM t WHERE ${'abs('.repeat(depth)}1${')'.repeat(depth)} = 1`,
    `DELETE FROM t WHERE a = ${'(SELECT '.repeat(5_000)}1${')'.repeat(5_000)}`,
    `DELETE FROM t WHERE a = ${'1+'.repeat(30_000)}1`,
  ];
  for (let round = 0; round < 60; round += 1) {
    const { code } = await refusalOf(hostile[round % hostile.length] ?? '');
    assert.match(code, /^(statement-too-large|statement-invalid|effect-unmeasurable)$/);
  }
  assert.equal((await parse('DELETE FROM t WHERE a = 1')).kind, 'delete');
});

test('clocks may stand in tests, shift a date, and bound what a query finds', async () => {
  for (const text of [
    `UPDATE t SET a = CASE WHEN b < now() THEN 'overdue' ELSE a END`,
    'UPDATE t SET a = b < CURRENT_DATE',
    `UPDATE t SET a = CASE WHEN now() > '2020-01-01' THEN 'gold' END`,
    'UPDATE t SET a = CURRENT_DATE + 30, b = (CURRENT_DATE - 7)::text, c = now()::date + $1::int',
    `WITH c AS (SELECT now() - interval '1 day' AS x) DELETE FROM t USING c WHERE t.a < c.x`,
    `WITH c AS (SELECT now() AS x) UPDATE t SET a = 1, b = t.b FROM c WHERE t.a < c.x`,
    'INSERT INTO t SELECT o.* FROM s o JOIN (SELECT now() AS x) c ON o.a < c.x',
    'UPDATE t SET a = s.x FROM (SELECT b AS x FROM s WHERE c < now()) s WHERE s.x = t.b',
  ]) {
    assert((await parse(text)).writes.length === 1, text);
  }
});

test('a comment mark inside of a string or a name nests nothing', async () => {
  const marks = '/*'.repeat(100);
  for (const value of [
    `'${marks}'`,
    `$x$${marks}$x$`,
    `E'\\'${marks}'`,
    `'''${marks}'`,
    `"${marks}"`,
  ]) {
    assert.equal((await parse(`DELETE FROM t WHERE a = ${value}`)).kind, 'delete', value);
  }
  assert.equal((await parse(`DELETE FROM t -- ${marks}`)).kind, 'delete');
  assert.equal((await parse(`DELETE FROM t ${'/**/'.repeat(1_000)}`)).kind, 'delete');
  for (const before of [`'a'`, `E'\\\\'`, '$1 + $2', '"a"', `'a' -- '\n`, "/* ' */ 1"]) {
    const { code } = await refusalOf(`DELETE FROM t WHERE a = ${before} ${marks}`);
    assert.equal(code, 'statement-too-large', before);
  }
});

test('a long text that takes all its time holds up no short one', async () => {
  const slow = Array.from({ length: 4 }, (_, n) =>
    refusalOf(`DELETE FROM t WHERE a = ${n} OR ${'(SELECT '.repeat(5_000)}1${')'.repeat(5_000)}`),
  );
  const first = await Promise.race([
    Promise.all(slow).then(() => 'slow'),
    parse('DELETE FROM t WHERE quick').then(() => 'quick'),
  ]);
  assert.equal(first, 'quick');
  await Promise.all(slow);
});

test('a statement whose answer nobody could take for a while is not refused for it', async () => {
  await parse('DELETE FROM t WHERE warm');
  // From here the loop comes to timers before it comes to messages.
  await new Promise(setImmediate);
  const late = parse('DELETE FROM t WHERE late');
  const until = performance.now() + PARSE_BOUNDS.threadMs + 100;
  // What held this thread up, or the machine, says nothing of the statement.
  while (performance.now() < until);
  assert.equal((await late).kind, 'delete');
});

test('random text is refused or parsed, never anything else', async () => {
  const words = fc.constantFrom(
    'UPDATE', 'DELETE', 'FROM', 't', 'SET', 'a', '=', '1', '(', ')', ',', ';', 'WHERE', 'SELECT', "'x'",
    '--', '/*', '*/', '$1', 'now()', 'NULL', '\0', '\u{1F600}', '"', 'é', 'RETURNING', '::text', '\n',
  ); // prettier-ignore
  await fc.assert(
    fc.asyncProperty(fc.array(words, { maxLength: 25 }), async (parts) => {
      const text = parts.join(' ');
      const outcome: unknown = await parse(text).catch((error: unknown) => error);
      if (outcome instanceof Refused) {
        const { span } = outcome.refusal;
        if (span !== null) assert(span.from >= 0 && span.from <= span.to && span.to <= text.length);
      } else {
        assert(!(outcome instanceof Error), String(outcome));
      }
    }),
    { numRuns: 300 },
  );
});

test('more statements than may wait are sent away for now, and the others are judged', async () => {
  const own = openParser();
  const asked = Array.from({ length: PARSE_BOUNDS.queueMax + 40 }, (_, number) =>
    own.parse(`UPDATE t SET a = ${number} WHERE id = 1`, SETTINGS).then(
      ({ kind }) => kind,
      (error: unknown) => {
        assert.ok(error instanceof Refused);
        return `${error.refusal.code} ${error.refusal.permanent}`;
      },
    ),
  );
  const answers = Object.groupBy(await Promise.all(asked), (answer) => answer);
  assert.deepEqual(new Set(Object.keys(answers)), new Set(['update', 'target-busy false']));
  assert.equal(answers['update']?.length, PARSE_BOUNDS.queueMax);
  await own.close();
});

test('a parser that was closed refuses', async () => {
  const other = openParser();
  await other.parse('DELETE FROM t', SETTINGS);
  await other.close();
  await assert.rejects(other.parse('DELETE FROM t', SETTINGS), Refused);
});
