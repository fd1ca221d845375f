import { z } from 'zod';
import type { JsonObject } from '../../lib/json.ts';
import { PLAN_BOUNDS } from '../../model/plan.ts';
import { parseSettings } from '../connector.ts';

/** The settings of a `postgres` target, defaults filled in. */
export interface PostgresSettings {
  readonly url: string;
  readonly schemas: readonly string[];
  /** `schema.table`, or a table of the first schema; undefined: every table of the schemas. */
  readonly tables?: readonly string[] | undefined;
  readonly value: readonly ValueColumn[];
  readonly statementTimeoutMs: number;
  /** Below the server's `deadlock_timeout` (1 s), so that a deadlock never costs the application. */
  readonly lockTimeoutMs: number;
  /** Images kept in a plan; every row is counted and digested whatever this is. */
  readonly rowsMax: number;
  /** Schema of the receipt table. */
  readonly receipts: string;
}

/** A column that holds money: with exactly one of `currency` and `currencyColumn`. */
export interface ValueColumn {
  readonly table: string;
  readonly column: string;
  readonly currency?: string | undefined;
  readonly currencyColumn?: string | undefined;
  readonly unit: 'major' | 'minor';
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

const schema: z.ZodType<PostgresSettings> = z
  .strictObject({
    url: z.string().min(1).max(4_096),
    schemas: z.array(NAME).min(1).max(32).default(['public']),
    tables: z.array(z.string().min(1).max(127)).min(1).max(1_000).optional(),
    value: z.array(valueColumn).max(1_000).default([]),
    statementTimeoutMs: z.int().min(10).max(600_000).default(5_000),
    lockTimeoutMs: z.int().min(10).max(60_000).default(300),
    rowsMax: z.int().min(0).max(PLAN_BOUNDS.effectsMax).default(PLAN_BOUNDS.effectsMax),
    receipts: z
      .string()
      .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'expected a plain lower-case schema name')
      .default('writegate'),
  })
  .refine((settings) => !settings.schemas.includes(settings.receipts), {
    path: ['schemas'],
    message: 'the schema of the receipts may not be governed as well',
  });

/** Parses the settings of a target; an unknown one is a `configuration-invalid` problem. */
export function parsePostgresSettings(target: string, given: JsonObject): PostgresSettings {
  return parseSettings(schema, target, given);
}

/** Adds the first schema to a table name that has none. */
export function qualified(settings: PostgresSettings, table: string): string {
  return table.includes('.') ? table : `${settings.schemas[0] ?? 'public'}.${table}`;
}
