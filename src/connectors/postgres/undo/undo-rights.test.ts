// Taking writes back where foreign keys lead out of what is governed, and where rights are missing.
import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';
import { asking } from '../session/ask.ts';
import { readGround } from '../roles/setup.ts';
import { roleNames } from '../roles/roles.ts';

const SCHEMA = `
CREATE TABLE employees (id int PRIMARY KEY, name text);
CREATE TABLE customers (id int PRIMARY KEY, city text, keeper int REFERENCES employees,
  changed int NOT NULL DEFAULT 0);
CREATE TABLE demographics (customer int REFERENCES customers, kind text);
CREATE TABLE plain (id int PRIMARY KEY, keeper int REFERENCES employees);
CREATE TABLE plain_notes (id int PRIMARY KEY, plain int REFERENCES plain);
CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  NEW.changed := OLD.changed + 1; RETURN NEW; END$$;
CREATE TRIGGER count_change BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION count_change();
INSERT INTO employees VALUES (1, 'a'), (2, 'b');
INSERT INTO customers VALUES (1, 'Rome', 1), (2, 'Oslo', 1);
INSERT INTO demographics VALUES (2, 'x');
INSERT INTO plain VALUES (1, 1), (2, 1);
`;
const SETTINGS = {
  tables: Object.fromEntries(
    ['customers', 'plain'].map((name) => [
      name,
      { read: true, insert: true, update: true, delete: true },
    ]),
  ),
};

let server: Postgres;
before(async () => {
  server = await startPostgres({ settings: { fsync: 'off' } });
});
after(() => server.stop());

async function bench(
  play: (bench: TargetBench) => Promise<void>,
  roles: true | 'owner' = true,
): Promise<void> {
  const opened = await openTargetBench(server, SCHEMA, SETTINGS, { roles });
  try {
    await play(opened);
  } finally {
    await opened.close();
  }
}

const STATE = `SELECT json_build_array((SELECT json_agg(c ORDER BY id) FROM customers c),
  (SELECT json_agg(p ORDER BY id) FROM plain p))::text`;

const WRITES = [
  `UPDATE customers SET city = 'Bern' WHERE id = 2`,
  `UPDATE customers SET keeper = 2 WHERE id = 2`,
  `INSERT INTO customers (id, city, keeper, changed) VALUES (9, 'Kyiv', 1, 0)`,
  'DELETE FROM customers WHERE id = 1',
  'UPDATE plain SET keeper = 2 WHERE id = 2',
  'INSERT INTO plain (id, keeper) VALUES (9, 1)',
  'DELETE FROM plain WHERE id = 1',
];

/** Does each write and takes it back; returns how each was labelled. */
async function labels({ plan, done, apply, rows, planned }: TargetBench): Promise<string[]> {
  const found: string[] = [];
  for (const statement of WRITES) {
    const [begun] = await rows(STATE);
    const { reversibility } = await planned(statement);
    const inverse = await done(statement);
    const answer = await plan(inverse);
    assert(answer.kind === 'planned', `${statement}: ${JSON.stringify(answer)}`);
    const applied = await apply(inverse, answer.plan);
    assert(applied.kind === 'applied', `${statement}: ${JSON.stringify(applied)}`);
    const isExact = (await rows(STATE))[0] === begun;
    found.push(`${reversibility.kind}${isExact ? '' : ', not exact'}`);
    if (reversibility.kind === 'proved') assert(isExact, `${statement} is proved`);
    if (/triggers off, every/.test(reversibility.reason)) assert(isExact, statement);
  }
  return found;
}

test('what is proved is taken back exactly, whatever foreign keys lead out of the governed tables', async () => {
  await bench(async (opened) => {
    assert.deepEqual(await labels(opened), [
      'proved',
      // Nobody but the server may lock a row of the employees.
      'conditional, not exact',
      'proved',
      'proved',
      'proved',
      'proved',
      'proved',
    ]);
    const plan = await opened.planned(WRITES[1] ?? '');
    assert.match(plan.reversibility.reason, /may not lock rows of `public\.employees`/);
  });
});

test('without a right on what foreign keys lead to, the server checks, with triggers on', async () => {
  await bench(async (opened) => {
    await opened.admin.query(
      `REVOKE ALL ON demographics, employees, plain_notes FROM "${undoOf(opened)}"`,
    );
    assert.deepEqual(await labels(opened), [
      'proved',
      'conditional, not exact',
      'proved',
      'proved',
      'proved',
      'proved',
      'proved',
    ]);
  });
});

test('a row that came to hang on a created one from outside is a conflict, with the right and without', async () => {
  await bench(async (opened) => {
    for (const isClosed of [false, true]) {
      const inverse = await opened.done(WRITES[2] ?? '');
      await opened.admin.query(`INSERT INTO demographics VALUES (9, 'late')`);
      if (isClosed) {
        await opened.admin.query(`REVOKE ALL ON demographics FROM "${undoOf(opened)}"`);
      }
      const answer = await opened.plan(inverse);
      assert(answer.kind === 'refused');
      assert.equal(answer.code, 'rollback-conflict', answer.reason);
      await opened.admin.query('DELETE FROM demographics WHERE customer = 9');
      await opened.admin.query('DELETE FROM customers WHERE id = 9');
    }
  });
});

test('an owner without superuser has every write taken back, as far as triggers allow', async () => {
  await bench(async (opened) => {
    assert.deepEqual(await labels(opened), [
      'conditional, not exact',
      'conditional, not exact',
      'proved',
      'proved',
      'proved',
      'proved',
      'proved',
    ]);
    const plan = await opened.planned(WRITES[0] ?? '');
    assert.match(plan.reversibility.reason, /may not turn triggers off/);
  }, 'owner');
});

test('the set-up grants no more than reading on what foreign keys lead to, and only where it may', async () => {
  await bench(async ({ admin }) => {
    const { rows } = await admin.query<{ rights: string }>(
      `SELECT string_agg(c.relname || ' ' || a.privilege_type, ', ' ORDER BY c.relname) AS rights
       FROM pg_class c, aclexplode(c.relacl) a
       WHERE a.grantee::regrole::text = $1 AND c.relname IN ('employees', 'demographics', 'plain_notes')`,
      [undoOf({ admin })],
    );
    assert.equal(rows[0]?.rights, 'demographics SELECT, employees SELECT, plain_notes SELECT');
    const name = admin.database ?? '';
    await admin.query(`CREATE TABLE foreigners (id int PRIMARY KEY);
      ALTER TABLE plain ADD foreigner int REFERENCES foreigners`);
    const wish = {
      names: roleNames('wg', name),
      governed: { schemas: ['public'], tables: SETTINGS.tables },
      receipts: null,
      hasUndo: true,
      hasTrackFunctions: false,
      isPublicRevoked: false,
    };
    await admin.query(`SET ROLE owner_${name}`);
    const { reach } = await readGround(asking(admin), wish);
    await admin.query('RESET ROLE');
    assert.deepEqual(
      reach.linked.map(({ resource, isGrantable }) => [resource, isGrantable]),
      [
        ['public.demographics', true],
        ['public.employees', true],
        ['public.foreigners', false],
        ['public.plain_notes', true],
      ],
    );
  }, 'owner');
});

function undoOf({ admin }: Pick<TargetBench, 'admin'>): string {
  return roleNames('wg', admin.database ?? '').undo;
}

test('a write that the undo role can prove is not held with a lesser label', async () => {
  await bench(async ({ target, ask, planned }) => {
    const statement = `UPDATE customers SET city = 'Bern' WHERE id = 2`;
    assert.equal((await planned(statement)).reversibility.kind, 'proved');
    const asked = ask(statement);
    const held = await target.hold?.(
      { ...asked, key: asked.proposalId },
      AbortSignal.timeout(30_000),
    );
    assert.equal(held, null, 'the gate goes by the plan, whose label is the better one');
    const plain = ask('UPDATE plain SET keeper = 1 WHERE id = 1');
    const sealed = await target.hold?.(
      { ...plain, key: plain.proposalId },
      AbortSignal.timeout(30_000),
    );
    assert(sealed?.kind === 'held', JSON.stringify(sealed));
    assert.equal(sealed.plan.reversibility.kind, 'proved');
    await sealed.release();
  });
});
