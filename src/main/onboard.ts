/**
 * Setting a PostgreSQL target up, and looking it over: what the commands `add` and `doctor` do.
 *
 * Order of a set-up, and what a crash after each step leaves to the next run: credentials in files of
 * the data folder (0600); the roles, all or none, in one transaction, with the passwords of those
 * files; the target in `writegate.yaml`. A run that finds a file or a role goes on from it.
 */
import { realpath, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { asking, type Ask } from '../connectors/postgres/session/ask.ts';
import { isAccepted, type Finding } from '../connectors/postgres/roles/finding.ts';
import { examine, withRoles, type RoleUrls } from '../connectors/postgres/roles/findings.ts';
import {
  abilitiesOf,
  reportTables,
  type Ability,
  type TableReport,
} from '../connectors/postgres/roles/report.ts';
import type { RoleKind } from '../connectors/postgres/roles/role-facts.ts';
import { newPassword, roleNames, type RoleNames } from '../connectors/postgres/roles/roles.ts';
import {
  carryOutSetup,
  planSetup,
  readGround,
  type Ground,
  type SetupPlan,
  type SetupWish,
} from '../connectors/postgres/roles/setup.ts';
import { parsePostgresSettings, type PostgresSettings } from '../connectors/postgres/settings.ts';
import { resolveSecret, type Environment } from '../connectors/connector.ts';
import type { Json, JsonObject } from '../lib/json.ts';
import { Secret } from '../lib/secret.ts';
import { Problem } from '../model/problem.ts';
import { readText, writePrivate, type DataFolder } from './folder.ts';
import type { Settings } from './target-entry.ts';

export type { Ability, Finding, RoleKind, TableReport };

export interface SetupOptions {
  readonly target: string;
  /** Begins the names of the roles. */
  readonly prefix: string;
  readonly schemas: readonly string[];
  /** Undefined: every table of the schemas. */
  readonly tables: readonly string[] | undefined;
  readonly receipts: string | null;
  readonly hasUndo: boolean;
  readonly hasTrackFunctions: boolean;
  readonly isPublicRevoked: boolean;
  /** Gives roles that are there a new password. */
  readonly rotates: boolean;
}

/** A set-up that was looked into and not begun. */
export interface Setup {
  readonly database: string;
  readonly admin: string;
  readonly names: RoleNames;
  readonly plan: SetupPlan;
  readonly present: readonly RoleKind[];
  /** Whether the admin may make the roles that are missing. */
  readonly canMakeRoles: boolean;
  readonly tables: readonly string[];
  /** What `writegate.yaml` gets. */
  readonly settings: Settings;
  /** Writes the credentials that are missing, 0600. Comes before the roles are made. */
  saveCredentials(): Promise<void>;
  /** Makes the roles. */
  carryOut(): Promise<void>;
  /** Looks the finished target over, as the file has it by then; as `settings` where it is not known. */
  examine(given: JsonObject | null, environment: Environment): Promise<Examination>;
  close(): Promise<void>;
}

export interface Examination {
  readonly target: string;
  readonly findings: readonly (Finding & { readonly isAccepted: boolean })[];
  readonly abilities: readonly Ability[];
  readonly tables: readonly TableReport[];
}

const CONNECT_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 60_000;

/** Connects as the admin and works out what there is to do; changes nothing. Problems: `target-misconfigured`. */
export async function openSetup(
  url: Secret,
  folder: DataFolder,
  options: SetupOptions,
): Promise<Setup> {
  const names = roleNames(options.prefix, options.target);
  const wish: SetupWish = { ...options, names, governed: governedBy(options) };
  const client = new pg.Client({
    connectionString: url.reveal(),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    application_name: 'writegate-add',
  });
  client.on('error', () => {
    // Whoever waits for an answer is told through the query.
  });
  try {
    await told(client.connect(), 'connect to the database');
    const ask = asking(client);
    const ground = await told(readGround(ask, wish), 'read the catalog');
    return await setupOf(ask, { url, folder, options, names, wish, ground }, () => client.end());
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

interface Prepared {
  readonly url: Secret;
  readonly folder: DataFolder;
  readonly options: SetupOptions;
  readonly names: RoleNames;
  readonly wish: SetupWish;
  readonly ground: Ground;
}

async function setupOf(ask: Ask, prepared: Prepared, close: () => Promise<void>): Promise<Setup> {
  const { options, names, wish, ground, folder } = prepared;
  checkTables(options, ground);
  const { passwords, toSave } = await credentialsOf(prepared);
  const plan = planSetup(wish, ground, passwords);
  const settings = settingsOf(prepared, plan);
  return {
    database: ground.database,
    admin: ground.admin.name,
    names,
    plan,
    present: plan.kinds.filter((kind) => ground.roles[kind] !== undefined),
    canMakeRoles:
      ground.admin.isSuperuser ||
      ground.admin.createsRoles ||
      plan.kinds.every((kind) => ground.roles[kind] !== undefined),
    tables: ground.reach.tables.filter((each) => each.isGoverned).map((each) => each.resource),
    settings,
    async saveCredentials() {
      for (const [kind, url] of toSave) {
        await writePrivate(credentialFile(folder, options.target, kind), `${url.reveal()}\n`);
      }
    },
    async carryOut() {
      await told(carryOutSetup(ask, plan), 'make the roles; nothing was changed');
    },
    examine: (given, environment) =>
      examineTarget(options.target, given ?? Object.fromEntries(settings), environment),
    close,
  };
}

function governedBy({ schemas, tables }: SetupOptions): SetupWish['governed'] {
  const everything = { read: true, insert: true, update: true, delete: true };
  return {
    schemas,
    tables: tables && Object.fromEntries(tables.map((table) => [table, everything])),
  };
}

function checkTables({ tables, schemas }: SetupOptions, { reach }: Ground): void {
  const known = new Set([...reach.tables.map((each) => each.resource), ...reach.views.keys()]);
  for (const table of tables ?? []) {
    const resource = table.includes('.') ? table : `${schemas[0] ?? 'public'}.${table}`;
    if (known.has(resource)) continue;
    throw new Problem(
      'target-misconfigured',
      `there is no table \`${resource}\` in the schemas ${schemas.join(', ')}; correct --tables or --schemas`,
    );
  }
  if (known.size > 0) return;
  throw new Problem(
    'target-misconfigured',
    `there is no table in the schemas ${schemas.join(', ')}; name others with --schemas`,
  );
}

/**
 * The schemas and tables that a configured target governs, with those that are given besides; tables
 * that are given where it has none are all that it governs then. Problem `configuration-invalid`.
 */
export function governedOf(
  target: string,
  configured: JsonObject,
  given: Partial<Pick<SetupOptions, 'schemas' | 'tables'>>,
): Pick<SetupOptions, 'schemas' | 'tables'> {
  const parsed = parsePostgresSettings(target, configured);
  const schemas = [...new Set([...parsed.schemas, ...(given.schemas ?? [])])];
  const first = schemas[0] ?? 'public';
  const whole = (table: string): string => (table.includes('.') ? table : `${first}.${table}`);
  const own = parsed.tables === undefined ? [] : Object.keys(parsed.tables);
  const known = new Set(own.map(whole));
  const more = (given.tables ?? []).filter((table) => !known.has(whole(table)));
  const tables = [...own, ...more];
  return { schemas, tables: parsed.tables === undefined && more.length === 0 ? undefined : tables };
}

/** Where the URL of a role is kept. */
export function credentialFile(folder: DataFolder, target: string, kind: RoleKind): string {
  return join(folder.path, `${target}.${kind}.url`);
}

async function credentialsOf(prepared: Prepared): Promise<{
  readonly passwords: Readonly<Partial<Record<RoleKind, Secret>>>;
  readonly toSave: ReadonlyMap<RoleKind, Secret>;
}> {
  const { options, folder, ground, names, url } = prepared;
  const kinds: readonly RoleKind[] = [
    'writer',
    'reader',
    'evidence',
    ...(options.hasUndo ? (['undo'] as const) : []),
  ];
  const passwords: Partial<Record<RoleKind, Secret>> = {};
  const toSave = new Map<RoleKind, Secret>();
  for (const kind of kinds) {
    const file = credentialFile(folder, options.target, kind);
    const saved = passwordIn(await readText(file));
    const isPresent = ground.roles[kind] !== undefined;
    if (isPresent && saved !== undefined && !options.rotates) continue;
    if (isPresent && saved === undefined && !options.rotates) {
      throw new Problem(
        'target-misconfigured',
        `the role \`${names[kind]}\` is there and \`${file}\` with its credential is not; give it a ` +
          'new password with --rotate if no other gateway uses it, or make other roles with --prefix',
      );
    }
    const password = saved === undefined || isPresent ? newPassword() : saved;
    passwords[kind] = password;
    if (password !== saved) toSave.set(kind, urlOf(url, names[kind], password));
  }
  return { passwords, toSave };
}

function passwordIn(text: string | undefined): Secret | undefined {
  const password = text === undefined ? undefined : URL.parse(text.trim())?.password;
  return password === undefined || password === ''
    ? undefined
    : new Secret(decodeURIComponent(password));
}

/** The admin's URL with another name and password; settings of the admin's session are left out. */
function urlOf(admin: Secret, role: string, password: Secret): Secret {
  const url = new URL(admin.reveal());
  url.username = role;
  url.password = password.reveal();
  url.searchParams.delete('options');
  return new Secret(url.href);
}

function settingsOf({ options, folder }: Prepared, plan: SetupPlan): Settings {
  const reference = (kind: RoleKind): Json =>
    `\${file:${credentialFile(folder, options.target, kind)}}`;
  return [
    ['url', reference('writer')],
    ...plan.kinds.flatMap((kind): [string, Json][] =>
      kind === 'writer' ? [] : [[kind, reference(kind)]],
    ),
    ['schemas', options.schemas],
    ...(options.tables === undefined ? [] : ([['tables', options.tables]] as const)),
    ['receipts', options.receipts],
  ];
}

/** Looks a configured target over. Problems `configuration-invalid`, `target-misconfigured`. */
export async function examineTarget(
  target: string,
  given: JsonObject,
  environment: Environment,
): Promise<Examination> {
  const settings = parsePostgresSettings(target, given);
  const urls = await roleUrls(settings, environment);
  return told(
    withRoles(urls, async (asks, refused) => {
      const check = await examine(asks, settings);
      const findings = [...refused, ...check.findings];
      return {
        target,
        findings: findings.map((each) => ({ ...each, isAccepted: isAccepted(each, settings) })),
        abilities: abilitiesOf({ ...check, findings }, settings),
        tables: reportTables(check),
      };
    }),
    `look at target \`${target}\``,
  );
}

async function roleUrls(settings: PostgresSettings, environment: Environment): Promise<RoleUrls> {
  const resolve = (text: string | undefined, at: string): Promise<Secret> | undefined =>
    text === undefined ? undefined : resolveSecret(text, at, environment);
  return {
    writer: await resolveSecret(settings.url, '/url', environment),
    reader: await resolve(settings.reader, '/reader'),
    evidence: await resolve(settings.evidence, '/evidence'),
    undo: await resolve(settings.undo, '/undo'),
  };
}

/** Writes the configuration; a crash leaves the old text or the new one. */
export async function writeConfiguration(path: string, text: string): Promise<void> {
  const place = await realpath(path);
  const { mode } = await stat(place);
  await writeFile(`${place}.part`, text, { flush: true, mode });
  await rename(`${place}.part`, place);
}

/** Says what went wrong without the text of the URL, which holds a password. */
async function told<Answer>(work: Promise<Answer>, what: string): Promise<Answer> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Problem) throw error;
    const isServer = error instanceof pg.DatabaseError;
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no answer';
    const said = isServer ? error.message : 'check host, port and network';
    throw new Problem('target-misconfigured', `could not ${what}: ${said} (${code})`);
  }
}
