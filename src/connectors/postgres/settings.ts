import { z } from 'zod';
import { PLAN_BOUNDS } from '../../model/plan.ts';

const NAME = z.string().min(1).max(63);
const CURRENCY = z.string().regex(/^[A-Z]{3}$/, 'expected an ISO 4217 code such as `GBP`');

const valueColumn = z
  .strictObject({
    /** `schema.table`, or a table of the first schema. */
    table: z.string().min(1).max(127),
    column: NAME,
    currency: CURRENCY.optional(),
    currencyColumn: NAME.optional(),
    unit: z.enum(['major', 'minor']).default('major'),
  })
  .refine((value) => (value.currency === undefined) !== (value.currencyColumn === undefined), {
    message: 'expected exactly one of `currency` and `currencyColumn`',
  });

/** The settings of a `postgres` target. Unknown members are an error. */
export const settingsSchema = z
  .strictObject({
    url: z.string().min(1).max(4_096),
    schemas: z.array(NAME).min(1).max(32).default(['public']),
    tables: z.array(z.string().min(1).max(127)).min(1).max(1_000).optional(),
    value: z.array(valueColumn).max(1_000).default([]),
    statementTimeoutMs: z.int().min(10).max(600_000).default(5_000),
    /** Below the server's `deadlock_timeout` (1 s), so that a deadlock never costs the application. */
    lockTimeoutMs: z.int().min(10).max(60_000).default(300),
    /** Images kept in a plan; every row is counted and digested whatever this is. */
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

export type PostgresSettings = z.infer<typeof settingsSchema>;
export type ValueColumn = z.infer<typeof valueColumn>;

/** Adds the first schema to a table name that has none. */
export function qualified(settings: PostgresSettings, table: string): string {
  return table.includes('.') ? table : `${settings.schemas[0] ?? 'public'}.${table}`;
}
