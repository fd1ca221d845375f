/**
 * The production store on a database in memory. It is wiped for each seed: to make one takes longer than
 * to play a seed.
 */
import { strict as assert } from 'node:assert';
import type { DatabaseSync } from 'node:sqlite';
import type { Random, Sequencer, Store } from '../../src/model/ports.ts';
import { IN_MEMORY, openDatabase } from '../../src/store/sqlite/database.ts';
import { SqliteStore } from '../../src/store/sqlite.ts';
import { TENANT } from './principals.ts';

export interface StoreParts {
  readonly sequencer: Sequencer;
  readonly random: Random;
  readonly now: () => number;
}

export interface OpenStore {
  readonly present: Store;
  /** As after a crash: from what is committed, with nothing in memory. */
  reopen(): void;
}

/** How often a database is opened by another store; each leaves its statements to the collector. */
const REOPENED_MAX = 40;

class Shared {
  readonly #database: DatabaseSync = openDatabase(IN_MEMORY);
  readonly #wipe: string;
  #parts: StoreParts;
  #reopened = 0;
  present: Store;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    const schema =
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    const names = this.#database.prepare(schema).all();
    // Without references between tables each is emptied whole, and not row by row.
    this.#wipe = `PRAGMA foreign_keys = OFF; BEGIN;
      ${names.map(({ name }) => `DELETE FROM ${String(name)};`).join('')}
      COMMIT; PRAGMA foreign_keys = ON;`;
    this.present = this.#open();
  }

  get isWornOut(): boolean {
    return this.#reopened > REOPENED_MAX;
  }

  async empty(parts: StoreParts): Promise<void> {
    this.#parts = parts;
    this.#database.exec(this.#wipe);
    // What throws is taken back, and then the store forgets all that it remembers of its tables.
    await assert.rejects(this.present.commit({ tenant: TENANT, at: -1, acts: [] }));
    assert.deepEqual(await this.present.tree(TENANT), { size: 0, range: [] });
  }

  reopen(): void {
    this.#reopened += 1;
    this.present = this.#open();
  }

  close(): void {
    this.#database.close();
  }

  #open(): Store {
    return new SqliteStore(this.#database, {
      sequencer: {
        seal: (...given) => this.#parts.sequencer.seal(...given),
        push: (...given) => this.#parts.sequencer.push(...given),
        bindsTo: (type) => this.#parts.sequencer.bindsTo(type),
      },
      random: { bytes: (count) => this.#parts.random.bytes(count) },
      now: () => this.#parts.now(),
    });
  }
}

let shared: Shared | undefined;

/** One at a time: the next takes the place of the one before it. */
export async function openStore(parts: StoreParts): Promise<OpenStore> {
  if (shared?.isWornOut === true) {
    shared.close();
    shared = undefined;
  }
  const own = (shared ??= new Shared(parts));
  await own.empty(parts);
  return {
    get present() {
      return own.present;
    },
    reopen: () => own.reopen(),
  };
}
