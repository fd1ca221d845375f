/** How a session begins: settings pinned in the start-up packet, read back, and set back later. */
import pg from 'pg';
import type { Secret } from '../../../lib/secret.ts';
import { Problem } from '../../../model/problem.ts';
import type { PostgresSettings } from '../settings.ts';

export const SESSION_BOUNDS = {
  /** A few more than the gate lets in at once (`gate/slots.ts`): what a crash left is looked into beside it. */
  writersMax: 20,
  /** For single statements beside the writers: receipts, cancelling, look-ups. */
  asidesMax: 4,
  /** For each of the further roles. */
  othersMax: 8,
  connectTimeoutMs: 5_000,
  idleTimeoutMs: 30_000,
  /** What the network may add to the server's own time limit before the connection counts as lost. */
  graceMs: 2_000,
  serverVersionMin: 150_000,
} as const;

/** From this version on a transaction as a whole can have a time limit. */
const LIMITS_TRANSACTIONS = 170_000;

/** The roles of a target; all but the writer are there only where the settings name them. */
export type Role = 'writer' | 'reader' | 'evidence' | 'undo';

/** What is asked of a connection once. */
export interface Identity {
  readonly pid: number;
  readonly version: number;
  /** Sets what not every server knows, so that no start-up packet can; empty where there is nothing. */
  readonly extras: readonly string[];
}

interface Timeouts {
  readonly statementTimeoutMs: number;
  readonly limits: { readonly readTimeoutMs: number };
}

/** How long a statement of the role may take, in ms. */
function statementTimeoutMs({ statementTimeoutMs: own, limits }: Timeouts, role: Role): number {
  return role === 'reader' ? limits.readTimeoutMs : own;
}

/**
 * How long a transaction of the role may be open at the most, in ms, time that the gate takes included:
 * never less than one of its statements may take.
 */
export function transactionTimeoutMs(settings: Timeouts, role: Role): number {
  return 2 * Math.max(settings.statementTimeoutMs, statementTimeoutMs(settings, role)) + 1_000;
}

/** Sets back what a session began with; not to be run inside of a transaction. */
export function resetSql({ extras }: Identity): string {
  return ['RESET SESSION AUTHORIZATION', 'RESET ROLE', 'RESET ALL', ...extras].join('; ');
}

/** How often a read that runs looks whether somebody still waits for it. */
const WAITED_FOR_MS = 1_000;

/** A server that does not know one of these would not let a session begin that asks for it. */
function extrasOf(settings: PostgresSettings, role: Role, row: IdentityRow): readonly string[] {
  const limitMs = transactionTimeoutMs(settings, role) + SESSION_BOUNDS.graceMs;
  return [
    ...(row.version >= LIMITS_TRANSACTIONS ? [`SET transaction_timeout = ${limitMs}`] : []),
    ...(role === 'reader' && row.seesHangups
      ? [`SET client_connection_check_interval = ${WAITED_FOR_MS}`]
      : []),
  ];
}

/** The settings that a statement's meaning hangs on; role and database defaults may not turn them. */
function pins(settings: PostgresSettings, role: Role): Readonly<Record<string, string>> {
  const isReader = role === 'reader';
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
    default_transaction_read_only: isReader ? 'on' : 'off',
    default_transaction_deferrable: 'off',
    synchronous_commit: 'on',
    // To compile a look-up of the catalog takes seconds where the server has a compiler, and reads few rows.
    jit: 'off',
    statement_timeout: String(statementTimeoutMs(settings, role)),
    lock_timeout: String(settings.lockTimeoutMs),
    idle_in_transaction_session_timeout: String(settings.statementTimeoutMs + 10_000),
    application_name: 'writegate',
    ...settings.session,
  };
}

function searchPath(settings: PostgresSettings): string {
  const schemas = settings.schemas.map((schema) => pg.escapeIdentifier(schema));
  // Unnamed, temporary tables would be looked up before all others.
  return ['pg_catalog', ...schemas, 'pg_temp'].join(',');
}

/** How the driver connects: what the URL says, with the pinned settings in the start-up packet. */
export function connectionOptions(
  url: Secret,
  settings: PostgresSettings,
  role: Role = 'writer',
): pg.PoolConfig {
  const text = url.reveal();
  const given = /[?&]options=([^&]*)/.exec(text);
  const bare = text.replace(/([?&])options=[^&]*&?/, '$1').replace(/[?&]$/, '');
  const pinned = pins(settings, role);
  const packed = Object.entries(pinned).map(
    ([name, value]) => `-c ${name}=${value.replaceAll(/[\s\\]/g, String.raw`\$&`)}`,
  );
  const own = given?.[1] === undefined ? [] : [decodeURIComponent(given[1])];
  return {
    connectionString: bare,
    // Ours come last, so that they win.
    options: [...own, ...packed].join(' '),
    connectionTimeoutMillis: SESSION_BOUNDS.connectTimeoutMs,
    idleTimeoutMillis: SESSION_BOUNDS.idleTimeoutMs,
    query_timeout: Number(pinned['statement_timeout']) + SESSION_BOUNDS.graceMs,
    allowExitOnIdle: true,
    keepAlive: true,
  };
}

/**
 * Every setting by its plain value (times in milliseconds); custom ones are not in the view. Nothing is
 * cast from text in our look-ups: a database may have a cast of its own for it.
 */
const IDENTIFY = `
SELECT pg_backend_pid() AS pid, current_setting('server_version_num') AS version,
  (SELECT setting FROM pg_settings WHERE name = 'deadlock_timeout') AS "deadlockTimeoutMs",
  version() !~* 'mingw|visual c|msvc|windows' AS "seesHangups",
  array(SELECT coalesce(p.setting, current_setting(n.name, true))
    FROM unnest($1::text[]) WITH ORDINALITY AS n(name, place)
      LEFT JOIN pg_settings p ON p.name = n.name
    ORDER BY n.place) AS found`;

interface IdentityRow extends Pick<Identity, 'pid' | 'version'> {
  readonly deadlockTimeoutMs: number;
  /** Whether the server's system tells of a client that is gone while a statement runs. */
  readonly seesHangups: boolean;
  readonly found: readonly (string | null)[];
}

type IdentityTexts = Omit<IdentityRow, 'version' | 'deadlockTimeoutMs'> &
  Readonly<Record<'version' | 'deadlockTimeoutMs', string>>;

/** Reads the pins back: a pooler in between, or a role default above them, may have turned them. */
export async function identify(
  client: pg.ClientBase,
  settings: PostgresSettings,
  role: Role,
): Promise<Identity> {
  const expected: Readonly<Record<string, string>> = {
    ...pins(settings, role),
    session_replication_role: 'origin',
    track_counts: 'on',
    client_encoding: 'UTF8',
  };
  const names = Object.keys(expected);
  const { rows } = await client.query<IdentityTexts>({ text: IDENTIFY, values: [names] });
  const [texts] = rows;
  if (texts === undefined) throw new Error('the server gave no row for its settings');
  const row: IdentityRow = {
    ...texts,
    version: Number(texts.version),
    deadlockTimeoutMs: Number(texts.deadlockTimeoutMs),
  };
  if (row.version < SESSION_BOUNDS.serverVersionMin) {
    throw new Problem(
      'target-misconfigured',
      `the server is PostgreSQL ${Math.floor(row.version / 10_000)}; expected 15 or newer`,
    );
  }
  for (const [index, name] of names.entries()) {
    const found = row.found[index] ?? '';
    if (found.replaceAll(' ', '') === expected[name]?.replaceAll(' ', '')) continue;
    throw new Problem('target-misconfigured', turned(name, found, expected[name] ?? '', settings));
  }
  if (row.deadlockTimeoutMs <= settings.lockTimeoutMs) {
    throw new Problem(
      'target-misconfigured',
      `\`lockTimeoutMs\` is ${settings.lockTimeoutMs} and the server's \`deadlock_timeout\` ` +
        `${row.deadlockTimeoutMs} ms; set \`lockTimeoutMs\` below it, so that a deadlock never ends ` +
        'a transaction of the application',
    );
  }
  const extras = extrasOf(settings, role, row);
  if (extras.length > 0) await client.query(extras.join('; '));
  return { pid: row.pid, version: row.version, extras };
}

/** Values of custom settings may name a tenant, so they are not told. */
function turned(name: string, found: string, expected: string, settings: PostgresSettings): string {
  const values = Object.hasOwn(settings.session, name)
    ? 'another value than the settings give'
    : `= \`${found}\`; expected \`${expected}\``;
  return (
    `the session has \`${name}\` ${values}: take the setting from the role and the database, and ` +
    'connect without a transaction pooler'
  );
}
