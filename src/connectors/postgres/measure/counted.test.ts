// What is counted first, without a lock, before a write is carried out.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';

const SCHEMA = `
CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL);
INSERT INTO notes SELECT n, 'note ' || n FROM generate_series(1, 10) AS n;
CREATE FUNCTION abs(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
  PERFORM pg_advisory_lock(42); RETURN 'x'; END$$;
`;

let server: Postgres;
let bench: TargetBench;
before(async () => {
  server = await startPostgres({ settings: { fsync: 'off' } });
  bench = await openTargetBench(server, SCHEMA, { limits: { rows: 2 } });
});
after(async () => {
  await bench.close();
  await server.stop();
});

test('what is over the limit is refused with its figure, and nothing is carried out', async () => {
  const { code, reason } = await bench.refused(`UPDATE notes SET body = 'y' WHERE id > 3`);
  assert.equal(code, 'limit-exceeded');
  assert.match(reason, /would change 7 records; expected at most 2/);
});

test('nothing is counted for who holds no permission on the table', async () => {
  const asked = bench.ask(`UPDATE notes SET body = 'y' WHERE body LIKE 'note%'`);
  const answer = await bench.plan({ ...asked, permits: () => false });
  assert(answer.kind === 'refused');
  assert.equal(answer.code, 'not-permitted');
  assert.doesNotMatch(answer.reason, /10/);
});

test('the count runs no function of the database’s users either', async () => {
  const { code } = await bench.refused(`UPDATE notes SET body = 'y' WHERE abs(body) = 'x'`);
  assert.equal(code, 'statement-function');
  const locks = await bench.rows(`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'`);
  assert.deepEqual(locks, ['0']);
});
