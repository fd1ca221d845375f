/** The receipt table, as whoever may make it makes it. */
import pg from 'pg';

/** Makes schema and table where they are missing; the first statement takes a right on the database. */
export function receiptsSql(schema: string): readonly [schemaSql: string, tableSql: string] {
  const name = pg.escapeIdentifier(schema);
  return [
    `CREATE SCHEMA IF NOT EXISTS ${name}`,
    `CREATE TABLE IF NOT EXISTS ${name}.receipts (key text PRIMARY KEY, ` +
      `state text NOT NULL CHECK (state IN ('applied', 'void')), plan_digest text, ` +
      'reference text NOT NULL DEFAULT pg_current_xact_id()::text, effects text, evidence text, ' +
      'at timestamptz NOT NULL DEFAULT now())',
  ];
}
