import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';
import type { Plan } from '../../../model/plan.ts';

const SCHEMA = `
CREATE TABLE nodes (id int PRIMARY KEY, parent int REFERENCES nodes ON DELETE CASCADE ON UPDATE CASCADE, name text);
INSERT INTO nodes VALUES (1, NULL, 'root'), (2, 1, 'a'), (3, 1, 'b'), (4, 2, 'aa'), (5, 4, 'aaa');
CREATE TABLE depots (id int PRIMARY KEY, name text);
INSERT INTO depots SELECT i, 'd' || i FROM generate_series(1, 5) i;
CREATE TABLE vans (id int PRIMARY KEY, depot int REFERENCES depots ON DELETE SET NULL,
  spare int DEFAULT 1 REFERENCES depots ON DELETE SET DEFAULT);
INSERT INTO vans SELECT i, i, i FROM generate_series(1, 5) i;

CREATE TABLE parts (id int, day int, kind text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_b (kind text, day int NOT NULL, id int NOT NULL, PRIMARY KEY (id, day));
ALTER TABLE parts ATTACH PARTITION parts_b FOR VALUES FROM (10) TO (20);
INSERT INTO parts SELECT i, i, 'k' FROM generate_series(1, 19) i;

CREATE TABLE docs (id int PRIMARY KEY, body text);
CREATE TABLE docs_archive (archived text, PRIMARY KEY (id)) INHERITS (docs);
CREATE TABLE docs_loose (note text) INHERITS (docs);
INSERT INTO docs VALUES (1, 'one');
INSERT INTO docs_archive VALUES (11, 'eleven', 'then');
INSERT INTO docs_loose VALUES (21, 'x', 'n'), (22, 'y', 'm');

CREATE TABLE settings (key text PRIMARY KEY, value text);
CREATE TABLE shadow (key text PRIMARY KEY, value text);
INSERT INTO settings SELECT 'k' || i, 'v' FROM generate_series(1, 4) i;
INSERT INTO shadow TABLE settings;
CREATE RULE also AS ON UPDATE TO settings DO ALSO DELETE FROM shadow WHERE key <> NEW.key;
CREATE TABLE turned (id int PRIMARY KEY, v int);
CREATE TABLE elsewhere (id int PRIMARY KEY, v int);
INSERT INTO turned VALUES (1, 1), (2, 2);
INSERT INTO elsewhere VALUES (1, 1), (2, 2);
CREATE RULE instead AS ON UPDATE TO turned DO INSTEAD DELETE FROM elsewhere WHERE id = OLD.id;

CREATE TABLE goods (id int PRIMARY KEY, price numeric NOT NULL, state text NOT NULL DEFAULT 'new',
  made timestamptz DEFAULT clock_timestamp());
INSERT INTO goods SELECT i, i, 'new', '2020-01-01' FROM generate_series(1, 10) i;
CREATE VIEW open_goods AS SELECT id, price AS cost, state FROM goods WHERE state = 'new';
CREATE VIEW via_trigger AS SELECT id, price FROM goods;
CREATE FUNCTION via_trigger() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  UPDATE goods SET price = NEW.price WHERE id = OLD.id; RETURN NEW; END$$;
CREATE TRIGGER via_trigger INSTEAD OF UPDATE ON via_trigger FOR EACH ROW EXECUTE FUNCTION via_trigger();

CREATE TABLE twice (id int PRIMARY KEY, n int, m int);
INSERT INTO twice VALUES (1, 0, 0), (2, 0, 0);
CREATE FUNCTION twice() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  UPDATE twice SET m = m + 1 WHERE id = NEW.id; RETURN NULL; END$$;
CREATE TRIGGER twice AFTER UPDATE OF n ON twice FOR EACH ROW EXECUTE FUNCTION twice();

CREATE TABLE tries (id int PRIMARY KEY, n int);
CREATE TABLE tried (id int PRIMARY KEY, n int);
INSERT INTO tries VALUES (1, 1);
INSERT INTO tried SELECT i, 0 FROM generate_series(1, 30) i;
CREATE FUNCTION tries() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  BEGIN UPDATE tried SET n = 1; RAISE EXCEPTION 'undone'; EXCEPTION WHEN others THEN NULL; END;
  BEGIN UPDATE tried SET n = 2 WHERE id = 7; EXCEPTION WHEN others THEN NULL; END;
  RETURN NULL; END$$;
CREATE TRIGGER tries AFTER UPDATE ON tries FOR EACH ROW EXECUTE FUNCTION tries();

CREATE TABLE logged (id int PRIMARY KEY, n int);
CREATE TABLE log (id bigserial PRIMARY KEY, n int, at timestamptz DEFAULT clock_timestamp(), text text);
INSERT INTO logged SELECT i, i FROM generate_series(1, 10) i;
CREATE FUNCTION write_log() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO log (n, text) VALUES (NEW.n, 'was ' || OLD.n); RETURN NULL; END$$;
CREATE TRIGGER write_log AFTER UPDATE ON logged FOR EACH ROW EXECUTE FUNCTION write_log();
`;

let server: Postgres;
let bench: TargetBench;

before(async () => {
  server = await startPostgres();
  bench = await openTargetBench(server, SCHEMA, {});
});
after(async () => {
  await bench.close();
  await server.stop();
});

function counts(plan: Plan): string[] {
  return plan.counts.map(
    (each) =>
      `${each.resource.replace('public.', '')} ${each.attribution} ` +
      `${each.created}/${each.updated}/${each.deleted}` +
      (each.via === null ? '' : ` via ${each.via}`),
  );
}

/** Every effect as `table kind key`, with what made it. */
function effects(plan: Plan): string[] {
  return plan.effects.map(
    (each) =>
      `${each.resource.replace('public.', '')} ${each.kind} ${each.key.join(',')}` +
      (each.by === undefined ? '' : ` by ${each.by.attribution}`),
  );
}

/** Applies the write, takes it back, and holds every table against what it was. */
async function goesBack(statement: string, tables: readonly string[]): Promise<void> {
  const state = tables.map((table) => `SELECT '${table}' || x::text FROM ${table} x`);
  const query = `${state.join(' UNION ALL ')} ORDER BY 1`;
  const was = await bench.rows(query);
  const inverse = await bench.done(statement);
  const changed = await bench.rows(query);
  assert.notDeepEqual(changed, was, statement);
  const answer = await bench.plan(inverse);
  assert(answer.kind === 'planned', JSON.stringify(answer));
  const applied = await bench.apply(inverse, answer.plan);
  assert.equal(applied.kind, 'applied', JSON.stringify(applied));
  assert.deepEqual(await bench.rows(query), was, statement);
}

test('a self-reference cascades, and each row says by which key', async () => {
  const plan = await bench.planned('DELETE FROM nodes WHERE id = 2');
  assert.deepEqual(counts(plan), [
    'nodes direct 0/0/1',
    'nodes cascade 0/0/2 via nodes_parent_fkey',
  ]);
  assert.deepEqual(effects(plan), [
    'nodes delete 2',
    'nodes delete 4 by cascade',
    'nodes delete 5 by cascade',
  ]);
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
  await goesBack('DELETE FROM nodes WHERE id = 2', ['nodes']);
});

test('a changed key stays an update on every version, and takes its references along', async () => {
  const plan = await bench.planned('UPDATE nodes SET id = 20 WHERE id = 2');
  assert.deepEqual(counts(plan), [
    'nodes direct 0/1/0',
    'nodes cascade 0/1/0 via nodes_parent_fkey',
  ]);
  const moved = plan.effects.find((effect) => effect.by === undefined);
  assert.deepEqual([moved?.before?.['id'], moved?.after?.['id']], ['2', '20']);
});

test('set null and set default show the rows that they change', async () => {
  const plan = await bench.planned('DELETE FROM depots WHERE id = 3');
  assert.deepEqual(counts(plan).slice(0, 1), ['depots direct 0/0/1']);
  const van = plan.effects.find((effect) => effect.resource === 'public.vans');
  assert.deepEqual(
    [van?.after, van?.by?.attribution],
    [{ id: '3', depot: null, spare: '1' }, 'cascade'],
  );
});

test('a row that moves to another partition keeps both images, whatever the order of columns', async () => {
  const plan = await bench.planned('UPDATE parts SET day = 15 WHERE id = 3');
  assert.deepEqual(counts(plan), ['parts_a direct 0/0/1', 'parts_b direct 1/0/0']);
  const [gone, come] = plan.effects;
  assert.deepEqual(gone?.before, { id: '3', day: '3', kind: 'k' });
  assert.deepEqual(come?.after, { id: '3', day: '15', kind: 'k' });
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
  await goesBack('UPDATE parts SET day = 15 WHERE id = 3', ['parts']);
  await goesBack(`UPDATE parts SET kind = 'z' WHERE id > 8`, ['parts']);
});

test('columns that only a child table has are in its images', async () => {
  const plan = await bench.planned(`UPDATE docs SET body = 'new' WHERE id IN (1, 11)`);
  assert.deepEqual(counts(plan), ['docs direct 0/1/0', 'docs_archive direct 0/1/0']);
  assert.deepEqual(plan.effects[1]?.before, { id: '11', body: 'eleven', archived: 'then' });
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
  await goesBack('DELETE FROM docs WHERE id IN (1, 11)', ['docs', 'docs_archive']);
  const loose = await bench.planned(`UPDATE docs SET body = 'new' WHERE id > 20`);
  assert.deepEqual(counts(loose), ['docs_loose direct 0/2/0']);
  assert.deepEqual(
    loose.effects.map((each) => [each.kind, each.before?.['note'], each.after?.['note']]),
    [
      ['update', 'n', 'n'],
      ['update', 'm', 'm'],
    ],
  );
  assert.equal(loose.reversibility.kind, 'proved', loose.reversibility.reason);
});

test('what a rule adds to an update, or makes of it, is counted where it happens', async () => {
  const also = await bench.planned(`UPDATE settings SET value = 'x' WHERE key = 'k1'`);
  assert.deepEqual(counts(also), ['settings direct 0/1/0', 'shadow rule 0/0/3 via also']);
  const instead = await bench.planned('UPDATE turned SET v = 9 WHERE id = 1');
  assert.deepEqual(counts(instead), ['elsewhere rule 0/0/1 via instead']);
  assert.equal(instead.headline, '1 delete by rule in public.elsewhere');
  assert.equal(instead.class, 'delete');
});

test('a write through a view is the write to the table below it', async () => {
  const plan = await bench.planned('UPDATE open_goods SET cost = cost + 1 WHERE id <= 2');
  assert.deepEqual(counts(plan), ['goods direct 0/2/0']);
  assert.deepEqual(plan.effects[0]?.after?.['price'], '2');
  const put = `INSERT INTO open_goods VALUES (100, 5, 'new')`;
  const made = await bench.planned(put);
  assert.deepEqual(counts(made), ['goods direct 1/0/0']);
  assert.deepEqual(made.maskedColumns, ['public.goods.made']);
  assert.equal((await bench.planned(put)).effectsDigest, made.effectsDigest);
  await goesBack('DELETE FROM open_goods WHERE id = 4', ['goods']);
});

test('a trigger instead of a write to a view is what changed the rows', async () => {
  const plan = await bench.planned('UPDATE via_trigger SET price = 7 WHERE id = 1');
  assert.deepEqual(counts(plan), ['goods trigger 0/1/0 via via_trigger']);
  assert.deepEqual(effects(plan), ['goods update 1 by trigger']);
});

test('MERGE is measured row by row', async () => {
  const plan = await bench.planned(
    `MERGE INTO goods g USING (VALUES (1, 50), (2, 0), (300, 3)) AS w(id, price) ON g.id = w.id
     WHEN MATCHED AND w.price = 0 THEN DELETE
     WHEN MATCHED THEN UPDATE SET price = w.price
     WHEN NOT MATCHED THEN INSERT (id, price, made) VALUES (w.id, w.price, NULL)`,
  );
  assert.deepEqual(counts(plan), ['goods direct 1/1/1']);
  assert.deepEqual(effects(plan), ['goods update 1', 'goods delete 2', 'goods create 300']);
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
});

test('writes inside WITH are measured in every table that they name', async () => {
  const statement = `WITH gone AS (DELETE FROM twice WHERE id = 2 RETURNING id)
    UPDATE tried SET n = gone.id FROM gone WHERE tried.id = 3`;
  const plan = await bench.planned(statement);
  assert.deepEqual(counts(plan), ['tried direct 0/1/0', 'twice direct 0/0/1']);
  await goesBack(statement, ['tried', 'twice']);
});

test('a row that a trigger changes once more is counted as often, with its last image', async () => {
  const plan = await bench.planned('UPDATE twice SET n = 5 WHERE id = 1');
  assert.deepEqual(counts(plan), ['twice direct 0/1/0', 'twice trigger 0/1/0 via twice']);
  assert.deepEqual(
    plan.effects.map(({ before: was, after: is }) => [was, is]),
    [
      [
        { id: '1', n: '0', m: '0' },
        { id: '1', n: '5', m: '1' },
      ],
    ],
  );
  // Taking it back sets the trigger off once more.
  assert.deepEqual(
    [plan.reversibility.kind, plan.reversibility.except],
    ['conditional', ['public.twice.m']],
  );
  assert.match(plan.warnings[0] ?? '', /more than once/);
});

test('what a subtransaction undid is no effect, and what another kept is one', async () => {
  const plan = await bench.planned('UPDATE tries SET n = 2 WHERE id = 1');
  assert.deepEqual(
    plan.effects.map((each) => [each.resource, each.key[0], each.after?.['n']]),
    [
      ['public.tries', '1', '2'],
      ['public.tried', '7', '2'],
    ],
  );
});

test('what a trigger inserts has its images, without what only the commit knows', async () => {
  const statement = 'UPDATE logged SET n = n + 10 WHERE id <= 2';
  const plan = await bench.planned(statement);
  assert.deepEqual(counts(plan), ['logged direct 0/2/0', 'log trigger 2/0/0 via write_log']);
  assert.deepEqual(plan.maskedColumns, ['public.log.at', 'public.log.id']);
  const entry = plan.effects.find((effect) => effect.after?.['text'] === 'was 1');
  assert.deepEqual(entry?.after, { id: null, n: '11', at: null, text: 'was 1' });
  const inverse = await bench.done(statement);
  const applied = inverse.compensated?.effects.find(({ resource }) => resource === 'public.log');
  assert.match(applied?.after?.['at'] ?? '', /^2\d{3}-/);
});

test('where the functions that run are tracked, the function is named', async () => {
  const tracked = await openTargetBench(server, SCHEMA, {});
  await tracked.admin.query(`ALTER DATABASE ${await nameOf(tracked)} SET track_functions = 'pl'`);
  await tracked.admin.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid()`,
  );
  try {
    await tracked.plan(tracked.ask('UPDATE logged SET n = 5 WHERE id = 1'));
    const plan = await tracked.planned('UPDATE logged SET n = 5 WHERE id = 1');
    assert.deepEqual(counts(plan), [
      'logged direct 0/1/0',
      'log trigger 1/0/0 via public.write_log',
    ]);
  } finally {
    await tracked.close();
  }
});

async function nameOf(of: TargetBench): Promise<string> {
  const [name] = await of.rows('SELECT current_database()');
  return name ?? '';
}

test('a concurrent lock on a row hides none of its images', async () => {
  await bench.admin.query('BEGIN; SELECT FROM depots WHERE id = 4 FOR KEY SHARE');
  try {
    const plan = await bench.planned(`UPDATE open_goods SET cost = 3 WHERE id = 3`);
    assert.deepEqual(counts(plan), ['goods direct 0/1/0']);
    const named = await bench.planned(
      `WITH x AS (UPDATE depots SET name = 'locked' WHERE id = 4 RETURNING id)
       UPDATE depots SET name = 'other' FROM x WHERE depots.id = 5`,
    );
    assert.deepEqual(
      named.effects.map((each) => [each.before?.['name'], each.after?.['name']]),
      [
        ['d4', 'locked'],
        ['d5', 'other'],
      ],
    );
  } finally {
    await bench.admin.query('ROLLBACK');
  }
});
