import { strict as assert } from 'node:assert';
import { hash } from 'node:crypto';
import { after, before, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import type { Upload, Uploads } from '../../../model/ports.ts';
import { Refused } from '../../connector.ts';
import type { Table } from '../catalog/catalog.ts';
import { openCopy, runCopy, statementOfCopy } from './copy.ts';
import { namedOf } from '../measure/named.ts';
import type { ImportRequest } from './structured.ts';

const SCHEMA = `
CREATE TABLE things (id bigint PRIMARY KEY, name text, price numeric, extra jsonb,
  twice numeric GENERATED ALWAYS AS (price * 2) STORED);
CREATE TABLE "odd ""t" ("a "" b" text, "x,y" text);
CREATE TABLE log (n bigint);
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO log VALUES (NEW.id); RETURN NEW; END$$;
CREATE TRIGGER log AFTER INSERT ON things FOR EACH ROW EXECUTE FUNCTION log();
`;

let server: Postgres;
let pool: pg.Pool;
let client: pg.PoolClient;

before(async () => {
  server = await startPostgres();
  await server.createDatabase('copies');
  pool = new pg.Pool({ connectionString: server.url('copies'), max: 1, query_timeout: 20_000 });
  client = await pool.connect();
  await client.query(SCHEMA);
});
after(async () => {
  client.release();
  await pool.end();
  await server.stop();
});

/** Hands a file over in pieces of `size` bytes, as a disk or a wire may. */
function uploaded(content: string | Uint8Array, size = 1_000, sha256?: string): Upload {
  const bytes = Buffer.from(content);
  return {
    bytes: bytes.length,
    sha256: sha256 ?? hash('sha256', bytes, 'hex'),
    async *stream() {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    },
  };
}

function uploadsOf(upload: Upload | undefined): Uploads {
  return { open: (_id, owner) => Promise.resolve(owner === 'agent:a' ? upload : undefined) };
}

function tableOf(
  name: string,
  columns: readonly string[],
  generated: readonly string[] = [],
): Table {
  return {
    oid: 1,
    resource: `public.${name}`,
    sql: `public.${pg.escapeIdentifier(name)}`,
    partOf: [],
    relationKind: 'r',
    columns: [...columns, ...generated].map((column) => ({
      name: column,
      type: 'text',
      isGenerated: generated.includes(column),
      isIdentity: false,
      fallback: null,
    })),
    key: [],
    hasBeforeTrigger: false,
    accessMethod: 'heap',
    rowSecurity: 'off',
    triggers: [],
    rules: [],
    isPartition: false,
    hasChildren: false,
    inbound: [],
    outbound: [],
  };
}

const THINGS = tableOf('things', ['id', 'name', 'price', 'extra'], ['twice']);

async function copied(
  upload: Upload,
  format: 'csv' | 'ndjson',
  more: { readonly table?: Table; readonly columns?: readonly string[] } = {},
): Promise<number> {
  const { table = THINGS, columns = null } = more;
  const request: ImportRequest = { table: table.resource, upload: 'upl_', format, columns };
  const write = await openCopy(request, uploadsOf(upload), 'agent:a');
  await client.query('BEGIN');
  try {
    const rows = await runCopy({ client }, table, write);
    await client.query('COMMIT');
    return rows;
  } catch (error) {
    await client.query('ROLLBACK');
    throw error;
  }
}

async function refusal(work: Promise<unknown>): Promise<Refused['refusal']> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
  return assert.fail('it was taken');
}

async function things(): Promise<readonly unknown[]> {
  const text = 'SELECT id::text, name, price::text, extra::text FROM things ORDER BY id';
  return (await client.query<unknown[]>({ text, rowMode: 'array' })).rows;
}

const clear = (): Promise<unknown> => client.query('TRUNCATE things, log, "odd ""t"');

test('a csv file is copied by the columns that its first line names, and triggers run', async () => {
  await clear();
  const file = '\ufeffname,id,"price"\r\n"a, ""b""\nc",1,1.50\r\n,2,\r\n"",3,0\r\n';
  for (const size of [1, 7, 1_000]) {
    await clear();
    assert.equal(await copied(uploaded(file, size), 'csv'), 3);
    assert.deepEqual(await things(), [
      ['1', 'a, "b"\nc', '1.50', null],
      ['2', null, null, null],
      ['3', '', '0', null],
    ]);
    const { rows } = await client.query('SELECT count(*)::int AS n FROM log');
    assert.deepEqual(rows, [{ n: 3 }]);
  }
});

test('columns that are given stand for a first line, which is then a row', async () => {
  await clear();
  assert.equal(await copied(uploaded('5,x\n6,y'), 'csv', { columns: ['id', 'name'] }), 2);
  assert.deepEqual((await things()).length, 2);
});

test('names with quotes and commas in them are found and quoted', async () => {
  const table = tableOf('odd "t', ['a " b', 'x,y']);
  await clear();
  assert.equal(await copied(uploaded('"a "" b","x,y"\n1,2\n'), 'csv', { table }), 1);
  const line = JSON.stringify({ 'a " b': 'q', 'x,y': 'r' });
  assert.equal(await copied(uploaded(line), 'ndjson', { table }), 1);
});

test('ndjson keeps every digit and mark, in whatever order the members stand', async () => {
  await clear();
  const file =
    '{"id": 9007199254740993, "name": "a\\tb\\nc\\\\N\\r", "price": 12345678901234567.89, "extra": {"n": 1.10, "m": 12345678901234567890}}\n' +
    '\r\n{"extra": [1, "é\\\\"], "id": 1, "price": null, "name": null}\r\n{"id": "2", "name": "\\\\N", "price": -1e3, "extra": null}';
  for (const size of [1, 10, 100_000]) {
    await clear();
    const columns = ['id', 'name', 'price', 'extra'];
    assert.equal(await copied(uploaded(file, size), 'ndjson', { columns }), 3);
    assert.deepEqual(await things(), [
      ['1', null, null, '[1, "é\\\\"]'],
      ['2', '\\N', '-1000', null],
      [
        '9007199254740993',
        'a\tb\nc\\N\r',
        '12345678901234567.89',
        '{"m": 12345678901234567890, "n": 1.10}',
      ],
    ]);
  }
});

test('ndjson: a line without a member that COPY would make null is refused by its number', async () => {
  await clear();
  const found = await refusal(copied(uploaded('{"id": 1, "name": "a"}\n\n{"id": 2}\n'), 'ndjson'));
  assert.equal(found.code, 'arguments-invalid');
  assert.match(found.reason, /line 3 .*`name` is not in it.*null.*default/);
  assert.deepEqual(await things(), []);
});

test('a table with row security takes no file, and what to do in its place is told', async () => {
  await client.query(`
    CREATE TABLE walled (id int); ALTER TABLE walled ENABLE ROW LEVEL SECURITY;
    CREATE ROLE importer; GRANT SELECT, INSERT ON walled TO importer; SET ROLE importer`);
  try {
    const table: Table = { ...tableOf('walled', ['id']), rowSecurity: 'on' };
    const found = await refusal(copied(uploaded('id\n1\n'), 'csv', { table }));
    assert.equal(found.code, 'statement-unsupported');
    assert.match(found.reason, /`public\.walled` has row security.*`insert`/);
  } finally {
    await client.query('RESET ROLE');
  }
});

test('any text comes back as it was sent, in both formats and however it is cut', async () => {
  const text = fc
    .string({ unit: 'grapheme', maxLength: 20 })
    .filter((each) => !each.includes('\0') && each.isWellFormed());
  const tricky = fc.constantFrom('\\.', '\\N', '"', '\r', '\n\\.\n', '', ',', '\\', 'a\\.', '\t');
  const values = fc.array(fc.oneof(text, tricky), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(values, fc.integer({ min: 1, max: 9 }), async (names, size) => {
      const json = names.map((name, id) => JSON.stringify({ id, name })).join('\n');
      const csv = names.map((name, id) => `${id},"${name.replaceAll('"', '""')}"`).join('\n');
      for (const [format, file] of [
        ['ndjson', json],
        ['csv', csv],
      ] as const) {
        await clear();
        // A quoted line of a backslash and a dot is refused: before PostgreSQL 18 it would end the data.
        if (format === 'csv' && /(?:^|[\r\n])\\\.(?:$|[\r\n])/.test(csv)) continue;
        await copied(uploaded(file, size), format, { columns: ['id', 'name'] });
        const found = await client.query<{ name: string }>('SELECT name FROM things ORDER BY id');
        assert.deepEqual(
          found.rows.map((row) => row.name),
          names,
        );
      }
    }),
    { numRuns: 40 },
  );
});

test('a file that is not what it was, is gone, or is of somebody else is refused, and nothing stays', async () => {
  await clear();
  const good = uploaded('id\n1\n');
  const edited = uploaded('id\n1\n2\n', 1_000, good.sha256);
  for (const columns of [undefined, ['name']]) {
    const more = columns === undefined ? {} : { columns };
    assert.equal((await refusal(copied(edited, 'csv', more))).code, 'upload-unknown');
  }
  assert.equal(
    (await refusal(copied(edited, 'ndjson', { columns: ['id'] }))).code,
    'arguments-invalid',
  );
  const request: ImportRequest = { table: 't', upload: 'upl_', format: 'csv', columns: null };
  for (const [uploads, proposer] of [
    [uploadsOf(good), 'agent:b'],
    [uploadsOf(good), undefined],
    [uploadsOf(undefined), 'agent:a'],
    [undefined, 'agent:a'],
  ] as const) {
    assert.equal((await refusal(openCopy(request, uploads, proposer))).code, 'upload-unknown');
  }
  const gone: Upload = {
    ...good,
    // oxlint-disable-next-line require-yield
    async *stream() {
      throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    },
  };
  const taken = copied(gone, 'csv', { columns: ['id'] });
  assert.equal((await refusal(taken)).code, 'upload-unknown');
  assert.deepEqual(await things(), []);
});

test('files that are wrong are refused by line and never by value, and the session lives on', async () => {
  await clear();
  await client.query("INSERT INTO things (id, name) VALUES (77, 'there')");
  const cases: readonly (readonly [string | Uint8Array, 'csv' | 'ndjson', string, RegExp])[] = [
    ['id,name\n1,a\nsecret,b\n', 'csv', 'statement-invalid', /at line 3 of the file/],
    ['id,name\n1,a\n2\n', 'csv', 'statement-invalid', /line 3/],
    ['id\n1\n77\n', 'csv', 'constraint-violated', /things_pkey/],
    ['id,nope\n1,2\n', 'csv', 'arguments-invalid', /no column `nope`.*field 2/],
    ['id,twice\n1,2\n', 'csv', 'arguments-invalid', /`twice`/],
    ['id,id\n1,2\n', 'csv', 'arguments-invalid', /twice/],
    ['id,\n1,2\n', 'csv', 'arguments-invalid', /first line/],
    ['id,"name\n1,2\n', 'csv', 'arguments-invalid', /first line/],
    ['id\n1\n\\.\n2\n', 'csv', 'arguments-invalid', /line 2 of its rows/],
    ['id\n1\n\\.', 'csv', 'arguments-invalid', /backslash/],
    [
      Buffer.concat([Buffer.from('id,name\n1,'), Buffer.from([0xff, 0x0a])]),
      'csv',
      'statement-invalid',
      /line 2/,
    ],
    ['id,name\n1,a\0b\n', 'csv', 'statement-invalid', /./],
    ['{"id": 1}\n{"id": 2, "nope": 1}', 'ndjson', 'arguments-invalid', /line 2.*`nope`/],
    ['{"id": 1}\n\n[1]', 'ndjson', 'arguments-invalid', /line 3/],
    ['{"id": 1}\n12345678901234567890', 'ndjson', 'arguments-invalid', /line 2/],
    ['{"id": 1}\n{"id": 2', 'ndjson', 'arguments-invalid', /line 2/],
    ['{}', 'ndjson', 'arguments-invalid', /line 1/],
    ['\n\n', 'ndjson', 'arguments-invalid', /line 1/],
    ['{"id": 1, "name": "a\\u0000"}', 'ndjson', 'arguments-invalid', /NUL/],
    ['{"id": 1, "name": "\\ud800"}', 'ndjson', 'arguments-invalid', /half a character/],
    ['{"id": 1, "__proto__": 1}', 'ndjson', 'arguments-invalid', /__proto__/],
    [
      `{"id": 1, "extra": ${'['.repeat(100_000)}1${']'.repeat(100_000)}}`,
      'ndjson',
      'arguments-invalid',
      /./,
    ],
    [
      Buffer.concat([Buffer.from('{"id": "'), Buffer.from([0xff]), Buffer.from('"}')]),
      'ndjson',
      'arguments-invalid',
      /UTF-8/,
    ],
    ['{"id": "secret"}', 'ndjson', 'statement-invalid', /line 1/],
  ];
  for (const [content, format, code, reason] of cases) {
    for (const size of [3, 100_000]) {
      const found = await refusal(copied(uploaded(content, size), format));
      assert.equal(found.code, code, `${String(content).slice(0, 80)}: ${found.reason}`);
      assert.match(found.reason, reason);
      assert.doesNotMatch(found.reason, /secret/);
    }
  }
  assert.deepEqual((await things()).length, 1);
});

test('a large file goes through in bounded memory, and an early error ends it', async () => {
  await clear();
  const line = `${'x'.repeat(90)}\n`;
  const rows = 200_000;
  const made = (id: (row: number) => number): Upload => {
    const stream = async function* (): AsyncGenerator<Uint8Array> {
      for (let from = 0; from < rows; from += 1_000) {
        const part = Array.from({ length: 1_000 }, (_, at) => `${id(from + at)},${line}`);
        // As from a disk: the loop turns between two pieces.
        await setImmediate();
        yield Buffer.from(part.join(''));
      }
    };
    return { bytes: 0, sha256: '', stream };
  };
  await client.query('ALTER TABLE things DISABLE TRIGGER log');
  const columns = ['id', 'name'];
  const resident = process.memoryUsage.rss();
  const found = await refusal(
    copied(
      made((row) => row),
      'csv',
      { columns },
    ),
  );
  // Every row went to the server, and then the hash was wrong.
  assert.equal(found.code, 'upload-unknown');
  assert(process.memoryUsage.rss() - resident < 150_000_000);
  const twice = await refusal(
    copied(
      made(() => 1),
      'csv',
      { columns },
    ),
  );
  assert.equal(twice.code, 'constraint-violated');
  assert.deepEqual(await things(), []);
  await client.query('ALTER TABLE things ENABLE TRIGGER log');
});

test('an import says what it writes like an insert of its columns', () => {
  const request: ImportRequest = {
    table: 'shop.things',
    upload: 'upl_',
    format: 'csv',
    columns: ['id'],
  };
  const made = statementOfCopy({ request, upload: uploaded(''), columns: ['id'] });
  assert.deepEqual([made.target.schema, made.target.name, made.isPlain], ['shop', 'things', false]);
  assert.deepEqual(
    namedOf(made.writes, () => THINGS),
    [
      {
        resource: 'public.things',
        partOf: [],
        isView: false,
        operations: ['insert'],
        inserted: ['id'],
        updated: [],
      },
    ],
  );
});
