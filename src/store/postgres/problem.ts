/** The server's errors, told apart by their SQLSTATE, and the driver's where there was no server. */
import { strict as assert } from 'node:assert';
import pg from 'pg';
import { Problem } from '../../model/problem.ts';

/** Serialization failure, deadlock, lock not available, cancelled: another try may well succeed. */
const AGAIN: readonly string[] = ['40001', '40P01', '55P03', '57014'];

/** A statement was prepared on another connection than it is asked on. */
const PREPARED: readonly string[] = ['26000', '42P05'];

/** The server ends the connection, or has no room for one: it goes down, starts, or has too many. */
const AWAY: readonly string[] = [
  '25P03',
  '25P04',
  '53300',
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  // What a pooler says of a server that it cannot reach, and connection errors of the server's own.
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
  '08P01',
];

const NO_WRITES =
  'the store’s server takes no writes: it is a standby, or read-only; name the primary in the connection string';

/** What keeps the store from working until somebody changes something, and what that is. */
const UNUSABLE: Readonly<Record<string, string>> = {
  // A transaction that writes cannot begin on a standby, or not go on.
  '0A000': NO_WRITES,
  '25006': NO_WRITES,
  '28000': 'the store’s server refuses the user of the connection string; correct it',
  '28P01': 'the store’s server refuses user or password of the connection string; correct it',
  '3D000': 'the store’s database does not exist; create it, or correct the connection string',
  '3F000': 'the store’s schema does not exist; start the gateway again to make it',
  '42501':
    'the store’s user lacks a right on its schema or tables; let the owner of the schema run the gateway',
  '42P01': 'a table of the store is missing; restore the database from a backup',
  '42703': 'a column of the store is missing; restore the database from a backup',
  '53100': 'the disk of the store’s server is full; make room on it',
  '58030': 'the disk of the store’s server fails; check it',
  XX001: 'the store’s database is damaged; restore it from a backup',
  XX002: 'an index of the store’s database is damaged; reindex it, or restore it from a backup',
};

/** Of a certificate that the driver does not take, by Node's codes. */
const OF_CERTIFICATES =
  /^(?:CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_SELF_SIGNED_|ERR_TLS_CERT_ALTNAME_)/;

/** What `expecting` makes a statement fail with. */
const UNEXPECTED = '22012';

/** Returns the SQLSTATE of an error that the server answered with, `undefined` for any other. */
function codeOf(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** Reports whether the server refused a statement, and with it the transaction, and goes on. */
export function isRefusal(error: unknown): boolean {
  const code = codeOf(error);
  return code !== undefined && !AWAY.includes(code);
}

/** Reports whether the same transaction may succeed at another try. */
export function isWorthAgain(error: unknown): boolean {
  return AGAIN.includes(codeOf(error) ?? '') || isOfPreparing(error);
}

/** Reports whether a connection that was taken for one of the server's is a pooler's. */
export function isOfPreparing(error: unknown): boolean {
  return PREPARED.includes(codeOf(error) ?? '');
}

/** What to correct where a server answers and the driver does not go on; `undefined` for any other error. */
function misfitOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { message } = error;
  if (message.startsWith('SASL: ') && message.includes('password must be')) {
    return 'the store’s server asks for a password and the connection string has none; add it';
  }
  if (message === 'The server does not support SSL connections') {
    return 'the store’s server has no TLS, which the connection string asks for; correct either';
  }
  const code = 'code' in error ? String(error.code) : '';
  if (!OF_CERTIFICATES.test(code)) return undefined;
  return `the certificate of the store’s server does not hold (${code}); correct it, or \`sslrootcert\` of the connection string`;
}

/** Reports whether there was no server to answer, or one that ended the connection. */
export function isAway(error: unknown): boolean {
  const code = codeOf(error);
  if (code !== undefined) return AWAY.includes(code);
  // The driver's own errors have no SQLSTATE; ours are Problems and assertions.
  return (
    error instanceof Error &&
    !(error instanceof Problem) &&
    misfitOf(error) === undefined &&
    (error.name === 'Error' || error.name === 'AggregateError') &&
    !('generatedMessage' in error)
  );
}

/** Wraps an error of server or network; one that is neither stays. */
export function storageProblem(error: unknown): unknown {
  if (codeOf(error) === UNEXPECTED) {
    const message = 'the rows of the store were not as they had been loaded, under the lock';
    return new assert.AssertionError({ message });
  }
  const advice = UNUSABLE[codeOf(error) ?? ''] ?? misfitOf(error);
  if (advice !== undefined) return new Problem('store-unusable', advice, { cause: error });
  if (!isAway(error) && !isWorthAgain(error)) return error;
  return unreachable('nothing was written; try again shortly', error);
}

export function isAboutStorage(error: unknown): boolean {
  return storageProblem(error) instanceof Problem;
}

export function unreachable(what: string, cause?: unknown): Problem {
  const message = `the store’s server does not answer; ${what}`;
  return new Problem('store-unreachable', message, { cause });
}
