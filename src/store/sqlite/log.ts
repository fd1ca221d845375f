import { strict as assert } from 'node:assert';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { EntryBody, EntryPosition, Payload, SealedEntry } from '../../model/entry.ts';
import { tenantId, type TenantId } from '../../model/ids.ts';
import type { StoredEntry } from '../../model/ports.ts';
import { storedPayload } from '../state/records.ts';
import { EMPTY_LOG, type LogHead, type LogRows } from '../state/tables.ts';
import { bytesOf, integerOf, textOf, type Row } from './rows.ts';

/** Entries, what lies beside them, and the state of each tenant's tree. */
export class LogTable implements LogRows {
  /** As they are within the present transaction; one process alone writes the file. */
  readonly #heads = new Map<TenantId, LogHead>();
  readonly #moved = new Set<TenantId>();
  readonly #head: StatementSync;
  readonly #setHead: StatementSync;
  readonly #tenants: StatementSync;
  readonly #step: StatementSync;
  readonly #hashAt: StatementSync;
  readonly #latestHash: StatementSync;
  readonly #latestOfType: StatementSync;
  readonly #addEntry: StatementSync;
  readonly #addPayload: StatementSync;
  readonly #latest: StatementSync;
  readonly #ofAct: StatementSync;
  readonly #entries: StatementSync;
  readonly #payloads: StatementSync;

  constructor(database: DatabaseSync) {
    this.#head = database.prepare('SELECT size, range, latest_at FROM logs WHERE tenant = ?');
    this.#setHead = database.prepare(`
      INSERT INTO logs (tenant, size, range, latest_at) VALUES (?, ?, ?, ?)
      ON CONFLICT (tenant) DO UPDATE
      SET size = excluded.size, range = excluded.range, latest_at = excluded.latest_at`);
    this.#tenants = database.prepare('SELECT tenant FROM logs ORDER BY tenant');
    this.#step = database.prepare(
      'SELECT coalesce(max(step), 0) AS step FROM entries WHERE tenant = ? AND act = ?',
    );
    this.#hashAt = database.prepare(
      'SELECT leaf_hash FROM entries WHERE tenant = ? AND entry_index = ?',
    );
    this.#latestHash = database.prepare(
      'SELECT leaf_hash FROM entries WHERE tenant = ? AND act = ? ORDER BY step DESC LIMIT 1',
    );
    this.#latestOfType = database.prepare(`
      SELECT leaf_hash FROM entries WHERE tenant = ? AND act = ? AND type = ?
      ORDER BY step DESC LIMIT 1`);
    this.#addEntry = database.prepare(`
      INSERT INTO entries (tenant, entry_index, act, step, type, at, leaf, leaf_hash)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#addPayload = database.prepare(`
      INSERT INTO payloads (tenant, entry_index, position, label, nonce, commitment, value)
      VALUES (?, ?, ?, ?, ?, ?, ?)`);
    this.#latest = database.prepare(`
      SELECT entry_index, act, step, at, leaf, leaf_hash FROM entries
      WHERE tenant = ? AND act = ? ORDER BY step DESC LIMIT 1`);
    this.#ofAct = database.prepare(`
      SELECT entry_index, act, step, at, leaf, leaf_hash FROM entries
      WHERE tenant = ? AND act = ? AND step < ? ORDER BY step DESC LIMIT ?`);
    this.#entries = database.prepare(`
      SELECT entry_index, act, step, at, leaf, leaf_hash FROM entries
      WHERE tenant = ? AND entry_index >= ? ORDER BY entry_index LIMIT ?`);
    this.#payloads = database.prepare(`
      SELECT label, nonce, commitment, value FROM payloads
      WHERE tenant = ? AND entry_index = ? ORDER BY position`);
  }

  head(tenant: TenantId): LogHead {
    const known = this.#heads.get(tenant);
    if (known !== undefined) return known;
    const head = this.#readHead(tenant);
    this.#heads.set(tenant, head);
    return head;
  }

  setHead(tenant: TenantId, head: LogHead): void {
    this.#heads.set(tenant, head);
    this.#moved.add(tenant);
  }

  /** Writes the heads that moved, once for a whole batch. */
  writeHeads(): void {
    for (const tenant of this.#moved) {
      const { tree, latestAt } = this.head(tenant);
      this.#setHead.run(tenant, tree.size, tree.range.join(' '), latestAt);
    }
    this.#moved.clear();
  }

  /** Forgets the heads: the transaction that moved them was taken back. */
  forget(): void {
    this.#heads.clear();
    this.#moved.clear();
  }

  #readHead(tenant: TenantId): LogHead {
    const row = this.#head.get(tenant);
    if (row === undefined) return EMPTY_LOG;
    const range = textOf(row, 'range');
    return {
      tree: { size: integerOf(row, 'size'), range: range === '' ? [] : range.split(' ') },
      latestAt: integerOf(row, 'latest_at'),
    };
  }

  tenants(): readonly TenantId[] {
    return this.#tenants.all().map((row) => {
      const tenant = tenantId(textOf(row, 'tenant'));
      assert(tenant !== undefined, 'a stored tenant is a tenant');
      return tenant;
    });
  }

  step(tenant: TenantId, act: string): number {
    return integerOf(this.#step.get(tenant, act) ?? {}, 'step');
  }

  leafHash(tenant: TenantId, index: number): string | undefined {
    const row = this.#hashAt.get(tenant, index);
    return row === undefined ? undefined : textOf(row, 'leaf_hash');
  }

  latestLeafHash(tenant: TenantId, act: string, type?: EntryBody['type']): string {
    const row =
      type === undefined
        ? this.#latestHash.get(tenant, act)
        : this.#latestOfType.get(tenant, act, type);
    return row === undefined ? '' : textOf(row, 'leaf_hash');
  }

  add(
    tenant: TenantId,
    type: EntryBody['type'],
    position: Pick<EntryPosition, 'act' | 'step' | 'at'>,
    entry: SealedEntry,
  ): void {
    const { act, step, at } = position;
    this.#addEntry.run(tenant, entry.index, act, step, type, at, entry.leaf, entry.leafHash);
    for (const [place, payload] of entry.payloads.entries()) {
      const { label, nonce, commitment, value } = payload;
      const text = payload.text ?? JSON.stringify(value);
      this.#addPayload.run(tenant, entry.index, place, label, nonce, commitment, text);
    }
  }

  entries(tenant: TenantId, from: number, limit: number): readonly StoredEntry[] {
    return this.#entries.all(tenant, from, limit).map((row) => this.#entryOf(tenant, row));
  }

  latest(tenant: TenantId, act: string): StoredEntry | undefined {
    const row = this.#latest.get(tenant, act);
    return row === undefined ? undefined : this.#entryOf(tenant, row);
  }

  actEntries(
    tenant: TenantId,
    act: string,
    { before, limit }: { readonly before?: number; readonly limit: number },
  ): readonly StoredEntry[] {
    const rows = this.#ofAct.all(tenant, act, before ?? Number.MAX_SAFE_INTEGER, limit);
    return rows.map((row) => this.#entryOf(tenant, row));
  }

  #entryOf(tenant: TenantId, row: Row): StoredEntry {
    const index = integerOf(row, 'entry_index');
    return {
      index,
      act: textOf(row, 'act'),
      step: integerOf(row, 'step'),
      at: integerOf(row, 'at'),
      leaf: bytesOf(row, 'leaf'),
      leafHash: textOf(row, 'leaf_hash'),
      payloads: this.#payloads.all(tenant, index).map(payloadOf),
    };
  }
}

function payloadOf(row: Row): Payload {
  return storedPayload({
    label: textOf(row, 'label'),
    nonce: bytesOf(row, 'nonce'),
    commitment: textOf(row, 'commitment'),
    text: textOf(row, 'value'),
  });
}
