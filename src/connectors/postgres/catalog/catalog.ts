/** What the catalog says about the tables of one statement, in one round trip. */
import { strict as assert } from 'node:assert';
import pg from 'pg';
import { Refused } from '../../connector.ts';
import { FUNCTIONS } from '../text/allowed.ts';
import { DESCRIBE, LOOK } from './catalog-query.ts';
import { rulesOf, type PostgresSettings, type TableRules } from '../settings.ts';
import { checkAttributes } from '../text/ranges.ts';
import type { Statement } from '../text/statement.ts';
import type { RelationName } from '../text/tree.ts';
import { lookUp } from '../session/look-up.ts';
import type { Session } from '../session/session.ts';

export interface Column {
  readonly name: string;
  /** As `format_type` spells it: `numeric(12,2)`. */
  readonly type: string;
  readonly isGenerated: boolean;
  readonly isIdentity: boolean;
  /** The default's expression; null where there is none. */
  readonly fallback: string | null;
}

/** A trigger that somebody made and that is on. */
export interface Trigger {
  readonly name: string;
  /** The function that it calls, `schema.function`. */
  readonly call: string;
  readonly timing: 'before' | 'after' | 'instead';
  readonly isForEachRow: boolean;
  readonly isDeferrable: boolean;
}

export interface ForeignKey {
  readonly name: string;
  /** The table with the key, and the one it points to. */
  readonly from: number;
  readonly to: number;
  readonly fromResource: string;
  readonly toResource: string;
  /** Columns of `from`, and those of `to` that they point to, in the same order. */
  readonly columns: readonly string[];
  readonly referenced: readonly string[];
  /** `pg_constraint.confdeltype` and `confupdtype`: `a` none, `r` restrict, `c` cascade, `n` set null, `d` set default. */
  readonly onDelete: string;
  readonly onUpdate: string;
}

export interface Table {
  readonly oid: number;
  /** `schema.table`: how plans name it. */
  readonly resource: string;
  /** Quoted, for SQL. */
  readonly sql: string;
  /** What this is a partition or child of, `schema.table`, nearest first. */
  readonly partOf: readonly string[];
  /** Of a view, the tables below it and what those are parts of. */
  readonly shows?: readonly string[];
  /** Of a view, which of its columns shows which column of a table, as far as it is plain to see. */
  readonly origins?: readonly (readonly [column: string, shown: string])[];
  /** `pg_class.relkind`: `r` a table, `p` a partitioned one, `v` a view. */
  readonly relationKind: string;
  readonly columns: readonly Column[];
  /** Primary key columns in key order; empty where there is none. */
  readonly key: readonly string[];
  /** A trigger may change what the row gets before it is written. */
  readonly hasBeforeTrigger: boolean;
  /** `pg_am.amname`; null for what has no storage of its own. */
  readonly accessMethod: string | null;
  /** `forced` binds the owner too. */
  readonly rowSecurity: 'off' | 'on' | 'forced';
  readonly triggers: readonly Trigger[];
  /** Rewrite rules but for the one that makes a view. */
  readonly rules: readonly string[];
  readonly isPartition: boolean;
  readonly hasChildren: boolean;
  /** Keys of other tables, or its own, that point here. */
  readonly inbound: readonly ForeignKey[];
  readonly outbound: readonly ForeignKey[];
}

/** What is known of a table or view that is only read. */
export interface ReadTable extends Pick<Table, 'resource' | 'partOf'> {
  /** By name. */
  readonly columns: readonly string[];
}

export interface Catalog {
  /** What else the statement names, and reads, in the order of `Statement.reads`. */
  readonly reads: readonly ReadTable[];
  readonly target: Table;
  /** All that the statement names to write to, the target first. */
  readonly written: readonly Table[];
  /** Those, and their partitions and children, by oid. */
  readonly tables: ReadonlyMap<number, Table>;
  /** The planner's estimate over the tree; null before the first ANALYZE. */
  readonly rowsEstimated: number | null;
  readonly dependents: readonly string[];
  /**
   * What keeps the target from being sealed, in a word; null where a write to it does nothing but what
   * its own rows show: no trigger, rule, part, cascade or function of somebody's takes part.
   */
  readonly unsealed: string | null;
  /** Whether the role may insert, update and delete in the target, as taking a write back can need. */
  readonly canInvert: boolean;
  /** The oids of the domains that columns of the target have as their types. */
  readonly domains: readonly number[];
  /** Whether the target has triggers of any kind, those of foreign keys among them, or had some. */
  readonly hasTriggers: boolean;
}

interface CatalogAnswer {
  readonly relations: readonly ({
    readonly schema: string;
    readonly name: string;
    readonly kind: string;
    readonly partOf: readonly string[] | null;
    readonly columns: readonly string[] | null;
    readonly isPlain: boolean;
  } | null)[];
  readonly written: readonly (number | null)[] | null;
  readonly types: readonly boolean[] | null;
  readonly canInvert: boolean | null;
  readonly domains: readonly number[] | null;
  readonly hasTriggers: boolean | null;
  readonly unsealed: string | null;
  readonly tables: readonly TableAnswer[] | null;
  readonly namesakes: readonly string[] | null;
  readonly dependents: readonly string[] | null;
}

interface TableAnswer {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly partOf: readonly string[] | null;
  readonly shows: readonly string[] | null;
  readonly origins: readonly (readonly [column: string, shown: string])[] | null;
  readonly kind: string;
  readonly rows: number;
  readonly access: string | null;
  readonly security: Table['rowSecurity'];
  readonly isPartition: boolean;
  readonly hasChildren: boolean;
  readonly triggers: readonly Trigger[] | null;
  readonly rules: readonly string[] | null;
  readonly inbound: readonly ForeignKey[] | null;
  readonly outbound: readonly ForeignKey[] | null;
  readonly key: readonly string[] | null;
  readonly columns:
    | readonly {
        readonly name: string;
        readonly type: string;
        readonly generated: boolean;
        readonly identity: boolean;
        readonly fallback: string | null;
      }[]
    | null;
}

/** What the look-up needs of a statement; a compensation has no more than its tables. */
export type Subject = Pick<Statement, 'target' | 'reads' | 'functions' | 'operators' | 'fields'> &
  Partial<Pick<Statement, 'written' | 'writes' | 'types' | 'attributes'>>;

/**
 * Reads the catalog for a statement, and refuses what only the catalog can tell: a table that is not
 * governed, a function or operator that hides behind a built-in name or a column's.
 */
export async function readCatalog(
  session: Session,
  subject: Subject,
  settings: PostgresSettings,
): Promise<Catalog> {
  const written = subject.written ?? [subject.target];
  const types = subject.types ?? [];
  const relations = [...written, ...subject.reads];
  const { rows } = await session.client.query<{ answer: CatalogAnswer }>({
    name: 'writegate_catalog',
    text: LOOK,
    values: [
      relations.map(quoted),
      subject.functions,
      subject.operators,
      subject.fields,
      settings.schemas,
      // What may be called as `f(row)` may be called as `row.f`.
      subject.fields.filter((field) => !FUNCTIONS.has(field)),
      written.length,
      types.map(quoted),
    ],
  });
  const answer = rows[0]?.answer;
  assert(answer !== undefined, 'the catalog look-up gave no row');
  for (const [index, found] of answer.relations.entries()) {
    checkRelation(relations[index] ?? subject.target, found, index < written.length, settings);
  }
  for (const write of subject.writes ?? []) {
    const found = answer.relations[indexOf(relations, write.relation)];
    if (write.looks && found && rulesFor(found, settings)?.read === false) throw unread(found);
  }
  for (const [index, isEnum] of (answer.types ?? []).entries()) {
    if (!isEnum) throw notEnumerated(types[index]);
  }
  const namesake = answer.namesakes?.[0];
  if (namesake !== undefined) {
    throw new Refused(
      'statement-function',
      `the database has a ${namesake} that the statement could call; ` +
        'write the statement without that name',
    );
  }
  checkAttributes(
    subject.attributes ?? [],
    relations,
    (relation) => answer.relations[indexOf(relations, relation)]?.columns ?? null,
  );
  const tables = new Map((answer.tables ?? []).map((table) => [table.oid, asTable(table)]));
  const targets = (answer.written ?? []).map((oid) => tables.get(oid ?? 0));
  const [target] = targets;
  assert(target !== undefined, 'the catalog look-up lost the target');
  const estimates = (answer.tables ?? [])
    .filter(({ oid }) => oid === target.oid || tables.get(oid)?.partOf.includes(target.resource))
    .map((table) => table.rows)
    .filter((each) => each >= 0);
  const reads = answer.relations.slice(written.length).filter((found) => found !== null);
  return {
    target,
    written: targets.filter((table) => table !== undefined),
    canInvert: answer.canInvert ?? false,
    domains: answer.domains ?? [],
    hasTriggers: answer.hasTriggers ?? true,
    reads: reads.map((found) => ({
      resource: `${found.schema}.${found.name}`,
      partOf: found.partOf ?? [],
      columns: found.columns ?? [],
    })),
    tables,
    rowsEstimated: estimates.length === 0 ? null : estimates.reduce((sum, each) => sum + each, 0),
    dependents: answer.dependents ?? [],
    unsealed: answer.unsealed ?? (reads.every((found) => found.isPlain) ? null : 'read'),
  };
}

function indexOf(relations: readonly RelationName[], { schema, name }: RelationName): number {
  return relations.findIndex((each) => each.schema === schema && each.name === name);
}

/** Describes tables by oid; one that is gone, or was never there, is left out. */
export async function describeTables(
  session: Session,
  oids: readonly number[],
): Promise<ReadonlyMap<number, Table>> {
  if (oids.length === 0) return new Map();
  const [row] = await lookUp(session, DESCRIBE, [oids.map(String)]);
  // The query makes this shape.
  const answers = JSON.parse(row?.[0] ?? '[]') as readonly TableAnswer[];
  return new Map(answers.map((answer) => [answer.oid, asTable(answer)]));
}

function checkRelation(
  name: RelationName,
  found: CatalogAnswer['relations'][number] | undefined,
  isTarget: boolean,
  settings: PostgresSettings,
): void {
  const spelled = name.schema === null ? name.name : `${name.schema}.${name.name}`;
  const governed =
    settings.tables === undefined
      ? `a table of ${settings.schemas.map((each) => `\`${each}\``).join(', ')}`
      : `one of ${Object.keys(settings.tables)
          .map((each) => `\`${each}\``)
          .join(', ')}`.slice(0, 1_000);
  if (found === null || found === undefined || !settings.schemas.includes(found.schema)) {
    throw new Refused('statement-relation', `\`${spelled}\` is not there; expected ${governed}`);
  }
  // A part goes by the nearest whole that is governed, unless it has an entry of its own.
  const rules = rulesFor(found, settings);
  if (!isTarget && rules?.read === false) {
    throw new Refused('statement-relation', `\`${spelled}\` may not be read; name another table`);
  }
  if (rules === undefined) {
    throw new Refused('statement-relation', `\`${spelled}\` is not governed; expected ${governed}`);
  }
  const kinds = isTarget ? 'rpv' : 'rpvm';
  if (!kinds.includes(found.kind)) {
    throw new Refused(
      'statement-relation',
      `\`${spelled}\` is not an ordinary table or view; expected one`,
    );
  }
}

function rulesFor(
  found: Pick<TableAnswer, 'schema' | 'name' | 'partOf'>,
  settings: PostgresSettings,
): TableRules | undefined {
  return [`${found.schema}.${found.name}`, ...(found.partOf ?? [])]
    .map((each) => rulesOf(settings, each))
    .find((each) => each !== undefined);
}

function unread({ schema, name }: Pick<TableAnswer, 'schema' | 'name'>): Refused {
  return new Refused(
    'not-permitted',
    `\`${schema}.${name}\` may not be read, and which rows an UPDATE, DELETE, MERGE, ON CONFLICT DO UPDATE ` +
      'or RETURNING finds tells what is in them; propose a plain INSERT, or ask the operator for `read`',
  );
}

function notEnumerated(name: RelationName | undefined): Refused {
  return new Refused(
    'statement-unsupported',
    `\`${name?.name ?? ''}\` is neither a built-in type nor an enumeration of a governed schema; ` +
      'expected one, or the value without a cast',
  );
}

function asTable(answer: TableAnswer): Table {
  return {
    oid: answer.oid,
    resource: `${answer.schema}.${answer.name}`,
    sql: `${pg.escapeIdentifier(answer.schema)}.${pg.escapeIdentifier(answer.name)}`,
    partOf: answer.partOf ?? [],
    ...(answer.shows !== null && { shows: answer.shows, origins: answer.origins ?? [] }),
    relationKind: answer.kind,
    columns: (answer.columns ?? []).map((column) => ({
      name: column.name,
      type: column.type,
      isGenerated: column.generated,
      isIdentity: column.identity,
      fallback: column.fallback,
    })),
    key: answer.key ?? [],
    hasBeforeTrigger: (answer.triggers ?? []).some(
      (trigger) => trigger.timing === 'before' && trigger.isForEachRow,
    ),
    accessMethod: answer.access,
    rowSecurity: answer.security,
    triggers: answer.triggers ?? [],
    rules: answer.rules ?? [],
    isPartition: answer.isPartition,
    hasChildren: answer.hasChildren,
    inbound: answer.inbound ?? [],
    outbound: answer.outbound ?? [],
  };
}

/** As `to_regclass` takes it. */
export function quoted(name: RelationName): string {
  const own = pg.escapeIdentifier(name.name);
  return name.schema === null ? own : `${pg.escapeIdentifier(name.schema)}.${own}`;
}
