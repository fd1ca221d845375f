/** What is wrong with one role by itself: attributes, ownership, rights that no write needs. */
import pg from 'pg';
import { quoted } from '../session/ask.ts';
import { settingsFix, sqlFix, type Finding, type FindingCode, type Fix } from './finding.ts';
import { EXPECTED, type RoleFacts, type RoleKind } from './role-facts.ts';

/** Judges one role. Of a superuser nothing more is said: nothing binds it. */
export function findingsOfRole(kind: RoleKind, facts: RoleFacts): readonly Finding[] {
  if (facts.isSuperuser) return [superuser(kind, facts)];
  return [
    ...attributes(kind, facts),
    ...memberships(kind, facts),
    ...creations(kind, facts),
    ...rights(kind, facts),
    ...poisonings(kind, facts),
  ];
}

const role = (facts: RoleFacts): string => pg.escapeIdentifier(facts.role);

function found(
  code: FindingCode,
  facts: RoleFacts,
  about: {
    readonly message: string;
    readonly fix: Fix;
    readonly object?: string;
    readonly severity?: Finding['severity'];
  },
): Finding {
  return {
    code,
    severity: about.severity ?? 'refuse',
    role: facts.role,
    object: about.object ?? null,
    message: about.message,
    fix: about.fix,
  };
}

function superuser(kind: RoleKind, facts: RoleFacts): Finding {
  return found('role-superuser', facts, {
    message: `the ${kind} \`${facts.role}\` is a superuser: no right, no row security and no grant binds it`,
    fix: facts.isBootstrap
      ? settingsFix('make roles of its own for the target with `writegate add postgres`')
      : sqlFix(`ALTER ROLE ${role(facts)} NOSUPERUSER`),
  });
}

function attributes(kind: RoleKind, facts: RoleFacts): readonly Finding[] {
  const attribute = (code: FindingCode, has: boolean, word: string, so: string): Finding[] =>
    has
      ? [
          found(code, facts, {
            message: `the ${kind} \`${facts.role}\` has ${word}: ${so}`,
            fix: sqlFix(`ALTER ROLE ${role(facts)} NO${word}`),
          }),
        ]
      : [];
  return [
    ...attribute(
      'role-createrole',
      facts.createsRoles,
      'CREATEROLE',
      'it could make itself rights',
    ),
    ...attribute('role-createdb', facts.createsDatabases, 'CREATEDB', 'it could own a database'),
    ...attribute(
      'role-replication',
      facts.replicates,
      'REPLICATION',
      'it could read the whole server past every right',
    ),
    ...attribute(
      'role-bypassrls',
      facts.bypassesRowSecurity && kind !== 'evidence',
      'BYPASSRLS',
      'row security does not bind it',
    ),
  ];
}

function memberships(kind: RoleKind, facts: RoleFacts): readonly Finding[] {
  const groups = facts.memberOf.filter(
    (group) => !(group === 'pg_read_all_data' && (kind === 'reader' || kind === 'evidence')),
  );
  const members = groups.map((group) =>
    found('role-member', facts, {
      object: group,
      message: `the ${kind} \`${facts.role}\` is a member of \`${group}\` and has all of its rights`,
      fix: sqlFix(`REVOKE ${pg.escapeIdentifier(group)} FROM ${role(facts)}`),
    }),
  );
  // An earlier version made its receipt table itself: that is all it can lose by owning it.
  return [
    ...members,
    ...ownership(kind, facts, false, 'refuse'),
    ...ownership(kind, facts, true, 'note'),
  ];
}

function ownership(
  kind: RoleKind,
  facts: RoleFacts,
  isReceipts: boolean,
  severity: Finding['severity'],
): readonly Finding[] {
  const owns = facts.owns.filter((each) => each[1] === isReceipts).map(([object]) => object);
  if (owns.length === 0) return [];
  const some = owns.slice(0, 3).join(', ');
  return [
    found('role-owns', facts, {
      severity,
      object: owns[0] ?? '',
      message: `the ${kind} \`${facts.role}\` owns ${some}${owns.length > 3 ? ' and more' : ''}: an owner may change and drop what it owns, whatever it is granted`,
      fix: sqlFix(`REASSIGN OWNED BY ${role(facts)} TO CURRENT_USER`),
    }),
  ];
}

function creations(kind: RoleKind, facts: RoleFacts): readonly Finding[] {
  const database = pg.escapeIdentifier(facts.database);
  const from = (byPublic: boolean): string => (byPublic ? 'PUBLIC' : role(facts));
  const everybody = (byPublic: boolean): string => (byPublic ? ', as everybody may,' : '');
  // What everybody may is for the owner of the database to say: applications may need it, and an agent
  // has no statement that makes anything.
  const severity = (isBounded: boolean): Finding['severity'] => (isBounded ? 'note' : 'refuse');
  const schemas = facts.creates.map(([schema, byPublic]) =>
    found('role-create', facts, {
      object: schema,
      // Names are looked up in the governed schemas alone.
      severity: severity(byPublic || !facts.governed.includes(schema)),
      message: `the ${kind} \`${facts.role}\`${everybody(byPublic)} may make objects in the schema \`${schema}\`, such as a function that another statement then calls`,
      fix: sqlFix(`REVOKE CREATE ON SCHEMA ${pg.escapeIdentifier(schema)} FROM ${from(byPublic)}`),
    }),
  );
  const inDatabase = facts.createsInDatabase.map((byPublic) =>
    found('role-create', facts, {
      object: facts.database,
      severity: severity(byPublic),
      message: `the ${kind} \`${facts.role}\`${everybody(byPublic)} may make schemas in the database`,
      fix: sqlFix(`REVOKE CREATE ON DATABASE ${database} FROM ${from(byPublic)}`),
    }),
  );
  const temporary = facts.makesTemporary.map((byPublic) =>
    found('role-temp', facts, {
      object: facts.database,
      severity: severity(byPublic),
      message: `the ${kind} \`${facts.role}\`${everybody(byPublic)} may make temporary tables, which a trigger could take for yours`,
      fix: sqlFix(`REVOKE TEMPORARY ON DATABASE ${database} FROM ${from(byPublic)}`),
    }),
  );
  return [...schemas, ...inDatabase, ...temporary];
}

const STRUCTURE = ['TRUNCATE', 'REFERENCES', 'TRIGGER', 'MAINTAIN'];
const WRITES = ['INSERT', 'UPDATE', 'DELETE'];
const TABLES_TOLD_MAX = 5;

/** Rights of structure on any table; for roles that only read, rights to write as well. */
function rights(kind: RoleKind, facts: RoleFacts): readonly Finding[] {
  const isReading = kind === 'reader' || kind === 'evidence';
  return [
    ...rightsAmong('role-truncate', STRUCTURE, kind, facts),
    ...(isReading ? rightsAmong('reader-writes', WRITES, kind, facts) : []),
  ];
}

function rightsAmong(
  code: FindingCode,
  wanted: readonly string[],
  kind: RoleKind,
  facts: RoleFacts,
): readonly Finding[] {
  const groups = [
    { byPublic: false, isGoverned: true },
    { byPublic: false, isGoverned: false },
    { byPublic: true, isGoverned: true },
    { byPublic: true, isGoverned: false },
  ];
  return groups.flatMap(({ byPublic, isGoverned }) => {
    const tables = facts.tableRights.filter(
      (each) =>
        each.byPublic === byPublic &&
        facts.governed.includes(each.schema) === isGoverned &&
        each.rights.some((right) => wanted.includes(right)),
    );
    if (tables.length === 0) return [];
    const held = wanted.filter((right) => tables.some((each) => each.rights.includes(right)));
    const names = tables.map((each) => `${each.schema}.${each.table}`);
    const list = tables.map((each) => quoted(each.schema, each.table)).join(', ');
    return [
      found(code, facts, {
        object: names[0] ?? '',
        severity: byPublic || !isGoverned ? 'note' : 'refuse',
        message: `the ${kind} \`${facts.role}\`${byPublic ? ', as everybody,' : ''} has ${held.join(', ')} on ${listed(names)}, which it never needs`,
        fix: sqlFix(
          `REVOKE ${held.join(', ')} ON ${list} FROM ${byPublic ? 'PUBLIC' : role(facts)}`,
        ),
      }),
    ];
  });
}

/** Names some and counts the rest. */
export function listed(names: readonly string[]): string {
  const told = names.slice(0, TABLES_TOLD_MAX).map((name) => `\`${name}\``);
  const more = names.length - told.length;
  return more > 0 ? `${told.join(', ')} and ${more} more` : told.join(', ');
}

function poisonings(kind: RoleKind, facts: RoleFacts): readonly Finding[] {
  const poisoned = facts.poisoned.map(({ name, found: value, source }) =>
    found('settings-poisoned', facts, {
      object: name,
      message: `a session of the ${kind} \`${facts.role}\` begins with \`${name}\` = \`${value}\`; expected \`${EXPECTED[name]?.[0]}\``,
      fix: resetFix(name, source, facts),
    }),
  );
  if (facts.login === facts.role) return poisoned;
  const login = pg.escapeIdentifier(facts.login);
  const switched = found('settings-poisoned', facts, {
    object: 'role',
    message: `a session of the ${kind} \`${facts.login}\` begins as \`${facts.role}\`, by its setting \`role\``,
    fix: sqlFix(`ALTER ROLE ${login} RESET role`),
  });
  return [...poisoned, switched];
}

function resetFix(name: string, source: string, facts: RoleFacts): Fix {
  const database = pg.escapeIdentifier(facts.database);
  switch (source) {
    case 'user':
      return sqlFix(`ALTER ROLE ${role(facts)} RESET ${name}`);
    case 'database user':
      return sqlFix(`ALTER ROLE ${role(facts)} IN DATABASE ${database} RESET ${name}`);
    case 'database':
      return sqlFix(`ALTER DATABASE ${database} RESET ${name}`);
    case 'global':
      return sqlFix(`ALTER ROLE ALL RESET ${name}`);
    case 'client':
      return settingsFix(`take \`${name}\` out of \`options\` of the URL`);
    default:
      return sqlFix(
        `ALTER ROLE ${role(facts)} SET ${name} = ${pg.escapeLiteral(EXPECTED[name]?.[0] ?? '')}`,
      );
  }
}
