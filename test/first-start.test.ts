// Gateways that start at the same moment on one empty PostgreSQL store, as processes.
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createClient } from '../src/client/index.ts';
import { openGateway } from '../src/main.ts';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { startGatewayProcess, type GatewayProcess } from './support/gateway-process.ts';

const POLICY = `
version: 1
tenant: acme
people: { olga: { roles: [operator] } }
`;
const NAMES = ['one', 'two'];

let home: string;
let postgres: Postgres;
const running: GatewayProcess[] = [];

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'writegate-first-'));
  postgres = await startPostgres();
  await postgres.createDatabase('store');
});

after(async () => {
  for (const each of running) await each.kill();
  await postgres?.stop();
  await rm(home, { recursive: true, force: true });
});

async function folderOf(name: string): Promise<string> {
  const folder = join(home, name);
  await mkdir(join(folder, 'data'), { recursive: true, mode: 0o700 });
  await writeFile(join(folder, 'writegate.yaml'), POLICY);
  return folder;
}

async function start(name: string): Promise<void> {
  const environment = { WRITEGATE_STORE: postgres.url('store') };
  running.push(await startGatewayProcess({ folder: join(home, name), environment }));
}

test('of two that start at once on an empty store one makes the operator’s token', async () => {
  // The keys were handed out before: one gateway made them beside a store of its own.
  const configPath = join(await folderOf('keys'), 'writegate.yaml');
  const dataFolder = join(home, 'keys', 'data');
  const environment = (): undefined => undefined;
  const ports = { configPath, dataFolder, environment, port: 0, log: () => undefined };
  await (await openGateway(ports)).close();
  for (const name of NAMES) {
    const folder = await folderOf(name);
    for (const file of ['ledger.key', 'evidence.key']) {
      await copyFile(join(dataFolder, file), join(folder, 'data', file));
    }
  }
  await Promise.all(NAMES.map(start));

  const tokens = NAMES.map((name) => join(home, name, 'data', 'operator.token'));
  const made = tokens.filter((path) => existsSync(path));
  assert.equal(made.length, 1);
  const token = (await readFile(made[0] ?? '', 'utf8')).trim();
  for (const { url } of running) {
    const { items } = await createClient({ url, token }).credentials();
    assert.equal(items.length, 1);
  }
});
