/** Both stores, and their tables without them. */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createSequencer } from '../src/ledger/sequencer.ts';
import type { Random, Store } from '../src/model/ports.ts';
import { openPostgresStore } from '../src/store/postgres.ts';
import { openSqliteStore } from '../src/store/sqlite.ts';
import type { Postgres } from '../support/postgres.ts';
import { DirectPostgres } from './direct-postgres.ts';
import { DirectSqlite } from './direct-sqlite.ts';
import { together, type RowWrites, type Tables } from './direct.ts';

const CONNECTIONS_MAX = 16;

/** The tables of one store, through the driver alone. */
export interface Direct {
  tables(): Promise<Tables>;
  clear(): Promise<void>;
  /** All of them in one durable transaction. */
  write(commits: readonly RowWrites[]): Promise<void>;
  close(): Promise<void>;
}

/** A kind of store; each name is a store of its own, to be opened once at a time. */
export interface StoreKind {
  readonly name: string;
  readonly driver: string;
  open(name: string, random?: Random): Promise<Store>;
  /** Of a store that was opened and closed. */
  direct(name: string): Promise<Direct>;
}

const sequencer = createSequencer({ gateway: { id: 'bench' } });
export const RANDOM: Random = { bytes: (count) => randomBytes(count) };

/** The SQLite store in a file of a gateway that does not run. */
export function storeFile(path: string): Promise<Store> {
  return openSqliteStore({ path, sequencer, random: RANDOM });
}

/** The same bytes at each run. */
export function countedRandom(): Random {
  let calls = 0;
  return {
    bytes: (count) => {
      calls += 1;
      return createHash('shake256', { outputLength: count }).update(String(calls)).digest();
    },
  };
}

export function sqliteIn(folder: string): StoreKind {
  const path = (name: string): string => join(folder, `${name}.sqlite`);
  return {
    name: 'SQLite',
    driver: 'node:sqlite',
    open: (name, random = RANDOM) => openSqliteStore({ path: path(name), sequencer, random }),
    direct: async (name) => {
      const database = new DirectSqlite(path(name));
      return {
        tables: async () => database.tables(),
        clear: async () => database.clear(),
        write: async (commits) => database.write(commits),
        close: async () => database.close(),
      };
    },
  };
}

export function postgresOn(server: Postgres, database = 'postgres'): StoreKind {
  const url = server.url(database);
  return {
    name: 'PostgreSQL',
    driver: 'pg',
    open: (name, random = RANDOM) => openPostgresStore({ url, schema: name, sequencer, random }),
    direct: async (name) => {
      const tables = await new DirectPostgres(url, name, CONNECTIONS_MAX).open();
      return {
        tables: () => tables.tables(),
        clear: () => tables.clear(),
        write: (commits) => tables.write(together(commits)),
        close: () => tables.close(),
      };
    },
  };
}
