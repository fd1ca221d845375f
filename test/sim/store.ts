/** The production store on a database in memory, wiped for each seed: to make one takes longer than to play. */
import type { Random, Sequencer, Store } from '../../src/model/ports.ts';
import { IN_MEMORY, openDatabase } from '../../src/store/sqlite/database.ts';
import { SqliteStore } from '../../src/store/sqlite.ts';
import type { DatabaseSync } from 'node:sqlite';

export interface OpenStore {
  readonly present: Store;
  /** As after a crash: from what is committed, with nothing in memory. */
  reopen(): void;
}

let shared: { readonly database: DatabaseSync; readonly tables: readonly string[] } | undefined;

function emptyDatabase(): DatabaseSync {
  if (shared === undefined) {
    const database = openDatabase(IN_MEMORY);
    const rows = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
    const tables = rows
      .map(({ name }) => String(name))
      .filter((name) => !name.startsWith('sqlite_'));
    shared = { database, tables };
    return database;
  }
  const { database, tables } = shared;
  database.exec('BEGIN; PRAGMA defer_foreign_keys = ON');
  for (const table of tables) database.exec(`DELETE FROM ${table}`);
  database.exec('COMMIT');
  return database;
}

export function openStore(options: {
  readonly sequencer: Sequencer;
  readonly random: Random;
  readonly now: () => number;
}): OpenStore {
  const database = emptyDatabase();
  let present = new SqliteStore(database, options);
  return {
    get present() {
      return present;
    },
    reopen() {
      present = new SqliteStore(database, options);
    },
  };
}
