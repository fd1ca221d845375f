/** Connections: pinned settings, deadlines, cancelling, and throwing away what may be spoilt. */
import pg from 'pg';
import type { Secret } from '../../../lib/secret.ts';
import { Problem } from '../../../model/problem.ts';
import { Refused } from '../../connector.ts';
import { forgetPrepared } from './pipeline.ts';
import {
  connectionOptions,
  identify,
  resetSql,
  SESSION_BOUNDS,
  transactionTimeoutMs,
  type Identity,
  type Role,
} from './pins.ts';
import { dropPrepared } from './prepared.ts';
import { isPlainError } from './refusals.ts';
import type { PostgresSettings } from '../settings.ts';

/** Connection strings by role. */
export type Urls = { readonly [role in Exclude<Role, 'writer'>]?: Secret | undefined };

/** One connection for one transaction. */
export interface Session {
  readonly client: pg.PoolClient;
  readonly role: Role;
  /** `server_version_num`: 180004. */
  readonly version: number;
  /**
   * False where code of the database's users ran on the connection before, which may have turned its
   * settings for good: then `reset` is due before the next transaction, which takes its defaults from them.
   */
  readonly isFresh: boolean;
  /** Sets back what such code may have turned; no round trip where there is nothing to do. */
  reset(): Promise<void>;
  /**
   * The same between two statements of one transaction, so that the second finds no setting, cursor or
   * prepared statement that code of the database's users left behind in the first.
   */
  resetWithin(): Promise<void>;
  /** Says that code of the database's users may have run, so that a reset is due again. */
  touch(): void;
  /**
   * Says that nothing but the server's own code ran since the last reset, so that who comes next needs
   * none; unsaid, it is not so.
   */
  trust(): void;
  /** Has the connection closed instead of returned: its state is in doubt. */
  spoil(): void;
}

/** A connection that stays lent until `done`. */
export interface Lent {
  readonly session: Session;
  /**
   * Gives it back; idempotent. With the error that ended the work it is cleaned up, or closed where that
   * cannot be trusted. Never throws.
   */
  done(error?: unknown): Promise<void>;
}

export interface Sessions {
  /** Lends a connection to `work`; an abort cancels what runs on it and has it closed. */
  write<Answer>(
    signal: AbortSignal,
    work: (session: Session) => Promise<Answer>,
    role?: Role,
  ): Promise<Answer>;
  /** As `write`, to be given back by `done`. Throws `target-misconfigured` where there is no such role. */
  lend(signal: AbortSignal, role?: Role): Promise<Lent>;
  /** Whether the settings name a connection of its own for the role. */
  has(role: Role): boolean;
  /** One statement of the writer, or the undo role, outside of any transaction, on a pool of its own. */
  read(query: pg.QueryConfig, role?: Role): Promise<readonly (readonly unknown[])[]>;
  close(): Promise<void>;
}

/** What is known of one connection for as long as it lives. */
interface State {
  readonly identity: Identity;
  isFresh: boolean;
}

/** Opens no connection until the first use. */
export function openSessions(url: Secret, settings: PostgresSettings, others: Urls = {}): Sessions {
  const states = new WeakMap<object, State>();
  const pool = (of: Secret, role: Role, max: number): pg.Pool => {
    const made = new pg.Pool({
      ...connectionOptions(of, settings, role),
      max,
      verify: (client, done) => {
        identify(client, settings, role).then((identity) => {
          states.set(client, { identity, isFresh: true });
          done();
        }, done);
      },
    });
    // A lost idle connection is replaced at the next use; unheard it would end the process.
    made.on('error', ignore);
    made.on('connect', (client) => client.on('error', ignore));
    return made;
  };
  const asides = pool(url, 'writer', SESSION_BOUNDS.asidesMax);
  // Of its own, so that an inverse that waits for a statement here cannot hold what it waits for.
  const undoAsides =
    others.undo === undefined ? undefined : pool(others.undo, 'undo', SESSION_BOUNDS.asidesMax);
  const pools = new Map<Role, pg.Pool>([
    ['writer', pool(url, 'writer', SESSION_BOUNDS.writersMax)],
  ]);
  for (const role of ['reader', 'evidence', 'undo'] as const) {
    const of = others[role];
    if (of !== undefined) pools.set(role, pool(of, role, SESSION_BOUNDS.othersMax));
  }
  const lend = async (outer: AbortSignal, role: Role = 'writer'): Promise<Lent> => {
    const from = pools.get(role);
    if (from === undefined) {
      throw new Problem(
        'target-misconfigured',
        `the target has no role \`${role}\`; set \`${role}\``,
      );
    }
    outer.throwIfAborted();
    const client = await from.connect();
    const cancel = (pid: number): void => {
      const query = { text: 'SELECT pg_cancel_backend($1)', values: [pid] };
      // A role may cancel its own sessions alone, and its pool may be at its limit.
      const own = role === 'writer' ? undefined : others[role];
      const sent = own === undefined ? asides.query(query) : once(own, role, settings, query);
      sent.catch(ignore);
    };
    return new Loan(client, states.get(client), outer, { settings, role, cancel });
  };
  return {
    lend,
    async write(outer, work, role) {
      const lent = await lend(outer, role);
      let failure: unknown;
      try {
        return await work(lent.session);
      } catch (error) {
        failure = error ?? new Error('the work was given up');
        throw error;
      } finally {
        await lent.done(failure);
      }
    },
    has: (role) => pools.has(role),
    async read(query, role) {
      const from = role === 'undo' ? (undoAsides ?? asides) : asides;
      const result = await from.query<unknown[]>({ ...query, rowMode: 'array' });
      return result.rows;
    },
    async close() {
      const beside = undoAsides === undefined ? [asides] : [asides, undoAsides];
      await Promise.all([...pools.values(), ...beside].map(end));
    },
  };
}

class Loan implements Lent, Session {
  readonly client: pg.PoolClient;
  readonly role: Role;
  readonly #state: State | undefined;
  readonly #signal: AbortSignal;
  readonly #abort: () => void;
  readonly #deadline: NodeJS.Timeout;
  #isFresh: boolean;
  #isTrusted = false;
  #isSpoilt: boolean;
  #isDone = false;

  constructor(
    client: pg.PoolClient,
    state: State | undefined,
    signal: AbortSignal,
    options: {
      readonly settings: PostgresSettings;
      readonly role: Role;
      readonly cancel: (pid: number) => void;
    },
  ) {
    this.client = client;
    this.role = options.role;
    this.#state = state;
    this.#signal = signal;
    this.#isFresh = state?.isFresh ?? false;
    this.#isSpoilt = state === undefined;
    this.#abort = () => {
      // The cancel may arrive late and hit what comes next on the connection, so nothing may come.
      this.#isSpoilt = true;
      if (state !== undefined) options.cancel(state.identity.pid);
    };
    signal.addEventListener('abort', this.#abort, { once: true });
    // A timer that is cleared costs a fraction of a signal that nobody takes back.
    const limitMs = transactionTimeoutMs(options.settings, options.role);
    this.#deadline = setTimeout(this.#abort, limitMs).unref();
    // It was aborted while the connection was waited for.
    if (signal.aborted) this.#abort();
  }

  get session(): Session {
    return this;
  }

  get version(): number {
    return this.#state?.identity.version ?? 0;
  }

  get isFresh(): boolean {
    return this.#isFresh;
  }

  async reset(): Promise<void> {
    if (this.#isFresh) return;
    // Without an identity the connection is thrown away.
    if (this.#state !== undefined) await this.client.query(resetSql(this.#state.identity));
    this.#isFresh = true;
  }

  async resetWithin(): Promise<void> {
    if (this.#state === undefined) return;
    await dropPrepared(this.client, `CLOSE ALL; ${resetSql(this.#state.identity)}`);
  }

  touch(): void {
    this.#isFresh = false;
    this.#isTrusted = false;
  }

  trust(): void {
    this.#isTrusted = this.#isFresh;
  }

  spoil(): void {
    this.#isSpoilt = true;
  }

  async done(error?: unknown): Promise<void> {
    if (this.#isDone) return;
    this.#isDone = true;
    if (error !== undefined) this.#isSpoilt ||= !(await isCleanAgain(this.client, error));
    this.#signal.removeEventListener('abort', this.#abort);
    clearTimeout(this.#deadline);
    if (this.#state !== undefined) this.#state.isFresh = this.#isTrusted && error === undefined;
    this.client.release(this.#isSpoilt);
  }
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
    // What the taken back transaction counted may not be carried over into the next one's counters.
    await client.query('ROLLBACK; SELECT pg_stat_force_next_flush()');
    if (isTouched) {
      await client.query('DISCARD ALL');
      forgetPrepared(client);
    }
    return !isTouched;
  } catch {
    return false;
  }
}

/** One statement on a connection that is made for it. */
async function once(
  url: Secret,
  role: Role,
  settings: PostgresSettings,
  query: pg.QueryConfig,
): Promise<void> {
  const client = new pg.Client(connectionOptions(url, settings, role));
  client.on('error', ignore);
  try {
    await client.connect();
    await client.query(query);
  } finally {
    await client.end();
  }
}

function ignore(): void {
  // Nothing to do: who waits for the connection is told through the query.
}

async function end(pool: pg.Pool): Promise<void> {
  if (!pool.ending) await pool.end();
}
