import { strict as assert } from 'node:assert';
import { after, describe, test } from 'node:test';
import type { Json, JsonObject } from '../../../lib/json.ts';
import { canonicalWrite } from '../proposed/proposed.ts';
import type { Parameter } from '../session/rows.ts';
import { parsePostgresSettings } from '../settings.ts';
import { CANONICAL_BOUNDS, treeText } from './canonical.ts';
import { openParser } from './parse.ts';

const parser = openParser();
after(() => parser.close());

type Sql = readonly [statement: string, ...parameters: Parameter[]];

function settingsOf(schemas: readonly string[]) {
  return parsePostgresSettings('canon', { url: 'postgres://nowhere', schemas: [...schemas] });
}

/** One schema, and so one meaning of a bare name. */
const ONE = settingsOf(['public']);

function form(sql: Sql, settings = ONE): Promise<string> {
  const [statement, ...parameters] = sql;
  return formOf('sql', { statement, parameters }, settings);
}

async function formOf(operation: string, args: JsonObject, settings = ONE): Promise<string> {
  const found = await canonicalWrite({ parser, settings }, { operation, arguments: args });
  assert.notEqual(found, null, `there is a form of ${JSON.stringify(args)}`);
  return JSON.stringify(found);
}

const plain = (...statements: readonly string[]): readonly Sql[] =>
  statements.map((statement) => [statement]);

/** Each list says one thing. */
const SAME: Readonly<Record<string, readonly Sql[]>> = {
  'white space, comments, case of keywords, a semicolon, brackets, quoted names': plain(
    `UPDATE t SET a = 1 WHERE id = 2`,
    `update\n\tT  set A=(1) where ((ID)=(2));`,
    `/* a */ UPDATE "t" SET "a" = 1 -- b\n WHERE "id" = 2 ;`,
  ),
  'ways to quote a text': plain(
    `UPDATE t SET a = 'it''s' WHERE id = 2`,
    `UPDATE t SET a = E'it\\'s' WHERE id = 2`,
    `UPDATE t SET a = $$it's$$ WHERE id = 2`,
    `UPDATE t SET a = $q$it's$q$ WHERE id = 2`,
    `UPDATE t SET a = U&'it''s' WHERE id = 2`,
    `UPDATE t SET a = U&'\\0069t''s' WHERE id = 2`,
  ),
  'CAST and ::, != and <>': plain(
    `UPDATE t SET a = CAST('x' AS text) WHERE id <> 2`,
    `UPDATE t SET a = 'x'::text WHERE id != 2`,
  ),
  'numbers that a column is compared with': [
    ...['1', '1.0', '1.', '1e0', '10e-1', '+1', '0x1', '01', '+1.00'].map((one): Sql => [
      `DELETE FROM t WHERE n = ${one}`,
    ]),
    [`DELETE FROM t WHERE n = $1`, 1],
    [`DELETE FROM t WHERE $1 = n`, 1],
    ['DELETE FROM t WHERE 1 = n'],
  ],
  'whole numbers that a column gets': [
    ...['1', '+1', '0x1', '0b1', '0_1'].map((one): Sql => [`UPDATE t SET n = ${one} WHERE id = 2`]),
    [`UPDATE t SET n = $1 WHERE id = 2`, 1],
    [`UPDATE t SET n = $2 WHERE id = $1`, 2, 1],
  ],
  'large numbers': plain(`DELETE FROM t WHERE n = 3000000000`, `DELETE FROM t WHERE n = 3e9`),
  'decimals in one type': plain(
    `UPDATE t SET n = 1.50 WHERE id = 2`,
    `UPDATE t SET n = 15.0e-1 WHERE id = 2`,
    `UPDATE t SET n = 01.50 WHERE id = 2`,
  ),
  'order of AND and OR, and the brackets between them': plain(
    `DELETE FROM t WHERE a = 1 AND b = 2 AND (c = 3 OR d = 4 OR e = 5)`,
    `DELETE FROM t WHERE ((e = 5 OR (d = 4 OR c = 3)) AND (b = 2)) AND a = 1`,
  ),
  'order of an IN list': plain(
    `DELETE FROM t WHERE a IN (1, 2, 3)`,
    `DELETE FROM t WHERE a IN (3, 1.0, 2)`,
  ),
  'order of SET': plain(
    `UPDATE t SET a = 1, b = 2 WHERE id = 3`,
    `UPDATE t SET b = 2, a = 1 WHERE id = 3`,
  ),
  'order of the columns of an INSERT': [
    [`INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y')`],
    [`INSERT INTO t (b, a) VALUES ('x', 1), ('y', 2)`],
    [`INSERT INTO t (b, a) VALUES ($4, $3), ($2, $1)`, 2, 'y', 1, 'x'],
  ],
  'sides of a comparison': plain(
    `DELETE FROM t WHERE a < 5 AND b = 'x'`,
    `DELETE FROM t WHERE 5 > a AND 'x' = b`,
  ),
  'the only schema, said or not': plain(
    `UPDATE t SET a = 1 WHERE id IN (SELECT id FROM s)`,
    `UPDATE public.t SET a = 1 WHERE id IN (SELECT id FROM public.s)`,
  ),
  'values beside the statement or in it': [
    [`UPDATE t SET a = 'Ann Lee', b = 'true', c = NULL, d = 7 WHERE id = 2 AND e = 'x1'`],
    [
      `UPDATE t SET a = $1, b = $2, c = $3, d = $4 WHERE id = $5 AND e = $6`,
      'Ann Lee',
      true,
      null,
      7,
      2,
      'x1',
    ],
    [
      `UPDATE t SET d = $1, c = $2, b = $3, a = $4 WHERE e = $5 AND id = $6`,
      7,
      null,
      true,
      'Ann Lee',
      'x1',
      2,
    ],
  ],
  'an increment': [
    [`UPDATE t SET qty = qty + 5 WHERE id = 2`],
    [`UPDATE t SET qty = qty + $1 WHERE id = $2`, 5, 2],
  ],
  'parameters that are used twice, by another number': [
    [`UPDATE t SET a = $1, b = $1 WHERE id = $2`, 'x', 2],
    [`UPDATE t SET a = $2, b = $2 WHERE id = $1`, 2, 'x'],
  ],
  'what an upsert sets': plain(
    `INSERT INTO t (id, a) VALUES (1, 2) ON CONFLICT (id) DO UPDATE SET a = 3, b = 4`,
    `INSERT INTO t (a, id) VALUES (2, 1) ON CONFLICT (id) DO UPDATE SET b = 4, a = 3`,
  ),
};

/** In each pair there is a database on which the two differ, or none was thought of on which they surely agree. */
const DIFFERENT: readonly (readonly [Sql, Sql])[] = [
  [[`UPDATE t SET a = 'a'`], [`UPDATE t SET a = 'A'`]],
  [[`UPDATE t SET a = 'a'`], [`UPDATE t SET a = 'a '`]],
  [[`UPDATE t SET "A" = 1`], [`UPDATE t SET a = 1`]],
  [[`UPDATE "T" SET a = 1`], [`UPDATE t SET a = 1`]],
  [[`UPDATE t SET a = 1`], [`UPDATE t SET a = '1'`]],
  [[`UPDATE t SET a = 1`], [`UPDATE t SET a = 1.0`]],
  [[`UPDATE t SET a = 1.5`], [`UPDATE t SET a = 1.50`]],
  [[`UPDATE t SET a = $1`, 1.5], [`UPDATE t SET a = 1.5`]],
  [[`UPDATE t SET a = $1`, '5'], [`UPDATE t SET a = '5'`]],
  [[`UPDATE t SET a = $1`, '1 day 2'], [`UPDATE t SET a = '1 day 2'`]],
  [[`UPDATE t SET a = true`], [`UPDATE t SET a = $1`, true]],
  [[`UPDATE t SET a = 7 / 2`], [`UPDATE t SET a = 7 / 2.0`]],
  [[`UPDATE t SET a = b / $1`, 2], [`UPDATE t SET a = b / 2`]],
  [[`UPDATE t SET a = a - $1`, 1], [`UPDATE t SET a = a - 1`]],
  [[`UPDATE t SET a = o.a + $1 FROM o`, 1], [`UPDATE t SET a = o.a + 1 FROM o`]],
  [[`UPDATE t SET a = b + $1`, 1], [`UPDATE t SET a = b + 1`]],
  [[`UPDATE t SET a = $1::interval day`, '1'], [`UPDATE t SET a = '1'::interval day`]],
  [
    [`UPDATE t SET a = $1, b = $1`, '01'],
    [`UPDATE t SET a = $1, b = $2`, '01', '01'],
  ],
  [[`DELETE FROM t WHERE a = $1`, 0.1], [`DELETE FROM t WHERE a = 0.1`]],
  [[`DELETE FROM t WHERE a = $1`, 16_777_217], [`DELETE FROM t WHERE a = 16777217`]],
  [[`DELETE FROM t WHERE a = 1`], [`DELETE FROM t WHERE a = '1'`]],
  [[`DELETE FROM t WHERE a = NULL`], [`DELETE FROM t WHERE a IS NULL`]],
  [[`DELETE FROM t WHERE a = $1`, null], [`DELETE FROM t WHERE a = NULL`]],
  [[`DELETE FROM t WHERE a <> 1`], [`DELETE FROM t WHERE a IS DISTINCT FROM 1`]],
  [[`DELETE FROM t WHERE a IN (0.1)`], [`DELETE FROM t WHERE a IN (0.1, 0.1)`]],
  [[`DELETE FROM t WHERE a IN (0.1)`], [`DELETE FROM t WHERE a = 0.1`]],
  [[`DELETE FROM t WHERE a IN (1, 2)`], [`DELETE FROM t WHERE a NOT IN (1, 2)`]],
  [[`DELETE FROM t WHERE a BETWEEN 1 AND 2`], [`DELETE FROM t WHERE a BETWEEN 2 AND 1`]],
  [[`DELETE FROM t WHERE a = 1 AND b = 2`], [`DELETE FROM t WHERE a = 1 OR b = 2`]],
  [
    [`DELETE FROM t WHERE a = 1 AND (b = 2 OR c = 3)`],
    [`DELETE FROM t WHERE (a = 1 AND b = 2) OR c = 3`],
  ],
  [[`DELETE FROM t WHERE a < 1`], [`DELETE FROM t WHERE 1 < a`]],
  [[`DELETE FROM t WHERE a = 1`], [`DELETE FROM ONLY t WHERE a = 1`]],
  [[`INSERT INTO t (a) VALUES (1), (2)`], [`INSERT INTO t (a) VALUES (2), (1)`]],
  [[`INSERT INTO t (a, b) VALUES (1, 2)`], [`INSERT INTO t (a, b) VALUES (2, 1)`]],
  [[`INSERT INTO t (a, b) VALUES (1, 2)`], [`INSERT INTO t VALUES (1, 2)`]],
  [[`INSERT INTO t (a, b) VALUES (1, NULL)`], [`INSERT INTO t (a) VALUES (1)`]],
  [[`INSERT INTO t (a, b) VALUES (1, NULL)`], [`INSERT INTO t (a, b) VALUES (1, DEFAULT)`]],
  [[`UPDATE t SET a = b, b = a`], [`UPDATE t SET a = a, b = b`]],
  [[`UPDATE t SET a[1] = 1, a[2] = 2`], [`UPDATE t SET a[2] = 2, a[1] = 1`]],
  [
    [`DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY a LIMIT 1)`],
    [`DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY a DESC LIMIT 1)`],
  ],
  [
    [`DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY a, b LIMIT 1)`],
    [`DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY b, a LIMIT 1)`],
  ],
  [
    [`WITH s AS (SELECT 1 AS id) DELETE FROM t WHERE id IN (SELECT id FROM s)`],
    [`WITH s AS (SELECT 1 AS id) DELETE FROM t WHERE id IN (SELECT id FROM public.s)`],
  ],
];

describe('the canonical form', () => {
  for (const [what, spellings] of Object.entries(SAME)) {
    test(`is the same whatever the ${what}`, async () => {
      const [first = '', ...others] = await Promise.all(spellings.map((each) => form(each)));
      for (const [at, other] of others.entries()) {
        assert.equal(other, first, JSON.stringify(spellings[at + 1]));
      }
    });
  }

  test('differs where two statements can differ in effect', async () => {
    for (const [left, right] of DIFFERENT) {
      assert.notEqual(await form(left), await form(right), JSON.stringify([left, right]));
    }
  });

  test('tells a bare name from one with its schema where it may mean either', async () => {
    const two = settingsOf(['public', 'shop']);
    const bare = await form([`UPDATE t SET a = 1 WHERE id = 2`], two);
    assert.notEqual(await form([`UPDATE public.t SET a = 1 WHERE id = 2`], two), bare);
    assert.notEqual(await form([`UPDATE shop.t SET a = 1 WHERE id = 2`], two), bare);
  });

  test('is that of the statement that a structured write comes to, in whatever order its members are', async () => {
    const update = await form([`UPDATE orders SET qty = qty + 2, state = 'open' WHERE id = 7`]);
    const orders = { table: 'orders', key: { id: 7 } };
    for (const args of [
      { ...orders, set: { qty: { increment: 2 }, state: 'open' } },
      { set: { state: 'open', qty: { increment: 2 } }, ...orders, table: 'public.orders' },
    ]) {
      assert.equal(await formOf('update', args), update);
    }
    const insert = await form([`INSERT INTO orders (id, state) VALUES (7, 'open')`]);
    const rows = [{ state: 'open', id: 7 }];
    assert.equal(await formOf('insert', { table: 'orders', rows }), insert);
    assert.equal(
      await formOf('delete', { table: 'orders', keys: [{ id: 2 }, { id: 1 }] }),
      await form([`DELETE FROM orders WHERE id IN (1, 2)`]),
    );
    const like = { name: { like: 'a%' } };
    assert.equal(
      await formOf('delete', { table: 'orders', filter: like }),
      await form([`DELETE FROM orders WHERE name LIKE 'a%'`]),
    );
  });

  test('is none of what is not accepted', async () => {
    const asked = { operation: 'sql', arguments: { statement: 'DROP TABLE t' } };
    await assert.rejects(canonicalWrite({ parser, settings: ONE }, asked), { name: 'Refused' });
  });

  test('is none of a tree that is too large or too deep', () => {
    const tree = (stmt: Json) => ({ stmts: [{ stmt }] });
    assert.equal(treeText(tree({ A: { location: 7, b: [1] } })), '{"A":{"b":[1]}}');
    const many = Array.from({ length: CANONICAL_BOUNDS.treeMax }, () => 1);
    assert.equal(treeText(tree({ A: { b: many } })), null);
    let deep: Json = {};
    for (let level = 0; level < 100_000; level += 1) deep = { deep };
    assert.equal(treeText(tree(deep)), null);
  });
});
