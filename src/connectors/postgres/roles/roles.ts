/** The roles of a target: their names, their passwords, and the SQL that makes and mends them. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import pg from 'pg';
import type { Reach, TableFacts } from './reach.ts';
import type { RoleKind } from './role-facts.ts';
import { Secret } from '../../../lib/secret.ts';

/** Names of the roles that a target gets. */
export type RoleNames = Readonly<Record<RoleKind, string>>;

const NAME_MAX = 63;

/** `wg_writer_crm`: one set for each target, since a role's rights are for one purpose. */
export function roleNames(prefix: string, target: string): RoleNames {
  const own = target.toLowerCase().replaceAll(/[^a-z0-9_]/g, '_');
  const name = (kind: RoleKind): string => `${prefix}_${kind}_${own}`.slice(0, NAME_MAX);
  return {
    writer: name('writer'),
    reader: name('reader'),
    evidence: name('evidence'),
    undo: name('undo'),
  };
}

const PASSWORD_BYTES = 24;

/** A password of 192 random bits, safe in a URL. */
export function newPassword(): Secret {
  return new Secret(randomBytes(PASSWORD_BYTES).toString('base64url'));
}

const SCRAM_ITERATIONS = 4_096;
const SCRAM_SALT_BYTES = 16;

/**
 * What the server keeps in place of a password (RFC 5802, in PostgreSQL's form). The password itself
 * goes into no statement, so that it is in no log of the server and in no printed SQL.
 */
export function scramVerifier(
  password: Secret,
  salt: Buffer = randomBytes(SCRAM_SALT_BYTES),
): string {
  const salted = pbkdf2Sync(password.reveal(), salt, SCRAM_ITERATIONS, 32, 'sha256');
  const keyed = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(keyed('Client Key')).digest('base64');
  const server = keyed('Server Key').toString('base64');
  return `SCRAM-SHA-256$${SCRAM_ITERATIONS}:${salt.toString('base64')}$${stored}:${server}`;
}

/** What a role of the server has now. */
export interface RolePresent {
  readonly isSuperuser: boolean;
  readonly createsRoles: boolean;
  readonly createsDatabases: boolean;
  readonly replicates: boolean;
  readonly bypassesRowSecurity: boolean;
  readonly canLogin: boolean;
}

export interface RoleWish {
  readonly kind: RoleKind;
  readonly name: string;
  readonly present: RolePresent | undefined;
  /** Set where the role is made, or gets a new password. */
  readonly password: Secret | null;
  readonly bypassesRowSecurity: boolean;
}

/** Makes a role, or takes from one what it should not have. */
export function roleSql(wish: RoleWish): readonly string[] {
  const name = pg.escapeIdentifier(wish.name);
  const password =
    wish.password === null ? '' : ` PASSWORD ${pg.escapeLiteral(scramVerifier(wish.password))}`;
  const { present } = wish;
  if (present === undefined) {
    const bypass = wish.bypassesRowSecurity ? 'BYPASSRLS' : 'NOBYPASSRLS';
    return [
      `CREATE ROLE ${name} LOGIN${password} NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION ${bypass}`,
    ];
  }
  // Only what differs: naming an attribute at all takes a right that an owner may not have.
  const changes = [
    present.canLogin ? '' : 'LOGIN',
    present.isSuperuser ? 'NOSUPERUSER' : '',
    present.createsDatabases ? 'NOCREATEDB' : '',
    present.createsRoles ? 'NOCREATEROLE' : '',
    present.replicates ? 'NOREPLICATION' : '',
    present.bypassesRowSecurity === wish.bypassesRowSecurity
      ? ''
      : wish.bypassesRowSecurity
        ? 'BYPASSRLS'
        : 'NOBYPASSRLS',
  ].filter((change) => change !== '');
  const change = `${changes.join(' ')}${password}`.trim();
  return change === '' ? [] : [`ALTER ROLE ${name} ${change}`];
}

export interface GrantWish {
  readonly names: RoleNames;
  readonly hasUndo: boolean;
  readonly reach: Reach;
  /** Schema of the receipt table; null: none. */
  readonly receipts: string | null;
  /** Schemas that everybody may use already. */
  readonly openSchemas: ReadonlySet<string>;
}

/** What every role is granted; to run it again changes nothing, and covers tables that are new. */
export function grantSql(wish: GrantWish): readonly string[] {
  const { names, hasUndo, reach, receipts } = wish;
  const [writer, reader, evidence, undo] = [
    names.writer,
    names.reader,
    names.evidence,
    names.undo,
  ].map((name) => pg.escapeIdentifier(name));
  const reached = reach.tables.filter(({ kind }) => kind !== 'f');
  const governed = reached.filter(({ isGoverned }) => isGoverned);
  const beyond = reached.filter(({ isGoverned }) => !isGoverned);
  const all = [writer, reader, evidence, ...(hasUndo ? [undo] : [])].join(', ');
  const list = (tables: readonly TableFacts[]): string => tables.map(({ sql }) => sql).join(', ');
  const grant = (rights: string, on: string, to: string | undefined): readonly string[] =>
    on === '' ? [] : [`GRANT ${rights} ON ${on} TO ${to}`];
  const schemas = [...new Set(reached.map(({ schema }) => schema))]
    .filter((schema) => !wish.openSchemas.has(schema))
    .map((schema) => pg.escapeIdentifier(schema))
    .join(', ');
  // A trigger's INSERT takes from the sequences of its table, with the writer's own rights.
  const inserted = reached.filter(
    ({ resource, isGoverned }) => isGoverned || reach.triggerWrites.get(resource)?.has('INSERT'),
  );
  const sequences = [...new Set(inserted.flatMap((table) => table.sequences))].join(', ');
  const views = [...reach.views.values()].map(({ sql }) => sql).join(', ');
  const throughViews = [...reach.views.values()].flatMap(({ sql, verbs }) =>
    verbs.length === 0 ? [] : grant(verbs.join(', '), sql, writer),
  );
  const byTriggers = reached.flatMap(({ resource, sql }) => {
    const verbs = [...(reach.triggerWrites.get(resource) ?? [])].join(', ');
    return verbs === '' ? [] : grant(verbs, sql, writer);
  });
  const dml = 'SELECT, INSERT, UPDATE, DELETE';
  return [
    ...grant('USAGE', schemas === '' ? '' : `SCHEMA ${schemas}`, all),
    ...grant(dml, list(governed), writer),
    ...grant('SELECT', list(beyond), writer),
    ...byTriggers,
    ...grant('USAGE', sequences === '' ? '' : `SEQUENCE ${sequences}`, writer),
    ...grant('SELECT', [list(governed), views].filter((each) => each !== '').join(', '), reader),
    ...grant('SELECT', views, writer),
    ...throughViews,
    ...grant('SELECT', list(reached), evidence),
    // What a cascade or a trigger changed is taken back row by row, in whatever table it is.
    ...(hasUndo ? grant(dml, list(reached), undo) : []),
    // With triggers off the foreign keys are checked by who takes back.
    ...(hasUndo ? linkedGrants(wish, new Set(reached.map(({ schema }) => schema))) : []),
    ...(receipts === null ? [] : receiptGrants(receipts, [writer, ...(hasUndo ? [undo] : [])])),
  ];
}

function linkedGrants(wish: GrantWish, granted: ReadonlySet<string>): readonly string[] {
  const linked = wish.reach.linked.filter(({ isGrantable }) => isGrantable);
  if (linked.length === 0) return [];
  const undo = pg.escapeIdentifier(wish.names.undo);
  const schemas = [...new Set(linked.map(({ schema }) => schema))]
    .filter((schema) => !wish.openSchemas.has(schema) && !granted.has(schema))
    .map((schema) => pg.escapeIdentifier(schema));
  return [
    ...(schemas.length === 0 ? [] : [`GRANT USAGE ON SCHEMA ${schemas.join(', ')} TO ${undo}`]),
    `GRANT SELECT ON ${linked.map(({ sql }) => sql).join(', ')} TO ${undo}`,
  ];
}

function receiptGrants(
  receipts: string,
  roles: readonly (string | undefined)[],
): readonly string[] {
  const schema = pg.escapeIdentifier(receipts);
  return [
    `GRANT USAGE ON SCHEMA ${schema} TO ${roles.join(', ')}`,
    `GRANT SELECT, INSERT, UPDATE ON ${schema}.receipts TO ${roles.join(', ')}`,
  ];
}
