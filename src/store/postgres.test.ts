import { after, before } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import { openEntry } from '../ledger/entry.ts';
import { createSequencer } from '../ledger/sequencer.ts';
import { testStore } from './conformance.ts';
import type { Ledger } from './conformance/ledger.ts';
import type { OpenStore } from './conformance/setting.ts';
import { openPostgresStore } from './postgres.ts';

const production: Ledger = {
  sequencer: createSequencer({ gateway: { id: 'gw-1' } }),
  open: openEntry,
};

let server: Postgres;
let admin: pg.Client;
let schemas = 0;

before(async () => {
  server = await startPostgres();
  admin = new pg.Client({ connectionString: server.url() });
  await admin.connect();
});
after(async () => {
  await admin.end();
  await server.stop();
});

const openInSchema: OpenStore = async (given) => {
  schemas += 1;
  const options = { ...given, url: server.url(), schema: `store_${schemas}`, connectionsMax: 6 };
  let store = await openPostgresStore(options);
  const { schema } = options;
  let time = 1_790_000_000_000;
  // The only clock that the tests go by is one that they set.
  const setClock = () =>
    admin.query(`CREATE OR REPLACE FUNCTION ${schema}.now_ms() RETURNS bigint
      LANGUAGE sql VOLATILE AS 'SELECT ${time}::bigint'`);
  await setClock();
  return {
    store,
    reopen: async () => {
      await store.close();
      store = await openPostgresStore(options);
      return store;
    },
    transactions: async () => {
      // A row has the id of the transaction that wrote it.
      const { rows } = await admin.query<{ count: string }>(
        `SELECT count(DISTINCT xmin::text) AS count FROM ${schema}.entries`,
      );
      return Number(rows[0]?.count);
    },
    pass: async (ms) => {
      time += ms;
      await setClock();
    },
    dispose: async () => {
      await store.close();
      await admin.query(`DROP SCHEMA ${schema} CASCADE`);
    },
  };
};

// The contract, and with it G5 (fold), G7 (budgets) and G8 (attempts).
testStore('postgres', openInSchema, production);
