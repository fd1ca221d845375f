/** Opening the file: permissions, lock, durability, integrity, schema version. */
import { strict as assert } from 'node:assert';
import { chmodSync, closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Problem } from '../../model/problem.ts';
import { SQLITE_MIGRATIONS } from '../migrations/sqlite.ts';
import { openingProblem } from './problem.ts';
import { integerOf, textOf, type Row } from './rows.ts';

export const IN_MEMORY = ':memory:';

/** `Wgte` in ASCII: marks the file as ours, so that no other application's file is written to. */
const APPLICATION_ID = 0x57677465;

/** Larger files are not read through at start; SQLite then finds damage as it meets it. */
const CHECKED_SIZE_BYTES_MAX = 256 * 1024 * 1024;

/**
 * Opens the database at `path` for this process alone and brings its schema up to date. Creates
 * the file (mode 0600) and its folder (0700) where they are missing. The lock is the operating
 * system's: it ends with the process, however that ends.
 *
 * A crash here leaves the earlier schema or the new one, never a mixture.
 * Throws `store-locked` where another process has it, `store-unusable` where it cannot be opened,
 * is damaged, belongs to another application or has a newer schema.
 */
export function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    if (path !== IN_MEMORY) makePrivate(path);
    // Without a timeout: a lock that another gateway holds will not go away by waiting.
    database = new DatabaseSync(path, { timeout: 0 });
    lockAndSync(database, path);
    checkIntegrity(database, path);
    migrate(database, path);
    endLeases(database);
    return database;
  } catch (error) {
    database?.close();
    throw openingProblem(error, path);
  }
}

function makePrivate(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    // Only a file that did not exist is ever opened here: closing any descriptor of a file drops
    // all POSIX locks that the process holds on it, those of an open store included.
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  chmodSync(path, 0o600);
}

function lockAndSync(database: DatabaseSync, path: string): void {
  database.exec('PRAGMA locking_mode = EXCLUSIVE');
  const journalMode = pragmaText(database, 'journal_mode = WAL', 'journal_mode');
  database.exec('PRAGMA synchronous = FULL');
  // Only macOS heeds these: its fsync does not reach the platter, F_FULLFSYNC does.
  database.exec('PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON');
  assert(integerOf(pragma(database, 'synchronous'), 'synchronous') === 2, 'commits are synced');
  if (path !== IN_MEMORY && journalMode !== 'wal') {
    throw new Problem(
      'store-unusable',
      `the file system of \`${path}\` takes no write-ahead log; use a local disk`,
    );
  }
  // An empty write takes the exclusive lock now and not at the first commit.
  database.exec('BEGIN EXCLUSIVE; COMMIT');
}

function checkIntegrity(database: DatabaseSync, path: string): void {
  if (path === IN_MEMORY || statSync(path).size > CHECKED_SIZE_BYTES_MAX) return;
  const found = pragmaText(database, 'quick_check(1)', 'quick_check');
  if (found !== 'ok') {
    throw new Problem('store-unusable', `\`${path}\` is damaged; restore it from a backup`);
  }
}

function migrate(database: DatabaseSync, path: string): void {
  const version = integerOf(pragma(database, 'user_version'), 'user_version');
  const tables = database.prepare('SELECT count(*) AS count FROM sqlite_schema').get() ?? {};
  const isOurs = integerOf(pragma(database, 'application_id'), 'application_id') === APPLICATION_ID;
  if (!isOurs && integerOf(tables, 'count') > 0) {
    throw new Problem('store-unusable', `\`${path}\` is another application's database`);
  }
  if (version > SQLITE_MIGRATIONS.length) {
    throw new Problem(
      'store-unusable',
      `\`${path}\` has schema version ${version} and this gateway knows ` +
        `${SQLITE_MIGRATIONS.length}; start the version that wrote it, or a newer one`,
    );
  }
  if (version === SQLITE_MIGRATIONS.length) return;
  database.exec('BEGIN IMMEDIATE');
  for (const migration of SQLITE_MIGRATIONS.slice(version)) database.exec(migration);
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  database.exec(`PRAGMA user_version = ${SQLITE_MIGRATIONS.length}`);
  database.exec('COMMIT');
}

/** Whoever held one is gone: the lock on the file proves it. */
function endLeases(database: DatabaseSync): void {
  database.exec('UPDATE leases SET holder = NULL WHERE holder IS NOT NULL');
}

function pragmaText(database: DatabaseSync, text: string, column: string): string {
  return textOf(pragma(database, text), column);
}

function pragma(database: DatabaseSync, text: string): Row {
  const row = database.prepare(`PRAGMA ${text}`).get();
  assert(row !== undefined, `no answer to PRAGMA ${text}`);
  return row;
}
