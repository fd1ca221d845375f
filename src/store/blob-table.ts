/**
 * Blobs as rows of the PostgreSQL store, in chunks of one size: what one gateway wrote, each reads.
 *
 * 1. A blob is there once its row says that it is kept; that commit is synced, and with it every chunk
 *    before it, which lie earlier in the server's log.
 * 2. No chunk is without its row: what was dropped while it was written takes no further chunk.
 * 3. One chunk is in memory for each that is written, and what was asked for of each that is read.
 */
import { strict as assert } from 'node:assert';
import type pg from 'pg';
import { beginSql, transaction } from './postgres/connect.ts';
import type { BlobHead } from './blobs.ts';
import { storageProblem } from './postgres/problem.ts';
import { bytesOf, integerOf, textOf, type Row } from './postgres/rows.ts';

/** Bytes of each chunk but the last. */
export const CHUNK_BYTES: number = 256 * 1024;

export interface BlobTablePorts {
  readonly pool: pg.Pool;
  /** The store's schema, as it stands in statements. */
  readonly schema: string;
  readonly tenant: string;
  /** What they are: nobody finds those of another kind. */
  readonly kind: 'evidence' | 'upload';
  /** Ms since the epoch. */
  readonly now: () => number;
}

/** A blob that was kept. */
export interface KeptBlob {
  readonly id: number;
  readonly name: string;
  readonly sizeBytes: number;
  readonly keptAt: number;
}

/** Whose it is, and what it is called there. */
export interface BlobName {
  readonly owner: string;
  readonly name: string;
}

export class BlobTable {
  readonly #ports: BlobTablePorts;

  constructor(ports: BlobTablePorts) {
    this.#ports = ports;
  }

  /** Begins one for an owner, which has no name before it is kept. */
  async begin(owner: string): Promise<BlobInWriting> {
    const { schema, tenant, kind, now } = this.#ports;
    const [row = {}] = await this.change(
      `INSERT INTO ${schema}.blobs (tenant, kind, owner, made_at) VALUES ($1, $2, $3, $4) RETURNING id`,
      [tenant, kind, owner, now()],
    );
    return new BlobInWriting(this, integerOf(row, 'id'));
  }

  async find({ owner, name }: BlobName): Promise<KeptBlob | undefined> {
    const { schema, tenant, kind } = this.#ports;
    const [row] = await this.query(
      `SELECT id, name, size_bytes, made_at FROM ${schema}.blobs
       WHERE tenant = $1 AND kind = $2 AND owner = $3 AND name = $4 AND is_kept`,
      [tenant, kind, owner, name],
    );
    return row && keptOf(row);
  }

  /** Every one that was kept, with its first bytes. */
  async heads(headBytes: number): Promise<readonly BlobHead[]> {
    const { schema, tenant, kind } = this.#ports;
    const rows = await this.query(
      `SELECT name, coalesce(substring(bytes FROM 1 FOR $3), '') AS head
       FROM ${schema}.blobs LEFT JOIN ${schema}.blob_chunks ON blob = id AND position = 0
       WHERE tenant = $1 AND kind = $2 AND is_kept ORDER BY id`,
      [tenant, kind, headBytes],
    );
    return rows.map((row) => ({ name: textOf(row, 'name'), head: bytesOf(row, 'head') }));
  }

  /** The bytes from `offset` on, so many; fewer where it ends before, or is gone. */
  async read(id: number, offset: number, length: number): Promise<Buffer> {
    if (length <= 0) return Buffer.alloc(0);
    const rows = await this.query(
      `SELECT position, substring(
         bytes FROM greatest($2 - position * ${CHUNK_BYTES}, 0) + 1
         FOR $2 + $3 - greatest($2, position * ${CHUNK_BYTES})) AS part
       FROM ${this.#ports.schema}.blob_chunks
       WHERE blob = $1 AND position BETWEEN $2 / ${CHUNK_BYTES} AND ($2 + $3 - 1) / ${CHUNK_BYTES}
       ORDER BY position`,
      [id, offset, length],
    );
    const parts: Buffer[] = [];
    for (const [place, row] of rows.entries()) {
      // After one that is missing come other bytes than those that were asked for.
      if (integerOf(row, 'position') !== Math.floor(offset / CHUNK_BYTES) + place) break;
      parts.push(bytesOf(row, 'part'));
    }
    return Buffer.concat(parts);
  }

  async remove({ owner, name }: BlobName): Promise<void> {
    const { schema, tenant, kind } = this.#ports;
    await this.change(
      `DELETE FROM ${schema}.blobs
       WHERE tenant = $1 AND kind = $2 AND owner = $3 AND name = $4 AND is_kept`,
      [tenant, kind, owner, name],
    );
  }

  /** Removes what was begun, or kept, before these times. */
  async removeOlder(than: { readonly unkept: number; readonly kept?: number }): Promise<void> {
    const { schema, tenant, kind } = this.#ports;
    await this.change(
      `DELETE FROM ${schema}.blobs WHERE tenant = $1 AND kind = $2
       AND made_at < CASE WHEN is_kept THEN $4::bigint ELSE $3::bigint END`,
      [tenant, kind, than.unkept, than.kept ?? 0],
    );
  }

  /** How many an owner has, and how many bytes, those that are being written included. */
  async usage(owner: string): Promise<{ readonly files: number; readonly bytes: number }> {
    const { schema, tenant, kind } = this.#ports;
    const [row = {}] = await this.query(
      `SELECT count(*) AS files, coalesce(sum(size_bytes), 0) AS bytes FROM ${schema}.blobs
       WHERE tenant = $1 AND kind = $2 AND owner = $3`,
      [tenant, kind, owner],
    );
    return { files: integerOf(row, 'files'), bytes: integerOf(row, 'bytes') };
  }

  /** Runs `work` in a transaction whose commit is synced, whatever role and pooler have set. */
  async within<Answer>(work: (client: pg.PoolClient) => Promise<Answer>): Promise<Answer> {
    const client = await this.#pooled(() => this.#ports.pool.connect());
    try {
      const answer = await transaction(client, beginSql(), () => work(client));
      client.release();
      return answer;
    } catch (error) {
      client.release(true);
      throw storageProblem(error);
    }
  }

  /** One statement that writes. */
  async change(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    const { rows } = await this.within((client) => client.query<Row>(text, [...values]));
    return rows;
  }

  /** One statement that only reads. */
  async query(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    const { rows } = await this.#pooled(() => this.#ports.pool.query<Row>(text, [...values]));
    return rows;
  }

  get ports(): BlobTablePorts {
    return this.#ports;
  }

  async #pooled<Answer>(work: () => Promise<Answer>): Promise<Answer> {
    try {
      return await work();
    } catch (error) {
      throw storageProblem(error);
    }
  }
}

function keptOf(row: Row): KeptBlob {
  return {
    id: integerOf(row, 'id'),
    name: textOf(row, 'name'),
    sizeBytes: integerOf(row, 'size_bytes'),
    keptAt: integerOf(row, 'made_at'),
  };
}

/** One that is written: chunk by chunk, the next one after the one before. */
export class BlobInWriting {
  readonly #table: BlobTable;
  readonly #id: number;
  #parts: Uint8Array[] = [];
  #waiting = 0;
  #position = 0;

  constructor(table: BlobTable, id: number) {
    this.#table = table;
    this.#id = id;
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.#parts.push(bytes);
    this.#waiting += bytes.length;
    while (this.#waiting >= CHUNK_BYTES) {
      const all = Buffer.concat(this.#parts);
      const rest = all.subarray(CHUNK_BYTES);
      this.#parts = [rest];
      this.#waiting = rest.length;
      await this.#put(all.subarray(0, CHUNK_BYTES));
    }
  }

  /**
   * Gives it its name and makes all of it durable. One that had the name before gives way to it. `check`
   * may still refuse, by throwing.
   */
  async keep(
    { owner, name }: BlobName,
    check?: (client: pg.PoolClient) => Promise<void>,
  ): Promise<void> {
    if (this.#waiting > 0) await this.#put(Buffer.concat(this.#parts));
    this.#parts = [];
    this.#waiting = 0;
    const { schema, tenant, kind, now } = this.#table.ports;
    await this.#table.within(async (client) => {
      await check?.(client);
      await client.query(
        `DELETE FROM ${schema}.blobs
         WHERE tenant = $1 AND kind = $2 AND owner = $3 AND name = $4 AND is_kept`,
        [tenant, kind, owner, name],
      );
      const { rowCount } = await client.query(
        `UPDATE ${schema}.blobs SET name = $2, made_at = $3, is_kept = true
         WHERE id = $1 AND NOT is_kept`,
        [this.#id, name, now()],
      );
      assert(rowCount === 1, 'what is kept was not removed while it was written');
    });
  }

  async drop(): Promise<void> {
    const { schema } = this.#table.ports;
    await this.#table.change(`DELETE FROM ${schema}.blobs WHERE id = $1 AND NOT is_kept`, [
      this.#id,
    ]);
  }

  /** Not synced by itself: the commit that keeps the blob is, and comes later in the server's log. */
  async #put(bytes: Buffer): Promise<void> {
    const { schema } = this.#table.ports;
    const rows = await this.#table.change(
      `WITH unsynced AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
         grown AS (
           UPDATE ${schema}.blobs SET size_bytes = size_bytes + $3::bigint
           FROM unsynced WHERE id = $1 AND NOT is_kept RETURNING id)
       INSERT INTO ${schema}.blob_chunks (blob, position, bytes)
       SELECT id, $2::integer, $4::bytea FROM grown RETURNING position`,
      [this.#id, this.#position, bytes.length, bytes],
    );
    assert(rows.length === 1, 'what is written was not removed meanwhile');
    this.#position += 1;
  }
}
