// A file of rows, from the command line to the table: uploaded, named in an import, applied once.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { createClient, type Client } from '../../src/client/client.ts';
import { run } from '../../src/cli/main.ts';
import { POSTGRES } from '../../src/cli/init/postgres.ts';
import { PROFILES } from '../../src/cli/init/profile.ts';
import { configurationTemplate } from '../../src/cli/template.ts';
import { openGateway, type Gateway } from '../../src/main.ts';
import { prepareGateway } from '../../src/main/host.ts';
import { readToken } from '../../src/main/folder.ts';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import { captureIo, jsonOf } from './fixture.ts';

let postgres: Postgres;
let database: pg.Client;
let home: string;
let gateway: Gateway;
let client: Client;
let token: string;

before(async () => {
  postgres = await startPostgres({ settings: { fsync: 'off' } });
  await postgres.createDatabase('crm');
  database = new pg.Client(postgres.url('crm'));
  await database.connect();
  await database.query('CREATE TABLE contacts (id int PRIMARY KEY, email text NOT NULL)');
  home = await mkdtemp(join(tmpdir(), 'writegate-import-'));
  const options = {
    configPath: join(home, 'writegate.yaml'),
    dataFolder: join(home, '.writegate'),
    environment: (name: string) => (name === 'CRM_URL' ? postgres.url('crm') : undefined),
    port: 0,
    log: () => undefined,
  };
  const [profile] = PROFILES;
  assert.ok(profile !== undefined);
  const template = configurationTemplate({
    profile,
    pack: POSTGRES,
    person: 'ada',
    agent: 'loader',
    urlReference: '${env:CRM_URL}',
  });
  await writeFile(
    options.configPath,
    template.replace(
      'schemas: [public]',
      'schemas: [public]\n    acceptFindings: [role-superuser]',
    ),
  );
  const { folder } = await prepareGateway(options);
  gateway = await openGateway(options);
  const operator = await readToken(folder.operatorToken);
  assert(operator !== undefined);
  const { secret } = await createClient({
    url: gateway.url,
    token: operator.reveal(),
  }).issueCredential({ kind: 'agent', name: 'loader' });
  assert(secret !== undefined && secret !== null);
  token = secret;
  client = createClient({ url: gateway.url, token });
});

after(async () => {
  await gateway?.close();
  await database?.end();
  await postgres?.stop();
  await rm(home, { recursive: true, force: true });
});

async function count(): Promise<number> {
  const { rows } = await database.query<{ n: number }>('SELECT count(*)::int AS n FROM contacts');
  return rows[0]?.n ?? -1;
}

test('a file is uploaded, its rows are measured, and they are in the table once', async () => {
  await writeFile(join(home, 'contacts.csv'), 'id,email\n1,ada@example.org\n2,"b, c"\n');
  const io = captureIo({ cwd: home, env: { WRITEGATE_TOKEN: token, WRITEGATE_URL: gateway.url } });
  assert.equal(await run(['upload', 'contacts.csv', '--json'], io), 0, io.err());
  const { id } = jsonOf(io.out());
  assert(typeof id === 'string');
  const draft = {
    target: 'crm',
    operation: 'import',
    arguments: { table: 'contacts', upload: id, format: 'csv' },
  };
  const previewed = await client.preview(draft);
  assert.equal(previewed.state, 'previewed', previewed.reason);
  assert.match(previewed.headline ?? '', /2 inserts into public\.contacts/);
  assert.equal(await count(), 0);
  const applied = await client.propose(draft, { waitMs: 10_000 });
  assert.equal(applied.state, 'applied', applied.reason);
  assert.equal(await count(), 2);
  // The same file again is the same write.
  await client.propose(draft, { waitMs: 10_000 });
  assert.equal(await count(), 2);
});

test('the file is kept for its owner alone, in the data folder', async () => {
  const folder = join(home, '.writegate', 'uploads');
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = found.filter((each) => each.isFile());
  assert.equal(files.length, 1);
  for (const { parentPath, name } of files) {
    assert.equal((await stat(join(parentPath, name))).mode & 0o777, 0o600);
  }
});

test('an upload that nobody sent is a denial that says what to do, and a bad file is no upload', async () => {
  const draft = {
    target: 'crm',
    operation: 'import',
    arguments: { table: 'contacts', upload: `upl_${'0'.repeat(64)}`, format: 'csv' },
  };
  const refused = await client.propose(draft);
  assert.deepEqual([refused.state, refused.code], ['denied', 'upload-unknown']);
  const env = { WRITEGATE_TOKEN: token, WRITEGATE_URL: gateway.url };
  for (const line of [
    ['upload', 'contacts.xml'],
    ['upload', 'missing.csv'],
  ]) {
    assert.notEqual(await run(line, captureIo({ cwd: home, env })), 0);
  }
});
