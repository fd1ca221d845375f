import pg from 'pg';
import { bigints, byteas, texts } from '../src/store/postgres/arrays.ts';
import { VALUE_TYPES } from '../src/store/postgres/rows.ts';
import { NAMES, type Row, type RowWrites, type TableWrite, type Tables } from './direct.ts';

type Kind = 'text' | 'bigint' | 'bytea';

/** A database with the store's tables, through `pg` alone. */
export class DirectPostgres {
  readonly #pool: pg.Pool;
  readonly #schema: string;
  /** Columns of each table that are written, and how they are sent. */
  readonly #columns = new Map<string, ReadonlyMap<string, Kind>>();
  readonly #names = new Map<string, string>();

  constructor(url: string, schema: string, connections: number) {
    this.#schema = schema;
    this.#pool = new pg.Pool({ connectionString: url, max: connections, types: VALUE_TYPES });
    this.#pool.on('error', () => undefined);
  }

  /** Reads what columns there are. */
  async open(): Promise<this> {
    const { rows } = await this.#pool.query<{ name: string; column: string; type: string }>(
      `SELECT table_name AS name, column_name AS column, data_type AS type
       FROM information_schema.columns
       WHERE table_schema = $1 AND is_identity = 'NO' ORDER BY ordinal_position`,
      [this.#schema],
    );
    for (const [table, own] of Map.groupBy(rows, ({ name }) => name)) {
      this.#columns.set(table, new Map(own.map(({ column, type }) => [column, kindOf(type)])));
    }
    return this;
  }

  async tables(): Promise<Tables> {
    const tables = new Map<string, readonly Row[]>();
    for (const table of Object.keys(NAMES)) {
      const columns = [...this.#kinds(table).keys()].map((column) =>
        column === 'subjects' ? 'subjects::text' : `"${column}"`,
      );
      const { rows } = await this.#pool.query<Row>(
        `SELECT ${columns.join(', ')} FROM ${this.#schema}.${table}`,
      );
      tables.set(table, rows);
    }
    return tables;
  }

  async clear(): Promise<void> {
    const tables = Object.keys(NAMES).map((table) => `${this.#schema}.${table}`);
    await this.#pool.query(`TRUNCATE ${tables.join(', ')}`);
  }

  /** One durable transaction, in one statement and one round trip however much it writes. */
  async write(commit: RowWrites): Promise<void> {
    const values: Buffer[] = [];
    const parts = commit.flatMap((each) => [
      ...(each.put.length > 0 ? [this.#put(each, values)] : []),
      ...(each.removed.length > 0 ? [this.#remove(each, values)] : []),
    ]);
    const text = `WITH ${parts.map((part, at) => `w${at} AS (${part})`).join(', ')} SELECT`;
    const name = this.#names.get(text) ?? `direct ${this.#names.size}`;
    this.#names.set(text, name);
    await this.#pool.query({ name, text, values });
  }

  #put({ table, put }: TableWrite, values: Buffer[]): string {
    const kinds = this.#kinds(table);
    const from = values.length + 1;
    for (const [column, kind] of kinds) values.push(arrayOf(put, column, kind));
    const columns = [...kinds.keys()];
    const named = columns.map((column) => `"${column}"`).join(', ');
    const arrays = [...kinds.values()].map((kind, at) => `$${from + at}::${kind}[]`);
    const read = columns.map((column) => `w."${column}"${column === 'subjects' ? '::jsonb' : ''}`);
    const names = NAMES[table] ?? [];
    const set = columns
      .filter((column) => !names.includes(column))
      .map((column) => `"${column}" = excluded."${column}"`);
    const conflict =
      names.length === 0
        ? ''
        : `ON CONFLICT (${names.map((name) => `"${name}"`).join(', ')}) DO ${
            set.length === 0 ? 'NOTHING' : `UPDATE SET ${set.join(', ')}`
          }`;
    return `INSERT INTO ${this.#schema}.${table} (${named}) SELECT ${read.join(', ')}
      FROM unnest(${arrays.join(', ')}) AS w (${named}) ${conflict}`;
  }

  #remove({ table, removed }: TableWrite, values: Buffer[]): string {
    values.push(arrayOf(removed, 'tenant', 'text'), arrayOf(removed, 'proposal', 'text'));
    const at = values.length;
    return `DELETE FROM ${this.#schema}.${table} AS t
      USING unnest($${at - 1}::text[], $${at}::text[]) AS w (tenant, proposal)
      WHERE t.tenant = w.tenant AND t.proposal = w.proposal`;
  }

  #kinds(table: string): ReadonlyMap<string, Kind> {
    const kinds = this.#columns.get(table);
    if (kinds === undefined) throw new Error(`the store has no table \`${table}\``);
    return kinds;
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

function kindOf(type: string): Kind {
  return type === 'bigint' || type === 'bytea' ? type : 'text';
}

function arrayOf(rows: readonly Row[], column: string, kind: Kind): Buffer {
  const values = rows.map((row) => row[column] ?? null);
  if (kind === 'bigint')
    return bigints(values.map((value) => (value === null ? null : Number(value))));
  if (kind === 'text') return texts(values.map((value) => (value === null ? null : String(value))));
  return byteas(values.map((value) => (value instanceof Uint8Array ? value : new Uint8Array())));
}
