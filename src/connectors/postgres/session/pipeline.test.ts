import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { Refused } from '../../connector.ts';
import {
  forgetPrepared,
  isPreparedLost,
  PIPELINE_BOUNDS,
  runPipeline,
  stepOf,
  type Step,
} from './pipeline.ts';
import { streamPortal } from './rows.ts';

let server: Postgres;
let pool: pg.Pool;

before(async () => {
  server = await startPostgres();
  pool = new pg.Pool({ connectionString: server.url(), max: 4 });
  pool.on('error', () => undefined);
  await pool.query('CREATE TABLE things (id int PRIMARY KEY, name text)');
});
after(async () => {
  await pool.end();
  await server.stop();
});

/** A connection of its own, closed afterwards. */
async function lent(work: (client: pg.PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  client.on('error', () => undefined);
  try {
    await work(client);
  } finally {
    client.release(true);
  }
}

function step(name: string, text: string, ...values: NonNullable<Step['values']>): Step {
  return { name, text, values };
}

test('each step gives its rows as text, and the second run prepares nothing', async () => {
  await lent(async (client) => {
    const steps = [
      step('one', 'SELECT $1::int + 1, NULL, true', 41),
      step('none', 'SELECT 1 WHERE false'),
      step('again', 'SELECT $1::int + 1, NULL, true', 1),
    ];
    for (let run = 0; run < 2; run += 1) {
      const answers = await runPipeline(client, steps);
      assert.deepEqual(
        answers.map((answer) => answer.rows),
        [[['42', null, 't']], [], [['2', null, 't']]],
      );
    }
    const { rows } = await client.query('SELECT name FROM pg_prepared_statements');
    assert.equal(rows.length, 2);
  });
});

test('lists arrive letter for letter', async () => {
  const names = ['plain', 'a,b', '{}', 'qu"ote', 'back\\slash', '', 'NULL', ' space '];
  await lent(async (client) => {
    const steps = [step('list', 'SELECT to_json($1::text[])', names)];
    const [answer] = await runPipeline(client, steps);
    assert.deepEqual(JSON.parse(answer?.rows[0]?.[0] ?? ''), names);
  });
});

test('an error names its step, whichever it is, and nothing of the transaction stays', async () => {
  const broken = ['SELECT 1 / $1::int', 'SELECT nothing FROM nowhere', 'SELECT $1::int; SELECT 2'];
  for (const text of broken) {
    for (let at = 1; at < 4; at += 1) {
      await lent(async (client) => {
        const steps = [
          step('begin', 'BEGIN'),
          ...['first', 'second', 'third', 'fourth'].map((name, id) =>
            step(name, 'INSERT INTO things VALUES ($1, $2)', id, name),
          ),
        ];
        steps[at] = step('broken', text, ...(text.includes('$1') ? [0] : []));
        for (let run = 0; run < 2; run += 1) {
          await assert.rejects(runPipeline(client, steps), (error) => {
            assert(error instanceof pg.DatabaseError);
            assert.equal(stepOf(error), 'broken', `${text} at ${at}`);
            return true;
          });
          await client.query('ROLLBACK');
        }
        const [answer] = await runPipeline(client, [step('count', 'SELECT count(*) FROM things')]);
        assert.equal(answer?.rows[0]?.[0], '0');
        // What was prepared before the error is still known, what came after it was not taken for known.
        const later = [
          step('a', 'INSERT INTO things VALUES ($1, $2)', 7, 'seven'),
          step('b', 'BEGIN'),
        ];
        await runPipeline(client, later);
        await client.query('ROLLBACK');
        await client.query('DELETE FROM things');
      });
    }
  }
});

test('a wrong value for a parameter is an error of its step', async () => {
  await lent(async (client) => {
    const steps = [step('begin', 'BEGIN'), step('bind', 'SELECT $1::int', 'x')];
    await assert.rejects(runPipeline(client, steps), (error) => stepOf(error) === 'bind');
    await client.query('ROLLBACK');
  });
});

test('a portal gives its rest in batches, after the steps that followed it', async () => {
  await lent(async (client) => {
    const [, rows, counted] = await runPipeline(client, [
      step('begin', 'BEGIN'),
      {
        name: 'rows',
        text: 'INSERT INTO things SELECT i FROM generate_series(1, 1234) i RETURNING id',
        portal: 'kept',
      },
      step('count', 'SELECT count(*) FROM things'),
    ]);
    assert.equal(counted?.rows[0]?.[0], '1234', 'the write is whole before its rows are fetched');
    assert.equal(rows?.hasMore, true);
    const seen = rows.rows.map((row) => Number(row[0]));
    await streamPortal(client, { portal: 'kept', table: 'public.t' }, (batch) => {
      for (const row of batch) seen.push(Number(row[0]));
    });
    assert.deepEqual(
      seen,
      Array.from({ length: 1234 }, (_, at) => at + 1),
    );
    await client.query('ROLLBACK');
  });
});

test('what the server dropped is told, and prepared under another name', async () => {
  await lent(async (client) => {
    const steps = [step('one', 'SELECT 1')];
    await runPipeline(client, steps);
    await client.query('DISCARD ALL');
    await assert.rejects(runPipeline(client, steps), isPreparedLost);
    forgetPrepared(client);
    const [answer] = await runPipeline(client, steps);
    assert.equal(answer?.rows[0]?.[0], '1');
  });
});

test('only so many statements stay prepared', async () => {
  await lent(async (client) => {
    for (let at = 0; at < PIPELINE_BOUNDS.preparedMax + 20; at += 1) {
      await runPipeline(client, [step('always', 'SELECT 0'), step('one', `SELECT ${at} AS n`)]);
    }
    const { rows } = await client.query<{ statement: string }>(
      'SELECT statement FROM pg_prepared_statements',
    );
    assert.equal(rows.length, PIPELINE_BOUNDS.preparedMax);
    assert(rows.some((row) => row.statement === 'SELECT 0'));
    const [answer] = await runPipeline(client, [step('one', 'SELECT 1 AS n')]);
    assert.equal(answer?.rows[0]?.[0], '1');
  });
});

test('too many bytes end the connection before they fill the gateway', async () => {
  await lent(async (client) => {
    const steps = [step('wide', `SELECT repeat('x', 60000000)`)];
    await assert.rejects(runPipeline(client, steps), (error) => error instanceof Refused);
  });
});

test('a lost connection rejects what runs on it', async () => {
  await lent(async (client) => {
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    const running = runPipeline(client, [
      step('begin', 'BEGIN'),
      step('sleep', 'SELECT pg_sleep(30)'),
    ]);
    const ended = assert.rejects(running);
    await pool.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
    await ended;
  });
});
