/** Real gateways for benches: their files, their target, and who calls them. */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { Gateway } from '../crash/gateway.ts';
import { createClient, type Client } from '../src/client/index.ts';
import type { Postgres } from '../support/postgres.ts';

export const TENANT = 'bench';
export const TARGET = 'bench';
/** Rows of the target's only table, `counters`. */
export const ROWS = 100_000;
const STATEMENT = 'UPDATE counters SET value = $2 WHERE id = $1';

const POLICY = `
version: 1
tenant: ${TENANT}
environment: bench
targets:
  ${TARGET}: { kind: postgres, url: '\${env:BENCH_URL}', acceptFindings: [role-superuser] }
people:
  olga: { roles: [operator] }
  ann: { roles: [approver] }
agents:
  bench-agent: { owner: olga, permissions: [{ target: bench, class: update, tier: autonomous }] }
  bench-clerk: { owner: olga, permissions: [{ target: bench, class: update, tier: confirm }] }
limits: [{ name: records, recordsMax: 10 }]
rules: [{ id: permit, effect: permit, match: { target: bench }, reason: the bench }]
anomaly: { sensitivity: off }
routes: { people: { steps: [{ quorum: 1 }], expiresAfter: 12h } }
defaultRoute: people
`;

/** Makes the target, once for a server. */
export async function makeTarget(postgres: Postgres): Promise<void> {
  await postgres.createDatabase(TARGET);
  const client = new pg.Client(postgres.url(TARGET));
  await client.connect();
  await client.query('CREATE TABLE counters (id integer PRIMARY KEY, value bigint NOT NULL)');
  await client.query(`INSERT INTO counters SELECT n, 0 FROM generate_series(1, ${ROWS}) AS n`);
  await client.query('VACUUM ANALYZE counters');
  await client.end();
}

export interface Place {
  readonly postgres: Postgres;
  /** Of the bench: what gateways share on the disk. */
  readonly folder: string;
  /** The database of a PostgreSQL store; absent: the data folder's own store. */
  readonly store?: string;
}

/** A gateway that is not started, with a data folder of this name. */
export async function gatewayAt(place: Place, name: string, number = 1): Promise<Gateway> {
  const { postgres, folder, store } = place;
  const config = join(folder, 'writegate.yaml');
  await writeFile(config, POLICY, { mode: 0o600 });
  const data = dataAt(folder, name);
  await mkdir(data, { recursive: true, mode: 0o700 });
  const storeArguments = store === undefined ? [] : ['--store', '${env:STORE_URL}'];
  return new Gateway({
    number,
    arguments: ['--config', config, '--dir', data, ...storeArguments],
    environment: { BENCH_URL: postgres.url(TARGET), STORE_URL: postgres.url(store) },
    cache: join(folder, 'cache'),
    logPath: join(folder, `${name}.log`),
  });
}

export function dataAt(folder: string, name: string): string {
  return join(folder, name);
}

/** What another gateway over the same store needs of the first one's data folder. */
export async function copyKeys(folder: string, from: string, to: string): Promise<void> {
  await mkdir(dataAt(folder, to), { recursive: true, mode: 0o700 });
  for (const file of ['ledger.key', 'evidence.key', 'operator.token']) {
    await copyFile(join(folder, from, file), join(folder, to, file));
  }
}

export async function operatorOf(gateway: Gateway, data: string): Promise<Client> {
  const token = (await readFile(join(data, 'operator.token'), 'utf8')).trim();
  return createClient({ url: gateway.url, token });
}

/** The UPDATE of one row; no two turns within `ROWS` have the same. */
export function draftOf(turn: number) {
  const parameters = [(turn % ROWS) + 1, turn];
  return { target: TARGET, operation: 'sql', arguments: { statement: STATEMENT, parameters } };
}
