/** SQLite's errors, told apart by their primary result code (sqlite.org/rescode.html). */
import { Problem } from '../../model/problem.ts';

const BUSY = 5;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;

const ABOUT_STORAGE: readonly unknown[] = [READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB];

/** Returns the primary result code of an error out of `node:sqlite`, `undefined` for any other. */
function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('errcode' in error)) return undefined;
  if (error.code !== 'ERR_SQLITE_ERROR' || typeof error.errcode !== 'number') return undefined;
  // The upper bytes of the extended code say more than the decisions here need.
  return error.errcode & 0xff;
}

/** Reports whether the error is about the file or the disk, not about one statement. */
export function isAboutStorage(error: unknown): boolean {
  return ABOUT_STORAGE.includes(resultCode(error));
}

/** Reports whether the disk, or the bound on the file, is full; what was committed is untouched. */
export function isFull(error: unknown): boolean {
  return resultCode(error) === FULL;
}

/** Wraps an error met while opening the file at `path`; an error that is not the file's stays. */
export function openingProblem(error: unknown, path: string): unknown {
  if (error instanceof Problem) return error;
  if (resultCode(error) === BUSY) {
    return new Problem(
      'store-locked',
      `another process holds \`${path}\`; stop it. Another data folder would be another gateway: it counts duplicates and budgets by itself`,
      { cause: error },
    );
  }
  const isOfFileSystem = error instanceof Error && 'syscall' in error;
  if (resultCode(error) === undefined && !isOfFileSystem) return error;
  const hasNoRoom = isFull(error) || (isOfFileSystem && 'code' in error && error.code === 'ENOSPC');
  const advice = hasNoRoom
    ? 'make room on the disk, then start again'
    : 'check its permissions, or restore it from a backup';
  return new Problem('store-unusable', `cannot open \`${path}\` as a store; ${advice}`, {
    cause: error,
  });
}

/** Wraps an error met while reading or writing; an error that is not the storage's stays. */
export function storageProblem(error: unknown): unknown {
  if (!isAboutStorage(error)) return error;
  const advice = isFull(error) ? 'make room on the disk' : 'check the disk, then start again';
  return new Problem('store-unusable', `the store cannot be read or written; ${advice}`, {
    cause: error,
  });
}
