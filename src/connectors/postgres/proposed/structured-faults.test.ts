import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { Refused } from '../../connector.ts';
import type { JsonObject } from '../../../lib/json.ts';
import { compileAll } from './structured-faults.ts';
import type { StructuredOperation } from './structured.ts';

function reasonOf(operation: StructuredOperation, args: JsonObject): string {
  try {
    compileAll(operation, args);
  } catch (error) {
    assert(error instanceof Refused && error.refusal.code === 'arguments-invalid');
    return error.refusal.reason;
  }
  return '';
}

test('everything that is wrong with the arguments is named at once', () => {
  const reason = reasonOf('insert', { rows: [], tabel: 'a', onConflict: 3 });
  for (const at of ['/tabel', '/table', '/rows', '/onConflict']) {
    assert(reason.includes(`\`${at}\``), `${at} in ${reason}`);
  }
  assert.equal(reason.split('the arguments are wrong at').length, 2);
});

test('a single fault is told as before, and what is right is compiled', () => {
  assert.match(
    reasonOf('insert', { table: 'a', rows: [] }),
    /^the arguments are wrong at `\/rows`: [^;]*$/,
  );
  assert.equal(reasonOf('insert', { table: 'a', rows: [{ b: 1 }] }), '');
});

test('places are named without end nor value', () => {
  const rows = Array.from({ length: 60 }, () => 'secret');
  const reason = reasonOf('insert', { table: 7, rows });
  assert.match(reason, /40 more places$/);
  assert(!reason.includes('secret'));
  const many = Array.from({ length: 20_000 }, () => 'secret');
  assert.match(reasonOf('insert', { table: 7, rows: many }), /`table` or `schema\.table`$/);
});
