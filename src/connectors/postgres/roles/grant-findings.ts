/** Rights that a role lacks for its part, and rights that reach further than the settings. */
import pg from 'pg';
import type { Ask } from '../session/ask.ts';
import { settingsFix, sqlFix, type Finding } from './finding.ts';
import { governedNames, type Reach, type TableFacts } from './reach.ts';
import type { RoleFacts, RoleKind } from './role-facts.ts';
import { listed } from './role-findings.ts';
import { rulesOf, type PostgresSettings } from '../settings.ts';

interface Judged {
  readonly roles: Readonly<Partial<Record<RoleKind, RoleFacts>>>;
  readonly reach: Reach;
  readonly settings: PostgresSettings;
}

type Kind = 'table' | 'schema' | 'sequence' | 'parameter';

interface Want {
  readonly role: string;
  readonly kind: Kind;
  /** Quoted for SQL where it is the name of an object. */
  readonly object: string;
  readonly right: string;
  /** What is lost without it. */
  readonly loses: string;
}

/** Compares what every role should be able to do with what it may: one round trip. */
export async function grantFindings(ask: Ask, judged: Judged): Promise<readonly Finding[]> {
  const wants = wantsOf(judged);
  const rows = await ask(MISSING, [
    wants.map((want) => want.role),
    wants.map((want) => want.kind),
    wants.map((want) => want.object),
    wants.map((want) => want.right),
  ]);
  const missing = rows.flatMap(([place]) => wants[Number(place) - 1] ?? []);
  return [
    ...missingTables(judged),
    ...missingFindings(missing),
    ...rowSecurityFindings(judged),
    ...elsewhere(judged),
    ...(await receiptFindings(ask, judged.settings)),
  ];
}

function wantsOf(judged: Judged): readonly Want[] {
  const { roles, reach, settings } = judged;
  const { writer, reader, evidence, undo } = roles;
  const governed = reach.tables.filter((table) => table.isGoverned && table.kind !== 'f');
  const reached = reach.tables.filter((table) => table.kind !== 'f');
  const wants: Want[] = [];
  const want = (
    facts: RoleFacts | undefined,
    tables: readonly TableFacts[],
    rights: (table: TableFacts) => readonly string[],
    loses: string,
  ): void => {
    if (facts === undefined) return;
    for (const object of new Set(tables.map(({ schema }) => pg.escapeIdentifier(schema)))) {
      wants.push({ role: facts.role, kind: 'schema', object, right: 'USAGE', loses });
    }
    for (const table of tables) {
      for (const right of rights(table)) {
        wants.push({ role: facts.role, kind: 'table', object: table.sql, right, loses });
      }
    }
  };
  const select = (): readonly string[] => ['SELECT'];
  want(writer, governed, (table) => writesOf(table, settings), 'writes to them are refused');
  const beyond = reached.filter((table) => !table.isGoverned);
  want(writer, beyond, select, 'what triggers and cascades change there is counted, not shown');
  want(reader, governed, select, 'agents cannot read them');
  want(evidence, reached, select, 'their rows are counted, not shown, and not taken back');
  want(
    undo,
    governed,
    () => ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    'nothing is taken back there',
  );
  wants.push(...linkedWants(judged), ...viewWants(judged));
  want(
    writer,
    reached.filter(({ resource }) => reach.triggerWrites.has(resource)),
    ({ resource }) => [...(reach.triggerWrites.get(resource) ?? [])],
    "a trigger writes there with the writer's own rights, so the write is refused",
  );
  wants.push(...sequenceWants(judged));
  if (undo !== undefined) {
    wants.push({
      role: undo.role,
      kind: 'parameter',
      object: 'session_replication_role',
      right: 'SET',
      loses: 'what triggers own is only taken back as far as they allow',
    });
  }
  return wants;
}

/** With triggers off the foreign keys are checked by who takes back. */
function linkedWants({ roles: { undo }, reach }: Judged): readonly Want[] {
  if (undo === undefined) return [];
  const loses = 'rows with foreign keys to or from them are taken back with triggers on';
  const wants = reach.linked.flatMap(({ schema, sql }): Want[] => [
    { role: undo.role, kind: 'schema', object: pg.escapeIdentifier(schema), right: 'USAGE', loses },
    { role: undo.role, kind: 'table', object: sql, right: 'SELECT', loses },
  ]);
  return grouped(wants, (want) => [want.kind, want.object]).flatMap(([first]) => first ?? []);
}

/** Of governed tables, and of those that a trigger inserts into with the writer's own rights. */
function sequenceWants({ roles: { writer }, reach }: Judged): readonly Want[] {
  if (writer === undefined) return [];
  const loses = 'rows cannot be inserted without a value for its column';
  const sequences = reach.tables.flatMap(({ resource, kind, isGoverned, sequences: own }) =>
    kind !== 'f' && (isGoverned || reach.triggerWrites.get(resource)?.has('INSERT')) ? own : [],
  );
  return [...new Set(sequences)].map((object) => {
    return { role: writer.role, kind: 'sequence', object, right: 'USAGE', loses };
  });
}

/** A write through a view takes rights on the view; below it those of the view's owner count. */
function viewWants({ roles: { writer }, reach, settings }: Judged): readonly Want[] {
  if (writer === undefined) return [];
  return [...reach.views].flatMap(([resource, { sql, verbs }]) => {
    const rules = rulesOf(settings, resource);
    const isOpen = { INSERT: rules?.insert, UPDATE: rules?.update, DELETE: rules?.delete };
    return verbs
      .filter((verb) => isOpen[verb] !== undefined && isOpen[verb] !== false)
      .map((right) => ({
        role: writer.role,
        kind: 'table' as const,
        object: sql,
        right,
        loses: 'writes through them are refused',
      }));
  });
}

/** An insert is taken back by a delete, so that right goes with it. */
function writesOf(table: TableFacts, settings: PostgresSettings): readonly string[] {
  const rules = rulesOf(settings, table.resource) ?? {
    insert: true,
    update: true,
    delete: true,
  };
  return [
    'SELECT',
    ...(rules.insert === false && !rules.delete ? [] : ['INSERT', 'DELETE']),
    ...(rules.update === false ? [] : ['UPDATE']),
  ];
}

const ON: Readonly<Record<Kind, string>> = {
  table: '',
  schema: 'SCHEMA ',
  sequence: 'SEQUENCE ',
  parameter: 'PARAMETER ',
};

/** One finding for each role, set of rights and loss, so that a database without grants fits a screen. */
function missingFindings(missing: readonly Want[]): readonly Finding[] {
  const byObject = grouped(missing, (want) => [want.role, want.kind, want.loses, want.object]);
  const rightsOf = (wants: readonly Want[]): string => wants.map(({ right }) => right).join(', ');
  const groups = grouped(byObject, (wants) => [
    wants[0]?.role ?? '',
    wants[0]?.kind ?? '',
    wants[0]?.loses ?? '',
    rightsOf(wants),
  ]);
  return groups.flatMap((group): readonly Finding[] => {
    const first = group[0]?.[0];
    if (first === undefined) return [];
    const rights = rightsOf(group[0] ?? []);
    const objects = group.flatMap((wants) => wants[0]?.object ?? []);
    const names = listed(objects.map((each) => each.replaceAll('"', '')));
    const role = pg.escapeIdentifier(first.role);
    return [
      {
        code: 'missing-grant',
        severity: 'note',
        role: first.role,
        object: objects[0] ?? null,
        message: `\`${first.role}\` lacks ${rights} on ${names}: ${first.loses}`,
        fix: sqlFix(`GRANT ${rights} ON ${ON[first.kind]}${objects.join(', ')} TO ${role}`),
      },
    ];
  });
}

function grouped<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => readonly string[],
): readonly (readonly Item[])[] {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item).join('\n');
    groups.set(key, [...(groups.get(key) ?? []), item]);
  }
  return [...groups.values()];
}

function missingTables({ reach, settings }: Judged): readonly Finding[] {
  const known = new Set(reach.tables.map(({ resource }) => resource));
  return (governedNames(settings) ?? [])
    .filter((name) => !known.has(name) && !reach.views.has(name))
    .map((name) => ({
      code: 'missing-table',
      severity: 'note',
      role: null,
      object: name,
      message: `\`tables\` names \`${name}\`, which is not there, or which the writer cannot see`,
      fix: settingsFix(`correct \`${name}\` in \`tables\``),
    }));
}

function rowSecurityFindings({ roles, reach }: Judged): readonly Finding[] {
  const tables = reach.tables.filter(({ rowSecurity }) => rowSecurity !== 'off');
  if (tables.length === 0 || roles.writer?.isSuperuser === true) return [];
  const { evidence } = roles;
  if (evidence?.bypassesRowSecurity === true || evidence?.isSuperuser === true) return [];
  const names = listed(tables.map(({ resource }) => resource));
  return [
    {
      code: 'missing-grant',
      severity: 'note',
      role: evidence?.role ?? null,
      object: 'BYPASSRLS',
      message: `row security hides rows of ${names} from the evidence: a write that changes hidden rows is counted, not shown, and needs a person`,
      fix:
        evidence === undefined
          ? settingsFix('make an evidence role with `writegate add postgres`')
          : sqlFix(`ALTER ROLE ${pg.escapeIdentifier(evidence.role)} BYPASSRLS`),
    },
  ];
}

/** Rights to write that nothing governed leads to: agents cannot name those tables, but less is better. */
function elsewhere({ roles, reach, settings }: Judged): readonly Finding[] {
  const { writer } = roles;
  if (writer === undefined || writer.isSuperuser) return [];
  const known = new Set([...reach.tables.map(({ resource }) => resource), ...reach.views.keys()]);
  const tables = writer.tableRights.filter(
    ({ schema, table, rights, byPublic }) =>
      !byPublic &&
      schema !== settings.receipts &&
      !known.has(`${schema}.${table}`) &&
      rights.some((right) => /^(?:INSERT|UPDATE|DELETE)$/.test(right)),
  );
  if (tables.length === 0) return [];
  const sql = tables.map(
    ({ schema, table }) => `${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(table)}`,
  );
  return [
    {
      code: 'writes-elsewhere',
      severity: 'note',
      role: writer.role,
      object: `${tables[0]?.schema}.${tables[0]?.table}`,
      message: `the writer \`${writer.role}\` may write to ${listed(tables.map((each) => `${each.schema}.${each.table}`))}, which is not governed`,
      fix: sqlFix(
        `REVOKE INSERT, UPDATE, DELETE ON ${sql.join(', ')} FROM ${pg.escapeIdentifier(writer.role)}`,
      ),
    },
  ];
}

/** An unlogged table is empty after a crash of the server, and then every receipt is gone. */
async function receiptFindings(ask: Ask, settings: PostgresSettings): Promise<readonly Finding[]> {
  if (settings.receipts === null) return [];
  const [row] = await ask(
    `SELECT c.relpersistence = 'u' FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
     WHERE s.nspname = $1 AND c.relname = 'receipts'`,
    [settings.receipts],
  );
  if (row?.[0] !== true) return [];
  const table = `${pg.escapeIdentifier(settings.receipts)}.receipts`;
  return [
    {
      code: 'unlogged-receipts',
      severity: 'refuse',
      role: null,
      object: `${settings.receipts}.receipts`,
      message: `the receipt table \`${settings.receipts}.receipts\` is unlogged: a crash of the server empties it, and a write could then be applied twice`,
      fix: sqlFix(`ALTER TABLE ${table} SET LOGGED`),
    },
  ];
}

const MISSING = `
SELECT place FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
  WITH ORDINALITY AS w(role, kind, object, wanted, place)
WHERE NOT CASE kind
  WHEN 'table' THEN has_table_privilege(role, object, wanted)
  WHEN 'schema' THEN has_schema_privilege(role, replace(trim(BOTH '"' FROM object), '""', '"'), wanted)
  WHEN 'sequence' THEN has_sequence_privilege(role, object, wanted)
  ELSE has_parameter_privilege(role, object, wanted) END
ORDER BY place`;
