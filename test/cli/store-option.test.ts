// Which store a command works on: `--store`, the environment, the file, the data folder; and what is said
// where that store cannot be used. No command prints a password.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import pg from 'pg';
import { run } from '../../src/cli/main.ts';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import { startGatewayProcess } from '../support/gateway-process.ts';
import { captureIo, jsonOf } from './fixture.ts';

const FILE = `version: 1
people:
  olga: { roles: operator }
limits: [{ name: customers, recordsMax: 100 }]
`;
const OF_FILE = `${FILE}store: { url: '\${env:FILE_URL}' }\n`;
const WEAKER = FILE.replace('100', '1000');
const PASSWORD = 'hunter2';

let postgres: Postgres;
let admin: pg.Client;
let home: string;
let places = 0;
let databases = 0;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'writegate-store-'));
  postgres = await startPostgres();
  admin = new pg.Client(postgres.url());
  await admin.connect();
  await admin.query(`CREATE ROLE keeper LOGIN PASSWORD '${PASSWORD}'`);
});
after(async () => {
  await admin?.end();
  await postgres?.stop();
  await rm(home, { recursive: true, force: true });
});

type Environment = Readonly<Record<string, string>>;

/** A folder with a configuration of its own. */
async function place(text = FILE): Promise<string> {
  places += 1;
  const path = join(home, `place-${places}`);
  await mkdir(path);
  await writeFile(join(path, 'writegate.yaml'), text);
  return path;
}

/** A database that the role may make a schema in, and its URL with the role's password. */
async function database(): Promise<{ readonly url: string; readonly where: string }> {
  databases += 1;
  const name = `store_${databases}`;
  await admin.query(`CREATE DATABASE ${name} OWNER keeper`);
  return { url: urlOf(name), where: `127.0.0.1:${postgres.port}/${name}` };
}

function urlOf(name: string): string {
  const url = new URL(postgres.url(name));
  url.username = 'keeper';
  url.password = PASSWORD;
  return url.href;
}

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command to its end; `up` is asked to stop as soon as it has said that it answers. */
async function writegate(cwd: string, line: readonly string[], env: Environment = {}) {
  const stop = new AbortController();
  const isUp = line[0] === 'up';
  const io = captureIo({ cwd, env, stop: stop.signal, onOutput: () => isUp && stop.abort() });
  const code = await run(line, io);
  const said: Said = { code, out: io.out(), err: io.err() };
  assertNoPassword(said);
  return said;
}

function assertNoPassword({ out, err }: Said): void {
  assert(!`${out}${err}`.includes(PASSWORD), `${out}${err}`);
}

const UP = ['up', '--port', '0'];

/** Where a gateway that is started so keeps its state. */
async function storeOf(cwd: string, more: readonly string[], env: Environment): Promise<unknown> {
  const { code, out, err } = await writegate(cwd, [...UP, '--json', ...more], env);
  assert.equal(code, 0, out + err);
  return jsonOf(out)['store'];
}

describe('the store of a gateway', () => {
  test('is that of --store before $WRITEGATE_STORE, before the file, before the data folder', async () => {
    const [given, variable, file] = [await database(), await database(), await database()];
    const env = {
      GIVEN_URL: given.url,
      WRITEGATE_STORE: variable.url,
      FILE_URL: file.url,
    };
    const option = ['--store', '${env:GIVEN_URL}'];
    const shared = (where: string) => ({ kind: 'postgres', where });
    assert.deepEqual(await storeOf(await place(OF_FILE), option, env), shared(given.where));
    assert.deepEqual(await storeOf(await place(OF_FILE), [], env), shared(variable.where));
    const { WRITEGATE_STORE: _, ...without } = env;
    const again = await place(OF_FILE);
    assert.deepEqual(await storeOf(again, [], without), shared(file.where));
    // An empty variable is none.
    const empty = { ...env, WRITEGATE_STORE: '' };
    assert.deepEqual(await storeOf(again, [], empty), shared(file.where));
    const own = await place(OF_FILE);
    const where = join(own, '.writegate', 'store.sqlite');
    assert.deepEqual(await storeOf(own, ['--store', 'sqlite'], env), { kind: 'sqlite', where });
    const bare = await place();
    const lies = join(bare, '.writegate', 'store.sqlite');
    assert.deepEqual(await storeOf(bare, [], {}), { kind: 'sqlite', where: lies });
  });

  test('is told to people by host and database alone', async () => {
    const { url, where } = await database();
    const { code, out } = await writegate(await place(), UP, { WRITEGATE_STORE: url });
    assert.equal(code, 0);
    assert.match(out, new RegExp(`store +postgres at ${where}\\n`));
  });

  test('may be named in full on the command line, and by a file', async () => {
    const { url, where } = await database();
    const cwd = await place();
    await writeFile(join(cwd, 'store.url'), `${url}\n`, { mode: 0o600 });
    const shared = { kind: 'postgres', where };
    assert.deepEqual(await storeOf(cwd, ['--store', url], {}), shared);
    const named = `\${file:${join(cwd, 'store.url')}}`;
    assert.deepEqual(await storeOf(cwd, ['--store', named], {}), shared);
  });

  test('of init is the one that up goes on with, and no file is made for another', async () => {
    const { url } = await database();
    const cwd = await place();
    const env = { WRITEGATE_STORE: url };
    assert.equal((await writegate(cwd, ['init'], env)).code, 0);
    const data = join(cwd, '.writegate');
    assert(!(await readdir(data)).includes('store.sqlite'));
    const token = await readFile(join(data, 'operator.token'), 'utf8');
    assert.equal((await writegate(cwd, [...UP, '--store', url])).code, 0);
    assert.equal(await readFile(join(data, 'operator.token'), 'utf8'), token);
    // Without it there would be two ledgers under one key; forgotten once, it can be named again.
    for (const forgotten of COMMANDS) {
      const other = await writegate(cwd, forgotten);
      assert.equal(other.code, 1);
      assert.match(other.err, /^ledger-inconsistent: .*--store/s);
      assert(!(await readdir(data)).includes('store.sqlite'));
    }
    assert.equal((await writegate(cwd, UP, env)).code, 0);
  });
});

/** Commands that open a store by themselves. */
const COMMANDS: readonly (readonly string[])[] = [UP, ['init'], ['policy', 'apply', '--offline']];

describe('a store that cannot be used', () => {
  const WRONG: readonly (readonly [what: string, store: string, says: RegExp])[] = [
    ['no connection string', `mysql://u:${PASSWORD}@db/x`, /^configuration-invalid: .*--store/s],
    ['a variable that is not set', '${env:NOWHERE}', /^configuration-invalid: .*`NOWHERE`/s],
    [
      'a file that is not there',
      '${file:/nowhere/store.url}',
      /^configuration-invalid: .*`\/nowhere\/store\.url`/s,
    ],
    [
      'a server that is not there',
      `postgres://keeper:${PASSWORD}@127.0.0.1:9/x`,
      /^store-unreachable: /,
    ],
  ];
  for (const [what, store, says] of WRONG) {
    test(`${what} ends each command with what to do`, async () => {
      const cwd = await place();
      // Past the check that a gateway ever ran there.
      assert.equal((await writegate(cwd, ['init', '--store', 'sqlite'])).code, 0);
      await rm(join(cwd, '.writegate', 'store.sqlite'));
      for (const line of COMMANDS) {
        const { code, err } = await writegate(cwd, [...line, '--store', store]);
        assert.equal(code, 1, line.join(' '));
        assert.match(err, says);
      }
    });
  }

  async function refused(url: string, says: RegExp): Promise<void> {
    const { code, err } = await writegate(await place(), UP, { WRITEGATE_STORE: url });
    assert.equal(code, 1);
    assert.match(err.replaceAll(/\s+/g, ' '), says);
  }

  test('refuses user or password, has no such database, or gives the role no right', async () => {
    const { url } = await database();
    const wrong = url.replace(PASSWORD, `${PASSWORD}x`);
    await refused(wrong, /^store-unusable: .*refuses user or password/);
    await refused(urlOf('missing'), /^store-unusable: .*database does not exist; create it/);
    await admin.query('CREATE DATABASE foreign_one');
    await refused(urlOf('foreign_one'), /^store-unusable: .*lacks a right/);
  });

  test('is of a server that is too old', async () => {
    const { url } = await database();
    const client = new pg.Client(url);
    await client.connect();
    // As an older server would say it.
    await client.query(`
      CREATE SCHEMA older;
      CREATE FUNCTION older.current_setting(name text) RETURNS text LANGUAGE sql AS $$
        SELECT CASE name WHEN 'server_version_num' THEN '140012'
          ELSE pg_catalog.current_setting(name) END $$;
      ALTER DATABASE ${new URL(url).pathname.slice(1)} SET search_path = older, pg_catalog`);
    await client.end();
    await refused(url, /^store-unusable: .*PostgreSQL 15/);
  });
});

describe('a policy that the host lets in over a shared store', () => {
  const APPLY = ['policy', 'apply', '--offline'];
  const running: { kill(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const each of running.splice(0)) await each.kill();
  });

  test('is refused while a gateway runs, and goes through once it was stopped or killed', async () => {
    const { url, where } = await database();
    const folder = await place();
    const environment = { WRITEGATE_STORE: url };
    const gateway = await startGatewayProcess({ folder, environment, arguments: ['--name', 'a'] });
    running.push(gateway);
    await writeFile(join(folder, 'writegate.yaml'), WEAKER);
    const line = [...APPLY, '--dir', join(folder, 'data')];
    const held = await writegate(folder, line, environment);
    assert.equal(held.code, 1);
    const text = held.err.replaceAll(/\s+/g, ' ');
    assert.match(text, /^store-locked: a gateway runs on the store at /);
    for (const told of [where, `\`a\` at ${gateway.url}`, 'stop', 'without --offline']) {
      assert(text.includes(told), text);
    }
    // It took no leave, and its process is known to be gone.
    await gateway.kill();
    const applied = await writegate(folder, line, environment);
    assert.equal(applied.code, 0, applied.err);
    assert.match(applied.out, /^in force from the next start\n.*recordsMax 100 → 1,000/s);
  });
});
