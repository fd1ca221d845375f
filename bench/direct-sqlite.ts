import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { NAMES, type Row, type RowWrites, type Tables, type Value } from './direct.ts';

/** A database with the store's tables, through `node:sqlite` alone. */
export class DirectSqlite {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(path: string) {
    this.#database = new DatabaseSync(path);
    this.#database.exec(`
      PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA foreign_keys = ON`);
  }

  tables(): Tables {
    const read = (table: string): readonly Row[] =>
      this.#database.prepare(`SELECT * FROM ${table}`).all() as readonly Row[];
    return new Map(Object.keys(NAMES).map((table) => [table, read(table)]));
  }

  /** Empties the tables: those that are referred to last. */
  clear(): void {
    for (const table of Object.keys(NAMES).toReversed())
      this.#database.exec(`DELETE FROM ${table}`);
  }

  /** One durable transaction. */
  write(commits: readonly RowWrites[]): void {
    this.#database.exec('BEGIN IMMEDIATE');
    for (const { table, put, removed } of commits.flat()) {
      for (const row of put) this.#put(table, row);
      for (const row of removed) this.#remove(table, row);
    }
    this.#database.exec('COMMIT');
  }

  #put(table: string, row: Row): void {
    const columns = Object.keys(row);
    this.#statement(`put ${table}`, () => putSql(table, columns)).run(...Object.values(row));
  }

  #remove(table: string, row: Row): void {
    const names = NAMES[table] ?? [];
    const values = names.map((name): Value => row[name] ?? null);
    const where = names.map((name) => `"${name}" = ?`).join(' AND ');
    this.#statement(`remove ${table}`, () => `DELETE FROM ${table} WHERE ${where}`).run(...values);
  }

  #statement(name: string, sql: () => string): StatementSync {
    const statement = this.#statements.get(name) ?? this.#database.prepare(sql());
    this.#statements.set(name, statement);
    return statement;
  }

  close(): void {
    this.#database.close();
  }
}

function putSql(table: string, columns: readonly string[]): string {
  const names = NAMES[table] ?? [];
  const set = columns
    .filter((column) => !names.includes(column))
    .map((column) => `"${column}" = excluded."${column}"`);
  const named = columns.map((column) => `"${column}"`).join(', ');
  const places = columns.map(() => '?').join(', ');
  const conflict =
    names.length === 0
      ? ''
      : `ON CONFLICT (${names.map((name) => `"${name}"`).join(', ')}) DO ${
          set.length === 0 ? 'NOTHING' : `UPDATE SET ${set.join(', ')}`
        }`;
  return `INSERT INTO ${table} (${named}) VALUES (${places}) ${conflict}`;
}
