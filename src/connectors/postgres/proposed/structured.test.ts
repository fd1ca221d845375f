import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import type { Json, JsonObject } from '../../../lib/json.ts';
import { Refused } from '../../connector.ts';
import { openParser } from '../text/parse.ts';
import { parsePostgresSettings } from '../settings.ts';
import { OPERATION_SCHEMAS } from './structured-schemas.ts';
import { compile, type Compiled, type StructuredOperation } from './structured.ts';

const SCHEMA = `
CREATE TABLE things (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 7, price numeric(12,2),
  at date, flag boolean, extra jsonb, tags text[]);
CREATE TABLE "odd ""t$1" ("a "" b" int PRIMARY KEY, "__proto__" text, "select" text);
CREATE TABLE notes (id int PRIMARY KEY, body text, deleted_at timestamptz);
CREATE TABLE states (id int PRIMARY KEY, state varchar(10));
`;

const SETTINGS = parsePostgresSettings('t', {
  url: 'postgres://h/d',
  softDelete: {
    notes: { column: 'deleted_at' },
    'public.states': { column: 'state', value: 'gone' },
  },
});

const parser = openParser();
let server: Postgres;
let client: pg.Client;

before(async () => {
  server = await startPostgres();
  await server.createDatabase('structured');
  client = new pg.Client(server.url('structured'));
  await client.connect();
  await client.query(SCHEMA);
});
after(async () => {
  await parser.close();
  await client.end();
  await server.stop();
});

/** What came out of JSON, as every argument does. */
function json(text: string): JsonObject {
  const parsed = JSON.parse(text) as Json; // JSON.parse gives nothing else
  assert(typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed));
  return Object.fromEntries(Object.entries(parsed));
}

function statement(operation: StructuredOperation, args: JsonObject): Statement {
  const compiled = compile(operation, args);
  assert(compiled.kind === 'statement');
  return compiled;
}

type Statement = Extract<Compiled, { readonly kind: 'statement' }>;

/** Compiles, has the parser judge it as it would judge an agent's own text, and carries it out. */
async function done(operation: StructuredOperation, args: JsonObject): Promise<number> {
  const { text, parameters } = statement(operation, args);
  const judged = await parser.parse(text, SETTINGS);
  assert.equal(judged.parameters, parameters.length);
  const values = parameters.map((value) => (value === null ? null : String(value)));
  const { rowCount } = await client.query({ text: judged.text, values });
  return rowCount ?? -1;
}

async function rows(query: string): Promise<readonly unknown[]> {
  return (await client.query<unknown[]>({ text: query, rowMode: 'array' })).rows;
}

function refusal(operation: StructuredOperation, args: JsonObject): Refused['refusal'] {
  try {
    compile(operation, args);
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
  return assert.fail(`taken: ${JSON.stringify(args).slice(0, 200)}`);
}

test('rows are inserted with the values as they were given, whatever their types', async () => {
  await client.query('TRUNCATE things');
  const count = await done('insert', {
    table: 'public.things',
    rows: [
      {
        id: '9007199254740993',
        name: "x'; DROP TABLE things; --",
        price: '10.10',
        at: '2026-01-02',
      },
      { id: 2, qty: 5, flag: true, extra: { a: [1, null, 'é'] }, tags: '{a,"b c"}' },
      { id: 3, name: null, extra: [1, 2], price: 0.5 },
    ],
  });
  assert.equal(count, 3);
  assert.deepEqual(
    await rows(`SELECT id::text, name, qty, price::text, at::text, flag, extra::text, tags::text
      FROM things ORDER BY id`),
    [
      ['2', null, 5, null, null, true, '{"a": [1, null, "é"]}', '{a,"b c"}'],
      ['3', null, 7, '0.50', null, null, '[1, 2]', null],
      ['9007199254740993', "x'; DROP TABLE things; --", 7, '10.10', '2026-01-02', null, null, null],
    ],
  );
});

test('a conflict does nothing, takes the new row over, or sets what is said', async () => {
  await client.query(`TRUNCATE things; INSERT INTO things (id, name, qty) VALUES (1, 'a', 1)`);
  const insert = async (onConflict: JsonObject): Promise<unknown> => {
    await done('insert', {
      table: 'public.things',
      rows: [{ id: 1, name: 'b', qty: 5 }],
      onConflict,
    });
    return (await rows('SELECT name, qty FROM things'))[0];
  };
  const columns = ['id'];
  assert.deepEqual(await insert({ columns, do: 'nothing' }), ['a', 1]);
  const set = { qty: { increment: 4 } };
  assert.deepEqual(await insert({ columns, do: 'update', set }), ['a', 5]);
  assert.deepEqual(await insert({ columns, do: 'update' }), ['b', 5]);
});

test('an update sets values and adds to them, for one key, many keys or a filter', async () => {
  const reset = `TRUNCATE things; INSERT INTO things (id, name, qty, price)
    SELECT i, 'n' || i, i, i FROM generate_series(1, 9) i`;
  const cases: readonly (readonly [JsonObject, readonly number[]])[] = [
    [{ key: { id: 1 } }, [1]],
    [{ key: { id: 1, name: 'n2' } }, []],
    [{ keys: [{ id: 1 }, { id: '2' }, { id: 99 }] }, [1, 2]],
    [{ keys: [{ id: 1, name: 'n1' }, { id: 2, name: 'x' }, { name: 'n3' }] }, [1, 3]],
    [{ filter: { qty: { gte: 8 } } }, [8, 9]],
    [{ filter: { qty: { gt: 2, lt: 5 } } }, [3, 4]],
    [{ filter: { qty: { lte: 3, ne: 2 } } }, [1, 3]],
    [{ filter: { id: { in: [4, '5'] } } }, [4, 5]],
    [{ filter: { id: { between: [4, 5] }, name: { like: 'n%' } } }, [4, 5]],
    [{ filter: { at: { isNull: false } } }, []],
    [{ filter: { at: { isNull: true }, or: [{ id: { eq: 1 } }, { name: { eq: 'n9' } }] } }, [1, 9]],
    [{ filter: { not: { or: [{ id: { lt: 5 } }, { qty: { gt: 6 } }] } } }, [5, 6]],
    [
      { filter: { or: [{ and: [{ id: { eq: 1 } }, { qty: { eq: 2 } }] }, { id: { eq: 7 } }] } },
      [7],
    ],
  ];
  for (const [which, expected] of cases) {
    await client.query(reset);
    const set = { name: 'done', qty: { increment: -1 }, price: { increment: '0.25' } };
    assert.equal(await done('update', { table: 'things', set, ...which }), expected.length);
    const found = await rows(
      `SELECT id::int FROM things WHERE name = 'done' AND qty = id - 1 AND price = id + 0.25 ORDER BY 1`,
    );
    assert.deepEqual(found.flat(), expected, JSON.stringify(which));
  }
});

test('rows are deleted by key and by filter', async () => {
  await client.query('TRUNCATE things; INSERT INTO things (id) VALUES (1), (2), (3)');
  assert.equal(await done('delete', { table: 'things', key: { id: 1 } }), 1);
  assert.equal(await done('delete', { table: 'things', filter: { id: { gt: 2 } } }), 1);
  assert.deepEqual((await rows('SELECT id::int FROM things')).flat(), [2]);
});

test('a soft delete marks the row, and a row that is marked already is left alone', async () => {
  await client.query(`TRUNCATE notes, states; INSERT INTO notes VALUES (1, 'a', '2020-01-01'), (2, 'b', NULL);
    INSERT INTO states VALUES (1, 'gone'), (2, 'new'), (3, NULL)`);
  const keys = [{ id: 1 }, { id: 2 }, { id: 3 }];
  const marked = async (table: string): Promise<number | null> => {
    const { text, parameters } = statement('delete', { table, keys });
    // The parser makes a soft delete of it, as of any DELETE.
    const parsed = await parser.parse(text, SETTINGS);
    assert.deepEqual([parsed.kind, parsed.rewritten], ['update', 'soft-delete']);
    const { rowCount } = await client.query(parsed.text, [...parameters]);
    return rowCount;
  };
  assert.equal(await marked('public.notes'), 1);
  assert.deepEqual(await rows(`SELECT id, deleted_at > '2021-01-01' FROM notes ORDER BY id`), [
    [1, false],
    [2, true],
  ]);
  assert.equal(await marked('states'), 2);
  assert.deepEqual(await rows('SELECT DISTINCT state FROM states'), [['gone']]);
});

test('names are quoted, own keys are columns like any other, and none is lost', async () => {
  const table = 'odd "t$1';
  await client.query('DELETE FROM "odd ""t$1"');
  await done(
    'insert',
    json(`{"table": ${JSON.stringify(table)},
    "rows": [{"a \\" b": 1, "__proto__": "p", "select": "s"}, {"a \\" b": 2, "__proto__": "q"}]}`),
  );
  // A condition that got lost here would update both.
  const count = await done(
    'update',
    json(`{"table": ${JSON.stringify(table)}, "set": {"select": "t"},
    "filter": {"a \\" b": {"gte": 1}, "__proto__": {"eq": "q"}}}`),
  );
  assert.equal(count, 1);
  assert.deepEqual(
    await rows('SELECT "a "" b", "__proto__", "select" FROM "odd ""t$1" ORDER BY 1'),
    [
      [1, 'p', 's'],
      [2, 'q', 't'],
    ],
  );
});

test('arguments that are wrong are refused with a pointer to what is', () => {
  const rows1 = [{ id: 1 }];
  const key = { id: 1 };
  const cases: readonly (readonly [StructuredOperation, JsonObject, string])[] = [
    ['insert', {}, '/table'],
    ['insert', { table: 7, rows: rows1 }, '/table'],
    ['insert', { table: '', rows: rows1 }, '/table'],
    ['insert', { table: 'a.', rows: rows1 }, '/table'],
    ['insert', { table: 'x'.repeat(64), rows: rows1 }, '/table'],
    ['insert', { table: 'a\0b', rows: rows1 }, '/table'],
    ['insert', { table: 'things', rows: rows1, sql: '1' }, '/sql'],
    ['insert', { table: 'things', rows: [] }, '/rows'],
    ['insert', { table: 'things', rows: { id: 1 } }, '/rows'],
    ['insert', { table: 'things', rows: [{ id: 1 }, {}] }, '/rows/1'],
    ['insert', { table: 'things', rows: [[1]] }, '/rows/0'],
    ['insert', { table: 'things', rows: [{ id: 'a\0' }] }, '/rows/0/id'],
    ['insert', { table: 'things', rows: [{ id: '\ud800' }] }, '/rows/0/id'],
    ['insert', { table: 'things', rows: [{ id: 2 ** 53 }] }, '/rows/0/id'],
    ['insert', { table: 'things', rows: [{ '': 1 }] }, '/rows/'],
    ['insert', { table: 'things', rows: [{ 'a/b~c\0': 1 }] }, '/rows/a~1b~0c'],
    ['insert', { table: 'things', rows: rows1, onConflict: {} }, '/onConflict/columns'],
    [
      'insert',
      { table: 'things', rows: rows1, onConflict: { columns: [1], do: 'nothing' } },
      '/onConflict/columns/0',
    ],
    [
      'insert',
      { table: 'things', rows: rows1, onConflict: { columns: ['id'], do: 'drop' } },
      '/onConflict/do',
    ],
    [
      'insert',
      { table: 'things', rows: rows1, onConflict: { columns: ['id'], do: 'update' } },
      '/onConflict/set',
    ],
    ['update', { table: 'things', set: {}, key }, '/set'],
    ['update', { table: 'things', set: { a: 1 } }, '/'],
    ['update', { table: 'things', set: { a: 1 }, key, filter: { id: { eq: 1 } } }, '/'],
    ['update', { table: 'things', set: { a: { increment: '1; --' } }, key }, '/set/a/increment'],
    ['update', { table: 'things', set: { a: 1 }, key: { id: null } }, '/key/id'],
    ['update', { table: 'things', set: { a: 1 }, key: { id: { eq: 1 } } }, '/key/id'],
    ['update', { table: 'things', set: { a: 1 }, keys: [] }, '/keys'],
    ['update', { table: 'things', set: { a: 1 }, keys: [{ id: 1 }, { id: null }] }, '/keys/1/id'],
    ['delete', { table: 'things', filter: {} }, '/filter'],
    ['delete', { table: 'things', filter: [] }, '/filter'],
    ['delete', { table: 'things', filter: 'true' }, '/filter'],
    ['delete', { table: 'things', filter: { and: [] } }, '/filter/and'],
    ['delete', { table: 'things', filter: { or: [{ id: { eq: 1 } }, {}] } }, '/filter/or/1'],
    ['delete', { table: 'things', filter: { not: {} } }, '/filter/not'],
    ['delete', { table: 'things', filter: { id: 1 } }, '/filter/id'],
    ['delete', { table: 'things', filter: { id: {} } }, '/filter/id'],
    ['delete', { table: 'things', filter: { id: { sql: '1' } } }, '/filter/id/sql'],
    ['delete', { table: 'things', filter: { id: { toString: 1 } } }, '/filter/id/toString'],
    ['delete', { table: 'things', filter: { id: { eq: null } } }, '/filter/id/eq'],
    ['delete', { table: 'things', filter: { id: { in: [] } } }, '/filter/id/in'],
    ['delete', { table: 'things', filter: { id: { in: [1, [2]] } } }, '/filter/id/in/1'],
    ['delete', { table: 'things', filter: { id: { between: [1] } } }, '/filter/id/between'],
    ['delete', { table: 'things', filter: { id: { isNull: 'yes' } } }, '/filter/id/isNull'],
    ['import', { table: 'things', upload: 'upl_1', format: 'csv' }, '/upload'],
    ['import', { table: 'things', upload: `upl_${'a'.repeat(64)}`, format: 'xml' }, '/format'],
    [
      'import',
      { table: 'things', upload: `upl_${'a'.repeat(64)}`, format: 'csv', columns: ['a', 'a'] },
      '/columns/1',
    ],
  ];
  for (const [operation, args, at] of cases) {
    const found = refusal(operation, args);
    assert.equal(found.code, 'arguments-invalid', at);
    assert(found.reason.includes(`\`${at}`), `${found.reason} for ${at}`);
    assert(!found.reason.includes('\0'));
  }
});

function nest(depth: number): Json {
  let value: Json = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

test('hostile sizes and depths are refused, and quickly', () => {
  const nested = (depth: number): JsonObject =>
    json(`${'{"not":'.repeat(depth)}{"id":{"eq":1}}${'}'.repeat(depth)}`);
  const many = Array.from({ length: 1_001 }, (_, id) => ({ id }));
  const wide = Object.fromEntries(Array.from({ length: 1_601 }, (_, at) => [`c${at}`, 1]));
  const deep = nest(5_000);
  for (const [operation, args] of [
    ['delete', { table: 'things', filter: nested(9) }],
    ['delete', { table: 'things', filter: nested(5_000) }],
    ['insert', { table: 'things', rows: many }],
    ['insert', { table: 'things', rows: [wide] }],
    ['update', { table: 'things', set: wide, key: { id: 1 } }],
    ['update', { table: 'things', set: { extra: deep }, key: { id: 1 } }],
    ['delete', { table: 'things', keys: many }],
    ['delete', { table: 'things', filter: { id: { in: many.map(({ id }) => id) } } }],
    [
      'delete',
      {
        table: 'things',
        filter: { or: many.slice(0, 500).map(({ id }) => ({ id: { gt: id, lt: id } })) },
      },
    ],
  ] as const) {
    assert.equal(refusal(operation, args).code, 'arguments-invalid');
  }
  const row = { id: 1, a: 1, b: 2, c: 3, d: 4, e: 5, f: 6, g: 7, h: 8 };
  const large = Array.from({ length: 1_000 }, () => row);
  assert.equal(refusal('insert', { table: 'things', rows: large }).code, 'arguments-invalid');
  const long = Object.fromEntries(
    Array.from({ length: 1_500 }, (_, at) => [`${'c'.repeat(50)}${at}`, 1]),
  );
  assert.equal(refusal('insert', { table: 'things', rows: [long] }).code, 'statement-too-large');
});

test('whatever the arguments are, they are compiled or refused, and no value gets into the text', () => {
  const marked = fc.string().map((text) => `secret-${text}`);
  const value: fc.Arbitrary<unknown> = fc.oneof(
    marked,
    fc.jsonValue(),
    fc.record({ eq: fc.oneof(marked, fc.jsonValue()) }),
    fc.record({ in: fc.array(marked) }),
    fc.record({ increment: fc.oneof(marked, fc.integer()) }),
  );
  const columns = fc.dictionary(fc.string({ maxLength: 8 }), value, { maxKeys: 4 });
  const args = fc.record(
    { table: fc.string(), rows: fc.array(columns), set: columns, key: columns, filter: columns },
    { requiredKeys: ['table'] },
  );
  const operation = fc.constantFrom('insert', 'update', 'delete', 'import');
  fc.assert(
    fc.property(operation, args, (named, made) => {
      try {
        const compiled = compile(named, json(JSON.stringify(made)));
        assert(compiled.kind === 'statement');
        assert(!compiled.text.includes('secret-'));
      } catch (error) {
        assert(error instanceof Refused, String(error));
      }
    }),
  );
});

test('the published schemas take what compiles and refuse what does not have its form', () => {
  const ajv = new Ajv2020({ strict: false });
  const id = `upl_${'0'.repeat(64)}`;
  const good: readonly (readonly [StructuredOperation, JsonObject])[] = [
    [
      'insert',
      { table: 't', rows: [{ a: { b: 1 }, c: 1 }], onConflict: { columns: ['a'], do: 'update' } },
    ],
    ['update', { table: 't', set: { a: { increment: 1 } }, key: { id: 1 } }],
    [
      'delete',
      {
        table: 't',
        filter: { a: { eq: 1 }, or: [{ b: { isNull: true } }], not: { c: { in: [1] } } },
      },
    ],
    ['import', { table: 't', upload: id, format: 'csv', columns: ['a'] }],
  ];
  for (const [operation, args] of good) {
    const validate = ajv.compile(OPERATION_SCHEMAS[operation]);
    assert(validate(args), JSON.stringify(validate.errors));
    compile(operation, args);
    assert(!validate({ ...args, sql: 'x' }));
    assert.throws(() => compile(operation, { ...args, sql: 'x' }), Refused);
  }
});
