// `add postgres` and `doctor` at the command line, before a real PostgreSQL.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import pg from 'pg';
import { run } from '../../src/cli/main.ts';
import { columnsOf } from '../../src/lib/terminal.ts';
import { parseConfiguration } from '../../src/policy/parse.ts';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import { captureIo, jsonOf } from './fixture.ts';

const CONFIGURATION = `# who may what
version: 1
targets:   # all of them
  # the old one
  erp:
    kind: postgres   # stays
    url: \${env:ERP_URL}
people: {ada: {roles: [operator]}}
`;

const SCHEMA = `
CREATE TABLE customers (id serial PRIMARY KEY, email text);
CREATE TABLE invoices (id int PRIMARY KEY, customer int REFERENCES customers ON DELETE CASCADE);
CREATE TABLE loose (n int);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$BEGIN
  NEW.email := lower(NEW.email); RETURN NEW; END$$;
CREATE TRIGGER stamp BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION stamp();
`;

let postgres: Postgres;
let home = '';
const homes: string[] = [];
let databases = 0;
let database = '';
let admin: pg.Client;

before(async () => {
  postgres = await startPostgres({ settings: { fsync: 'off' } });
});
beforeEach(async () => {
  await admin?.end();
  databases += 1;
  database = `crm${databases}`;
  await postgres.createDatabase(database);
  admin = new pg.Client(postgres.url(database));
  await admin.connect();
  await admin.query(SCHEMA);
  home = await mkdtemp(join(tmpdir(), 'writegate-add-'));
  homes.push(home);
  await writeFile(join(home, 'writegate.yaml'), CONFIGURATION);
});
after(async () => {
  await admin?.end();
  await postgres?.stop();
  for (const each of homes) await rm(each, { recursive: true, force: true });
});

interface Run {
  readonly answers?: readonly string[];
  readonly columns?: number;
  readonly env?: Readonly<Record<string, string>>;
}

async function writegate(
  line: readonly string[],
  { answers, columns = 100, env = {} }: Run = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const io = captureIo({ cwd: home, env, ...(answers && { answers }) });
  const code = await run(line, { ...io, stdout: { ...io.stdout, columns } });
  return { code, out: io.out(), err: io.err() };
}

const add = (...line: readonly string[]): readonly string[] => [
  'add',
  'postgres',
  postgres.url(database),
  ...line,
];

const yaml = (): Promise<string> => readFile(join(home, 'writegate.yaml'), 'utf8');

async function passwords(): Promise<readonly string[]> {
  const files = await readdir(join(home, '.writegate')).catch(() => []);
  const urls = files.filter((file) => file.endsWith('.url'));
  return Promise.all(
    urls.map(async (file) => {
      const path = join(home, '.writegate', file);
      assert.equal((await stat(path)).mode & 0o777, 0o600);
      return new URL((await readFile(path, 'utf8')).trim()).password;
    }),
  );
}

async function roles(): Promise<number> {
  const { rows } = await admin.query(`SELECT FROM pg_roles WHERE rolname LIKE 'wg\\_%${database}'`);
  return rows.length;
}

test('add shows what it will do and asks; anything but yes changes nothing', async () => {
  const { code, out } = await writegate(add(), { answers: ['y'] });
  assert.equal(code, 3);
  assert.match(out, /CREATE ROLE "wg_writer_crm\d+"/);
  assert.match(out, /\+ {3}url: "\$\{file:.*writer\.url\}"/);
  assert.match(out, /nothing was changed/);
  assert.deepEqual([await roles(), await yaml()], [0, CONFIGURATION]);
  const unattended = await writegate(add());
  assert.equal(unattended.code, 64);
  assert.match(unattended.err, /expected --yes/);
});

test('add makes the roles, keeps their credentials apart, and adds the target to the file', async () => {
  const { code, out, err } = await writegate(add('--revoke-public'), { answers: ['yes'] });
  assert.equal(code, 0, err + out);
  assert.equal(await roles(), 4);
  const text = await yaml();
  for (const kept of ['# who may what', '# all of them', '# the old one', '# stays']) {
    assert.ok(text.includes(kept), text);
  }
  const { targets } = parseConfiguration(text, 'writegate.yaml');
  assert.deepEqual(targets.map(({ name }) => name).toSorted(), [database, 'erp']);
  const secrets = await passwords();
  assert.equal(secrets.length, 4);
  const adminPassword = new URL(postgres.url()).password;
  for (const secret of [...secrets, adminPassword]) {
    assert.ok(!`${out}${err}${text}`.includes(secret));
  }
  const doctor = await writegate(['doctor', database]);
  assert.equal(doctor.code, 0, doctor.err);
  assert.match(doctor.out, new RegExp(`opens {2}${database}`));
});

test('a second add keeps passwords and file, and grants what is new', async () => {
  assert.equal((await writegate(add('--yes'))).code, 0);
  const [text, secrets] = [await yaml(), await passwords()];
  await admin.query('CREATE TABLE later (id int PRIMARY KEY)');
  const lacking = await writegate(['doctor', database]);
  assert.match(lacking.out, /note {2}missing-grant/);
  const again = await writegate(add('--yes', '--json'));
  assert.equal(again.code, 0, again.out);
  assert.deepEqual([await yaml(), await passwords()], [text, secrets]);
  assert.doesNotMatch((await writegate(['doctor', database])).out, /missing-grant/);
  assert.equal((await writegate(add('--yes', '--rotate'))).code, 0);
  const rotated = await passwords();
  assert.ok(rotated.every((secret) => !secrets.includes(secret)));
  assert.equal((await writegate(['doctor', database])).code, 0);
});

test('roles whose credentials are elsewhere are not taken over unasked', async () => {
  assert.equal((await writegate(add('--yes'))).code, 0);
  await rm(join(home, '.writegate'), { recursive: true });
  const { code, err } = await writegate(add('--yes'));
  assert.equal(code, 1);
  assert.match(
    err.replaceAll(/\s+/g, ' '),
    /is there and .*\.writer\.url` with its credential is not; .*--rotate/,
  );
  assert.equal((await writegate(add('--yes', '--rotate'))).code, 0);
});

test('a run that stopped after the credentials goes on with them', async () => {
  const printed = await writegate(add('--print'));
  assert.equal(printed.code, 0);
  const secrets = await passwords();
  assert.equal(secrets.length, 4);
  assert.equal((await writegate(add('--yes'))).code, 0);
  assert.deepEqual(await passwords(), secrets);
});

test('--print changes nothing in the database, and its SQL is all that a DBA needs', async () => {
  const { code, out, err } = await writegate(add('--print', '--tables', 'customers,invoices'));
  assert.equal(code, 0, err);
  assert.deepEqual([await roles(), await yaml()], [0, CONFIGURATION]);
  for (const secret of await passwords()) assert.ok(!`${out}${err}`.includes(secret));
  assert.match(out, /^-- REVOKE TEMPORARY ON DATABASE/m);
  await admin.query(out);
  assert.equal(await roles(), 4);
  const block = err.slice(err.indexOf(`  ${database}:`));
  await writeFile(join(home, 'writegate.yaml'), `version: 1\ntargets:\n${block}`);
  const doctor = await writegate(['doctor', '--json']);
  assert.equal(doctor.code, 0, doctor.out + doctor.err);
  const [target] = jsonOf(doctor.out)['targets'] as readonly {
    readonly findings: readonly { readonly code: string }[];
    readonly tables: readonly { readonly table: string }[];
  }[];
  assert.deepEqual(
    target?.findings.map(({ code: found }) => found),
    ['role-temp'],
  );
  assert.deepEqual(
    target?.tables.map(({ table }) => table),
    ['public.customers', 'public.invoices'],
  );
});

test('doctor ends in 1 while a target stays shut, names the fix, and ends in 0 after it', async () => {
  await writegate(add('--yes', '--revoke-public'));
  await admin.query(
    `ALTER ROLE wg_writer_${database} CREATEDB; GRANT TRUNCATE ON loose TO wg_reader_${database}`,
  );
  const shut = await writegate(['doctor', database]);
  assert.equal(shut.code, 1);
  assert.match(shut.out, /stays shut/);
  const fixes = [...shut.out.matchAll(/fix: ([^;]*);/g)].map(([, fix = '']) => fix);
  assert.equal(fixes.length, 2, shut.out);
  for (const fix of fixes) await admin.query(fix);
  const open = await writegate(['doctor', database]);
  assert.equal(open.code, 0);
  assert.match(open.out, /opens/);
});

test('the report fits a wide and a narrow terminal, and says what acts beside a write', async () => {
  await writegate(add('--yes'));
  for (const columns of [100, 44]) {
    const { out } = await writegate(['doctor', database], { columns });
    for (const line of out.split('\n')) assert.ok(columnsOf(line.trimEnd()) <= columns, line);
    const text = out.replaceAll(/\s+/g, ' ');
    assert.match(text, /one-way: no primary key/);
    assert.match(
      text,
      /stamp: before update → public\.stamp \(plpgsql, with the rights of postgres\), sets email/,
    );
    assert.match(text, /public\.invoices: on delete cascade, on update refuse/);
  }
});

test('settings of a target that is there are set line by line', async () => {
  const { code, out } = await writegate(
    add('--yes', '--name', 'erp', '--no-receipts', '--no-undo'),
  );
  assert.equal(code, 0, out);
  assert.match(out, /- url: \$\{env:ERP_URL\}/);
  const text = await yaml();
  assert.match(text, /kind: postgres {3}# stays\n/);
  const [target] = parseConfiguration(text, 'writegate.yaml').targets;
  assert.equal(target?.settings['receipts'], null);
  assert.equal(target?.settings['undo'], undefined);
  assert.match(out.replaceAll(/\s+/g, ' '), /after a failover/);
});

test('a target that the file limits to some tables gets rights on those alone', async () => {
  const limited = CONFIGURATION.replace(
    'kind: postgres   # stays',
    'kind: postgres\n    tables: [invoices]',
  );
  await writeFile(join(home, 'writegate.yaml'), limited);
  const { code, out, err } = await writegate(add('--yes', '--name', 'erp', '--rotate'));
  assert.equal(code, 0, out + err);
  const { rows } = await admin.query(
    `SELECT has_table_privilege('wg_writer_erp', 'customers', 'UPDATE') AS customers,
      has_table_privilege('wg_writer_erp', 'invoices', 'UPDATE') AS invoices`,
  );
  assert.deepEqual(rows, [{ customers: false, invoices: true }]);
});

for (const [form, given, expected] of [
  ['list in a line', 'tables: [invoices]', /tables: \[invoices, customers, public\.loose\]/],
  [
    'list',
    'tables:\n      - invoices  # owed',
    /tables:\n {6}- invoices {2}# owed\n {6}- customers\n {6}- public\.loose\n/,
  ],
  [
    'mapping',
    'tables:\n      # owed\n      invoices: {update: [customer]}',
    /customers: \{insert: true, update: true, delete: true\}\n {6}public\.loose: \{.*\n {6}# owed\n {6}invoices: \{update: \[customer\]\}/,
  ],
  ['mapping in a line', 'tables: {invoices: {}}', /tables: \{customers: \{.*\}, invoices: \{\}\}/],
] as const) {
  test(`tables that are given are added to the ${form} that the file has`, async () => {
    const written = CONFIGURATION.replace(
      'kind: postgres   # stays',
      `kind: postgres   # stays\n    ${given}`,
    );
    await writeFile(join(home, 'writegate.yaml'), written);
    assert.equal((await writegate(add('--yes', '--name', 'erp', '--rotate'))).code, 0);
    const first = await yaml();
    const printed = await writegate(add('--print', '--name', 'erp', '--tables', 'customers'));
    const { code, out } = await writegate(
      add('--yes', '--name', 'erp', '--tables', 'customers,public.invoices,public.loose'),
    );
    assert.equal(code, 0, out);
    const text = await yaml();
    assert.match(text, expected);
    assert.ok(text.includes('# stays'), text);
    assert.match(out, /In writegate\.yaml:\n(?:.*\n)*? {2}\+ .*customers/);
    assert.match(out, /wrote/);
    assert.equal(printed.code, 0, printed.err);
    assert.match(printed.err, /\+ .*customers/);
    assert.doesNotMatch(printed.err, /put this below/);
    // Nothing that is in use is to be revoked, and all that is added is granted.
    assert.doesNotMatch(out, /writes-elsewhere|missing-grant/);
    const { rows } = await admin.query(
      `SELECT has_table_privilege('wg_writer_erp', 'customers', 'UPDATE') AS customers,
        has_table_privilege('wg_writer_erp', 'invoices', 'UPDATE') AS invoices`,
    );
    assert.deepEqual(rows, [{ customers: true, invoices: true }]);
    const { settings } =
      parseConfiguration(text, 'x').targets.find(({ name }) => name === 'erp') ?? {};
    const tables = settings?.['tables'] ?? [];
    const names: unknown[] = Array.isArray(tables) ? tables : Object.keys(tables);
    assert.deepEqual(new Set(names), new Set(['customers', 'invoices', 'public.loose']));
    const again = await writegate(add('--yes', '--name', 'erp', '--tables', 'loose,invoices'));
    assert.equal(again.code, 0, again.err);
    assert.match(again.out, /In writegate\.yaml:\n {2}nothing changes/);
    assert.match(again.out, /unchanged/);
    assert.doesNotMatch(again.out, /wrote|writes-elsewhere|missing-grant/);
    assert.equal(await yaml(), text);
    assert.notEqual(text, first);
  });
}

test('a file in braces is left alone, and the block is shown to be pasted', async () => {
  const braces = 'version: 1\ntargets: {erp: {kind: postgres, url: "${env:ERP_URL}"}}\n';
  await writeFile(join(home, 'writegate.yaml'), braces);
  const { code, out } = await writegate(add('--yes'));
  assert.equal(code, 0);
  assert.equal(await yaml(), braces);
  assert.match(out, /was not edited: paste/);
});

test('what is wrong is said before anything is made, without the password', async () => {
  const wrong = new URL(postgres.url(database));
  wrong.password = 'swordfish';
  const lines: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['add', 'postgres', 'mysql://root:swordfish@h/x'], 64, /expected a URL like `postgres:/],
    [['add', 'postgres', '${env:NONE}'], 64, /environment variable `NONE` is not set/],
    [['add', 'postgres', wrong.href], 1, /password authentication failed/],
    [['add', 'postgres', 'postgres://a:swordfish@127.0.0.1:1/x', '--yes'], 1, /ECONNREFUSED/],
    [add('--tables', 'customers,orderz'), 1, /no table `public\.orderz`/],
    [add('--schemas', 'none'), 1, /no table in the schemas none/],
    [add('--name', 'a b'), 64, /after `--name`/],
    [add('--prefix', 'A'), 64, /after `--prefix`/],
    [add('--receipts', 'A-b'), 64, /after `--receipts`/],
    [['doctor', 'nobody'], 1, /no target `nobody`; it has `erp`/],
  ];
  for (const [line, expected, message] of lines) {
    const { code, out, err } = await writegate(line);
    assert.equal(code, expected, err);
    assert.match(err.replaceAll(/\s+/g, ' '), message);
    assert.ok(!`${out}${err}`.includes('swordfish'));
  }
  assert.equal(await roles(), 0);
});

test('who may not make roles is sent to --print', async () => {
  await admin.query(`DROP ROLE IF EXISTS small; CREATE ROLE small LOGIN PASSWORD 'small'`);
  const url = new URL(postgres.url(database));
  url.username = 'small';
  url.password = 'small';
  const env = { ADMIN_URL: url.href };
  const line = ['add', 'postgres', '${env:ADMIN_URL}', '--no-receipts'];
  const { code, err } = await writegate([...line, '--yes'], { env });
  assert.equal(code, 1);
  assert.match(err.replaceAll(/\s+/g, ' '), /`small` may not make roles; use --print/);
  const printed = await writegate([...line, '--print'], { env });
  assert.equal(printed.code, 0, printed.err);
});
