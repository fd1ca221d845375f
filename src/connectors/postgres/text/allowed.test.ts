import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import {
  CLOCK_FUNCTIONS,
  FUNCTIONS,
  OPERATORS,
  SYSTEM_COLUMNS,
  TYPES,
  VOLATILE_FUNCTIONS,
} from './allowed.ts';

let server: Postgres;
let admin: pg.Client;
before(async () => {
  server = await startPostgres();
  admin = new pg.Client(server.url());
  await admin.connect();
});
after(async () => {
  await admin.end();
  await server.stop();
});

async function names(query: string, listed: ReadonlySet<string>): Promise<readonly string[]> {
  const { rows } = await admin.query<string[]>({
    text: query,
    values: [[...listed]],
    rowMode: 'array',
  });
  return rows.map((row) => String(row[0]));
}

test('every listed function is immutable or stable, whatever its arguments', async () => {
  const query = `SELECT DISTINCT proname FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY ($1) AND provolatile = 'v'`;
  assert.deepEqual(await names(query, FUNCTIONS), []);
  assert.deepEqual(await names(query, CLOCK_FUNCTIONS), []);
});

test('no listed function takes SQL text, a relation, a cursor or the innards of the server', async () => {
  const refused =
    /^(?:pg_|lo_|lo(?:read|write)|has_|ts_stat|ts_rewrite|dblink|txid_|inet_(?:client|server)|current_|set|to_reg|amvalidate|binary_upgrade|(?:query|table|schema|database|cursor)_to_xml|json_?populate|jsonb_populate)/;
  const harmless = new Set(['set_bit', 'set_byte', 'set_masklen', 'setweight']);
  for (const name of FUNCTIONS) {
    assert(!refused.test(name) || harmless.has(name), `${name} is listed`);
  }
  const query = `SELECT DISTINCT p.proname FROM pg_proc p
      JOIN pg_type y ON y.oid = ANY (p.proargtypes::oid[] || p.prorettype)
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY ($1)
      AND (y.typname ~ '^(internal|cstring|refcursor|trigger|event_trigger|.*_handler)$'
        OR y.typname ~ '^reg' AND y.typname <> 'regconfig')`;
  assert.deepEqual(await names(query, FUNCTIONS), []);
});

test('the volatile ones that a read may use are volatile, and none is of sequences', async () => {
  const query = `SELECT DISTINCT proname FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY ($1)
      AND (provolatile <> 'v' OR 'regclass'::regtype = ANY (proargtypes::oid[]))`;
  assert.deepEqual(await names(query, VOLATILE_FUNCTIONS), []);
  assert.equal(VOLATILE_FUNCTIONS.size, 7, 'look at a new one before it is counted here');
});

test('every listed type is one of the catalog under that very name, and holds no code', async () => {
  const query = `SELECT n FROM unnest($1::text[]) AS n WHERE NOT EXISTS (SELECT FROM pg_type
    WHERE typname = n AND typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm'))`;
  // An unknown name would be looked up among the types of the database's users.
  assert.deepEqual(await names(query, TYPES), []);
});

test('every listed operator is built in, and none of them is volatile', async () => {
  const made = new Set(['!=', 'BETWEEN']);
  const listed = new Set([...OPERATORS].filter((each) => !made.has(each)));
  const unknown = `SELECT n FROM unnest($1::text[]) AS n WHERE NOT EXISTS (SELECT FROM pg_operator
    WHERE oprname = n AND oprnamespace = 'pg_catalog'::regnamespace)`;
  assert.deepEqual(await names(unknown, listed), []);
  const volatile = `SELECT DISTINCT o.oprname FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
    WHERE o.oprname = ANY ($1) AND p.provolatile = 'v'`;
  assert.deepEqual(await names(volatile, listed), []);
});

test('every system column of the server is refused by name', async () => {
  const query = `SELECT DISTINCT attname FROM pg_attribute
    WHERE attnum < 0 AND attname <> ALL ($1) AND attrelid = 'pg_class'::regclass`;
  assert.deepEqual(await names(query, SYSTEM_COLUMNS), []);
});
