/** A real PostgreSQL with stores in it, for tests: each schema is an installation of its own. */
import { after, before } from 'node:test';
import pg from 'pg';
import type { Store } from '../../src/model/ports.ts';
import { testLedger, testRandom } from '../../src/store/conformance/ledger.ts';
import type { OpenStore } from '../../src/store/conformance/setting.ts';
import { openPostgresStore, type PostgresStoreOptions } from '../../src/store/postgres.ts';
import { startPostgres, type Postgres, type PostgresOptions } from '../../support/postgres.ts';

export interface StoreServer {
  readonly postgres: Postgres;
  /** Of the superuser, outside of every store. */
  readonly admin: pg.Pool;
  /** A name that no store has yet. */
  newSchema(): string;
  /** Opens a store that ends with the test file at the latest. */
  open(schema: string, options?: Partial<PostgresStoreOptions>): Promise<Store>;
}

/** Starts a server before the tests of a file and stops it, and all stores, behind them. */
export function storeServer(options: PostgresOptions = {}): () => StoreServer {
  let server: StoreServer | undefined;
  const stores = new Set<Store>();
  before(async () => {
    const postgres = await startPostgres(options);
    const admin = new pg.Pool({ connectionString: postgres.url(), max: 2 });
    // The tests kill the server too.
    admin.on('error', () => undefined);
    let schemas = 0;
    server = {
      postgres,
      admin,
      newSchema: () => {
        schemas += 1;
        return `store_${schemas}`;
      },
      open: async (schema, given = {}) => {
        const { sequencer } = testLedger;
        const store = await openPostgresStore({
          sequencer,
          random: testRandom(),
          url: postgres.url(),
          schema,
          connectionsMax: 6,
          listenUrl: null,
          ...given,
        });
        stores.add(store);
        return store;
      },
    };
  });
  after(async () => {
    await Promise.all([...stores].map((store) => store.close()));
    await server?.admin.end();
    await server?.postgres.stop();
  });
  return () => {
    if (server === undefined) throw new Error('the server starts before the tests');
    return server;
  };
}

/** Opens a store for each test of the contract suite, in a schema of its own that ends with the test. */
export function openForSuite(
  server: () => StoreServer,
  url: () => Promise<string> = async () => server().postgres.url(),
): OpenStore {
  return async (sealing) => {
    const { admin, newSchema, open } = server();
    const schema = newSchema();
    const reopened = async (): Promise<Store> => open(schema, { ...sealing, url: await url() });
    let store = await reopened();
    let time = 1_790_000_000_000;
    // The only clock that the tests go by is one that they set.
    const setClock = (): Promise<unknown> =>
      admin.query(`CREATE OR REPLACE FUNCTION ${schema}.now_ms() RETURNS bigint
        LANGUAGE sql VOLATILE AS 'SELECT ${time}::bigint'`);
    await setClock();
    return {
      store,
      reopen: async () => {
        await store.close();
        store = await reopened();
        return store;
      },
      pass: async (ms) => {
        time += ms;
        await setClock();
      },
      transactions: async () => {
        // A row has the id of the transaction that wrote it.
        const { rows } = await admin.query<{ count: string }>(
          `SELECT count(DISTINCT xmin::text) AS count FROM ${schema}.entries`,
        );
        return Number(rows[0]?.count);
      },
      dispose: async () => {
        await store.close();
        await admin.query(`DROP SCHEMA ${schema} CASCADE`);
      },
    };
  };
}

/** Waits until a question of the database has an answer, without end: the test runner has one. */
export async function until(ask: () => Promise<boolean>): Promise<void> {
  while (!(await ask())) await new Promise((resolve) => setTimeout(resolve, 10));
}
