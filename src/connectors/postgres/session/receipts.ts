/**
 * How it is known of a write, by its key, whether it took effect.
 *
 * With a receipt table in the target the key is the first row of its own transaction. A second attempt
 * waits for the first and then meets its key, and `fence` takes the key itself: so the target decides.
 * Without one it is the transaction's id, made durable by the gate before COMMIT, that is asked about.
 */
import pg from 'pg';
import type { Digest } from '../../../lib/canonical.ts';
import type { WriteKey } from '../../../model/ids.ts';
import type { Effect, EvidenceReference } from '../../../model/plan.ts';
import { Problem } from '../../../model/problem.ts';
import type { Step } from './pipeline.ts';
import { receiptsSql } from './receipts-sql.ts';
import { isPlainError, sqlState } from './refusals.ts';
import type { Session, Sessions } from './session.ts';
import type { PostgresSettings } from '../settings.ts';

/** What the receipt says beside that the key took effect. */
export interface ReceiptNote {
  readonly effects: readonly Effect[] | null;
  readonly evidence: EvidenceReference | null;
}

export interface StoredReceipt extends ReceiptNote {
  readonly state: 'applied' | 'void';
  /** The transaction's id. */
  readonly reference: string;
}

/** What became of a key. `unknown`: its transaction is still open, or too long ago to be asked about. */
export type Found =
  | ({ readonly kind: 'applied' } & Omit<StoredReceipt, 'state'>)
  | { readonly kind: 'absent'; readonly fenced: boolean }
  | { readonly kind: 'unknown'; readonly reason: string };

/** The receipts of one target. */
export interface Receipts {
  /** False where `receipts` is null: then there is no table, and `journal` must be called before COMMIT. */
  readonly hasTable: boolean;
  /**
   * Makes the table where it is missing, and adds the columns that an older one does not have; throws
   * `target-misconfigured` with the SQL to run instead.
   */
  prepare(): Promise<void>;
  /** Writes the receipt of the session's transaction; waits for another that holds the key. */
  write(session: Session, key: WriteKey, planDigest: Digest | null): Promise<string>;
  /** Adds what is known only now: the digest that was not at the opening, values, the evidence. */
  fill(
    session: Session,
    key: WriteKey,
    note: ReceiptNote & { readonly planDigest?: Digest },
  ): Promise<void>;
  find(key: WriteKey): Promise<StoredReceipt | undefined>;
  /** Voids the key unless it has a receipt; true where it is void by this call. */
  fence(key: WriteKey): Promise<boolean>;
  /**
   * Says what became of the key; with `fence` makes sure, where it can, that it never takes effect.
   * `references` are the transaction ids that the gate made durable, where there is no table.
   */
  settle(key: WriteKey, fence: boolean, references: readonly string[]): Promise<Found>;
}

const RACE_TRIES = 3;

const insertTexts = new Map<string, string>();

/** The first step of a transaction that has a receipt; its one row has the transaction's id. */
export function receiptStep(
  settings: PostgresSettings,
  key: WriteKey,
  planDigest: Digest | null,
): Step {
  const table = tableOf(settings);
  // One string for all, so that it is hashed once where it is looked up as a prepared statement.
  const text =
    insertTexts.get(table) ??
    `INSERT INTO ${table} (key, state, plan_digest) VALUES ($1, 'applied', $2) RETURNING reference`;
  insertTexts.set(table, text);
  return { name: 'receipt', text, values: [key, planDigest] };
}

export function openReceipts(sessions: Sessions, settings: PostgresSettings): Receipts {
  return settings.receipts === null
    ? withoutTable(sessions)
    : withTable(sessions, settings, settings.receipts);
}

function tableOf(settings: PostgresSettings): string {
  return `${pg.escapeIdentifier(settings.receipts ?? 'writegate')}.receipts`;
}

function withTable(sessions: Sessions, settings: PostgresSettings, schema: string): Receipts {
  const table = tableOf(settings);
  let isReady = false;
  const receipts: Receipts = {
    hasTable: true,
    async prepare() {
      if (!isReady) await prepare(sessions, schema);
      isReady = true;
    },
    async write({ client }, key, planDigest) {
      const { text, values } = receiptStep(settings, key, planDigest);
      const { rows } = await client.query<{ reference: string }>({
        name: 'writegate_receipt',
        text,
        values: [...(values ?? [])],
      });
      return rows[0]?.reference ?? '';
    },
    async fill({ client }, key, { effects, evidence, planDigest }) {
      await client.query({
        name: 'writegate_fill',
        text:
          `UPDATE ${table} SET effects = $2, evidence = $3, plan_digest = coalesce($4, plan_digest) ` +
          'WHERE key = $1',
        values: [key, jsonOf(effects), jsonOf(evidence), planDigest ?? null],
      });
    },
    async find(key) {
      const [row] = await sessions.read({
        name: 'writegate_find',
        text: `SELECT state, reference, effects, evidence FROM ${table} WHERE key = $1`,
        values: [key],
      });
      if (row === undefined) return undefined;
      const [state, reference, effects, evidence] = row;
      return {
        state: state === 'void' ? 'void' : 'applied',
        reference: String(reference),
        // Both are written by `fill` alone.
        effects: typeof effects === 'string' ? (JSON.parse(effects) as readonly Effect[]) : null,
        evidence: typeof evidence === 'string' ? (JSON.parse(evidence) as EvidenceReference) : null,
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
    async settle(key, fence) {
      let found = await receipts.find(key);
      if (found === undefined && fence) {
        if (await receipts.fence(key)) return { kind: 'absent', fenced: true };
        found = await receipts.find(key);
      }
      if (found === undefined) return { kind: 'absent', fenced: false };
      if (found.state === 'void') return { kind: 'absent', fenced: true };
      const { reference, effects, evidence } = found;
      return { kind: 'applied', reference, effects, evidence };
    },
  };
  return receipts;
}

/** Goes by transaction ids alone; nothing in the target refuses a second effect of the same key. */
function withoutTable(sessions: Sessions): Receipts {
  return {
    hasTable: false,
    async prepare() {
      // There is nothing to make.
    },
    async write({ client }) {
      const { rows } = await client.query<{ reference: string }>({
        name: 'writegate_transaction',
        text: 'SELECT pg_current_xact_id()::text AS reference',
      });
      return rows[0]?.reference ?? '';
    },
    async fill() {
      // There is no row to fill.
    },
    find: () => Promise.resolve(undefined),
    fence: () => Promise.resolve(false),
    async settle(_key, fence, references) {
      for (const reference of references) {
        const status = await statusOf(sessions, reference);
        if (status === 'committed') {
          return { kind: 'applied', reference, effects: null, evidence: null };
        }
        if (status !== 'aborted') return unsettled(reference, status);
      }
      // Without a reference an attempt may still be about to make its first one durable.
      return { kind: 'absent', fenced: fence && references.length > 0 };
    },
  };
}

/** `committed`, `aborted`, `in progress`; null where the server no longer knows. */
async function statusOf(sessions: Sessions, reference: string): Promise<string | null> {
  if (!/^\d{1,20}$/.test(reference)) return null;
  try {
    const [row] = await sessions.read({
      name: 'writegate_status',
      text: 'SELECT pg_xact_status($1::text::xid8)',
      values: [reference],
    });
    return typeof row?.[0] === 'string' ? row[0] : null;
  } catch (error) {
    // An id that this server has not given out yet: it is another server, or one that lost the commit.
    if (isPlainError(error)) return null;
    throw error;
  }
}

function unsettled(reference: string, status: string | null): Found {
  const reason =
    status === null
      ? `the server no longer knows the transaction ${reference}; look whether the rows are changed`
      : `the transaction ${reference} is still ${status}; ask again`;
  return { kind: 'unknown', reason };
}

function jsonOf(value: ReceiptNote['effects'] | ReceiptNote['evidence']): string | null {
  return value === null ? null : JSON.stringify(value);
}

/** Makes or mends the table; two gateways may do so at once. */
async function prepare(sessions: Sessions, schema: string): Promise<void> {
  const table = `${pg.escapeIdentifier(schema)}.receipts`;
  const [makeSchema, makeTable] = receiptsSql(schema);
  const addColumn = `ALTER TABLE ${table} ADD COLUMN IF NOT EXISTS evidence text`;
  for (let attempt = 0; ; attempt += 1) {
    const found = await look(sessions, schema);
    if (found === 'ready') return;
    const missing = found === 'column' ? [addColumn] : [makeSchema, makeTable, addColumn];
    if (attempt >= RACE_TRIES) throw misconfigured(missing, schema, undefined);
    try {
      // `IF NOT EXISTS` asks for the right to make a schema even where there is one.
      const due = found === 'table' ? missing.slice(1) : missing;
      for (const text of due) await sessions.read({ text });
    } catch (error) {
      // Two that make the same table at once collide in the catalog; the next look finds it.
      const isRace = /^(?:23505|42P0[67]|42701|XX000)$/.test(sqlState(error) ?? '');
      if (isRace && attempt < RACE_TRIES) continue;
      if (isPlainError(error)) throw misconfigured(missing, schema, error);
      throw error;
    }
  }
}

/** What is there, or what is missing: the schema, the table or a right to it, or a column of it. */
async function look(
  sessions: Sessions,
  schema: string,
): Promise<'ready' | 'schema' | 'table' | 'column'> {
  const [row] = await sessions.read({
    text: `SELECT c.oid IS NOT NULL AND has_schema_privilege(s.oid, 'USAGE')
        AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
        AND has_table_privilege(c.oid, 'UPDATE'),
      EXISTS (SELECT FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attname = 'evidence' AND NOT a.attisdropped)
      FROM pg_namespace s LEFT JOIN pg_class c
        ON c.relnamespace = s.oid AND c.relname = 'receipts' AND c.relkind = 'r'
      WHERE s.nspname = $1`,
    values: [schema],
  });
  if (row === undefined) return 'schema';
  if (row[0] !== true) return 'table';
  return row[1] === true ? 'ready' : 'column';
}

function misconfigured(missing: readonly string[], schema: string, cause: unknown): Problem {
  const name = pg.escapeIdentifier(schema);
  const table = `${name}.receipts`;
  const grants = `GRANT USAGE ON SCHEMA ${name} TO <role>; GRANT SELECT, INSERT, UPDATE ON ${table} TO <role>`;
  return new Problem(
    'target-misconfigured',
    `the receipt table ${table} cannot be made or used by the target's role; ` +
      `have an owner run: ${missing.join('; ')}; ${grants}`,
    { cause },
  );
}
