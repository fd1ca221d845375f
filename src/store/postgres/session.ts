/**
 * Connections for commits. One that leads to the server itself keeps settings and prepared statements,
 * which saves the server most of its work; one that leads to a pooler keeps nothing, and each
 * transaction says all that it needs.
 */
import type pg from 'pg';
import { beginSql, BEGIN, openPool, settingsSql, type Place } from './connect.ts';
import type { Row } from './rows.ts';

/** A statement; its text is one of a bounded number. */
export interface Statement {
  readonly text: string;
  readonly values: readonly (Buffer | string | number | null)[];
}

/** A connection that is lent for one transaction. */
export interface Session {
  /** Begins a transaction; what is asked after it may be sent at once. */
  begin(): Promise<unknown>;
  ask(statement: Statement): Promise<pg.QueryResult<Row>>;
  commit(): Promise<pg.QueryResult>;
  rollback(): Promise<unknown>;
  /** Gives it back; closed, where it is not known what it is in. */
  done(how: 'reuse' | 'close'): void;
}

export class Sessions {
  readonly #pool: pg.Pool;
  /** Those that lead to the server itself. */
  readonly #direct = new WeakSet<object>();
  /** By text: the same for every connection. */
  readonly #names = new Map<string, string>();
  #mayPrepare = true;

  constructor(place: Place, max: number) {
    this.#pool = openPool(place, max, {
      // Statements of one transaction go out without waiting for the answer of the one before.
      pipeline: true,
      verify: (client, done) => {
        this.#identify(client).then(() => done(), done);
      },
    });
  }

  async lend(): Promise<Session> {
    const client = await this.#pool.connect();
    const mayKeep = this.#mayPrepare && this.#direct.has(client);
    return {
      begin: () => client.query(mayKeep ? BEGIN : beginSql()),
      ask: ({ text, values }) =>
        client.query<Row>({
          text,
          values: [...values],
          ...(mayKeep && { name: this.#name(text) }),
        }),
      commit: () => client.query('COMMIT'),
      rollback: () => client.query('ROLLBACK'),
      done: (how) => client.release(how === 'close'),
    };
  }

  /** Prepares nothing any more: a connection that looked like one of the server's was none. */
  prepareNothing(): void {
    this.#mayPrepare = false;
  }

  async end(): Promise<void> {
    await this.#pool.end();
  }

  #name(text: string): string {
    const known = this.#names.get(text);
    if (known !== undefined) return known;
    const name = `writegate_${this.#names.size + 1}`;
    this.#names.set(text, name);
    return name;
  }

  /** Whether the server's own process is the one that the connection was begun with. */
  async #identify(client: pg.PoolClient): Promise<void> {
    if (!(await isDirect(client))) return;
    await client.query(settingsSql('session'));
    this.#direct.add(client);
  }
}

/** A pooler does not tell the numbers of the server's processes: it lends now this one, now that. */
export async function isDirect(client: pg.ClientBase): Promise<boolean> {
  const { rows } = await client.query<Row>('SELECT pg_backend_pid() AS pid');
  return 'processID' in client && client.processID === rows[0]?.['pid'];
}
