/** A gateway whose clock the checks move and that they may start anew, on a real PostgreSQL. */
import { strict as assert } from 'node:assert';
import { chmod, copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client as PgClient } from 'pg';
import { createClient, type Client, type Result } from '../../src/client/index.ts';
import { folderReader } from '../../src/ledger/folder.ts';
import { verifyLedger, type VerifyReport } from '../../src/ledger/verify.ts';
import { openGateway, type Gateway } from '../../src/main.ts';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import { makeRoles } from '../../test/support/postgres-roles.ts';

const AGENTS = ['writer', 'twin', 'clerk', 'reader'] as const;
const PEOPLE = ['alice', 'bea'] as const;
export type AgentName = (typeof AGENTS)[number];
export type PersonName = (typeof PEOPLE)[number] | 'olga';

export interface ScopeWorld {
  readonly url: string;
  agent(name: AgentName): Client;
  person(name: PersonName): Client;
  tokenOf(name: AgentName | PersonName): string;
  /** Moves the gateway's clock, also back. */
  advance(ms: number): void;
  /** Closes the gateway and opens it again on the same folder and address. */
  restart(): Promise<void>;
  /** First column of the first row of the shop, as a number. */
  count(query: string): Promise<number>;
  countIn(database: Database, query: string): Promise<number>;
  /** Runs SQL on the shop beside the gateway, with every right. */
  change(sql: string): Promise<void>;
  changeIn(database: Database, sql: string): Promise<void>;
  /** Verifies the published ledger, whole. */
  verify(): Promise<VerifyReport>;
  close(): Promise<void>;
}

const DATABASES = ['shop', 'mirror', 'replica'] as const;
type Database = (typeof DATABASES)[number];

const HERE = import.meta.dirname;

/** Starts both. What was started is taken down again where a step throws. */
export async function openScopeWorld(progress: (line: string) => void): Promise<ScopeWorld> {
  const closing: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of closing.splice(0).toReversed()) await step();
  };
  try {
    const folder = await mkdtemp(join(tmpdir(), 'writegate-conformance-'));
    closing.push(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o700);
    const postgres = await startPostgres();
    closing.push(() => postgres.stop());
    progress(`PostgreSQL ${postgres.version}`);
    const databases = await fillDatabases(postgres, closing);
    const configPath = join(folder, 'writegate.yaml');
    await copyFile(join(HERE, 'writegate.yaml'), configPath);
    const clock = { offsetMs: 0 };
    const open = (port: number): Promise<Gateway> =>
      openGateway({
        configPath,
        dataFolder: folder,
        port,
        now: () => Date.now() + clock.offsetMs,
        environment: (name) => databases.urls.get(name),
        log: (line) => progress(line),
      });
    let gateway = await open(0);
    closing.push(() => gateway.close());
    const { url } = gateway;
    const tokens = await openTokens(url, gateway.folder.operatorToken);
    const clientOf = (name: string): Client => {
      const token = tokens.get(name);
      assert.ok(token !== undefined, `${name} has a token`);
      return createClient({ url, token });
    };
    return {
      url,
      agent: clientOf,
      person: clientOf,
      tokenOf: (name) => tokens.get(name) ?? '',
      advance: (ms) => void (clock.offsetMs += ms),
      restart: async () => {
        await gateway.close();
        gateway = await open(Number(new URL(url).port));
      },
      count: (query) => countOf(databases.superuser('shop'), query),
      countIn: (database, query) => countOf(databases.superuser(database), query),
      change: async (sql) => void (await databases.superuser('shop').query(sql)),
      changeIn: async (database, sql) => void (await databases.superuser(database).query(sql)),
      verify: async () => {
        await gateway.publish();
        const reader = folderReader(gateway.folder.ledger);
        return verifyLedger({ reader, vkey: gateway.vkey, against: [], payloads: true });
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Databases {
  readonly urls: ReadonlyMap<string, string>;
  superuser(database: Database): PgClient;
}

const MIRROR = `CREATE TABLE things (id integer PRIMARY KEY, n integer NOT NULL);
  INSERT INTO things SELECT i, i FROM generate_series(1, 10) AS i`;

/** The shop, and a database with its replica; each with the roles that `writegate add postgres` makes. */
async function fillDatabases(
  postgres: Postgres,
  closing: (() => Promise<unknown>)[],
): Promise<Databases> {
  const urls = new Map<string, string>();
  const superusers = new Map<Database, PgClient>();
  for (const name of DATABASES) {
    await postgres.createDatabase(name);
    const superuser = new PgClient({ connectionString: postgres.url(name) });
    await superuser.connect();
    closing.push(() => superuser.end());
    superusers.set(name, superuser);
    const schema = name === 'shop' ? await readFile(join(HERE, 'schema.sql'), 'utf8') : MIRROR;
    await superuser.query(schema);
    await superuser.query('ANALYZE');
    const { url, reader, evidence, undo } = await makeRoles(postgres.url(name));
    for (const [role, each] of Object.entries({ url, reader, evidence, undo })) {
      urls.set(`${name}_${role}`.toUpperCase(), each);
    }
  }
  urls.set('NOWHERE_URL', 'postgres://nobody@127.0.0.1:1/none');
  return {
    urls,
    superuser: (database) => {
      const found = superusers.get(database);
      assert.ok(found !== undefined, `there is a database \`${database}\``);
      return found;
    },
  };
}

async function countOf(client: PgClient, query: string): Promise<number> {
  const { rows } = await client.query<unknown[]>({ text: query, rowMode: 'array' });
  return Number(rows[0]?.[0]);
}

async function openTokens(
  url: string,
  operatorTokenFile: string,
): Promise<ReadonlyMap<string, string>> {
  const olga = (await readFile(operatorTokenFile, 'utf8')).trim();
  const operator = createClient({ url, token: olga });
  const tokens = new Map([['olga', olga]]);
  for (const name of AGENTS) {
    tokens.set(name, (await operator.issueCredential({ kind: 'agent', name })).secret);
  }
  for (const name of PEOPLE) {
    tokens.set(name, (await operator.issueCredential({ kind: 'person', name })).secret);
  }
  return tokens;
}

// ---- what the checks do again and again

type Parameters = readonly (string | number | boolean | null)[];

/** Proposes SQL on the shop. */
export function write(
  client: Client,
  statement: string,
  more: { readonly parameters?: Parameters; readonly run?: string; readonly key?: string } = {},
): Promise<Result> {
  const { parameters, run, key } = more;
  return client.propose({
    target: 'shop',
    operation: 'sql',
    arguments: { statement, ...(parameters !== undefined && { parameters }) },
    ...(run !== undefined && { run }),
    ...(key !== undefined && { idempotencyKey: key }),
  });
}

/** Demands an answer: its state and code, and that the reason has the figures. */
export function answered(
  result: Result,
  state: Result['state'],
  code: string,
  ...figures: readonly (string | RegExp)[]
): Result {
  assert.equal(`${result.state} ${result.code}`, `${state} ${code}`, result.reason);
  for (const figure of figures) {
    const isThere =
      typeof figure === 'string' ? result.reason.includes(figure) : figure.test(result.reason);
    assert.ok(isThere, `expected ${String(figure)} in: ${result.reason}`);
  }
  return result;
}

export function idOf(result: Result): string {
  assert.ok(result.proposalId !== null, 'it made a proposal');
  return result.proposalId;
}

export function digestOf(result: Result): string {
  assert.ok(result.planDigest !== null, 'it was measured');
  return result.planDigest;
}
