/** The check of a target's roles, rights and settings, made before it is opened and by `doctor`. */
import pg from 'pg';
import type { Secret } from '../../../lib/secret.ts';
import { asking, type Ask } from '../session/ask.ts';
import { fixText, isAccepted, refuseFindings, settingsFix, type Finding } from './finding.ts';
import { grantFindings } from './grant-findings.ts';
import { readReach, type Reach } from './reach.ts';
import { sqlState } from '../session/refusals.ts';
import { readRole, type RoleFacts, type RoleKind } from './role-facts.ts';
import { findingsOfRole, listed } from './role-findings.ts';
import type { PostgresSettings } from '../settings.ts';
import { readUndoLacks, type UndoLack } from '../undo/undo-lacks.ts';

const BOUNDS = {
  connectTimeoutMs: 5_000,
  queryTimeoutMs: 15_000,
  serverVersionMin: 150_000,
} as const;

/** One connection for each configured role, and a second one of the writer. */
export interface RoleAsks {
  readonly writer: Ask;
  /** Open beside the first: behind a pooler of transactions both are one session. */
  readonly second: Ask;
  readonly reader?: Ask | undefined;
  readonly evidence?: Ask | undefined;
  readonly undo?: Ask | undefined;
}

export interface RoleCheck {
  readonly findings: readonly Finding[];
  readonly roles: Readonly<Partial<Record<RoleKind, RoleFacts>>>;
  readonly reach: Reach;
  /** Empty where there is no undo role. */
  readonly undoLacks: readonly UndoLack[];
}

/** The findings of a target, worst first; errors of the server pass through. */
export async function checkRoles(
  asks: RoleAsks,
  settings: PostgresSettings,
): Promise<readonly Finding[]> {
  return (await examine(asks, settings)).findings;
}

const KINDS: readonly RoleKind[] = ['writer', 'reader', 'evidence', 'undo'];

/** As `checkRoles`, with what it was judged on. */
export async function examine(asks: RoleAsks, settings: PostgresSettings): Promise<RoleCheck> {
  const writer = await readRole(asks.writer, settings);
  const others = await Promise.all(
    KINDS.slice(1).map(async (kind) => {
      const ask = kind === 'writer' ? undefined : asks[kind];
      return [kind, ask === undefined ? undefined : await readRole(ask, settings)] as const;
    }),
  );
  const roles = Object.fromEntries(
    [['writer', writer] as const, ...others].filter(([, facts]) => facts !== undefined),
  ) as RoleCheck['roles'];
  const reach = await readReach(asks.writer, settings);
  const findings = [
    ...serverFindings(writer, settings),
    ...(await poolerFindings(asks)),
    ...KINDS.flatMap((kind) => {
      const facts = roles[kind];
      return facts === undefined ? [] : findingsOfRole(kind, facts);
    }),
    ...functionFindings(reach),
    ...(await grantFindings(asks.writer, { roles, reach, settings })),
  ];
  const weight = (each: Finding): number => (each.severity === 'refuse' ? 0 : 1);
  const sorted = findings.toSorted((a, b) => weight(a) - weight(b));
  const { undo } = roles;
  const undoLacks = undo === undefined ? [] : await readUndoLacks(asks.writer, undo.role, reach);
  return { findings: once(sorted), roles, reach, undoLacks };
}

/** What everybody may do is found at every role, and put right once. */
function once(findings: readonly Finding[]): readonly Finding[] {
  const seen = new Set<string>();
  return findings.filter((each) => {
    const key = `${each.code} ${fixText(each.fix)}`;
    return !seen.has(key) && seen.add(key);
  });
}

function serverFindings(facts: RoleFacts, settings: PostgresSettings): readonly Finding[] {
  const findings: Finding[] = [];
  const about = { severity: 'refuse', role: null, object: null } as const;
  if (facts.version < BOUNDS.serverVersionMin) {
    findings.push({
      ...about,
      code: 'server-too-old',
      message: `the server is PostgreSQL ${Math.floor(facts.version / 10_000)}; expected 15 or newer`,
      fix: settingsFix('move the database to PostgreSQL 15 or newer'),
    });
  }
  if (settings.lockTimeoutMs >= facts.deadlockMs) {
    const below = Math.max(Math.floor(facts.deadlockMs / 3), 10);
    findings.push({
      ...about,
      code: 'lock-timeout-over-deadlock-timeout',
      object: 'lockTimeoutMs',
      message: `\`lockTimeoutMs\` is ${settings.lockTimeoutMs} and the server looks for deadlocks after ${facts.deadlockMs} ms, so the application could lose a transaction to the gateway`,
      fix: settingsFix(`set \`lockTimeoutMs: ${below}\``),
    });
  }
  return findings;
}

/**
 * Two connections that are open at once never share a session, unless a pooler hands its sessions out
 * for one transaction each. Asked in turn, because such a pooler lends the one that was last free.
 */
async function poolerFindings({ writer, second }: RoleAsks): Promise<readonly Finding[]> {
  const sessions: unknown[] = [];
  for (const ask of [writer, second, writer]) {
    sessions.push((await ask('SELECT pg_backend_pid()'))[0]?.[0]);
  }
  const [first, other, again] = sessions;
  if (first !== other && first === again) return [];
  return [
    {
      code: 'pooler-transaction',
      severity: 'refuse',
      role: null,
      object: null,
      message:
        'a pooler between hands out a session for one transaction at a time, so counters, prepared statements and time limits belong to whoever comes next',
      fix: settingsFix(
        'connect to the server itself, or to the port or database of the pooler that keeps sessions (`pool_mode = session`)',
      ),
    },
  ];
}

/** Functions that a write runs and that may reach out of the transaction, and tables that are elsewhere. */
function functionFindings({ tables, runs }: Reach): readonly Finding[] {
  const findings = new Map<string, Finding>();
  for (const table of tables) {
    if (table.kind === 'f') findings.set(table.resource, foreignTable(table.resource));
    for (const { function: called, via } of runs.get(table.oid) ?? []) {
      const outward = called.reachesOut;
      if (outward === null && called.isTrusted) continue;
      const code = outward === null ? 'untrusted-function' : 'foreign-connection';
      const why =
        outward ?? `is written in ${called.language}, which may do anything on the server`;
      findings.set(`${code} ${called.name}`, {
        code,
        severity: 'refuse',
        role: null,
        object: called.name,
        message: `a write to \`${table.resource}\` runs \`${called.name}\` (${via}), which ${why}: neither measured nor taken back`,
        fix: settingsFix(
          `take it out of the path of the write, leave the table out of \`tables\`, or accept it: \`acceptFindings: [${JSON.stringify(`${code}:${called.name}`)}]\``,
        ),
      });
    }
  }
  return [...findings.values()];
}

function foreignTable(resource: string): Finding {
  return {
    code: 'foreign-table',
    severity: 'note',
    role: null,
    object: resource,
    message: `\`${resource}\` is a foreign table: its effects cannot be counted, so every write to it is refused`,
    fix: settingsFix(`leave \`${resource}\` out of \`tables\``),
  };
}

/** The URLs of a target's roles, resolved. */
export interface RoleUrls {
  readonly writer: Secret;
  readonly reader?: Secret | undefined;
  readonly evidence?: Secret | undefined;
  readonly undo?: Secret | undefined;
}

/** Lends a connection of every role to `work` and closes them. What a refused login loses is a finding. */
export async function withRoles<Answer>(
  urls: RoleUrls,
  work: (asks: RoleAsks, refused: readonly Finding[]) => Promise<Answer>,
): Promise<Answer> {
  const clients: pg.Client[] = [];
  const refused: Finding[] = [];
  const open = async (url: Secret): Promise<Ask> => {
    const client = new pg.Client({
      connectionString: url.reveal(),
      connectionTimeoutMillis: BOUNDS.connectTimeoutMs,
      query_timeout: BOUNDS.queryTimeoutMs,
      application_name: 'writegate-doctor',
    });
    client.on('error', () => {
      // Whoever waits for an answer is told through the query.
    });
    clients.push(client);
    await client.connect();
    return asking(client);
  };
  const openOther = async (kind: RoleKind, url: Secret | undefined): Promise<Ask | undefined> => {
    try {
      return url === undefined ? undefined : await open(url);
    } catch (error) {
      if (sqlState(error)?.startsWith('28') !== true) throw error;
      refused.push(loginRefused(kind));
      return undefined;
    }
  };
  try {
    // All are waited for, so that none is still connecting when the first has gone wrong.
    const settled = await Promise.allSettled([
      open(urls.writer),
      open(urls.writer),
      openOther('reader', urls.reader),
      openOther('evidence', urls.evidence),
      openOther('undo', urls.undo),
    ]);
    const failed = settled.find((each) => each.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    const [writer, second, reader, evidence, undo] = settled.map((each) =>
      each.status === 'fulfilled' ? each.value : undefined,
    );
    if (writer === undefined || second === undefined)
      throw new Error('a writer without connection');
    return await work({ writer, second, reader, evidence, undo }, refused);
  } finally {
    await Promise.allSettled(clients.map((client) => client.end()));
  }
}

function loginRefused(kind: RoleKind): Finding {
  return {
    code: 'role-login',
    severity: 'refuse',
    role: null,
    object: kind,
    message: `the database does not let the ${kind} in with the credential that it has`,
    fix: settingsFix(
      'give it a new one with `writegate add postgres … --rotate`, or correct the file or variable that its URL comes from',
    ),
  };
}

/**
 * Returns the check that a target makes before it is used: throws `target-misconfigured` with what
 * keeps it shut. Once it has held it is not made again; a database that is down is no answer, so then
 * the error passes through and the next call checks.
 */
export function openRolesCheck(
  target: string,
  urls: RoleUrls,
  settings: PostgresSettings,
  log: (line: string) => void = () => {},
): () => Promise<void> {
  let holds = false;
  return async () => {
    if (holds) return;
    const findings = await withRoles(urls, async (asks, refused) => [
      ...refused,
      ...(await checkRoles(asks, settings)),
    ]);
    refuseFindings(target, findings, settings);
    holds = true;
    const accepted = findings.filter(
      (each) => each.severity === 'refuse' && isAccepted(each, settings),
    );
    for (const { code, message } of accepted) {
      log(`target \`${target}\`: accepted ${code}: ${message}`);
    }
    const notes = findings.filter((each) => each.severity === 'note').map(({ code }) => code);
    if (notes.length > 0) {
      const codes = listed([...new Set(notes)]);
      log(`target \`${target}\`: ${codes}; \`writegate doctor ${target}\` says more`);
    }
  };
}
