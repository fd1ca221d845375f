import { strict as assert } from 'node:assert';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { TargetRefusal } from '../../model/ports.ts';
import { Refused } from '../connector.ts';
import { openParser, PARSE_BOUNDS } from './parse.ts';
import type { Statement } from './statement.ts';

const parser = openParser();
after(() => parser.close());

const parse = (text: string): Promise<Statement> => parser.parse(text, ['public', 'shop']);

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
  ['MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE', 'statement-kind', 'MERGE'],
  ['SELEC 1', 'statement-invalid', 'SELEC'],
  ["UPDATE é SET a = 'x", 'statement-invalid', "'"],
  ["UPDATE t SET a = 'é' WHERE nosuch('é') = 1", 'statement-function', 'nosuch'],
  ['UPDATE t SET a = pg_sleep(9)', 'statement-function', 'pg_sleep'],
  ["UPDATE t SET a = nextval('s')", 'statement-function', 'nextval'],
  ["UPDATE t SET a = set_config('a', 'b', false)", 'statement-function', 'set_config'],
  ['DELETE FROM t WHERE random() < 0.1', 'statement-function', 'random'],
  ['DELETE FROM t WHERE a < clock_timestamp()', 'statement-function', 'clock_timestamp'],
  [`UPDATE t SET a = CASE WHEN now() > '2020-01-01' THEN 'gold' END`, 'statement-function', 'now'],
  [`UPDATE t SET a = CASE WHEN random() < 2 THEN 'gold' END`, 'statement-function', 'random'],
  [`UPDATE t SET a = left('gold' || now(), 4)`, 'statement-function', 'now'],
  [`INSERT INTO t VALUES (left('gold' || CURRENT_DATE, 4))`, 'statement-function', 'CURRENT_DATE'],
  ['UPDATE t SET a = b + (extract(epoch from now()) * 0)::int', 'statement-function', 'now'],
  ['INSERT INTO t (a) SELECT 9 + random()::int FROM s', 'statement-function', 'random'],
  ['UPDATE t SET a = (SELECT max(b) + CURRENT_DATE FROM s)', 'statement-function', 'CURRENT_DATE'],
  [`UPDATE t SET a[1] = 'gold', a[2] = now()::text`, 'statement-function', 'now'],
  [`INSERT INTO t (a[1], a[2]) VALUES ('gold', now())`, 'statement-function', 'now'],
  ['UPDATE t SET a = random(9, 9)', 'statement-function', 'random'],
  ['UPDATE t SET a = random()', 'statement-function', 'random'],
  ['INSERT INTO t SELECT * FROM s', 'statement-unsupported', '*'],
  ['INSERT INTO t (a, b) SELECT x.* FROM (SELECT 1, 2) x', 'statement-unsupported', 'x.'],
  ['INSERT INTO t (a, b) SELECT (x).* FROM s x', 'statement-unsupported', '('],
  ['INSERT INTO t VALUES (gen_random_uuid())', 'statement-function', 'gen_random_uuid'],
  ['UPDATE t SET a = clock_timestamp()', 'statement-function', 'clock_timestamp'],
  ['UPDATE t SET a = CURRENT_DATE - $1', 'statement-function', 'CURRENT_DATE'],
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
  ['UPDATE t SET a = b::shop.mood', 'statement-function', 'shop.mood'],
  ['UPDATE t SET a = b::regclass', 'statement-function', 'regclass'],
  ['DELETE FROM pg_class', 'statement-relation', 'pg_class'],
  ['DELETE FROM hr.salaries', 'statement-relation', 'hr.salaries'],
  ['DELETE FROM other.shop.t', 'statement-relation', 'other.shop.t'],
  ['UPDATE t SET a = (SELECT x FROM information_schema.tables)', 'statement-relation', null],
  ['WITH w AS (DELETE FROM t RETURNING a) DELETE FROM t', 'statement-unsupported', null],
  ['UPDATE t SET a = 1 RETURNING a', 'statement-unsupported', null],
  ["DELETE FROM t WHERE ctid = '(0,1)'", 'statement-unsupported', 'ctid'],
  ['DELETE FROM t WHERE t.xmin IS NULL', 'statement-unsupported', 't.xmin'],
  ['DELETE FROM t WHERE (t).f = 1', 'statement-unsupported', null],
  ['DELETE FROM t WHERE a IN (SELECT a FROM s FOR UPDATE)', 'statement-unsupported', null],
  ['UPDATE t SET a = current_user', 'statement-unsupported', 'current_user'],
  ['UPDATE t SET a.b = 1', 'statement-unsupported', null],
  ["UPDATE t SET a = xmlparse(content 'x')", 'statement-unsupported', 'xmlparse'],
  ['DELETE FROM t\0; DROP TABLE t', 'statement-invalid', '\0'],
  ['DELETE FROM t /* \u202e */', 'statement-invalid', '\u202e'],
  ['DELETE FROM t\u200b', 'statement-invalid', '\u200b'],
  [`DELETE FROM t WHERE a = '\ud800'`, 'statement-invalid', '\ud800'],
  [`DELETE FROM t -- ${'x'.repeat(PARSE_BOUNDS.textBytesMax)}`, 'statement-too-large', null],
  [`DELETE FROM t WHERE ${'NOT '.repeat(500)}true`, 'statement-too-large', null],
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
  'INSERT INTO t DEFAULT VALUES',
  'WITH w AS (SELECT a FROM s), v AS (SELECT a FROM w) DELETE FROM t WHERE a IN (SELECT a FROM v)',
  'WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) INSERT INTO t SELECT n FROM r',
  "UPDATE t SET a = extract(year FROM b), c = trim(d), e = b AT TIME ZONE 'UTC' WHERE f[1] = 2 AND g -> 'x' IS NOT NULL",
  'DELETE FROM t WHERE a BETWEEN 1 AND 2 AND b = ANY ($1) AND EXISTS (SELECT 1 FROM s WHERE s.a = t.a)',
  'UPDATE t SET a = s.total FROM (SELECT b, sum(c) OVER (PARTITION BY d ORDER BY e) AS total FROM s) s WHERE s.b = t.b',
];

for (const text of ACCEPTED) {
  test(`accepted: ${text.slice(0, 70)}`, async () => {
    const statement = await parse(text);
    assert.equal(statement.text, text.replace(/;$/, ''));
    assert.equal(statement.target.name, 't');
  });
}

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

test('a parser that was closed refuses', async () => {
  const other = openParser();
  await other.parse('DELETE FROM t', ['public']);
  await other.close();
  await assert.rejects(other.parse('DELETE FROM t', ['public']), Refused);
});
