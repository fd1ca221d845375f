/** What a store is opened on: servers, rights, schemas and versions that are not as they should be. */
import { strict as assert } from 'node:assert';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import pg from 'pg';
import { startPostgres } from '../../../support/postgres.ts';
import { storeServer } from '../../../test/support/store-server.ts';
import { Secret } from '../../lib/secret.ts';
import { Problem, type ProblemCode } from '../../model/problem.ts';
import { ACME, beginChange, proposalOf } from '../conformance/fixtures.ts';
import { testLedger } from '../conformance/ledger.ts';
import { assertFold, committed } from '../conformance/setting.ts';
import { placeOf } from './connect.ts';
import { migrate } from './migrate.ts';
import { storageProblem } from './problem.ts';

const server = storeServer();

async function refused(
  given: { readonly url?: string | Secret; readonly schema?: string },
  code: ProblemCode,
  says: RegExp,
): Promise<void> {
  const { schema = server().newSchema(), ...options } = given;
  const error: unknown = await server()
    .open(schema, options)
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
  assert(error instanceof Problem && error.code === code, inspect(error));
  assert.match(error.message, says);
  // Neither it nor what it was made of tells the password.
  const { password } = new URL(server().postgres.url());
  for (const secret of [password, 'hunter2']) assert(!inspect(error).includes(secret));
}

function urlOf(change: (url: URL) => void): string {
  const url = new URL(server().postgres.url());
  change(url);
  return url.href;
}

async function role(name: string, grants: readonly string[]): Promise<string> {
  await server().admin.query(`CREATE ROLE ${name} LOGIN PASSWORD 'hunter2'`);
  for (const grant of grants) await server().admin.query(`${grant} TO ${name}`);
  return urlOf((url) => {
    url.username = name;
    url.password = 'hunter2';
  });
}

describe('connection strings', () => {
  test('one that is none is refused and not repeated', async () => {
    for (const url of ['hunter2', 'http://a:hunter2@localhost/', 'postgres//u:hunter2@h/']) {
      await refused({ url }, 'store-unusable', /begins with `postgresql:/);
    }
  });

  test('a schema that would have to be quoted is refused', async () => {
    for (const schema of ['', 'A', 'a"b', 'a b', '1a', 'a'.repeat(51)]) {
      await refused({ schema }, 'store-unusable', /no name for the store’s schema/);
    }
  });

  test('where nobody answers the store is unreachable', async () => {
    await refused({ url: urlOf((url) => (url.port = '1')) }, 'store-unreachable', /not answer/);
  });

  test('a wrong password, user or database is said to be so', async () => {
    const wrong = urlOf((url) => (url.password = 'hunter2'));
    await refused({ url: new Secret(wrong) }, 'store-unusable', /refuses user or password/);
    const missing = urlOf((url) => (url.pathname = '/missing'));
    await refused({ url: missing }, 'store-unusable', /does not exist/);
  });

  test('one that does not fit what the server asks for is said to be so', async () => {
    const open = urlOf((url) => (url.password = ''));
    await refused({ url: open }, 'store-unusable', /asks for a password/);
    const sealed = urlOf((url) => url.searchParams.set('ssl', 'true'));
    await refused({ url: sealed }, 'store-unusable', /has no TLS/);
    const error = Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' });
    const problem = storageProblem(error);
    assert(problem instanceof Problem && problem.code === 'store-unusable');
    assert.match(problem.message, /CERT_HAS_EXPIRED.*sslrootcert/);
  });

  test('one whose password is not percent-encoded is refused, and told nowhere', async () => {
    const url = 'postgres://gateway:a@hunter2/x%zz@127.0.0.1:1/store';
    await refused({ url }, 'store-unusable', /percent-encode the password/);
    await refused({ url: 'postgres://g:a@hunter2#x@127.0.0.1:1/s' }, 'store-unusable', /%23/);
  });

  test('one that names a file that is not there is refused', async () => {
    const missing = urlOf((url) => url.searchParams.set('sslrootcert', '/no/such/file'));
    await refused({ url: missing }, 'store-unusable', /cannot be read.*no such file/);
  });
});

describe('servers', () => {
  test('a database with another encoding is refused', async () => {
    await server().admin.query(
      "CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0",
    );
    await refused({ url: server().postgres.url('latin') }, 'store-unusable', /encoding LATIN1/);
  });

  test('a database with another order of texts and other defaults makes no difference', async () => {
    const { admin, postgres, open, newSchema } = server();
    await admin.query(
      "CREATE DATABASE odd LOCALE_PROVIDER icu ICU_LOCALE 'en-US' TEMPLATE template0",
    );
    for (const setting of [
      'default_transaction_isolation = serializable',
      'default_transaction_read_only = on',
      'synchronous_commit = off',
      'statement_timeout = 1',
      "bytea_output = 'escape'",
      'standard_conforming_strings = off',
      "search_path = 'nowhere'",
    ]) {
      await admin.query(`ALTER DATABASE odd SET ${setting}`);
    }
    const schema = newSchema();
    await admin.query('ALTER DATABASE odd SET statement_timeout = 5000');
    const store = await open(schema, { url: postgres.url('odd') });
    await committed(store, beginChange(proposalOf(1), 'applied'));
    await committed(store, beginChange(proposalOf(2), 'applied'));
    const listed = await store.proposals(ACME, { limit: 9 });
    assert.deepEqual(
      listed.map(({ id }) => id),
      [proposalOf(2), proposalOf(1)],
    );
    assert.equal(await assertFold(store, ACME, testLedger), 10);
  });

  test('a commit is synced, whatever the database has set', async () => {
    const { admin, postgres, open, newSchema } = server();
    await admin.query('CREATE DATABASE lazy');
    await admin.query('ALTER DATABASE lazy SET synchronous_commit = off');
    const schema = newSchema();
    const store = await open(schema, { url: postgres.url('lazy') });
    const client = new pg.Client({ connectionString: postgres.url('lazy') });
    await client.connect();
    await client.query(`
      CREATE TABLE ${schema}.seen (setting text);
      CREATE FUNCTION ${schema}.see() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO ${schema}.seen VALUES (current_setting('synchronous_commit'));
        RETURN NULL;
      END $$;
      CREATE TRIGGER see AFTER INSERT ON ${schema}.entries EXECUTE FUNCTION ${schema}.see()`);
    await committed(store, beginChange(proposalOf(1), 'applied'));
    const { rows } = await client.query(`SELECT setting FROM ${schema}.seen`);
    assert.deepEqual(rows, [{ setting: 'on' }]);
    await client.end();
  });
});

describe('servers that would lose what was answered for', () => {
  test('one that does not sync its disk is refused', async () => {
    const postgres = await startPostgres({ settings: { fsync: 'off' } });
    try {
      await refused({ url: postgres.url() }, 'store-unusable', /does not sync/);
    } finally {
      await postgres.stop();
    }
  });

  test('a standby is refused, and a store whose server becomes one says so', async () => {
    const postgres = await startPostgres();
    try {
      const store = await server().open('store', { url: postgres.url() });
      await committed(store, beginChange(proposalOf(1), 'applied'));
      const client = new pg.Client({ connectionString: postgres.url() });
      await client.connect();
      const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory');
      await client.end();
      const signal = join(rows[0]?.data_directory ?? '', 'standby.signal');
      await postgres.kill();
      writeFileSync(signal, '');
      await postgres.restart();
      await refused({ url: postgres.url() }, 'store-unusable', /standby/);
      const write = store.commit(beginChange(proposalOf(2), 'applied'));
      await assert.rejects(
        write,
        (error) => error instanceof Problem && /standby/.test(error.message),
      );
      assert.equal((await store.proposal(ACME, proposalOf(1)))?.state, 'applied');
      await postgres.kill();
      rmSync(signal);
      await postgres.restart();
      await committed(store, beginChange(proposalOf(2), 'applied'));
      await store.close();
    } finally {
      await postgres.stop();
    }
  });
});

describe('rights', () => {
  test('a role that may not make a schema is refused, until somebody has made it', async () => {
    const url = await role('outsider', []);
    const schema = server().newSchema();
    await refused({ url, schema }, 'store-unusable', /lacks a right/);
    await (await server().open(schema)).close();
    await refused({ url, schema }, 'store-unusable', /lacks a right/);
    const { admin } = server();
    await admin.query(`GRANT USAGE ON SCHEMA ${schema} TO outsider`);
    await admin.query(`GRANT ALL ON ALL TABLES IN SCHEMA ${schema} TO outsider`);
    const store = await server().open(schema, { url });
    await committed(store, beginChange(proposalOf(1), 'applied'));
    await admin.query(`REVOKE INSERT ON ${schema}.entries FROM outsider`);
    const write = store.commit(beginChange(proposalOf(2), 'applied'));
    await assert.rejects(write, (error) => error instanceof Problem && /right/.test(error.message));
  });
});

describe('versions', () => {
  test('a schema that belongs to something else is left alone', async () => {
    const schema = server().newSchema();
    await server().admin.query(
      `CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.songs (title text)`,
    );
    await refused({ schema }, 'store-unusable', /belongs to something else/);
    const { rows } = await server().admin.query(
      `SELECT relname FROM pg_class WHERE relnamespace = '${schema}'::regnamespace`,
    );
    assert.deepEqual(rows, [{ relname: 'songs' }]);
  });

  test('an empty schema that somebody made is used', async () => {
    const schema = server().newSchema();
    await server().admin.query(`CREATE SCHEMA ${schema}`);
    await committed(await server().open(schema), beginChange(proposalOf(1), 'applied'));
  });

  test('a newer version is refused at the start, and by a gateway that runs', async () => {
    const schema = server().newSchema();
    const store = await server().open(schema);
    await server().admin.query(
      `INSERT INTO ${schema}.schema_versions (version, digest) VALUES (99, 'later')`,
    );
    await refused({ schema }, 'store-unusable', /version/);
    const write = store.commit(beginChange(proposalOf(1), 'applied'));
    await assert.rejects(
      write,
      (error) => error instanceof Problem && /version 99/.test(error.message),
    );
    assert.deepEqual(await store.tenants(), []);
  });

  test('a schema that other texts made is refused', async () => {
    const schema = server().newSchema();
    await (await server().open(schema)).close();
    await server().admin.query(`UPDATE ${schema}.schema_versions SET digest = 'other'`);
    await refused({ schema }, 'store-unusable', /another text of version 1/);
  });

  test('a migration goes on from where it was stopped, and a text that fails leaves nothing', async () => {
    const place = placeOf({ url: server().postgres.url(), schema: server().newSchema() });
    const client = new pg.Client({ connectionString: server().postgres.url() });
    await client.connect();
    const first = 'CREATE TABLE logs (a integer)';
    const broken = 'CREATE TABLE second (a integer); SELECT 1 / 0';
    await assert.rejects(migrate(client, place, [first, broken]), /division by zero/);
    const tables = async (): Promise<readonly string[]> => {
      const { rows } = await client.query<{ relname: string }>(
        `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = $1::regnamespace
         ORDER BY relname`,
        [place.schema],
      );
      return rows.map(({ relname }) => relname);
    };
    assert.deepEqual(await tables(), ['logs', 'schema_versions']);
    await migrate(client, place, [first, 'CREATE TABLE second (a integer)']);
    await migrate(client, place, [first, 'CREATE TABLE second (a integer)']);
    assert.deepEqual(await tables(), ['logs', 'schema_versions', 'second']);
    await client.end();
  });
});
