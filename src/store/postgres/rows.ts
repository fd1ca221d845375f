/** Reading columns: another type than expected is a bug and throws. */
import { strict as assert } from 'node:assert';
import pg from 'pg';
import { proposalId, tenantId, type ProposalId, type TenantId } from '../../model/ids.ts';

export type Row = Readonly<Record<string, unknown>>;

/** Asks one statement, outside of any transaction. */
export type Ask = (
  text: string,
  values: readonly (string | number | Buffer | null)[],
) => Promise<readonly Row[]>;

const BIGINT = 20;
const NUMERIC = 1700;

/** How the driver reads values; whole numbers beyond those that are exact are a bug and throw. */
export const VALUE_TYPES: pg.TypeOverrides = new pg.TypeOverrides();
for (const oid of [BIGINT, NUMERIC]) VALUE_TYPES.setTypeParser(oid, wholeNumber);

function wholeNumber(text: string): number {
  const value = Number(text);
  assert(Number.isSafeInteger(value), 'a stored number is exact');
  return value;
}

export function textOf(row: Row, column: string): string {
  const value = row[column];
  assert(typeof value === 'string', `column ${column} holds no text`);
  return value;
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : textOf(row, column);
}

export function integerOf(row: Row, column: string): number {
  const value = row[column];
  assert(Number.isSafeInteger(value), `column ${column} holds no integer`);
  return Number(value);
}

export function integerOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : integerOf(row, column);
}

export function bytesOf(row: Row, column: string): Buffer {
  const value = row[column];
  assert(Buffer.isBuffer(value), `column ${column} holds no bytes`);
  return value;
}

export function hexOf(row: Row, column: string): string {
  return bytesOf(row, column).toString('hex');
}

export function tenantOf(row: Row, column = 'tenant'): TenantId {
  const tenant = tenantId(textOf(row, column));
  assert(tenant !== undefined, 'a stored tenant is a tenant');
  return tenant;
}

export function idOf(row: Row, column = 'proposal'): ProposalId {
  const id = proposalId(textOf(row, column));
  assert(id !== undefined, 'a stored proposal id is one');
  return id;
}
