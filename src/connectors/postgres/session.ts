/** Connections: pinned settings, deadlines, cancelling, and throwing away what may be spoilt. */
import pg from 'pg';
import type { Secret } from '../../lib/secret.ts';
import { Problem } from '../../model/problem.ts';
import { Refused } from '../connector.ts';
import { isPlainError } from './refusals.ts';
import type { PostgresSettings } from './settings.ts';

export const SESSION_BOUNDS = {
  writersMax: 12,
  readersMax: 4,
  connectTimeoutMs: 5_000,
  idleTimeoutMs: 30_000,
  /** What the network may add to the server's own time limit before the connection counts as lost. */
  graceMs: 2_000,
  serverVersionMin: 150_000,
} as const;

/** One connection for one transaction. */
export interface Session {
  readonly client: pg.PoolClient;
  /** `server_version_num`: 180004. */
  readonly version: number;
  /** Has the connection closed instead of returned: its state is in doubt. */
  spoil(): void;
}

export interface Sessions {
  /** Lends a connection to `work`; an abort cancels what runs on it and has it closed. */
  write<Answer>(signal: AbortSignal, work: (session: Session) => Promise<Answer>): Promise<Answer>;
  /** One statement outside of any transaction, on a connection of its own pool. */
  read(query: pg.QueryConfig): Promise<readonly (readonly unknown[])[]>;
  close(): Promise<void>;
}

/** Opens no connection until the first use. */
export function openSessions(url: Secret, settings: PostgresSettings): Sessions {
  const identities = new WeakMap<object, Identity>();
  const pool = (max: number): pg.Pool => {
    const made = new pg.Pool({
      ...connectionOptions(url, settings),
      max,
      verify: (client, done) => {
        identify(client, settings).then((identity) => {
          identities.set(client, identity);
          done();
        }, done);
      },
    });
    // A lost idle connection is replaced at the next use; unheard it would end the process.
    made.on('error', ignore);
    made.on('connect', (client) => client.on('error', ignore));
    return made;
  };
  const writers = pool(SESSION_BOUNDS.writersMax);
  const readers = pool(SESSION_BOUNDS.readersMax);
  return {
    async write(outer, work) {
      outer.throwIfAborted();
      const client = await writers.connect();
      const identity = identities.get(client);
      let isSpoilt = identity === undefined;
      const deadline = AbortSignal.timeout(2 * settings.statementTimeoutMs + 1_000);
      const signal = AbortSignal.any([outer, deadline]);
      const cancel = (): void => {
        // The cancel may arrive late and hit what comes next on the connection, so nothing may come.
        isSpoilt = true;
        readers.query('SELECT pg_cancel_backend($1)', [identity?.pid]).catch(ignore);
      };
      signal.addEventListener('abort', cancel, { once: true });
      try {
        if (identity === undefined) throw new Error('a connection without identity');
        return await work({ client, version: identity.version, spoil: () => (isSpoilt = true) });
      } catch (error) {
        isSpoilt ||= !(await isCleanAgain(client, error));
        throw error;
      } finally {
        signal.removeEventListener('abort', cancel);
        client.release(isSpoilt);
      }
    },
    async read(query) {
      const result = await readers.query<unknown[]>({ ...query, rowMode: 'array' });
      return result.rows;
    },
    async close() {
      await Promise.all([end(writers), end(readers)]);
    },
  };
}

/**
 * Ends the transaction that an error left open. What the write did to the session is not known where
 * the footprint was refused or the connection broke: then it is emptied as far as it still answers
 * (an advisory lock outlives a rollback), and not used again.
 */
async function isCleanAgain(client: pg.PoolClient, error: unknown): Promise<boolean> {
  const isTouched = error instanceof Refused && error.refusal.code === 'effect-unmeasurable';
  if (!(error instanceof Refused) && !isPlainError(error)) return false;
  try {
    await client.query('ROLLBACK');
    if (isTouched) await client.query('DISCARD ALL');
    return !isTouched;
  } catch {
    return false;
  }
}

interface Identity {
  readonly pid: number;
  readonly version: number;
}

function ignore(): void {
  // Nothing to do: who waits for the connection is told through the query.
}

async function end(pool: pg.Pool): Promise<void> {
  if (!pool.ending) await pool.end();
}

/** The settings that a statement's meaning hangs on; role and database defaults may not turn them. */
function pins(settings: PostgresSettings): Readonly<Record<string, string>> {
  return {
    search_path: searchPath(settings),
    standard_conforming_strings: 'on',
    row_security: 'on',
    TimeZone: 'UTC',
    DateStyle: 'ISO, YMD',
    IntervalStyle: 'postgres',
    bytea_output: 'hex',
    extra_float_digits: '1',
    default_transaction_isolation: 'read committed',
    default_transaction_read_only: 'off',
    default_transaction_deferrable: 'off',
    statement_timeout: String(settings.statementTimeoutMs),
    lock_timeout: String(settings.lockTimeoutMs),
    idle_in_transaction_session_timeout: String(settings.statementTimeoutMs + 10_000),
    application_name: 'writegate',
  };
}

function searchPath(settings: PostgresSettings): string {
  return ['pg_catalog', ...settings.schemas.map((schema) => pg.escapeIdentifier(schema))].join(',');
}

function connectionOptions(url: Secret, settings: PostgresSettings): pg.PoolConfig {
  const text = url.reveal();
  const given = /[?&]options=([^&]*)/.exec(text);
  const bare = text.replace(/([?&])options=[^&]*&?/, '$1').replace(/[?&]$/, '');
  const pinned = Object.entries(pins(settings)).map(
    ([name, value]) => `-c ${name}=${value.replaceAll('\\', '\\\\').replaceAll(' ', '\\ ')}`,
  );
  const own = given?.[1] === undefined ? [] : [decodeURIComponent(given[1])];
  return {
    connectionString: bare,
    // Ours come last, so that they win.
    options: [...own, ...pinned].join(' '),
    connectionTimeoutMillis: SESSION_BOUNDS.connectTimeoutMs,
    idleTimeoutMillis: SESSION_BOUNDS.idleTimeoutMs,
    query_timeout: settings.statementTimeoutMs + SESSION_BOUNDS.graceMs,
    allowExitOnIdle: true,
    keepAlive: true,
  };
}

/** Reads the pins back: a pooler in between, or a role default above them, may have turned them. */
async function identify(client: pg.ClientBase, settings: PostgresSettings): Promise<Identity> {
  const expected: Readonly<Record<string, string>> = {
    search_path: searchPath(settings),
    standard_conforming_strings: 'on',
    TimeZone: 'UTC',
    default_transaction_isolation: 'read committed',
    session_replication_role: 'origin',
    track_counts: 'on',
    client_encoding: 'UTF8',
    application_name: 'writegate',
  };
  const names = Object.keys(expected);
  const { rows } = await client.query<{ pid: number; version: number; found: string[] }>({
    text: `SELECT pg_backend_pid() AS pid, current_setting('server_version_num')::int AS version,
      array(SELECT current_setting(name) FROM unnest($1::text[]) WITH ORDINALITY AS n(name, place)
            ORDER BY place) AS found`,
    values: [names],
  });
  const row = rows[0];
  if (row === undefined) throw new Error('the server gave no row for its settings');
  if (row.version < SESSION_BOUNDS.serverVersionMin) {
    throw new Problem(
      'target-misconfigured',
      `the server is PostgreSQL ${Math.floor(row.version / 10_000)}; expected 15 or newer`,
    );
  }
  for (const [index, name] of names.entries()) {
    const found = row.found[index]?.replaceAll(' ', '');
    if (found === expected[name]?.replaceAll(' ', '')) continue;
    throw new Problem(
      'target-misconfigured',
      `the session has \`${name}\` = \`${found}\`; expected \`${expected[name]}\`: take the setting ` +
        'from the role and the database, and connect without a transaction pooler',
    );
  }
  return { pid: row.pid, version: row.version };
}
