/** A real PostgreSQL and a running gateway; what attacks it speaks its public HTTP API. */
import { chmod, copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client as PgClient } from 'pg';
import { createClient, type Client, type Effect } from '../../src/client/index.ts';
import { folderReader } from '../../src/ledger/folder.ts';
import { verifyLedger, type VerifyReport } from '../../src/ledger/verify.ts';
import { openGateway } from '../../src/main.ts';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import { makeRoles } from '../../test/support/postgres-roles.ts';

export interface World {
  readonly url: string;
  readonly tokens: { readonly agent: string; readonly alice: string; readonly olga: string };
  readonly agent: Client;
  /** Approves. */
  readonly alice: Client;
  /** Operates, and asks for rollbacks. */
  readonly olga: Client;
  /** Beside the gateway, with every right. */
  readonly superuser: PgClient;
  readonly folder: string;
  readonly ledgerFolder: string;
  readonly vkey: string;
  /** Every row of a proposal, page by page. */
  rows(id: string): Promise<readonly Effect[]>;
  /** Waits until everything so far is published, and returns the head. */
  published(): Promise<Head>;
  verify(folder: string, against?: readonly string[]): Promise<VerifyReport>;
  close(): Promise<void>;
}

/** A signed head of the log. */
export interface Head {
  readonly size: number;
  readonly checkpoint: string;
}

const HERE = import.meta.dirname;
const ROWS_PAGE = 1_000;
const POLLS_MAX = 200;
const POLL_MS = 50;

/** Starts both. What was started is taken down again where a step throws. */
export async function openWorld(progress: (line: string) => void): Promise<World> {
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
    const database = await fillDatabase(postgres);
    closing.push(() => database.superuser.end());
    const configPath = join(folder, 'writegate.yaml');
    await copyFile(join(HERE, 'writegate.yaml'), configPath);
    const gateway = await openGateway({
      configPath,
      dataFolder: folder,
      port: 0,
      environment: (name) => database.urls.get(name),
      log: (line) => progress(line),
    });
    closing.push(() => gateway.close());
    const { url, vkey } = gateway;
    const people = await openCallers(url, gateway.folder.operatorToken);
    const ledgerFolder = gateway.folder.ledger;
    return {
      url,
      vkey,
      folder,
      ledgerFolder,
      ...people,
      superuser: database.superuser,
      rows: (id) => everyRow(people.agent, id),
      published: () => published(url, people.olga, people.tokens.olga),
      verify: (verified, against = []) =>
        verifyLedger({ reader: folderReader(verified), vkey, against, payloads: true }),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The database, the roles as `writegate add postgres` makes them, and who looks on from beside. */
async function fillDatabase(
  postgres: Postgres,
): Promise<{ readonly superuser: PgClient; readonly urls: ReadonlyMap<string, string> }> {
  await postgres.createDatabase('shop');
  const superuser = new PgClient({
    connectionString: postgres.url('shop'),
    options: '-c timezone=UTC -c datestyle=ISO -c extra_float_digits=1 -c intervalstyle=postgres',
  });
  await superuser.connect();
  await superuser.query(await readFile(join(HERE, 'schema.sql'), 'utf8'));
  const roles = await makeRoles(postgres.url('shop'));
  // As on a managed database, where nobody may grant it: rows that row security hides stay hidden.
  await superuser.query('ALTER ROLE wg_evidence_shop NOBYPASSRLS');
  const urls = new Map([
    ['CONFORMANCE_URL', roles.url],
    ['CONFORMANCE_READER', roles.reader],
    ['CONFORMANCE_EVIDENCE', roles.evidence],
    ['CONFORMANCE_UNDO', roles.undo],
  ]);
  return { superuser, urls };
}

async function openCallers(
  url: string,
  operatorTokenFile: string,
): Promise<Pick<World, 'agent' | 'alice' | 'olga' | 'tokens'>> {
  const operatorToken = (await readFile(operatorTokenFile, 'utf8')).trim();
  const olga = createClient({ url, token: operatorToken });
  const agent = await olga.issueCredential({ kind: 'agent', name: 'prober' });
  const alice = await olga.issueCredential({ kind: 'person', name: 'alice' });
  return {
    olga,
    agent: createClient({ url, token: agent.secret }),
    alice: createClient({ url, token: alice.secret }),
    tokens: { agent: agent.secret, alice: alice.secret, olga: operatorToken },
  };
}

async function everyRow(client: Client, id: string): Promise<readonly Effect[]> {
  const rows: Effect[] = [];
  for (;;) {
    const page = await client.rows(id, { from: rows.length, limit: ROWS_PAGE });
    rows.push(...page.items);
    if (page.missing !== null) throw new Error(`${page.missing.rows} rows: ${page.missing.reason}`);
    if (page.left === 0) return rows;
    if (page.items.length === 0) throw new Error(`a page of rows is empty with ${page.left} left`);
  }
}

async function published(url: string, operator: Client, token: string): Promise<Head> {
  const { size } = (await operator.gatewayStatus()).ledger;
  for (let poll = 0; poll < POLLS_MAX; poll += 1) {
    const headers = { authorization: `Bearer ${token}` };
    const checkpoint = await (await fetch(`${url}/v1/ledger/checkpoint`, { headers })).text();
    const signed = Number(checkpoint.split('\n')[1]);
    if (signed >= size) return { size: signed, checkpoint };
    await pause(POLL_MS);
  }
  throw new Error(`the ledger was not published up to ${size} in time`);
}
