/** The servers that the installations of one lane stand on, one after the other. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres, type Postgres, type PostgresOptions } from '../support/postgres.ts';
import { makeRoles } from '../test/support/postgres-roles.ts';
import { noSmallDisk, SMALL_DISK } from '../support/small-disk.ts';
import { ask } from './database.ts';
import { openProxy, type Proxy } from './proxy.ts';
import { BOOKS, SHOP } from './schema.ts';

export type StoreKind = 'sqlite' | 'postgres';

/** A gateway's own ways to the servers: each can be cut without the others. */
export interface Ways {
  readonly target: Proxy;
  /** Null where the store is a file. */
  readonly store: Proxy | null;
}

export interface Lane {
  readonly number: number;
  readonly target: Postgres;
  /** Null where the store is a file. */
  readonly storeServer: Postgres | null;
  readonly ways: readonly Ways[];
  /** A folder for what gateways keep of their code. */
  readonly cache: string;
  /**
   * Environment variables that the configuration names, and that of the store, for a gateway that
   * goes this way.
   */
  environment(ways: Ways): Readonly<Record<string, string>>;
  /** A superuser's URL of one of the two databases that are written to, past every proxy. */
  database(name: DatabaseName): string;
  /** Empties them, and makes a store that nobody used, where it is a server's. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

export type DatabaseName = 'shop' | 'books';
const SCHEMAS: readonly (readonly [DatabaseName, string])[] = [
  ['shop', SHOP],
  ['books', BOOKS],
];

/** No machine fails here, only processes do: what was handed to the system is not lost. */
const TARGET_SETTINGS = { fsync: 'off', max_connections: '300' };
/** A store refuses a server that does not sync. */
const STORE_SETTINGS = { max_connections: '300' };
/** Room for the store of an installation, and not much more. */
const STORE_DISK_MEGABYTES = 200;

/** Starts the servers, and makes the databases with the roles that `writegate add postgres` makes. */
export async function openLane(
  number: number,
  { gateways, store }: { readonly gateways: number; readonly store: StoreKind },
): Promise<Lane> {
  const closing: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const step of closing.splice(0).toReversed()) await step();
  };
  const started = async (options: PostgresOptions): Promise<Postgres> => {
    const server = await startPostgres(options);
    closing.push(() => server.stop());
    return server;
  };
  const proxied = async (server: Postgres): Promise<Proxy> => {
    const proxy = await openProxy(server.port);
    closing.push(() => proxy.close());
    return proxy;
  };
  try {
    const cache = process.env['NODE_COMPILE_CACHE'] ?? (await temporary(closing));
    const target = await started({ settings: TARGET_SETTINGS });
    const urls = await makeDatabases(target);
    const hasDisk = store === 'postgres' && noSmallDisk() === null;
    const storeServer =
      store === 'postgres'
        ? await started({
            settings: STORE_SETTINGS,
            ...(hasDisk && { smallDiskMegabytes: STORE_DISK_MEGABYTES }),
          })
        : null;
    if (hasDisk && storeServer !== null) {
      await ask(storeServer.url(), `CREATE TABLESPACE small LOCATION '${SMALL_DISK}'`);
    }
    const ways: Ways[] = [];
    for (let each = 0; each < gateways; each += 1) {
      const own = storeServer === null ? null : await proxied(storeServer);
      ways.push({ target: await proxied(target), store: own });
    }
    let stores = 0;
    return {
      number,
      target,
      storeServer,
      ways,
      cache,
      environment: (own) => ({
        ...Object.fromEntries([...urls].map(([name, url]) => [name, through(own.target, url)])),
        ...(own.store !== null &&
          storeServer !== null && {
            WRITEGATE_STORE: through(own.store, storeServer.url(`store_${stores}`)),
          }),
      }),
      database: (name) => target.url(name),
      empty: async () => {
        await ask(target.url('shop'), 'TRUNCATE counters, marks');
        await ask(target.url('books'), 'TRUNCATE postings');
        if (storeServer === null) return;
        await storeServer.dropDatabase(`store_${stores}`);
        stores += 1;
        const where = hasDisk ? ' TABLESPACE small' : '';
        await ask(storeServer.url(), `CREATE DATABASE store_${stores}${where}`);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function temporary(closing: (() => Promise<void>)[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-crash-cache-'));
  closing.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function makeDatabases(target: Postgres): Promise<ReadonlyMap<string, string>> {
  const urls = new Map<string, string>();
  for (const [name, schema] of SCHEMAS) {
    await target.createDatabase(name);
    await ask(target.url(name), schema);
    const { url, evidence, undo } = await makeRoles(target.url(name));
    for (const [role, each] of Object.entries({ url, evidence, undo })) {
      urls.set(`${name}_${role}`.toUpperCase(), each);
    }
  }
  return urls;
}

function through(proxy: Proxy, url: string): string {
  const proxied = new URL(url);
  proxied.port = String(proxy.port);
  return proxied.href;
}
