/** What there is to know of one role before it is judged: one round trip. */
import type { Ask } from '../session/ask.ts';
import type { PostgresSettings } from '../settings.ts';

export type RoleKind = 'writer' | 'reader' | 'evidence' | 'undo';

export interface RoleFacts {
  readonly role: string;
  /** Who logged in; another than `role` where a setting switches. */
  readonly login: string;
  readonly database: string;
  /** The schemas that are governed, in which names are looked up. */
  readonly governed: readonly string[];
  readonly version: number;
  readonly deadlockMs: number;
  readonly isBootstrap: boolean;
  readonly isSuperuser: boolean;
  readonly createsRoles: boolean;
  readonly createsDatabases: boolean;
  readonly replicates: boolean;
  readonly bypassesRowSecurity: boolean;
  readonly memberOf: readonly string[];
  /** What it owns, and whether that is no more than the receipts. */
  readonly owns: readonly (readonly [object: string, isReceipts: boolean])[];
  /** Schemas with CREATE, and whether everybody has it. */
  readonly creates: readonly (readonly [schema: string, byPublic: boolean])[];
  readonly createsInDatabase: readonly boolean[];
  readonly makesTemporary: readonly boolean[];
  readonly tableRights: readonly {
    readonly schema: string;
    readonly table: string;
    readonly rights: readonly string[];
    readonly byPublic: boolean;
  }[];
  readonly poisoned: readonly {
    readonly name: string;
    readonly found: string;
    readonly source: string;
  }[];
}

/**
 * Settings that no pin of ours holds and that change what a write means or whether it lasts. Those of
 * the start-up packet win over any default, so they are not looked at here.
 */
export const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  session_replication_role: ['origin'],
  track_counts: ['on'],
  transform_null_equals: ['off'],
  array_nulls: ['on'],
  backslash_quote: ['safe_encoding', 'off'],
  lo_compat_privileges: ['off'],
  local_preload_libraries: [''],
};

/** Reads what there is to know of the role that a connection logs in as: one round trip. */
export async function readRole(
  ask: Ask,
  { receipts, schemas }: Pick<PostgresSettings, 'receipts' | 'schemas'>,
): Promise<RoleFacts> {
  const [row] = await ask(ROLE, [Object.keys(EXPECTED), receipts]);
  // The shape of `ROLE` below.
  const facts = row?.[0] as Texts<RoleFacts, 'version' | 'deadlockMs'>;
  return {
    ...facts,
    version: Number(facts.version),
    deadlockMs: Number(facts.deadlockMs),
    governed: schemas,
    poisoned: facts.poisoned.filter((each) => EXPECTED[each.name]?.includes(each.found) === false),
  };
}

/** What comes as texts, since a database may have a cast of its own from text to a number. */
export type Texts<Facts, Names extends keyof Facts> = Omit<Facts, Names> &
  Readonly<Record<Names, string>>;

const ROLE = `
WITH me AS (
  SELECT r.*, d.oid AS database, coalesce(d.datacl, acldefault('d', d.datdba)) AS acl
  FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()
), tables AS (
  SELECT c.oid, s.nspname AS schema, c.relname AS name, c.relacl
  FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace, me
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND s.nspname !~ '^pg_'
    AND s.nspname <> 'information_schema' AND c.relowner <> me.oid
), held AS (
  SELECT t.schema, t.name, a.grantee = 0 AS everybody, a.privilege_type AS right
  FROM tables t, me, aclexplode(t.relacl) a WHERE a.grantee IN (0, me.oid)
  UNION
  SELECT t.schema, t.name, a.grantee = 0, a.privilege_type
  FROM tables t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attacl IS NOT NULL, me,
    aclexplode(c.attacl) a WHERE a.grantee IN (0, me.oid)
)
SELECT json_build_object(
  'role', me.rolname, 'login', session_user, 'database', current_database(),
  'version', current_setting('server_version_num'),
  'deadlockMs', (SELECT setting FROM pg_settings WHERE name = 'deadlock_timeout'),
  'isBootstrap', me.oid = 10, 'isSuperuser', me.rolsuper, 'createsRoles', me.rolcreaterole,
  'createsDatabases', me.rolcreatedb, 'replicates', me.rolreplication,
  'bypassesRowSecurity', me.rolbypassrls,
  'memberOf', coalesce((SELECT json_agg(g.rolname ORDER BY g.rolname) FROM pg_auth_members m
    JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = me.oid), '[]'),
  'owns', coalesce((SELECT json_agg(json_build_array(o.name, o.receipts)) FROM (
    SELECT coalesce(pg_describe_object(d.classid, d.objid, d.objsubid), 'an object') AS name,
      EXISTS (SELECT FROM pg_namespace s LEFT JOIN pg_class c ON c.relnamespace = s.oid
        WHERE s.nspname = $2::text AND (d.classid = 'pg_namespace'::regclass AND d.objid = s.oid
          OR d.classid = 'pg_class'::regclass AND d.objid = c.oid)) AS receipts
    FROM pg_shdepend d WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = me.oid
      AND d.deptype = 'o' AND d.dbid IN (0, me.database) ORDER BY 1 LIMIT 20) o), '[]'),
  'creates', coalesce((SELECT json_agg(DISTINCT jsonb_build_array(s.nspname, a.grantee = 0))
    FROM pg_namespace s, aclexplode(s.nspacl) a WHERE a.grantee IN (0, me.oid)
      AND a.privilege_type = 'CREATE' AND s.nspowner <> me.oid AND s.nspname !~ '^pg_'), '[]'),
  'createsInDatabase', coalesce((SELECT json_agg(DISTINCT a.grantee = 0) FROM aclexplode(me.acl) a
    WHERE a.grantee IN (0, me.oid) AND a.privilege_type = 'CREATE'), '[]'),
  'makesTemporary', coalesce((SELECT json_agg(DISTINCT a.grantee = 0) FROM aclexplode(me.acl) a
    WHERE a.grantee IN (0, me.oid) AND a.privilege_type = 'TEMPORARY'), '[]'),
  'tableRights', coalesce((SELECT json_agg(json_build_object(
      'schema', h.schema, 'table', h.name, 'rights', h.rights, 'byPublic', h.everybody))
    FROM (SELECT schema, name, everybody, json_agg(DISTINCT "right") AS rights FROM held
          WHERE "right" <> 'SELECT' GROUP BY 1, 2, 3 ORDER BY 1, 2) h), '[]'),
  'poisoned', coalesce((SELECT json_agg(json_build_object(
      'name', n.name, 'found', n.setting, 'source', n.source)) FROM pg_settings n
    WHERE n.name = ANY ($1::text[])), '[]'))
FROM me`;
