/** What an error of the server or the connection means for a write that was not committed. */
import { AssertionError } from 'node:assert';
import pg from 'pg';
import type { TargetRefusal } from '../../../model/ports.ts';
import { Problem } from '../../../model/problem.ts';
import { refusal, Refused } from '../../connector.ts';
import { misfitOf, type Given } from '../proposed/misfit.ts';

/** By SQLSTATE, or its first two characters. Nothing of these was committed. */
const CODES: Readonly<Record<string, readonly [code: TargetRefusal['code'], permanent: boolean]>> =
  {
    '55P03': ['target-busy', false],
    '40001': ['target-busy', false],
    '40P01': ['target-busy', false],
    '57014': ['statement-timeout', false],
    '42501': ['target-refused', true],
    '25P03': ['statement-timeout', false],
    '25P04': ['statement-timeout', false],
    '0A': ['statement-unsupported', true],
    '08': ['target-unavailable', false],
    '22': ['statement-invalid', true],
    '23': ['constraint-violated', true],
    '28': ['target-unavailable', false],
    '3D': ['target-unavailable', false],
    '42': ['statement-invalid', true],
    '53': ['target-unavailable', false],
    '54': ['statement-too-large', true],
    '57': ['target-unavailable', false],
    P0: ['target-refused', true],
  };

/** Classes whose primary message tells names and rules alone; others may quote a row's values. */
const TELLING = new Set(['0A', '23', '54', '44', 'P0']);

const PLAIN: Readonly<Record<string, string>> = {
  '55P03': 'a row or table is locked by another session; try again later',
  '40001': 'another session changed the same rows; try again',
  '40P01': 'another session held the rows in the opposite order; try again',
  '57014': 'the statement took longer than the target allows; propose a smaller one',
  '25P03': 'the transaction took longer than the target allows; propose a smaller one',
  '25P04': 'the transaction took longer than the target allows; propose a smaller one',
  '28': 'the database does not let the gateway in; an operator must look at its credential',
  '3D': 'the database of the target does not exist; an operator must look at its configuration',
  '53': 'the database has no room for another connection or no space left; try again later',
  '57': 'the database ended the session; nothing was changed, try again later',
  '42': 'the database does not take the statement as it is written; check its values and types',
  '22': 'a value does not fit its type or place',
};

/**
 * Turns an error of a transaction that was not committed into the refusal that it is; with what the
 * statement was given it says which value did not fit. Throws the
 * error again where it is a bug of ours: that may not pass for the target's doing.
 */
export function asRefusal(error: unknown, given?: Given): TargetRefusal {
  if (error instanceof Refused) return error.refusal;
  if (error instanceof Problem) {
    return refusal('target-refused', error.message, { permanent: false });
  }
  if (error instanceof pg.DatabaseError) return ofServer(error, given);
  if (isDriverTimeout(error)) {
    return refusal('statement-timeout', PLAIN['57014'] ?? '', { permanent: false });
  }
  if (error instanceof Error && /^(?:AbortError|TimeoutError)$/.test(error.name)) {
    return refusal('statement-timeout', 'the call was given up; nothing was changed', {
      permanent: false,
    });
  }
  if (isBug(error)) throw error;
  if (isDiskFull(error)) {
    return refusal(
      'target-unavailable',
      'the gateway’s own disk has no room for the images of the rows; nothing was changed, ' +
        'an operator must make room',
      { permanent: false },
    );
  }
  return refusal(
    'target-unavailable',
    `the database cannot be reached${codeOf(error)}; nothing was changed, try again later`,
    { permanent: false },
  );
}

/**
 * Whether the driver gave up waiting: what the server's own time limit did not end, because it was
 * sending by then, or because nothing came back at all.
 */
export function isDriverTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout';
}

/** SQLSTATE of an error of the server; undefined for anything else. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

/** Whether the server answered that this statement alone went wrong, and lives on. */
export function isPlainError(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.severity === 'ERROR';
}

function ofServer(error: pg.DatabaseError, given: Given | undefined): TargetRefusal {
  const state = error.code ?? '';
  const family = state.slice(0, 2);
  const [code, permanent] = CODES[state] ?? CODES[family] ?? ['target-refused', false];
  const plain = PLAIN[state] ?? PLAIN[family] ?? 'the database refused the statement';
  const told = family === '22' ? `${plain}${misfitOf(error, given)}; check the values` : plain;
  const isTold = TELLING.has(family) || (family === '42' && isOfTheText(error));
  const reason = isTold ? error.message.slice(0, 1_000) : told;
  return refusal(code, `${reason} (${state})`, { permanent });
}

/**
 * Whether an error is about the statement's text, or a right that is missing. One of the same class
 * that comes up while it runs may quote a row's value: `syntax error in tsquery: "…"`.
 */
function isOfTheText(error: pg.DatabaseError): boolean {
  return error.position !== undefined || error.code === '42501';
}

function isDiskFull(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EROFS';
}

function isBug(error: unknown): boolean {
  return (
    !(error instanceof Error) ||
    error instanceof AssertionError ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError
  );
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[A-Z0-9_]{1,40}$/.test(code) ? ` (${code})` : '';
}
