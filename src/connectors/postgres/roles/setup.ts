/**
 * Makes the roles of a target, or says in SQL how a DBA makes them. One transaction: a crash or a
 * Ctrl-C leaves all of it or nothing, and to run it again mends what is missing and changes no more.
 */
import pg from 'pg';
import type { Secret } from '../../../lib/secret.ts';
import { Problem } from '../../../model/problem.ts';
import type { Ask } from '../session/ask.ts';
import { readReach, type Governed, type Reach } from './reach.ts';
import { receiptsSql } from '../session/receipts-sql.ts';
import type { RoleKind, Texts } from './role-facts.ts';
import { grantSql, roleSql, type RoleNames, type RolePresent } from './roles.ts';

export interface SetupWish {
  readonly names: RoleNames;
  readonly governed: Governed;
  readonly receipts: string | null;
  readonly hasUndo: boolean;
  /** Lets the writer have the server note which functions ran. */
  readonly hasTrackFunctions: boolean;
  /** Takes from everybody what the roles should not have by being somebody. */
  readonly isPublicRevoked: boolean;
}

/** What there is before anything is made. */
export interface Ground {
  readonly database: string;
  readonly version: number;
  /** Who connects. */
  readonly admin: AdminFacts;
  readonly roles: Readonly<Partial<Record<RoleKind, RolePresent>>>;
  readonly reach: Reach;
  readonly openSchemas: ReadonlySet<string>;
  /** Schemas in which everybody may make objects. */
  readonly createSchemas: readonly string[];
  readonly temporaryByPublic: boolean;
  readonly hasReceiptSchema: boolean;
}

interface AdminFacts {
  readonly name: string;
  readonly isSuperuser: boolean;
  readonly createsRoles: boolean;
  readonly bypassesRowSecurity: boolean;
  readonly createsSchemas: boolean;
  readonly grantsReplication: boolean;
  readonly grantsTracking: boolean;
}

export interface SetupPlan {
  /** Run in this order, in one transaction. */
  readonly statements: readonly string[];
  /** Of use, and not ours to change on somebody's database. */
  readonly optional: readonly string[];
  /** What the admin cannot grant, and what is lost by it. */
  readonly lost: readonly string[];
  readonly kinds: readonly RoleKind[];
}

/** Reads what a set-up stands on; changes nothing. */
export async function readGround(ask: Ask, wish: SetupWish): Promise<Ground> {
  const kinds: readonly RoleKind[] = ['writer', 'reader', 'evidence', 'undo'];
  const [row] = await ask(GROUND, [kinds.map((kind) => wish.names[kind]), wish.receipts]);
  // The shape of `GROUND` below.
  const texts = row?.[0] as Texts<GroundAnswer, 'version'>;
  const found = { ...texts, version: Number(texts.version) };
  if (found.version < 150_000) {
    throw new Problem(
      'target-misconfigured',
      `the server is PostgreSQL ${Math.floor(found.version / 10_000)}; expected 15 or newer`,
    );
  }
  const present = kinds.flatMap((kind) => {
    const role = found.roles.find(({ name }) => name === wish.names[kind]);
    return role === undefined ? [] : [[kind, role] as const];
  });
  return {
    ...found,
    roles: Object.fromEntries(present),
    openSchemas: new Set(found.openSchemas),
    reach: await readReach(ask, wish.governed),
  };
}

/** Composes the statements; `passwords` has one for each role that is made or gets a new one. */
export function planSetup(
  wish: SetupWish,
  ground: Ground,
  passwords: Readonly<Partial<Record<RoleKind, Secret>>>,
): SetupPlan {
  const { admin, reach } = ground;
  const hasRowSecurity = reach.tables.some(({ rowSecurity }) => rowSecurity !== 'off');
  const grantsBypass =
    admin.isSuperuser ||
    (ground.version >= 160_000 && admin.createsRoles && admin.bypassesRowSecurity);
  const kinds: readonly RoleKind[] = [
    'writer',
    'reader',
    'evidence',
    ...(wish.hasUndo ? (['undo'] as const) : []),
  ];
  const roles = kinds.flatMap((kind) => {
    const present = ground.roles[kind];
    const bypasses =
      kind === 'evidence' &&
      (present?.bypassesRowSecurity === true || (hasRowSecurity && grantsBypass));
    return roleSql({
      kind,
      name: wish.names[kind],
      present,
      password: passwords[kind] ?? null,
      bypassesRowSecurity: bypasses,
    });
  });
  const receipts = wish.receipts === null ? [] : receiptStatements(wish.receipts, ground);
  const needsBypass =
    hasRowSecurity && !grantsBypass && ground.roles.evidence?.bypassesRowSecurity !== true;
  return {
    kinds,
    statements: [
      ...roles,
      ...receipts,
      ...grantSql({ ...wish, reach, openSchemas: ground.openSchemas }),
      ...structureRevokes(wish, ground),
      ...parameterGrants(wish, ground),
      ...(wish.isPublicRevoked ? publicRevokes(ground) : []),
    ],
    optional: wish.isPublicRevoked ? [] : publicRevokes(ground),
    lost: [
      ...(needsBypass ? [BYPASS_LOST(wish)] : []),
      ...lostParameters(wish, ground),
      ...lostLinks(wish, ground),
    ],
  };
}

/** Carries the plan out in one transaction; errors of the server pass through, and nothing is left. */
export async function carryOutSetup(ask: Ask, plan: SetupPlan): Promise<void> {
  await ask('BEGIN');
  try {
    await ask("SET LOCAL lock_timeout = '3s'");
    for (const statement of plan.statements) await ask(statement);
    await ask('COMMIT');
  } catch (error) {
    await ask('ROLLBACK').catch(() => []);
    throw error;
  }
}

function receiptStatements(schema: string, ground: Ground): readonly string[] {
  const [schemaSql, tableSql] = receiptsSql(schema);
  if (ground.hasReceiptSchema) {
    const table = `${pg.escapeIdentifier(schema)}.receipts`;
    // A table of an earlier version lacks it.
    return [tableSql, `ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS evidence text`];
  }
  if (ground.admin.createsSchemas) return [schemaSql, tableSql];
  throw new Problem(
    'target-misconfigured',
    `\`${ground.admin.name}\` may not make the schema \`${schema}\` for the receipts; ` +
      'connect as the owner of the database, have that owner make the schema for ' +
      `\`${ground.admin.name}\`, or go without with \`--no-receipts\``,
  );
}

/** A role that was here before may hold more than it should on the tables that it gets. */
function structureRevokes(wish: SetupWish, ground: Ground): readonly string[] {
  const tables = ground.reach.tables.filter(({ kind }) => kind !== 'f').map(({ sql }) => sql);
  if (tables.length === 0) return [];
  return (['writer', 'reader', 'evidence', 'undo'] as const).flatMap((kind) => {
    if (ground.roles[kind] === undefined || (kind === 'undo' && !wish.hasUndo)) return [];
    const reads = kind === 'reader' || kind === 'evidence';
    const rights = `TRUNCATE, REFERENCES, TRIGGER${reads ? ', INSERT, UPDATE, DELETE' : ''}`;
    return [
      `REVOKE ${rights} ON ${tables.join(', ')} FROM ${pg.escapeIdentifier(wish.names[kind])}`,
    ];
  });
}

function parameterGrants(wish: SetupWish, { admin }: Ground): readonly string[] {
  const undo = pg.escapeIdentifier(wish.names.undo);
  const writer = pg.escapeIdentifier(wish.names.writer);
  return [
    ...(wish.hasUndo && admin.grantsReplication
      ? [`GRANT SET ON PARAMETER session_replication_role TO ${undo}`]
      : []),
    ...(wish.hasTrackFunctions && admin.grantsTracking
      ? [`GRANT SET ON PARAMETER track_functions TO ${writer}`]
      : []),
  ];
}

const BYPASS_LOST = ({ names }: SetupWish): string =>
  'row security hides rows from the evidence, and only a superuser (or, from 16 on, a role with ' +
  'BYPASSRLS) may grant the way past it: a write that changes hidden rows is counted, not shown, ' +
  `and needs a person; a superuser runs: ALTER ROLE ${pg.escapeIdentifier(names.evidence)} BYPASSRLS`;

function lostParameters(wish: SetupWish, { admin }: Ground): readonly string[] {
  const lost: string[] = [];
  if (wish.hasUndo && !admin.grantsReplication) {
    lost.push(
      'only a superuser may let the undo role turn triggers off: what triggers own is taken back as ' +
        'far as they allow; a superuser runs: GRANT SET ON PARAMETER session_replication_role TO ' +
        pg.escapeIdentifier(wish.names.undo),
    );
  }
  if (wish.hasTrackFunctions && !admin.grantsTracking) {
    lost.push(
      'only a superuser may let the writer note which functions ran: a change by a trigger is shown ' +
        'without the function that made it; a superuser runs: GRANT SET ON PARAMETER ' +
        `track_functions TO ${pg.escapeIdentifier(wish.names.writer)}`,
    );
  }
  return lost;
}

function lostLinks(wish: SetupWish, { reach }: Ground): readonly string[] {
  const closed = reach.linked.filter(({ isGrantable }) => !isGrantable);
  if (!wish.hasUndo || closed.length === 0) return [];
  const list = closed.map(({ sql }) => sql).join(', ');
  return [
    'only the owners of tables that foreign keys lead to may let the undo role read them: what hangs ' +
      'on them is taken back with triggers on; an owner runs: ' +
      `GRANT SELECT ON ${list} TO ${pg.escapeIdentifier(wish.names.undo)}`,
  ];
}

function publicRevokes(ground: Ground): readonly string[] {
  const schemas = ground.createSchemas.map(
    (schema) => `REVOKE CREATE ON SCHEMA ${pg.escapeIdentifier(schema)} FROM PUBLIC`,
  );
  const temporary = ground.temporaryByPublic
    ? [`REVOKE TEMPORARY ON DATABASE ${pg.escapeIdentifier(ground.database)} FROM PUBLIC`]
    : [];
  return [...schemas, ...temporary];
}

interface GroundAnswer extends Omit<Ground, 'roles' | 'reach' | 'openSchemas'> {
  readonly roles: readonly (RolePresent & { readonly name: string })[];
  readonly openSchemas: readonly string[];
}

const GROUND = `
SELECT json_build_object(
  'database', current_database(), 'version', current_setting('server_version_num'),
  'admin', json_build_object(
    'name', r.rolname, 'isSuperuser', r.rolsuper, 'createsRoles', r.rolcreaterole,
    'bypassesRowSecurity', r.rolbypassrls,
    'createsSchemas', has_database_privilege(current_database(), 'CREATE'),
    'grantsReplication', r.rolsuper OR has_parameter_privilege('session_replication_role', 'SET WITH GRANT OPTION'),
    'grantsTracking', r.rolsuper OR has_parameter_privilege('track_functions', 'SET WITH GRANT OPTION')),
  'roles', coalesce((SELECT json_agg(json_build_object('name', o.rolname, 'isSuperuser', o.rolsuper,
      'createsRoles', o.rolcreaterole, 'createsDatabases', o.rolcreatedb, 'replicates', o.rolreplication,
      'bypassesRowSecurity', o.rolbypassrls, 'canLogin', o.rolcanlogin))
    FROM pg_roles o WHERE o.rolname = ANY ($1::text[])), '[]'),
  'openSchemas', coalesce((SELECT json_agg(s.nspname) FROM pg_namespace s
    WHERE has_schema_privilege('public', s.oid, 'USAGE')), '[]'),
  'createSchemas', coalesce((SELECT json_agg(s.nspname ORDER BY s.nspname) FROM pg_namespace s
    WHERE s.nspname !~ '^pg_' AND has_schema_privilege('public', s.oid, 'CREATE')), '[]'),
  'temporaryByPublic', has_database_privilege('public', current_database(), 'TEMPORARY'),
  'hasReceiptSchema', EXISTS (SELECT FROM pg_namespace WHERE nspname = $2::text))
FROM pg_roles r WHERE r.rolname = current_user`;
