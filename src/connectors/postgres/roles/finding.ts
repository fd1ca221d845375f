/** What is found about roles, rights and settings: its form, and which findings keep a target shut. */
import { Problem } from '../../../model/problem.ts';
import type { PostgresSettings } from '../settings.ts';

/** Stable; `docs/guide/operator.md` lists them. */
export type FindingCode =
  | 'role-superuser'
  | 'role-owns'
  | 'role-create'
  | 'role-createrole'
  | 'role-createdb'
  | 'role-temp'
  | 'role-replication'
  | 'role-member'
  | 'role-truncate'
  | 'role-bypassrls'
  | 'role-login'
  | 'reader-writes'
  | 'writes-elsewhere'
  | 'settings-poisoned'
  | 'pooler-transaction'
  | 'lock-timeout-over-deadlock-timeout'
  | 'server-too-old'
  | 'untrusted-function'
  | 'foreign-connection'
  | 'foreign-table'
  | 'missing-grant'
  | 'missing-table'
  | 'unlogged-receipts';

/** `sql` is run by the owner of the database, or a superuser; `settings` is done by hand. */
export type Fix =
  | { readonly kind: 'sql'; readonly sql: string }
  | { readonly kind: 'settings'; readonly text: string };

export interface Finding {
  readonly code: FindingCode;
  /** Whether the target stays shut, unless the operator accepts it; a note only says what is lost. */
  readonly severity: 'refuse' | 'note';
  readonly role: string | null;
  /** What it is about, where there is one thing: a table, a function, a setting. */
  readonly object: string | null;
  readonly message: string;
  readonly fix: Fix;
}

export function sqlFix(sql: string): Fix {
  return { kind: 'sql', sql };
}

export function settingsFix(text: string): Fix {
  return { kind: 'settings', text };
}

/** What a fix says to do, on one line. */
export function fixText(fix: Fix): string {
  return fix.kind === 'sql' ? fix.sql : fix.text;
}

/** Whether `acceptFindings` names it, by its code or by `code:object`. */
export function isAccepted(finding: Finding, settings: PostgresSettings): boolean {
  const { code, object } = finding;
  return settings.acceptFindings.some((each) => each === code || each === `${code}:${object}`);
}

const TOLD_MAX = 10;

/** Throws `target-misconfigured` with every finding that keeps the target shut, and its fix. */
export function refuseFindings(
  target: string,
  findings: readonly Finding[],
  settings: PostgresSettings,
): void {
  const shut = findings.filter((each) => each.severity === 'refuse' && !isAccepted(each, settings));
  if (shut.length === 0) return;
  const told = shut
    .slice(0, TOLD_MAX)
    .map(({ code, message, fix }) => `\n${code}: ${message}; ${fixText(fix)}`);
  const more = shut.length > TOLD_MAX ? `\nand ${shut.length - TOLD_MAX} more` : '';
  throw new Problem(
    'target-misconfigured',
    `target \`${target}\` is not safe to govern; \`writegate doctor ${target}\` has the report. ` +
      `Put this right, or name what you accept in \`acceptFindings\`:${told.join('')}${more}`,
  );
}
