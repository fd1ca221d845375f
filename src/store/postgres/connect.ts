/** Connections. None of them has a state: each transaction says all that it needs itself. */
import { createHash } from 'node:crypto';
import pg from 'pg';
import { Secret } from '../../lib/secret.ts';
import { Problem } from '../../model/problem.ts';
import { VALUE_TYPES } from './rows.ts';

export const CONNECTION_BOUNDS = {
  /** For commits: one that waits for the disk, and one that waits for its lock. */
  committersMax: 2,
  connectTimeoutMs: 5_000,
  idleTimeoutMs: 30_000,
  /** How long a reply may take before the connection counts as lost; more than any limit below. */
  replyTimeoutMs: 30_000,
  /** How long a lock is waited for, and a statement may take, both by the server's clock. */
  lockTimeoutMs: 15_000,
  statementTimeoutMs: 25_000,
  /**
   * How long a transaction may be left open by a gateway that has stopped. It holds its tenants all the
   * while, for other gateways too.
   */
  idleInTransactionMs: 10_000,
} as const;

/** `writegate_store` and the like: no name that would have to be quoted. */
const SCHEMA = /^[a-z_][a-z0-9_]{0,49}$/;

export interface PostgresAt {
  /** `postgresql://…`; a pooler that lends a server for each transaction will do. */
  readonly url: string | Secret;
  /** Made where it is missing; absent: `writegate_store`. */
  readonly schema?: string;
  /** How many connections there are at most, beside that of `listenUrl`; absent: 10. */
  readonly connectionsMax?: number;
  /**
   * A connection string without a pooler in between, to hear of other gateways' commits; null: not to
   * hear of them. Absent: `url`, unless that turns out to lead to a pooler.
   */
  readonly listenUrl?: string | Secret | null | undefined;
}

/** Checked, and with what was left out. */
export interface Place {
  readonly url: Secret;
  readonly schema: string;
  readonly connectionsMax: number;
  readonly listenUrl: Secret | null | undefined;
}

/** Throws `store-unusable` where the connection string or the schema cannot be one. */
export function placeOf(at: PostgresAt): Place {
  const { schema = 'writegate_store', connectionsMax = 10 } = at;
  const url = secretOf(at.url);
  const given = at.listenUrl;
  const listenUrl = given === undefined || given === null ? given : secretOf(given);
  checkUrl(url, 'the store’s connection string');
  if (listenUrl) checkUrl(listenUrl, 'the store’s connection string for listening');
  if (!SCHEMA.test(schema)) {
    const rule = 'small letters, digits and underscores, at most 50';
    throw new Problem('store-unusable', `\`${schema}\` is no name for the store’s schema: ${rule}`);
  }
  return { url, schema, connectionsMax, listenUrl };
}

function secretOf(url: string | Secret): Secret {
  return typeof url === 'string' ? new Secret(url) : url;
}

export const ENCODE_PASSWORD =
  'percent-encode the password in it: `/` is `%2F`, `#` is `%23`, `@` is `%40`' as const;

/** Whether a `/` or `#` of the password ended the host: the rest of it would be told as the database. */
export function isCutOff({ pathname, hash }: URL): boolean {
  return pathname.includes('@') || hash !== '';
}

function checkUrl(url: Secret, what: string): void {
  const parsed = URL.parse(url.reveal());
  if (parsed?.protocol !== 'postgres:' && parsed?.protocol !== 'postgresql:') {
    throw new Problem('store-unusable', `${what} is none: it begins with \`postgresql://\``);
  }
  if (isCutOff(parsed))
    throw new Problem('store-unusable', `${what} is cut off: ${ENCODE_PASSWORD}`);
  try {
    // Reads the files that it names.
    void new pg.Client({ connectionString: url.reveal() });
  } catch (error) {
    // What is said of a file names that file; any other error may hold the string.
    const isOfFile = error instanceof Error && 'syscall' in error;
    const why = isOfFile
      ? error.message
      : 'it is not of the form `postgresql://user:password@host:port/database`';
    throw new Problem('store-unusable', `${what} cannot be read: ${why}`);
  }
}

/** As it stands in statements. */
export function quoted({ schema }: Place): string {
  return `"${schema}"`;
}

/** Two numbers that name an advisory lock of this schema, for one of its uses. */
export function lockKeys({ schema }: Place, use: 'migrate' | 'stop'): string {
  const digest = createHash('sha256').update(`writegate ${use} ${schema}`).digest();
  return `${digest.readInt32BE(0)}, ${digest.readInt32BE(4)}`;
}

/** Opens no connection until the first use. */
export function openPool(
  { url }: Pick<Place, 'url'>,
  max: number,
  config: pg.PoolConfig = {},
): pg.Pool {
  const pool = new pg.Pool({ ...clientConfig(url), max, ...config });
  // A lost idle connection is replaced at the next use; unheard it would end the process.
  pool.on('error', ignore);
  pool.on('connect', (client) => client.on('error', ignore));
  return pool;
}

/** For what may take its time; to be connected and ended by the caller. */
export function openClient({ url }: Pick<Place, 'url'>): pg.Client {
  const client = new pg.Client({ ...clientConfig(url), query_timeout: 0 });
  client.on('error', ignore);
  return client;
}

function clientConfig(url: Secret): pg.PoolConfig {
  return {
    connectionString: url.reveal(),
    application_name: 'writegate',
    types: VALUE_TYPES,
    connectionTimeoutMillis: CONNECTION_BOUNDS.connectTimeoutMs,
    idleTimeoutMillis: CONNECTION_BOUNDS.idleTimeoutMs,
    query_timeout: CONNECTION_BOUNDS.replyTimeoutMs,
    keepAlive: true,
    allowExitOnIdle: true,
  };
}

export const BEGIN = 'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE';

/**
 * Begins a transaction for which it does not matter what role, database or pooler have set. `limitMs`
 * for locks and statements, where it is not as usual; 0 is none.
 */
export function beginSql({ limitMs }: { readonly limitMs?: number } = {}): string {
  return `${BEGIN}; ${settingsSql('transaction', limitMs)}`;
}

/** Sets what commits need, for the session or for the transaction that is open. */
export function settingsSql(scope: 'session' | 'transaction', limitMs?: number): string {
  const settings = {
    lock_timeout: limitMs ?? CONNECTION_BOUNDS.lockTimeoutMs,
    statement_timeout: limitMs ?? CONNECTION_BOUNDS.statementTimeoutMs,
    idle_in_transaction_session_timeout: CONNECTION_BOUNDS.idleInTransactionMs,
    // A plan is made once, of tables that may be empty then: it goes by the indexes all the same.
    plan_cache_mode: 'force_generic_plan',
    enable_seqscan: 'off',
    jit: 'off',
  };
  const isLocal = scope === 'transaction';
  const set = Object.entries(settings).map(
    ([name, value]) => `set_config('${name}', '${value}', ${isLocal})`,
  );
  // Stronger settings than `on` stay.
  const synced = `set_config('synchronous_commit', CASE
    WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on'
    ELSE current_setting('synchronous_commit') END, ${isLocal})`;
  return `SELECT ${[...set, synced].join(', ')}`;
}

/** Runs `work` in a transaction; a throw leaves nothing of it. */
export async function transaction<Answer>(
  client: pg.ClientBase,
  begin: string,
  work: () => Promise<Answer>,
): Promise<Answer> {
  try {
    await client.query(begin);
    const answer = await work();
    await client.query('COMMIT');
    return answer;
  } catch (error) {
    await client.query('ROLLBACK').catch(ignore);
    throw error;
  }
}

export function ignore(): void {
  // Told elsewhere, or of no interest.
}
