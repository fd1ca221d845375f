import type { Payload } from '../../model/entry.ts';
import type { TenantId } from '../../model/ids.ts';
import type { StoredEntry, TreeState } from '../../model/ports.ts';
import { storedPayload } from '../state/records.ts';
import { EMPTY_LOG } from '../state/tables.ts';
import { bytesOf, hexOf, integerOf, tenantOf, textOf, type Ask, type Row } from './rows.ts';

/** The log as it was committed. */
export class LogReads {
  readonly #ask: Ask;
  readonly #schema: string;

  constructor(ask: Ask, schema: string) {
    this.#ask = ask;
    this.#schema = schema;
  }

  async step(tenant: TenantId, act: string): Promise<number> {
    const [row] = await this.#ask(
      `SELECT coalesce(max(step), 0) AS step FROM ${this.#schema}.entries
       WHERE tenant = $1 AND act = $2`,
      [tenant, act],
    );
    return integerOf(row ?? {}, 'step');
  }

  async latest(tenant: TenantId, act: string): Promise<StoredEntry | undefined> {
    const [entry] = await this.ofAct(tenant, act, { limit: 1 });
    return entry;
  }

  async ofAct(
    tenant: TenantId,
    act: string,
    { before, limit }: { readonly before?: number; readonly limit: number },
  ): Promise<readonly StoredEntry[]> {
    return this.#entries(
      'WHERE tenant = $1 AND act = $2 AND step < $3 ORDER BY step DESC LIMIT $4',
      'step DESC',
      [tenant, act, before ?? Number.MAX_SAFE_INTEGER, limit],
    );
  }

  async entries(tenant: TenantId, from: number, limit: number): Promise<readonly StoredEntry[]> {
    return this.#entries(
      'WHERE tenant = $1 AND entry_index >= $2 ORDER BY entry_index LIMIT $3',
      'entry_index',
      [tenant, from, limit],
    );
  }

  async leafHash(tenant: TenantId, index: number): Promise<string | undefined> {
    const [row] = await this.#ask(
      `SELECT leaf_hash FROM ${this.#schema}.entries WHERE tenant = $1 AND entry_index = $2`,
      [tenant, index],
    );
    return row && hexOf(row, 'leaf_hash');
  }

  async tree(tenant: TenantId): Promise<TreeState> {
    const [row] = await this.#ask(
      `SELECT size, range FROM ${this.#schema}.logs WHERE tenant = $1`,
      [tenant],
    );
    return row === undefined ? EMPTY_LOG.tree : treeOf(row);
  }

  async tenants(): Promise<readonly TenantId[]> {
    const rows = await this.#ask(
      `SELECT tenant FROM ${this.#schema}.logs WHERE latest_at IS NOT NULL ORDER BY tenant`,
      [],
    );
    return rows.map((row) => tenantOf(row));
  }

  /** Entries with what lies beside them, a row for each of that. */
  async #entries(
    which: string,
    order: string,
    values: readonly (string | number)[],
  ): Promise<readonly StoredEntry[]> {
    const rows = await this.#ask(
      `SELECT e.entry_index, e.act, e.step, e.at, e.leaf, e.leaf_hash,
         p.label, p.nonce, p.commitment, p.value
       FROM (SELECT * FROM ${this.#schema}.entries ${which}) AS e
       LEFT JOIN ${this.#schema}.payloads AS p
         ON p.tenant = e.tenant AND p.entry_index = e.entry_index
       ORDER BY e.${order}, p.position`,
      values,
    );
    const byIndex = Map.groupBy(rows, (row) => integerOf(row, 'entry_index'));
    return [...byIndex].flatMap(([index, own]) =>
      own.slice(0, 1).map((row) => entryOf(index, row, own)),
    );
  }
}

export function treeOf(row: Row): TreeState {
  const range = textOf(row, 'range');
  return { size: integerOf(row, 'size'), range: range === '' ? [] : range.split(' ') };
}

function entryOf(index: number, row: Row, rows: readonly Row[]): StoredEntry {
  return {
    index,
    act: textOf(row, 'act'),
    step: integerOf(row, 'step'),
    at: integerOf(row, 'at'),
    leaf: bytesOf(row, 'leaf'),
    leafHash: hexOf(row, 'leaf_hash'),
    payloads: rows.filter((each) => each['label'] !== null).map(payloadOf),
  };
}

function payloadOf(row: Row): Payload {
  return storedPayload({
    label: textOf(row, 'label'),
    nonce: bytesOf(row, 'nonce'),
    commitment: textOf(row, 'commitment'),
    text: textOf(row, 'value'),
  });
}
