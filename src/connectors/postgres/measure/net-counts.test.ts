import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';
import type { Plan } from '../../../model/plan.ts';
import type { PlanRequest } from '../../../model/ports.ts';
import { Refused } from '../../connector.ts';
import { streamRows } from '../session/rows.ts';

const SCHEMA = `
CREATE TABLE places (id int PRIMARY KEY, pos int UNIQUE);
INSERT INTO places SELECT i, i FROM generate_series(1, 10) i;
CREATE TABLE notes (id int PRIMARY KEY, body text);
INSERT INTO notes SELECT i, 'n' || i FROM generate_series(1, 30) i;
CREATE TABLE skipped (id int PRIMARY KEY, v int);
INSERT INTO skipped VALUES (1, 1);
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER skip BEFORE UPDATE ON skipped FOR EACH ROW EXECUTE FUNCTION skip();
CREATE TABLE prepared (id int PRIMARY KEY, v text);
INSERT INTO prepared VALUES (1, 'a');
CREATE FUNCTION prepare() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN IF NEW.v = 'prepare' THEN EXECUTE 'PREPARE mine AS SELECT 1'; END IF; RETURN NEW; END $$;
CREATE TRIGGER prepare BEFORE UPDATE ON prepared FOR EACH ROW EXECUTE FUNCTION prepare();
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders VALUES (1, 'a');
CREATE TABLE audit (id bigserial PRIMARY KEY, what text);
CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO public.audit (what) VALUES (NEW.note); RETURN NEW; END $$;
CREATE TRIGGER audited AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION audited();`;

const TABLES = Object.fromEntries(
  ['places', 'notes', 'skipped', 'prepared', 'orders'].map((name) => [
    name,
    { insert: true, update: true, delete: true },
  ]),
);
const SETTINGS = { limits: { rows: 10 }, tables: TABLES };

let server: Postgres;
let superuser: TargetBench;
let governed: TargetBench;

before(async () => {
  server = await startPostgres();
  superuser = await openTargetBench(server, SCHEMA, SETTINGS);
  governed = await openTargetBench(server, SCHEMA, SETTINGS, { roles: true });
});

after(async () => {
  await superuser?.close();
  await governed?.close();
  await server?.stop();
});

function counted({ counts }: Plan): readonly (readonly [string, number, number, number])[] {
  return counts.map(({ resource, created, updated, deleted }) => [
    resource,
    created,
    updated,
    deleted,
  ]);
}

async function takenBack(bench: TargetBench, inverse: PlanRequest): Promise<Plan> {
  const answer = await bench.plan(inverse);
  assert(answer.kind === 'planned', JSON.stringify(answer).slice(0, 2_000));
  const applied = await bench.apply(inverse, answer.plan);
  assert(applied.kind === 'applied', JSON.stringify(applied).slice(0, 2_000));
  return answer.plan;
}

const ROWS = `SELECT md5(string_agg(r, ',' ORDER BY r)) FROM (
  SELECT 'p' || p::text AS r FROM places p UNION ALL SELECT 'n' || n::text FROM notes n) x`;

test('what a limit let through can be taken back, and counts the same rows, in however many steps', async () => {
  for (const bench of [superuser, governed]) {
    const was = await bench.rows(ROWS);
    for (const [statement, resource, rows] of [
      ['UPDATE places SET pos = pos + 100 WHERE id < 11', 'public.places', 10],
      ['UPDATE places SET id = id + 100 WHERE id < 11', 'public.places', 10],
      ['UPDATE notes SET id = -id WHERE id < 7', 'public.notes', 6],
    ] as const) {
      const net = [[resource, 0, rows, 0]];
      assert.deepEqual(counted(await bench.planned(statement)), net, statement);
      const inverse = await bench.done(statement);
      assert.deepEqual(counted(await takenBack(bench, inverse)), net, statement);
      assert.deepEqual(await bench.rows(ROWS), was, statement);
    }
  }
});

test('a write that changes nothing says so, and that there is nothing to take back', async () => {
  for (const statement of [
    "UPDATE notes SET body = 'x' WHERE id = 999",
    'INSERT INTO notes (id) VALUES (1) ON CONFLICT DO NOTHING',
    'UPDATE skipped SET v = 2 WHERE id = 1',
  ]) {
    const plan = await superuser.planned(statement);
    assert.deepEqual(plan.counts, []);
    assert.deepEqual(plan.reversibility, { kind: 'proved', reason: 'nothing changes' }, statement);
    const answer = await superuser.plan(await superuser.done(statement));
    assert(answer.kind === 'refused');
    assert.equal(answer.code, 'rollback-impossible');
    assert.equal(answer.reason, 'nothing was changed, so there is nothing to take back');
  }
});

test('a trigger that prepares a statement does not fail in the second run of a preview', async () => {
  const statement = "UPDATE prepared SET v = 'prepare' WHERE id = 1";
  for (let time = 0; time < 2; time += 1) {
    const plan = await superuser.planned(statement);
    assert.deepEqual(counted(plan), [['public.prepared', 0, 1, 0]]);
  }
  await superuser.done(statement);
  assert.deepEqual(await superuser.rows('SELECT v FROM prepared'), ['prepare']);
});

test('the writer may take from the sequence of a table that a trigger inserts into', async () => {
  const plan = await governed.planned("UPDATE orders SET note = 'b' WHERE id = 1");
  assert.deepEqual(counted(plan), [
    ['public.orders', 0, 1, 0],
    ['public.audit', 1, 0, 0],
  ]);
});

test('a cast of the database from text to a number has no part in our own look-ups', async () => {
  const cast = `
    CREATE FUNCTION nothing(text) RETURNS int LANGUAGE sql AS 'SELECT 0';
    CREATE CAST (text AS int) WITH FUNCTION nothing(text) AS IMPLICIT;`;
  for (const roles of [false, true]) {
    const bench = await openTargetBench(server, SCHEMA + cast, SETTINGS, { roles });
    try {
      const statement = 'UPDATE places SET pos = pos + 100 WHERE id < 11';
      assert.deepEqual(counted(await bench.planned(statement)), [['public.places', 0, 10, 0]]);
    } finally {
      await bench.close();
    }
  }
});

test('a row that is too large is told as one, by the name of its table', async () => {
  const pool = new pg.Pool({ connectionString: server.url('postgres') });
  pool.on('error', () => undefined);
  const reasonOf = async (text: string): Promise<string> => {
    const client = await pool.connect();
    client.on('error', () => undefined);
    try {
      await streamRows(client, { text, values: [], table: 'public.t' }, () => undefined);
    } catch (error) {
      if (error instanceof Refused) return error.refusal.reason;
      throw error;
    } finally {
      client.release(true);
    }
    return '';
  };
  try {
    assert.match(
      await reasonOf("SELECT repeat('x', 40000000)"),
      /^one changed row of `public\.t` has more than 32 MiB of values/,
    );
    assert.match(
      await reasonOf("SELECT repeat('x', 1000000) FROM generate_series(1, 100)"),
      /^changed rows of `public\.t` that are read together, at most 500, .* in parts$/,
    );
  } finally {
    await pool.end();
  }
});
