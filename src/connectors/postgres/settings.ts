import { z } from 'zod';
import type { JsonObject } from '../../lib/json.ts';
import { PLAN_BOUNDS } from '../../model/plan.ts';
import { argumentAmount, type ArgumentAmount } from '../amounts.ts';
import { parseSettings } from '../connector.ts';

/** The settings of a `postgres` target, defaults filled in. */
export interface PostgresSettings {
  /** Of the writer: DML on governed tables, owner of nothing. */
  readonly url: string;
  /** Of the reader: SELECT alone; undefined: the target has no reads. */
  readonly reader?: string | undefined;
  /** Of the role that reads evidence past row security; undefined: the writer reads its own. */
  readonly evidence?: string | undefined;
  /** Of the role that takes writes back with triggers off; undefined: the writer, triggers on. */
  readonly undo?: string | undefined;
  /** A replica or branch on which previews run; the commit still compares on the primary. */
  readonly shadow?: ShadowSettings | undefined;
  readonly schemas: readonly string[];
  /**
   * Which tables agents may name, by `schema.table` or a table of the first schema, and what for;
   * undefined: every table of the schemas, for everything.
   */
  readonly tables?: Readonly<Record<string, TableRules>> | undefined;
  /** Columns that every image, before and after, must carry a fixed value in. */
  readonly scope: readonly ScopeColumn[];
  readonly limits: PostgresLimits;
  /** `table.column` whose values no read shows. */
  readonly masked: readonly string[];
  /** Tables whose DELETE is carried out as an UPDATE of one column. */
  readonly softDelete: Readonly<Record<string, SoftDelete>>;
  /** Further settings of every session, such as `app.tenant` for row security. */
  readonly session: Readonly<Record<string, string>>;
  /** Of the setting `value`: the columns that hold money. */
  readonly value: readonly ValueColumn[];
  /** Of the setting `value`: the arguments that state money. */
  readonly amounts: readonly ArgumentAmount[];
  /** Columns that say who is reached. */
  readonly recipients: readonly RecipientColumn[];
  readonly statementTimeoutMs: number;
  /** Below the server's `deadlock_timeout` (1 s), so that a deadlock never costs the application. */
  readonly lockTimeoutMs: number;
  /** Images kept in a plan itself; every row is counted and digested whatever this is. */
  readonly rowsMax: number;
  /** Schema of the receipt table; null: none may be made, transaction ids are recorded instead. */
  readonly receipts: string | null;
  /** Findings that the operator accepts, `code` or `code:object`; any other keeps the target shut. */
  readonly acceptFindings: readonly string[];
}

/** What may be done to one table; absent members are `false`, and `true` means every column. */
export interface TableRules {
  readonly read: boolean;
  readonly insert: boolean | readonly string[];
  readonly update: boolean | readonly string[];
  readonly delete: boolean;
}

export interface ShadowSettings {
  readonly url: string;
  /** What a preview does while the shadow cannot be reached. */
  readonly whenDown: 'refuse' | 'primary';
}

/** Binds every row that has the column, in any table; where `tables` is given, in those alone. */
export interface ScopeColumn {
  readonly column: string;
  /** In the server's text form. */
  readonly value: string;
  readonly tables?: readonly string[] | undefined;
}

export interface SoftDelete {
  readonly column: string;
  /** `now` for the time of the commit, or a constant in the server's text form. */
  readonly value: string;
}

/** Hard bounds of the target itself; over one the answer is `limit-exceeded`. */
export interface PostgresLimits {
  /** Rows changed by one write, all tables together; null: the policy's limits alone. */
  readonly rows: number | null;
  readonly readRows: number;
  readonly readBytes: number;
  readonly readTimeoutMs: number;
  readonly readsPerMinute: number;
  /** Bytes of images that one write may have. */
  readonly imageBytes: number;
}

/** A column that holds money: with exactly one of `currency` and `currencyColumn`. */
export interface ValueColumn {
  readonly table: string;
  readonly column: string;
  readonly currency?: string | undefined;
  readonly currencyColumn?: string | undefined;
  readonly unit: 'major' | 'minor';
}

export interface RecipientColumn {
  readonly table: string;
  readonly column: string;
}

const NAME = z.string().min(1).max(63);
const CURRENCY = z.string().regex(/^[A-Z]{3}$/, 'expected an ISO 4217 code such as `GBP`');

const valueColumn: z.ZodType<ValueColumn> = z
  .strictObject({
    table: z.string().min(1).max(127),
    column: NAME,
    currency: CURRENCY.optional(),
    currencyColumn: NAME.optional(),
    unit: z.enum(['major', 'minor']).default('major'),
  })
  .refine((value) => (value.currency === undefined) !== (value.currencyColumn === undefined), {
    message: 'expected exactly one of `currency` and `currencyColumn`',
  });

/** Each is a column or an argument; told apart so that what is wrong is told of the one that was meant. */
const value: z.ZodType<readonly (ValueColumn | ArgumentAmount)[]> = z
  .array(z.record(z.string(), z.unknown()))
  .max(1_000)
  .transform((items, context) =>
    items.flatMap((item, index) => {
      const read =
        'argument' in item ? argumentAmount.safeParse(item) : valueColumn.safeParse(item);
      if (read.success) return [read.data];
      for (const issue of read.error.issues) {
        context.addIssue({ ...issue, path: [index, ...issue.path] });
      }
      return [];
    }),
  );

const TABLE = z.string().min(1).max(127);
const SECRET_URL = z.string().min(1).max(4_096);
const COLUMNS = z.union([z.boolean(), z.array(NAME).min(1).max(1_000)]);

const tableRules: z.ZodType<TableRules> = z.strictObject({
  read: z.boolean().default(true),
  insert: COLUMNS.default(false),
  update: COLUMNS.default(false),
  delete: z.boolean().default(false),
});

const EVERYTHING: TableRules = { read: true, insert: true, update: true, delete: true };

/** A list of names is short for everything on those tables. */
const tables: z.ZodType<Readonly<Record<string, TableRules>>> = z.union([
  z
    .array(TABLE)
    .min(1)
    .max(1_000)
    .transform((names) => Object.fromEntries(names.map((name) => [name, EVERYTHING]))),
  z.record(TABLE, tableRules),
]);

const limits: z.ZodType<PostgresLimits> = z.strictObject({
  rows: z.int().min(0).max(10_000_000).nullable().default(null),
  readRows: z.int().min(1).max(100_000).default(1_000),
  readBytes: z.int().min(1_024).max(67_108_864).default(4_194_304),
  readTimeoutMs: z.int().min(10).max(600_000).default(5_000),
  readsPerMinute: z.int().min(1).max(1_000_000).default(600),
  imageBytes: z.int().min(1_024).max(17_179_869_184).default(1_073_741_824),
});

const schema: z.ZodType<PostgresSettings> = z
  .strictObject({
    url: SECRET_URL,
    reader: SECRET_URL.optional(),
    evidence: SECRET_URL.optional(),
    undo: SECRET_URL.optional(),
    shadow: z
      .strictObject({ url: SECRET_URL, whenDown: z.enum(['refuse', 'primary']).default('refuse') })
      .optional(),
    schemas: z.array(NAME).min(1).max(32).default(['public']),
    tables: tables.optional(),
    scope: z
      .array(
        z.strictObject({
          column: NAME,
          value: z.coerce.string(),
          tables: z.array(TABLE).optional(),
        }),
      )
      .max(16)
      .default([]),
    limits: limits.prefault({}),
    masked: z
      .array(z.string().regex(/^.+\..+$/, 'expected `table.column`'))
      .max(1_000)
      .default([]),
    softDelete: z
      .record(TABLE, z.strictObject({ column: NAME, value: z.string().default('now') }))
      .default({}),
    session: z
      .record(
        z.string().regex(/^[a-z_]+\.[a-z_]+$/, 'expected a custom setting such as `app.tenant`'),
        z.coerce.string(),
      )
      .default({}),
    value: value.prefault([]),
    recipients: z
      .array(z.strictObject({ table: TABLE, column: NAME }))
      .max(1_000)
      .default([]),
    statementTimeoutMs: z.int().min(10).max(600_000).default(5_000),
    lockTimeoutMs: z.int().min(10).max(60_000).default(300),
    rowsMax: z.int().min(0).max(PLAN_BOUNDS.effectsMax).default(1_000),
    receipts: z
      .string()
      .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'expected a plain lower-case schema name')
      .nullable()
      .default('writegate'),
    acceptFindings: z.array(z.string().max(300)).max(100).default([]),
  })
  .refine(
    (settings) => settings.receipts === null || !settings.schemas.includes(settings.receipts),
    {
      path: ['schemas'],
      message: 'the schema of the receipts may not be governed as well',
    },
  )
  .transform((settings) => ({
    ...settings,
    value: settings.value.filter((each) => 'column' in each),
    amounts: settings.value.filter((each) => 'argument' in each),
  }));

/** Parses the settings of a target; an unknown one is a `configuration-invalid` problem. */
export function parsePostgresSettings(target: string, given: JsonObject): PostgresSettings {
  return parseSettings(schema, target, given);
}

/** Adds the first schema to a table name that has none. */
export function qualified(settings: PostgresSettings, table: string): string {
  return table.includes('.') ? table : `${settings.schemas[0] ?? 'public'}.${table}`;
}

/** The rules of a resource (`schema.table`); undefined where it may not be named. */
export function rulesOf(settings: PostgresSettings, resource: string): TableRules | undefined {
  if (settings.tables === undefined) return EVERYTHING;
  const [first = ''] = settings.schemas;
  const short = resource.startsWith(`${first}.`) ? resource.slice(first.length + 1) : resource;
  return settings.tables[resource] ?? settings.tables[short];
}
