import { chmod, copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client as McpClient, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as PgClient } from 'pg';
import { createClient, type Client } from '../src/client/index.ts';
import { folderReader } from '../src/ledger/folder.ts';
import { verifyLedger, type VerifyReport } from '../src/ledger/verify.ts';
import type { JsonObject } from '../src/lib/json.ts';
import { Secret } from '../src/lib/secret.ts';
import { dataFolder, type DataFolder } from '../src/main/folder.ts';
import { credentialFile, openSetup } from '../src/main/onboard.ts';
import { openGateway, type Gateway } from '../src/main.ts';
import type { Result } from '../src/model/result.ts';
import { startPostgres, type Postgres } from '../support/postgres.ts';
import { openLossyNetwork, type LossyNetwork } from './lossy-network.ts';

/** A write as the demo's agents put it. */
export type Write = JsonObject & { readonly statement: string };

/** An agent: the official MCP client with the agent's own token. */
export interface Agent {
  propose(write: Write, idempotencyKey?: string): Promise<Result>;
}

/** Everything the stories play in. */
export interface World {
  readonly folder: string;
  readonly url: string;
  readonly databaseUrl: string;
  readonly tokens: { readonly crm: string; readonly alice: string; readonly olga: string };
  readonly crm: Agent;
  readonly ledger: Agent;
  readonly crmOverLossyNetwork: Agent;
  readonly alice: Client;
  readonly olga: Client;
  readonly ledgerFolder: string;
  /** Decides as the approver: by itself, or by asking the person at the terminal. */
  decide(proposalId: string, planDigest: string): Promise<Result>;
  /** The shop's own application, beside the gateway. */
  sql(statement: string): Promise<void>;
  count(query: string): Promise<number>;
  verifyLedger(folder: string): Promise<VerifyReport>;
  close(): Promise<void>;
}

export interface WorldOptions {
  /** Where everything is kept; null for a temporary folder that goes at the end. */
  readonly keep: string | null;
  readonly port: number;
  readonly progress: (line: string) => void;
  readonly decide: (approver: Client, proposalId: string, planDigest: string) => Promise<Result>;
}

const HERE = fileURLToPath(new URL('.', import.meta.url));

/** Starts database, gateway and agents. What was started is taken down again where a step throws. */
export async function openWorld(options: WorldOptions): Promise<World> {
  const folder = options.keep ?? (await mkdtemp(join(tmpdir(), 'writegate-demo-')));
  const closing: (() => Promise<unknown>)[] = [];
  let closed: Promise<void> | undefined;
  const takeDown = async (): Promise<void> => {
    for (const step of closing.toReversed()) await step();
  };
  // Called at the end and on every signal: all of them wait for the same end.
  const close = (): Promise<void> => (closed ??= takeDown());
  if (options.keep === null) {
    closing.push(() => rm(folder, { recursive: true, force: true }));
  }
  try {
    await mkdir(folder, { recursive: true });
    // It will hold the store and the ledger's key: for its owner alone.
    await chmod(folder, 0o700);
    options.progress('starting a throw-away PostgreSQL …');
    const postgres = await startPostgres();
    closing.push(() => postgres.stop());
    options.progress(`PostgreSQL ${postgres.version}; filling it with 47,000 customers …`);
    const database = await fillShop(postgres);
    closing.push(() => database.end());
    options.progress('making the roles of the gateway …');
    const data = dataFolder(folder);
    await addTarget(postgres, data);
    options.progress('starting the gateway …');
    const configPath = join(folder, 'writegate.yaml');
    await copyFile(join(HERE, 'writegate.yaml'), configPath);
    const gateway = await openGateway({
      configPath,
      dataFolder: folder,
      port: options.port,
      environment: await environmentOf(data),
      log: (line) => options.progress(line),
    });
    closing.push(() => gateway.close());
    const network = await openLossyNetwork(new URL(gateway.url), '"propose"');
    closing.push(() => network.close());
    const people = await openPeople(gateway);
    const agents = await openAgents(gateway, people.olga, network, closing);
    return {
      folder,
      url: gateway.url,
      databaseUrl: postgres.url('shop'),
      ...people,
      ...agents,
      tokens: { ...people.tokens, crm: agents.token },
      ledgerFolder: gateway.folder.ledger,
      decide: (id, digest) => options.decide(people.alice, id, digest),
      sql: async (statement) => void (await database.query(statement)),
      count: async (query) => {
        const { rows } = await database.query<[string]>({
          text: query,
          rowMode: 'array',
        });
        return Number(rows[0]?.[0]);
      },
      verifyLedger: async (verified) => {
        await gateway.publish();
        return verifyLedger({ reader: folderReader(verified), vkey: gateway.vkey, payloads: true });
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The shop's database and its application's own connection. */
async function fillShop(postgres: Postgres): Promise<PgClient> {
  await postgres.createDatabase('shop');
  const client = new PgClient({ connectionString: postgres.url('shop') });
  await client.connect();
  await client.query(await readFile(join(HERE, 'shop.sql'), 'utf8'));
  return client;
}

/** Roles and receipt table, as `writegate add postgres` makes them; credentials go into the folder. */
async function addTarget(postgres: Postgres, folder: DataFolder): Promise<void> {
  const setup = await openSetup(new Secret(postgres.url('shop')), folder, {
    target: 'shop',
    prefix: 'wg',
    schemas: ['public'],
    tables: undefined,
    receipts: 'writegate',
    hasUndo: true,
    hasTrackFunctions: true,
    isPublicRevoked: true,
    // A folder that was kept from another run has the passwords of a database that is gone.
    rotates: true,
  });
  try {
    await setup.saveCredentials();
    await setup.carryOut();
  } finally {
    await setup.close();
  }
}

const ROLE_VARIABLE = /^WRITEGATE_DEMO_(WRITER|READER|EVIDENCE|UNDO)$/;

/** The variables that the demo's configuration names, from the files that the set-up wrote. */
async function environmentOf(folder: DataFolder): Promise<(name: string) => string | undefined> {
  const urls = new Map<string, string>();
  for (const kind of ['writer', 'reader', 'evidence', 'undo'] as const) {
    const url = await readFile(credentialFile(folder, 'shop', kind), 'utf8');
    urls.set(kind, url.trim());
  }
  return (name) => {
    const kind = ROLE_VARIABLE.exec(name)?.[1];
    return kind === undefined ? process.env[name] : urls.get(kind.toLowerCase());
  };
}

/** The operator's token was made by the first start; the approver's is issued with it. */
async function openPeople(
  gateway: Gateway,
): Promise<Pick<World, 'alice' | 'olga'> & { tokens: { alice: string; olga: string } }> {
  const operatorToken = (await readFile(gateway.folder.operatorToken, 'utf8')).trim();
  const olga = createClient({ url: gateway.url, token: operatorToken });
  const issued = await olga.issueCredential({ kind: 'person', name: 'alice' });
  const alice = createClient({ url: gateway.url, token: issued.secret });
  return { olga, alice, tokens: { alice: issued.secret, olga: operatorToken } };
}

async function openAgents(
  gateway: Gateway,
  olga: Client,
  network: LossyNetwork,
  closing: (() => Promise<unknown>)[],
): Promise<Pick<World, 'crm' | 'ledger' | 'crmOverLossyNetwork'> & { readonly token: string }> {
  const connect = async (url: string, token: string): Promise<Agent> => {
    const client = new McpClient(
      { name: 'demo-agent', version: '1.0.0' },
      { versionNegotiation: { mode: 'auto' } },
    );
    await client.connect(
      new StreamableHTTPClientTransport(new URL('/mcp', url), {
        authProvider: { token: async () => token },
      }),
    );
    closing.push(() => client.close());
    return { propose: (write, key) => proposeByMcp(client, write, key) };
  };
  const crm = await olga.issueCredential({ kind: 'agent', name: 'crm-agent' });
  const ledger = await olga.issueCredential({ kind: 'agent', name: 'ledger-agent' });
  return {
    token: crm.secret,
    crm: await connect(gateway.url, crm.secret),
    ledger: await connect(gateway.url, ledger.secret),
    crmOverLossyNetwork: await connect(network.url, crm.secret),
  };
}

async function proposeByMcp(client: McpClient, write: Write, key?: string): Promise<Result> {
  const answer = await client.callTool({
    name: 'propose',
    arguments: {
      target: 'shop',
      operation: 'sql',
      arguments: write,
      // The demo's people decide in front of the terminal: do not hold the call for them.
      waitMs: 0,
      ...(key === undefined ? {} : { idempotencyKey: key }),
    },
  });
  // The tool's output schema is the result union; the client has checked it.
  return answer.structuredContent as Result;
}
