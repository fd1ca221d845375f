// A value that does not fit is named by its place, and never told.
import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';
import type { JsonObject } from '../../../lib/json.ts';

let server: Postgres;
let bench: TargetBench;
before(async () => {
  server = await startPostgres({ settings: { fsync: 'off' } });
  bench = await openTargetBench(
    server,
    `CREATE TABLE goods (id int PRIMARY KEY, price numeric(6,2), n int, code varchar(3), made date);
     INSERT INTO goods VALUES (1, 1, 1, 'a', '2026-01-01')`,
  );
});
after(async () => {
  await bench.close();
  await server.stop();
});

test('a parameter that does not fit is named, with the type where the server tells it', async () => {
  const cases: readonly (readonly [string, readonly (string | number)[], RegExp])[] = [
    [
      'price = $2, n = $1',
      [5, 987654],
      /at parameter \$2, of type numeric\(6,2\); check.*\(22003\)/,
    ],
    ['price = $1', ['9999.996'], /at parameter \$1, of type numeric\(6,2\)/],
    ['price = $1, n = $2', ['9999.99', '98765432109'], /at parameter \$2; check.*\(22003\)/],
    [
      'n = $1, code = $2',
      [7, 'wxyz'],
      /at parameter \$2, of type character varying\(3\);.*\(22001\)/,
    ],
    ['made = $1', ['yesterweek'], /at parameter \$1; check.*\(22007\)/],
    ['n = n + 2147483647', [], /place, of type integer; check.*\(22003\)/],
  ];
  for (const [set, parameters, expected] of cases) {
    const { code, reason } = await bench.refused(
      `UPDATE goods SET ${set} WHERE id = 1`,
      parameters,
    );
    assert.equal(code, 'statement-invalid');
    assert.match(reason, expected);
    assert.doesNotMatch(reason, /9876|9999|wxyz|yesterweek/);
  }
});

test('in a structured write the field is named, in every lane', async () => {
  const cases: readonly (readonly [string, JsonObject, RegExp])[] = [
    ['update', { table: 'goods', set: { price: 987654 }, key: { id: 1 } }, /at `\/set\/price`, of/],
    ['update', { table: 'goods', set: { n: '98765432109' }, key: { id: 1 } }, /at `\/set\/n`;/],
    [
      'insert',
      { table: 'goods', rows: [{ id: 2 }, { id: 3, code: 'wxyz' }] },
      /at `\/rows\/1\/code`, of type character varying\(3\)/,
    ],
  ];
  for (const [operation, args, expected] of cases) {
    const asked = { ...bench.ask(''), operation, arguments: args };
    const answer = await bench.plan(asked);
    assert(answer.kind === 'refused');
    assert.match(answer.reason, expected);
    const held = await bench.target.hold?.(
      { ...asked, key: asked.proposalId },
      AbortSignal.timeout(10_000),
    );
    assert(held?.kind === 'refused', JSON.stringify(held));
    assert.match(held.reason, expected);
    assert.doesNotMatch(answer.reason + held.reason, /9876|wxyz/);
  }
});
