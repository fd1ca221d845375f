import { strict as assert } from 'node:assert';
import { after as afterAll, before as beforeAll, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { difference, dumpTables, type Dump } from '../../../../test/support/dump.ts';
import type { Conflict } from '../../../model/entry.ts';
import type { Cause, Effect, Reversibility } from '../../../model/plan.ts';
import { Refused } from '../../connector.ts';
import type { Session } from '../session/session.ts';
import type { EffectSource } from './undo-source.ts';
import { residueOf } from './undo-net.ts';
import { prove, proveApart, takeBack, type TakeBackTask } from './undo.ts';

const SCHEMA = `
CREATE TABLE parents (id int PRIMARY KEY, name text);
CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE);
CREATE TABLE strict (id int PRIMARY KEY, parent int REFERENCES parents);
CREATE TABLE pairs (id int PRIMARY KEY, code int UNIQUE, slot int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE loose (a int, b text);
CREATE TABLE lefts (id int PRIMARY KEY, other int);
CREATE TABLE rights (id int PRIMARY KEY, other int REFERENCES lefts ON DELETE CASCADE);
ALTER TABLE lefts ADD FOREIGN KEY (other) REFERENCES rights ON DELETE CASCADE;
CREATE TABLE parts (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (10) TO (100000);
CREATE TABLE stamped (id int PRIMARY KEY, v text, version int NOT NULL DEFAULT 0);
CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO log (what) VALUES (NEW.v); NEW.version := OLD.version + 1; RETURN NEW; END$$;
CREATE TRIGGER stamp BEFORE UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TABLE greedy (id int PRIMARY KEY, v text);
CREATE FUNCTION grab() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  DELETE FROM greedy WHERE id > 100; RETURN NULL; END$$;
CREATE TRIGGER grab AFTER UPDATE ON greedy FOR EACH STATEMENT
  WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION grab();
`;

const ROWS = `
INSERT INTO parents SELECT i, 'p' || i FROM generate_series(1, 9) i;
INSERT INTO children SELECT i, 1 + i % 9 FROM generate_series(1, 30) i;
INSERT INTO strict SELECT i, i FROM generate_series(1, 3) i;
INSERT INTO pairs SELECT i, i, i FROM generate_series(1, 5) i;
INSERT INTO loose VALUES (1, 'x'), (1, 'x'), (1, NULL), (2, '');
INSERT INTO lefts VALUES (1, NULL); INSERT INTO rights VALUES (1, 1); UPDATE lefts SET other = 1;
INSERT INTO parts SELECT i, 'v' FROM generate_series(1, 20) i;
INSERT INTO stamped SELECT i, 'v' FROM generate_series(1, 3) i;
INSERT INTO greedy SELECT i, 'v' FROM generate_series(1, 3) i;
`;

let server: Postgres;
let client: pg.Client;

beforeAll(async () => {
  server = await startPostgres({ settings: { fsync: 'off' } });
  client = new pg.Client({ connectionString: server.url(), options: '-c TimeZone=UTC' });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await server.stop();
});

/** A committed write on a schema made anew, and what a measure of it gives. */
interface Scene {
  readonly effects: readonly Effect[];
  readonly label: Reversibility;
  readonly before: Dump;
  /** Takes it back as a committed write, and reports whether all is as before. */
  back(options?: Partial<TakeBackTask>): Promise<readonly Effect[]>;
  conflicts(options?: Partial<TakeBackTask>): Promise<readonly Conflict[]>;
}

const LOGGED: Cause = { attribution: 'trigger', via: 'stamp' };

async function scene(
  write: string,
  play: (scene: Scene) => Promise<void>,
  setup = '',
): Promise<void> {
  await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public;' + SCHEMA + ROWS + setup);
  await play(await written(write));
}

async function written(write: string): Promise<Scene> {
  const session = sessionOf();
  const before = await dumpTables(client, ['public']);
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await client.query(write);
  const now = async (): Promise<readonly Effect[]> =>
    difference(before, await dumpTables(client, ['public']));
  const effects = keyChanges(await now()).map((effect) => labelled(effect));
  const label = await prove(session, { effects, partOf: {}, net: now });
  assert.deepEqual(
    keyChanges(await now()).map(({ key }) => key),
    effects.map(({ key }) => key),
    'the proof leaves the write in place',
  );
  await client.query('COMMIT');
  const back: Scene['back'] = async (options = {}) => {
    const begun = await dumpTables(client, ['public']);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    try {
      await takeBack(session, {
        effects,
        partOf: {},
        net: async () => difference(begun, await dumpTables(client, ['public'])),
        except: label.except ?? [],
        replica: false,
        fresh: null,
        ...options,
      });
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK');
      const left = difference(begun, await dumpTables(client, ['public']));
      assert.deepEqual(left, [], 'a refused inverse changes nothing');
      throw error;
    }
    return now();
  };
  const conflicts: Scene['conflicts'] = async (options) => {
    const refused = await refusalOf(back(options));
    assert.equal(refused.refusal.code, 'rollback-conflict', refused.message);
    return refused.refusal.conflicts;
  };
  return { effects, label, before, back, conflicts };
}

/** One row gone and one come in a table is a key that changed, as RETURNING tells. */
function keyChanges(effects: readonly Effect[]): readonly Effect[] {
  return effects.flatMap((effect) => {
    const own = effects.filter(
      ({ resource, kind }) => resource === effect.resource && kind !== 'update',
    );
    const [gone, come] = ['delete', 'create'].map((kind) => own.find((each) => each.kind === kind));
    if (own.length !== 2 || gone === undefined || come === undefined || gone.key.length === 0) {
      return [effect];
    }
    return effect === gone ? [{ ...gone, kind: 'update' as const, after: come.after }] : [];
  });
}

function labelled(effect: Effect): Effect {
  return effect.resource === 'public.log' ? { ...effect, by: LOGGED } : effect;
}

function sessionOf(): Session {
  const reset = (): Promise<void> => Promise.resolve();
  // A session of the pool has more than a client does, and none of it is used here.
  return { client, version: 180_000, reset } as unknown as Session;
}

async function refusalOf(work: Promise<unknown>): Promise<Refused> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: 'expected a refusal' });
}

const LANES = [{ replica: false }, { replica: true }];

test('a delete with its cascades comes back, parents first, in both lanes', async () => {
  for (const lane of LANES) {
    await scene('DELETE FROM parents WHERE id > 3', async ({ label, effects, back }) => {
      assert.equal(label.kind, 'proved');
      assert(effects.length > 6);
      assert.deepEqual(await back(lane), []);
    });
  }
});

test('created rows go children first', async () => {
  const write = `WITH p AS (INSERT INTO parents VALUES (50, 'new'))
    INSERT INTO children VALUES (50, 50), (51, 50)`;
  for (const lane of LANES) {
    await scene(write, async ({ label, back }) => {
      assert.equal(label.kind, 'proved');
      assert.deepEqual(await back(lane), []);
    });
  }
});

test('a row that was changed since is a conflict with three values, and nothing is taken back', async () => {
  for (const lane of LANES) {
    await scene(`UPDATE parents SET name = 'w' WHERE id < 3`, async ({ conflicts }) => {
      await client.query(`UPDATE parents SET name = 'later' WHERE id = 2`);
      assert.deepEqual(await conflicts(lane), [
        {
          resource: 'public.parents',
          key: ['2'],
          problem: 'row-changed',
          columns: [{ column: 'name', before: 'p2', expected: 'w', found: 'later' }],
        },
      ]);
    });
  }
});

test('a row that is gone, and a key that is taken again, are conflicts', async () => {
  for (const lane of LANES) {
    await scene('UPDATE strict SET parent = 9 WHERE id < 3', async ({ conflicts }) => {
      await client.query('DELETE FROM strict WHERE id = 1');
      assert.deepEqual(await conflicts(lane), [
        { resource: 'public.strict', key: ['1'], problem: 'row-missing', columns: [] },
      ]);
    });
    await scene('DELETE FROM strict WHERE id < 3', async ({ conflicts }) => {
      await client.query('INSERT INTO strict VALUES (2, 7)');
      assert.deepEqual(await conflicts(lane), [
        {
          resource: 'public.strict',
          key: ['2'],
          problem: 'row-exists',
          columns: [
            { column: 'id', before: '2', expected: null, found: '2' },
            { column: 'parent', before: '2', expected: null, found: '7' },
          ],
        },
      ]);
    });
  }
});

test('a parent that is gone since is a conflict that names it, with triggers off too', async () => {
  for (const lane of LANES) {
    await scene('DELETE FROM strict WHERE id = 3', async ({ conflicts }) => {
      await client.query('DELETE FROM parents WHERE id = 3');
      assert.deepEqual(await conflicts(lane), [
        { resource: 'public.parents', key: ['3'], problem: 'row-missing', columns: [] },
      ]);
    });
    await scene('UPDATE strict SET parent = 9 WHERE id = 3', async ({ conflicts }) => {
      await client.query('DELETE FROM parents WHERE id = 3');
      assert.deepEqual(await conflicts(lane), [
        { resource: 'public.parents', key: ['3'], problem: 'row-missing', columns: [] },
      ]);
    });
  }
});

test('rows that came to hang on a created one are conflicts, and go with it in no lane', async () => {
  for (const lane of LANES) {
    for (const [table, id] of [
      ['children', '77'],
      ['strict', '78'],
    ]) {
      await scene(`INSERT INTO parents VALUES (60, 'n')`, async ({ conflicts }) => {
        await client.query(`INSERT INTO ${table} VALUES (${id}, 60)`);
        assert.deepEqual(await conflicts(lane), [
          { resource: `public.${table}`, key: [id], problem: 'row-exists', columns: [] },
        ]);
      });
    }
  }
});

test('a row that came to hang on a created one after the snapshot was taken is found all the same', async () => {
  await scene(`INSERT INTO parents VALUES (60, 'n')`, async ({ effects }) => {
    const other = new pg.Client(server.url());
    await other.connect();
    const session = sessionOf();
    const task = { effects, partOf: {}, net: async () => effects, except: [], replica: true };
    const begin = async (): Promise<void> => {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await client.query('SELECT 1 FROM parents');
    };
    await begin();
    await other.query('INSERT INTO children VALUES (88, 60)');
    const fresh = async (query: pg.QueryConfig): Promise<readonly (readonly unknown[])[]> =>
      (await other.query<unknown[]>({ ...query, rowMode: 'array' })).rows;
    const { refusal } = await refusalOf(takeBack(session, { ...task, fresh }));
    assert.deepEqual(refusal.conflicts, [
      { resource: 'public.children', key: ['88'], problem: 'row-exists', columns: [] },
    ]);
    await client.query('ROLLBACK');
    await other.end();
  });
});

test('rows that go with the created one are not taken for others that hang on it', async () => {
  const write = `WITH p AS (INSERT INTO parents VALUES (60, 'n'))
    INSERT INTO children VALUES (90, 60)`;
  await scene(write, async ({ back }) => {
    const other = new pg.Client(server.url());
    await other.connect();
    const fresh = async (query: pg.QueryConfig): Promise<readonly (readonly unknown[])[]> =>
      (await other.query<unknown[]>({ ...query, rowMode: 'array' })).rows;
    assert.deepEqual(await back({ replica: true, fresh }), []);
    await other.end();
  });
});

test('unique values that went round come back', async () => {
  const swap = 'UPDATE pairs SET slot = 6 - slot';
  const shift = `ALTER TABLE pairs DROP CONSTRAINT pairs_code_key;
    UPDATE pairs SET code = 1 + code % 5; ALTER TABLE pairs ADD UNIQUE (code)`;
  for (const lane of LANES) {
    await scene(swap, async ({ label, back }) => {
      assert.equal(label.kind, 'proved');
      assert.deepEqual(await back(lane), []);
    });
  }
  await scene(shift, async ({ label, back }) => {
    // With triggers on no order of single updates gets a ring of unique values back.
    assert.equal(label.kind, 'one-way');
    assert.deepEqual(await back({ replica: true }), []);
  });
});

test('a deferrable unique constraint is held with triggers off, too', async () => {
  await scene('UPDATE pairs SET slot = 50 WHERE id = 1', async ({ conflicts }) => {
    await client.query('UPDATE pairs SET slot = 1 WHERE id = 2');
    const [conflict] = await conflicts({ replica: true });
    assert.deepEqual([conflict?.resource, conflict?.problem], ['public.pairs', 'row-exists']);
  });
});

test('a chain of keys comes back although each stands in the way of the next', async () => {
  for (const lane of LANES) {
    await scene(
      'UPDATE pairs SET code = code + 1',
      async ({ label, back }) => {
        assert.equal(label.kind, 'proved');
        assert.deepEqual(await back(lane), []);
      },
      // Highest first in the heap, or the write itself would be refused.
      `TRUNCATE pairs; INSERT INTO pairs SELECT i, i, i FROM generate_series(5, 1, -1) i`,
    );
  }
});

test('rows of a table without a key are told apart by nothing and come back as many as they were', async () => {
  const writes = [
    `DELETE FROM loose WHERE a = 1`,
    `INSERT INTO loose VALUES (1, 'x'), (7, NULL), (1, 'x')`,
    `UPDATE loose SET b = 'z'`,
  ];
  for (const write of writes) {
    for (const lane of LANES) {
      await scene(write, async ({ label, back }) => {
        assert.equal(label.kind, 'proved');
        assert.deepEqual(await back(lane), []);
      });
    }
  }
});

test('tables that point to each other come back with triggers off, and are one-way with them on', async () => {
  await scene('DELETE FROM lefts', async ({ label, effects, back }) => {
    assert.deepEqual(
      effects.map(({ resource }) => resource),
      ['public.lefts', 'public.rights'],
    );
    assert.equal(label.kind, 'one-way');
    assert.equal((await refusalOf(back())).refusal.code, 'rollback-conflict');
    const apart = await proveApart(sessionOf(), { effects, partOf: {} });
    assert.equal(apart.kind, 'conditional', 'the rows are not there to be deleted again');
    assert.deepEqual(await back({ replica: true }), []);
    assert.equal((await proveApart(sessionOf(), { effects, partOf: {} })).kind, 'proved');
  });
});

test('a row that moved between partitions moves back, and a renamed partition is found by its whole', async () => {
  for (const lane of LANES) {
    await scene('UPDATE parts SET id = id + 100 WHERE id < 4', async ({ label, back }) => {
      assert.equal(label.kind, 'proved');
      assert.deepEqual(await back(lane), []);
    });
  }
  await scene(`UPDATE parts SET v = 'w'`, async ({ back }) => {
    await client.query('ALTER TABLE parts_low RENAME TO parts_first');
    const gone = await refusalOf(back());
    assert.match(gone.message, /`public\.parts_low` is no longer there/);
    const partOf = { 'public.parts_low': ['public.parts'], 'public.parts_high': ['public.parts'] };
    await back({ partOf });
    const { rows } = await client.query('SELECT DISTINCT v FROM parts');
    assert.deepEqual(rows, [{ v: 'v' }]);
  });
});

test('what triggers own is named by the proof, and nothing else may be left different', async () => {
  await scene(`UPDATE stamped SET v = 'w' WHERE id < 3`, async ({ label, back, before }) => {
    assert.equal(label.kind, 'conditional');
    assert.deepEqual(label.except, ['public.log', 'public.stamped.version']);
    assert.match(label.reason, /`public\.stamped\.version`, rows added to `public\.log`/);
    const refused = await refusalOf(back({ except: ['public.log'] }));
    assert.equal(refused.refusal.code, 'rollback-impossible');
    assert.match(refused.message, /`public\.stamped\.version`/);
    await back();
    const left = difference(before, await dumpTables(client, ['public']));
    const values = left.filter(({ resource }) => resource === 'public.stamped');
    assert.deepEqual(
      values.map(({ after: image }) => [image?.['v'], image?.['version']]),
      [
        ['v', '2'],
        ['v', '2'],
      ],
    );
  });
});

test('a row whose key changed is compared with itself, whatever a trigger puts into it', async () => {
  await scene('UPDATE stamped SET id = 9 WHERE id = 2', async ({ label, back }) => {
    assert.deepEqual(label.except, ['public.log', 'public.stamped.version']);
    const left = await back();
    assert(left.some(({ resource, key }) => resource === 'public.stamped' && key[0] === '2'));
  });
});

test('rows that a foreign key brings back, and a trigger then stamps, are the triggers’ own', async () => {
  const setup = `CREATE TABLE wholes (id int PRIMARY KEY);
    CREATE TABLE pieces (id int PRIMARY KEY, whole int REFERENCES wholes ON UPDATE CASCADE,
      v text, version int NOT NULL DEFAULT 0);
    CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
      NEW.version := OLD.version + 1; RETURN NEW; END$$;
    CREATE TRIGGER count BEFORE UPDATE ON pieces FOR EACH ROW EXECUTE FUNCTION counted();
    INSERT INTO wholes VALUES (1), (2); INSERT INTO pieces VALUES (1, 1, 'v'), (2, 1, 'v')`;
  await scene(
    'UPDATE wholes SET id = 10 WHERE id = 1',
    async ({ label, back }) => {
      assert.equal(label.kind, 'conditional');
      assert.deepEqual(label.except, ['public.pieces.version']);
      await client.query('UPDATE pieces SET v = v || 0 WHERE id = 2');
      const refused = await refusalOf(back());
      assert.equal(refused.refusal.code, 'rollback-impossible');
      assert.match(refused.message, /`public\.pieces\.v`/);
      await client.query(`DELETE FROM pieces WHERE id = 2`);
      await client.query(`INSERT INTO pieces VALUES (2, 10, 'v', 1)`);
      const left = await back();
      assert.deepEqual(
        left.map(({ after }) => [after?.['whole'], after?.['v']]),
        [
          ['1', 'v'],
          ['1', 'v'],
        ],
      );
    },
    setup,
  );
});

test('with triggers off their rows and columns come back to the last bit', async () => {
  await scene(`UPDATE stamped SET v = 'w' WHERE id < 3`, async ({ back }) => {
    assert.deepEqual(await back({ replica: true }), []);
  });
});

test('an inverse that would itself delete other rows is refused', async () => {
  await scene(`UPDATE greedy SET v = 'w' WHERE id = 1`, async ({ label, back }) => {
    assert.equal(label.kind, 'proved');
    await client.query(`INSERT INTO greedy VALUES (200, 'later')`);
    const refused = await refusalOf(back());
    assert.equal(refused.refusal.code, 'rollback-impossible');
    assert.match(refused.message, /rows gone from `public\.greedy`/);
    assert.deepEqual(await back({ replica: true }), [
      {
        resource: 'public.greedy',
        kind: 'create',
        key: ['200'],
        before: null,
        after: { id: '200', v: 'later' },
      },
    ]);
  });
});

test('a column that was dropped since makes the inverse impossible', async () => {
  await scene('DELETE FROM parents WHERE id = 9', async ({ effects }) => {
    await client.query('ALTER TABLE parents DROP COLUMN name');
    await client.query('BEGIN');
    const task = {
      effects,
      partOf: {},
      net: async () => [],
      except: [],
      replica: true,
      fresh: null,
    };
    const refused = await refusalOf(takeBack(sessionOf(), task));
    assert.equal(refused.refusal.code, 'rollback-impossible');
    assert.match(refused.message, /`public\.parents\.name` is no longer there/);
    await client.query('ROLLBACK');
  });
});

test('more rows than are held in memory come back from a source that is read again', async () => {
  const setup = `TRUNCATE parts; INSERT INTO parts SELECT i, 'v' || i FROM generate_series(0, 24999) i`;
  for (const lane of LANES) {
    await scene(
      `UPDATE parts SET v = v || '!'`,
      async ({ effects, back }) => {
        assert.equal(effects.length, 25_000);
        const source: EffectSource = {
          async *batches() {
            for (let from = 0; from < effects.length; from += 3_000) {
              yield effects.slice(from, from + 3_000);
            }
          },
        };
        assert.deepEqual(await back({ ...lane, effects: source }), []);
      },
      setup,
    );
  }
});

test('a difference is found in any row, however many differ, and no exempt column counts', async () => {
  const effect = (id: number, after: string, other: string): Effect => ({
    resource: 'public.t',
    kind: 'update',
    key: [String(id)],
    before: { id: String(id), v: 'a', w: 'a' },
    after: { id: String(id), v: after, w: other },
  });
  const many = Array.from({ length: 12_000 }, (_, id) => effect(id, 'b', String(id)));
  const compared = {
    exempt: new Set<string>(),
    wholeOf: (resource: string) => resource,
    keyOf: () => ['id'],
  };
  assert.deepEqual(
    (await residueOf([many], compared)).map((each) => 'column' in each && each.column),
    ['v', 'w'],
  );
  const exempt = new Set(['public.t.v', 'public.t.w']);
  assert.deepEqual(await residueOf([many], { ...compared, exempt }), []);
  const gone: Effect = { ...effect(12_001, '', ''), kind: 'delete', after: null };
  assert.deepEqual(await residueOf([[...many, gone]], { ...compared, exempt }), [
    { kind: 'gone', resource: 'public.t' },
  ]);
});
