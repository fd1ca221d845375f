/**
 * A second connection that sees the database as it was when the write began: the writer's snapshot is
 * exported, and imported there. It reads the rows before the write, as long as the writer's transaction
 * is open.
 */
import pg from 'pg';
import type { Secret } from '../../../lib/secret.ts';
import type { TextRow } from './rows.ts';
import { connectionOptions } from './pins.ts';
import type { Session } from './session.ts';
import type { PostgresSettings } from '../settings.ts';

const WITNESS_BOUNDS = { clientsMax: 8 } as const;

/** The connections of the evidence role, or of the writer's own where there is none. */
export interface Witnesses {
  /** Opens nothing yet: most writes are told by what they return. */
  exportOf(session: Session): Promise<Snapshot>;
  close(): Promise<void>;
}

/** What was visible when the writer's transaction began. */
export interface Snapshot {
  /** The age of the first multixact id by then; it grows by one with each that is made. */
  readonly locksAge: number;
  /** One query against it; rows in the server's text form. */
  rows(text: string, values?: readonly unknown[]): Promise<readonly TextRow[]>;
  /** The connection itself, for what is streamed; nobody else may use it meanwhile. */
  client(): Promise<pg.PoolClient>;
  /** Lets go of the connection; idempotent, and never throws. */
  close(): Promise<void>;
}

/** Opens no connection until the first use. */
export function openWitnesses(url: Secret, settings: PostgresSettings): Witnesses {
  const pool = new pg.Pool({
    ...connectionOptions(url, settings),
    max: WITNESS_BOUNDS.clientsMax,
  });
  // A lost idle connection is replaced at the next use; unheard it would end the process.
  pool.on('error', ignore);
  pool.on('connect', (client) => client.on('error', ignore));
  return {
    async exportOf({ client }) {
      const { rows } = await client.query<{ name: string; age: number }>({
        name: 'writegate_export',
        text: `SELECT pg_export_snapshot() AS name, mxid_age('1'::xid) AS age`,
      });
      return new Imported(pool, rows[0]?.name ?? '', rows[0]?.age ?? 0);
    },
    async close() {
      if (!pool.ending) await pool.end();
    },
  };
}

class Imported implements Snapshot {
  readonly locksAge: number;
  readonly #pool: pg.Pool;
  readonly #name: string;
  #opened: Promise<pg.PoolClient> | null = null;
  #isBroken = false;

  constructor(pool: pg.Pool, name: string, locksAge: number) {
    this.locksAge = locksAge;
    this.#pool = pool;
    this.#name = name;
  }

  async rows(text: string, values: readonly unknown[] = []): Promise<readonly TextRow[]> {
    const client = await this.client();
    const { rows } = await client.query<(string | null)[]>({
      text,
      values: [...values],
      rowMode: 'array',
      // Whatever the type, what counts is the server's text.
      types: { getTypeParser: () => (value: string) => value },
    });
    return rows;
  }

  client(): Promise<pg.PoolClient> {
    this.#opened ??= this.#open();
    return this.#opened;
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = Promise.reject(new Error('the snapshot is closed'));
    this.#opened.catch(ignore);
    if (opened === null) return;
    try {
      const client = await opened;
      await client.query('ROLLBACK').catch(() => (this.#isBroken = true));
      client.release(this.#isBroken);
    } catch {
      // It never opened, and its connection is gone already.
    }
  }

  async #open(): Promise<pg.PoolClient> {
    const client = await this.#pool.connect();
    try {
      await client.query(
        'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ' +
          `SET TRANSACTION SNAPSHOT ${pg.escapeLiteral(this.#name)}`,
      );
      return client;
    } catch (error) {
      client.release(true);
      throw error;
    }
  }
}

function ignore(): void {
  // Nothing to do: who waits for the connection is told through the query.
}
