import { strict as assert } from 'node:assert';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { canonicalWrite } from '../proposed/proposed.ts';
import { textOfParameter, type Parameter } from '../session/rows.ts';
import { parsePostgresSettings } from '../settings.ts';
import { openParser } from './parse.ts';

/** Statements that are declared equal, carried out: they must do the same. */

const parser = openParser();
after(() => parser.close());

type Sql = readonly [statement: string, ...parameters: Parameter[]];

const settings = parsePostgresSettings('canon', { url: 'postgres://nowhere' });

async function form([statement, ...parameters]: Sql): Promise<string> {
  const args = { statement, parameters };
  const found = await canonicalWrite({ parser, settings }, { operation: 'sql', arguments: args });
  return JSON.stringify(found);
}

const TYPES: Readonly<Record<string, string>> = {
  c_int2: 'smallint',
  c_int4: 'integer',
  c_int8: 'bigint',
  c_num: 'numeric',
  c_num2: 'numeric(8,2)',
  c_real: 'real',
  c_double: 'double precision',
  c_money: 'money',
  c_text: 'text',
  c_varchar: 'varchar(6)',
  c_bpchar: 'char(6)',
  c_char: '"char"',
  c_name: 'name',
  c_bool: 'boolean',
  c_date: 'date',
  c_time: 'timestamptz',
  c_span: 'interval',
  c_days: 'interval day',
  c_json: 'json',
  c_jsonb: 'jsonb',
  c_bytea: 'bytea',
  c_bit: 'bit(4)',
  c_oid: 'oid',
  c_inet: 'inet',
  c_ints: 'integer[]',
  c_texts: 'text[]',
};

/** The same things in many spellings, so that forms are equal wherever they may be. */
const VALUES: readonly (readonly [text: string, value?: Parameter])[] = [
  ...['0', '1', '+1', '-1', '1.0', '1e0', '0.1', '.1', '1e-1', '2', '1.5', '1.50', '16777217'].map(
    (text) => [text] as const,
  ),
  ...["'1'", "'1.0'", "'0.1'", "'+1'", "'-1'", "' 1'", "'1 day'", "'1 day 2'", "'now'"].map(
    (text) => [text] as const,
  ),
  ...["'a'", "'A'", "'a '", "'true'", 'true', 'false', "'t'", 'NULL', "'{1}'", "'x1'", "''"].map(
    (text) => [text] as const,
  ),
  ...[
    0,
    1,
    -1,
    0.1,
    1.5,
    2,
    16_777_217,
    '1',
    '1.0',
    '0.1',
    '-1',
    '1 day',
    '1 day 2',
    'a',
    'a ',
  ].map((value) => ['$1', value] as const),
  ...['true', true, false, 't', null, '{1}', 'x1', ''].map((value) => ['$1', value] as const),
];

/** Places where a value stands; `c` is the column. */
const PLACES: readonly string[] = [
  'UPDATE t SET c = ?',
  'UPDATE t SET c = c + ?',
  'UPDATE t SET c = c - ?',
  'UPDATE t SET note = c || ?',
  'INSERT INTO t (c) VALUES (?)',
  'INSERT INTO t (c) VALUES (DEFAULT), (?)',
  'UPDATE t SET note = 1 WHERE c = ?',
  'UPDATE t SET note = 1 WHERE ? = c',
  'UPDATE t SET note = 1 WHERE c < ?',
  'UPDATE t SET note = 1 WHERE c <> ?',
  'UPDATE t SET note = 1 WHERE c IN (?)',
  'UPDATE t SET note = 1 WHERE c IN (?, 1)',
  "UPDATE t SET note = 1 WHERE c IN ('1', ?)",
  'UPDATE t SET note = 1 WHERE c BETWEEN 0 AND ?',
  'UPDATE t SET note = 1 WHERE c LIKE ?',
  'UPDATE t SET c_text = ?, note = c',
];

/** The spellings of one place by their form. */
async function groups(place: string, column: string): Promise<ReadonlyMap<string, readonly Sql[]>> {
  const found = new Map<string, Sql[]>();
  for (const [text, ...value] of VALUES) {
    const statement = place.replaceAll(/\bc\b/g, column).replace('?', text);
    const sql: Sql = [statement, ...value.filter((each) => each !== undefined)];
    const key = await form(sql);
    found.set(key, [...(found.get(key) ?? []), sql]);
  }
  return found;
}

describe('two statements of one canonical form', () => {
  let server: Postgres;
  let client: pg.Client;
  before(async () => {
    server = await startPostgres();
    client = new pg.Client(server.url('postgres'));
    await client.connect();
    const columns = Object.entries(TYPES).map(([name, type]) => `${name} ${type}`);
    await client.query(`CREATE TABLE t (id serial PRIMARY KEY, note text, ${columns.join(', ')})`);
    await client.query(`INSERT INTO t (note) VALUES (''), (''), ('')`);
    for (const [column, type] of Object.entries(TYPES)) {
      for (const [at, value] of ['1', '0.1', 'a'].entries()) {
        await client
          .query(`UPDATE t SET ${column} = '${value}'::text::${type} WHERE id = ${at + 1}`)
          .catch(() => undefined);
      }
    }
    await client.query(
      `UPDATE t SET c_ints = '{1}', c_texts = '{1}', c_jsonb = '["1", 2]' WHERE id = 1`,
    );
    await client.query(`CREATE FUNCTION done() RETURNS text LANGUAGE sql AS
      $$SELECT string_agg(to_jsonb(t)::text, E'\\n' ORDER BY id) FROM t$$`);
  });
  after(async () => {
    await client.end();
    await server.stop();
  });

  /** The table as the statement leaves it; null where the server refuses it. Takes it back. */
  async function effect([statement, ...parameters]: Sql): Promise<string | null> {
    await client.query('BEGIN');
    try {
      await client.query(statement, parameters.map(textOfParameter));
      const { rows } = await client.query<{ done: string }>('SELECT done()');
      return rows[0]?.done.replaceAll(/"id": \d+/g, '') ?? '';
    } catch {
      return null;
    } finally {
      await client.query('ROLLBACK');
    }
  }

  test('do the same, with every spelling of a value beside every type of column', async () => {
    let pairs = 0;
    for (const place of PLACES) {
      for (const column of Object.keys(TYPES)) {
        for (const group of (await groups(place, column)).values()) {
          if (group.length < 2) continue;
          const effects = new Map<string, Sql>();
          for (const sql of group) {
            const found = await effect(sql);
            // What the server refuses has no effect that could be another.
            if (found !== null) effects.set(found, sql);
            if (found !== null) pairs += 1;
          }
          assert.ok(effects.size < 2, JSON.stringify([...effects.values()]));
        }
      }
    }
    assert.ok(pairs > 1_500, `only ${pairs} had an effect`);
  });

  const column = fc.constantFrom('c_int4', 'c_num', 'c_real', 'c_text', 'c_bool', 'note');
  const value = fc.constantFrom(
    ...VALUES.filter((each) => each.length === 1).map(([text]) => text),
  );
  const condition = fc.letrec<{ any: string; one: string; many: string }>((tie) => ({
    any: fc.oneof({ maxDepth: 3 }, tie('one'), tie('many')),
    one: fc
      .tuple(column, fc.constantFrom('=', '<>', '<', 'IN', 'IS NULL'), value)
      .map(([name, operator, found]) =>
        operator === 'IN'
          ? `${name} IN (${found}, '1')`
          : `${name} ${operator === 'IS NULL' ? operator : `${operator} ${found}`}`,
      ),
    many: fc
      .tuple(fc.constantFrom('AND', 'OR'), fc.array(tie('any'), { minLength: 2, maxLength: 3 }))
      .map(([operator, parts]) => `(${parts.join(` ${operator} `)})`),
  })).any;

  /** The same in another order, with brackets and comments. */
  function respelt(text: string, random: () => number): string {
    const parts = /^\((.*)\)$/s.exec(text)?.[1];
    const operator = parts === undefined ? null : outermost(parts);
    if (parts === undefined || operator === null) return random() < 0.5 ? `(${text})` : text;
    const pieces = split(parts, operator).map((each) => respelt(each, random));
    return `(${pieces.toReversed().join(` /* x */ ${operator.toLowerCase()}\n`)})`;
  }

  test('do the same, with conditions in another order', async () => {
    let pairs = 0;
    await fc.assert(
      fc.asyncProperty(
        condition,
        fc.infiniteStream(fc.double({ min: 0, max: 0.99, noNaN: true })),
        async (where, chance) => {
          const random = (): number => Number(chance.next().value);
          const left: Sql = [`UPDATE t SET note = 'hit', c_int4 = 4 WHERE ${where}`];
          const right: Sql = [
            `UPDATE t SET c_int4 = +4, note = 'hit' WHERE ${respelt(where, random)}`,
          ];
          assert.equal(await form(right), await form(left), `${left[0]}\n${right[0]}`);
          const [was, now] = [await effect(left), await effect(right)];
          if (was === null || now === null) return;
          pairs += 1;
          assert.equal(now, was);
        },
      ),
      { numRuns: 300 },
    );
    assert.ok(pairs > 20, `only ${pairs} pairs had an effect`);
  });
});

/** AND or OR, whichever stands outside of all brackets. */
function outermost(text: string): 'AND' | 'OR' | null {
  for (const operator of ['AND', 'OR'] as const) {
    if (split(text, operator).length > 1) return operator;
  }
  return null;
}

function split(text: string, operator: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '(') depth += 1;
    if (text[at] === ')') depth -= 1;
    if (depth === 0 && text.startsWith(` ${operator} `, at)) {
      parts.push(text.slice(from, at));
      from = at + operator.length + 2;
    }
  }
  return [...parts, text.slice(from)];
}
