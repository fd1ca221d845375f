/** The receipt table in the target: the key of a write, first in its own transaction. */
import pg from 'pg';
import type { Digest } from '../../lib/canonical.ts';
import type { ProposalId } from '../../model/ids.ts';
import type { Effect } from '../../model/plan.ts';
import { Problem } from '../../model/problem.ts';
import { isPlainError, sqlState } from './refusals.ts';
import type { Session, Sessions } from './session.ts';
import type { PostgresSettings } from './settings.ts';

export interface StoredReceipt {
  readonly state: 'applied' | 'void';
  /** The transaction's id. */
  readonly reference: string;
  readonly effects: readonly Effect[] | null;
}

/** The receipts of one target. */
export interface Receipts {
  /** Makes the table where it is missing; throws `target-misconfigured` with the SQL to run instead. */
  prepare(): Promise<void>;
  /** Writes the receipt of the session's transaction; waits for another that holds the key. */
  write(session: Session, key: ProposalId, planDigest: Digest): Promise<string>;
  /** Adds the effects whose values came up only now. */
  fill(session: Session, key: ProposalId, effects: readonly Effect[]): Promise<void>;
  find(key: ProposalId): Promise<StoredReceipt | undefined>;
  /** Voids the key unless it has a receipt; true where it is void by this call. */
  fence(key: ProposalId): Promise<boolean>;
}

const RACE_TRIES = 3;

export function openReceipts(sessions: Sessions, settings: PostgresSettings): Receipts {
  const name = settings.receipts ?? 'writegate';
  const schema = pg.escapeIdentifier(name);
  const table = `${schema}.receipts`;
  const setUp = [
    `CREATE SCHEMA IF NOT EXISTS ${schema}`,
    `CREATE TABLE IF NOT EXISTS ${table} (key text PRIMARY KEY, ` +
      `state text NOT NULL CHECK (state IN ('applied', 'void')), plan_digest text, ` +
      'reference text NOT NULL DEFAULT pg_current_xact_id()::text, effects text, ' +
      'at timestamptz NOT NULL DEFAULT now())',
  ];
  let isReady = false;
  return {
    async prepare() {
      for (let attempt = 0; !isReady; attempt += 1) {
        try {
          if (!(await usable(sessions, settings))) {
            // `IF NOT EXISTS` asks for the right to make a schema even where there is one.
            const hasSchema = await schemaExists(sessions, name);
            for (const text of hasSchema ? setUp.slice(1) : setUp) await sessions.read({ text });
          }
          isReady = await usable(sessions, settings);
          if (!isReady) throw misconfigured(setUp, schema, table, undefined);
        } catch (error) {
          // Two gateways that make the same table at once collide in the catalog; the second look finds it.
          const state = sqlState(error) ?? '';
          if (attempt < RACE_TRIES && /^(?:23505|42P0[67]|XX000)$/.test(state)) continue;
          if (isPlainError(error)) throw misconfigured(setUp, schema, table, error);
          throw error;
        }
      }
    },
    async write({ client }, key, planDigest) {
      const { rows } = await client.query<{ reference: string }>({
        name: 'writegate_receipt',
        text: `INSERT INTO ${table} (key, state, plan_digest) VALUES ($1, 'applied', $2) RETURNING reference`,
        values: [key, planDigest],
      });
      return rows[0]?.reference ?? '';
    },
    async fill({ client }, key, effects) {
      await client.query({
        name: 'writegate_fill',
        text: `UPDATE ${table} SET effects = $2 WHERE key = $1`,
        values: [key, JSON.stringify(effects)],
      });
    },
    async find(key) {
      const [row] = await sessions.read({
        name: 'writegate_find',
        text: `SELECT state, reference, effects FROM ${table} WHERE key = $1`,
        values: [key],
      });
      if (row === undefined) return undefined;
      const [state, reference, effects] = row;
      return {
        state: state === 'void' ? 'void' : 'applied',
        reference: String(reference),
        // Written by `fill` alone.
        effects: typeof effects === 'string' ? (JSON.parse(effects) as readonly Effect[]) : null,
      };
    },
    async fence(key) {
      const rows = await sessions.read({
        name: 'writegate_fence',
        text: `INSERT INTO ${table} (key, state) VALUES ($1, 'void') ON CONFLICT DO NOTHING RETURNING key`,
        values: [key],
      });
      return rows.length > 0;
    },
  };
}

async function schemaExists(sessions: Sessions, schema: string): Promise<boolean> {
  const rows = await sessions.read({
    text: 'SELECT 1 FROM pg_namespace WHERE nspname = $1',
    values: [schema],
  });
  return rows.length > 0;
}

async function usable(sessions: Sessions, settings: PostgresSettings): Promise<boolean> {
  const [row] = await sessions.read({
    text: `SELECT count(*) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
      WHERE s.nspname = $1 AND c.relname = 'receipts' AND c.relkind = 'r'
        AND has_schema_privilege(s.oid, 'USAGE')
        AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
        AND has_table_privilege(c.oid, 'UPDATE')`,
    values: [settings.receipts],
  });
  return row?.[0] === '1';
}

function misconfigured(
  setUp: readonly string[],
  schema: string,
  table: string,
  cause: unknown,
): Problem {
  const grants = `GRANT USAGE ON SCHEMA ${schema} TO <role>; GRANT SELECT, INSERT, UPDATE ON ${table} TO <role>`;
  return new Problem(
    'target-misconfigured',
    `the receipt table ${table} cannot be made or used by the target's role; ` +
      `have an owner run: ${setUp.join('; ')}; ${grants}`,
    { cause },
  );
}
