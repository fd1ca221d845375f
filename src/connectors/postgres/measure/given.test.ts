/** Values that are new at every call: a column may get one as a whole, and is then known at the commit. */
import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { openTargetBench, type TargetBench } from '../../../../test/support/postgres-target.ts';

const COLUMNS = 'id uuid PRIMARY KEY, note text, weight float8, made timestamptz';
const SCHEMA = `
CREATE TABLE tokens (${COLUMNS});
CREATE TABLE watched (${COLUMNS});
CREATE TABLE sightings (id bigserial PRIMARY KEY, token uuid, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION sight() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO sightings (token) VALUES (NEW.id); RETURN NULL; END$$;
CREATE TRIGGER sight AFTER INSERT OR UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION sight();
CREATE VIEW noted AS SELECT id, note FROM tokens;
CREATE TABLE source (id uuid PRIMARY KEY, note text);
INSERT INTO source SELECT md5(n::text)::uuid, 's' || n FROM generate_series(1, 3) n;
INSERT INTO tokens SELECT id, note, 0, NULL FROM source;
INSERT INTO watched SELECT id, note, 0, NULL FROM source;
CREATE TABLE bills (id int PRIMARY KEY, amount numeric(12,2), paid timestamptz);
INSERT INTO bills VALUES (1, 5, NULL);
CREATE TABLE owned (id uuid PRIMARY KEY, tenant text, note text);
`;

let server: Postgres;
let bench: TargetBench;

before(async () => {
  server = await startPostgres();
  bench = await openTargetBench(server, SCHEMA, {
    value: [{ table: 'bills', column: 'amount', currency: 'GBP' }],
    scope: [{ column: 'tenant', value: 'north', tables: ['owned'] }],
  });
});
after(async () => {
  await bench.close();
  await server.stop();
});

/** A write, the columns that it leaves to the commit, and how many rows it changes. */
const WRITES: readonly (readonly [text: string, masked: readonly string[], rows: number])[] = [
  [
    `INSERT INTO T (id, note, weight) VALUES (gen_random_uuid(), 'a', random()), (gen_random_uuid(), 'b', random())`,
    ['id', 'weight'],
    2,
  ],
  [`UPDATE T SET id = gen_random_uuid() WHERE note LIKE 's%'`, ['id'], 3],
  [`UPDATE T SET weight = random(), made = clock_timestamp() WHERE true`, ['made', 'weight'], 3],
  [
    `INSERT INTO T (id) SELECT id FROM source WHERE true
     ON CONFLICT (id) DO UPDATE SET weight = random()::float8, made = clock_timestamp()`,
    ['made', 'weight'],
    3,
  ],
  [
    `MERGE INTO T USING source s ON T.id = s.id
     WHEN MATCHED THEN UPDATE SET weight = random(), note = s.note`,
    ['weight'],
    3,
  ],
];

for (const table of ['tokens', 'watched']) {
  for (const [template, masked, rows] of WRITES) {
    test(`plans twice alike and applies each row its own: ${template.replaceAll(/\bT\b/g, table).slice(0, 60)}`, async (context) => {
      if (/SET id/.test(template) && Number.parseInt(server.version, 10) < 18) {
        return context.skip('before 18 nothing pairs a row with the key that it is given');
      }
      const text = template.replaceAll(/\bT\b/g, table);
      const own = (names: readonly string[]) =>
        names.filter((name) => name.startsWith(`public.${table}.`));
      const plan = await bench.planned(text);
      assert.deepEqual(
        own(plan.maskedColumns),
        masked.map((column) => `public.${table}.${column}`),
      );
      assert.equal((await bench.planned(text)).effectsDigest, plan.effectsDigest);
      const direct = plan.effects.filter((each) => each.resource === `public.${table}`);
      assert.equal(direct.length, rows);
      for (const { after: image } of direct) {
        for (const column of masked) assert.equal(image?.[column], null);
      }
      const was = await bench.rows(`SELECT ${table}::text FROM ${table} ORDER BY 1`);
      const inverse = await bench.done(text);
      const applied = (inverse.compensated?.effects ?? []).filter(
        (each) => each.resource === `public.${table}`,
      );
      for (const column of masked) {
        const values = applied.map((each) => each.after?.[column] ?? null);
        assert(!values.includes(null), `${column} came back`);
        assert.equal(new Set(values).size, rows, `each row has its own ${column}`);
        const found = await bench.rows(`SELECT ${column}::text FROM ${table}`);
        assert(values.every((value) => found.includes(String(value))));
      }
      const answer = await bench.plan(inverse);
      assert(answer.kind === 'planned', JSON.stringify(answer));
      assert.equal((await bench.apply(inverse, answer.plan)).kind, 'applied');
      assert.deepEqual(await bench.rows(`SELECT ${table}::text FROM ${table} ORDER BY 1`), was);
    });
  }
}

test('a column that gets plain values beside new ones is refused, so that nothing hides among them', async () => {
  for (const text of [
    `INSERT INTO tokens (id, note) VALUES (gen_random_uuid(), 'gold'), (gen_random_uuid(), random()::text)`,
    `INSERT INTO tokens (id, note) VALUES (gen_random_uuid(), gen_random_uuid()::text)
     ON CONFLICT (id) DO UPDATE SET note = 'gold'`,
    `MERGE INTO tokens t USING source s ON t.id = s.id WHEN MATCHED THEN UPDATE SET note = random()::text
     WHEN NOT MATCHED THEN INSERT (id, note) VALUES (s.id, 'gold')`,
  ]) {
    const { code, reason } = await bench.refused(text);
    assert.equal(code, 'statement-unsupported', reason);
    assert.match(reason, /propose them as two writes/);
  }
});

test('through a view, and in a WITH beside the target, the columns are masked as well', async () => {
  for (const [text, column] of [
    [
      `INSERT INTO noted (id, note) VALUES (gen_random_uuid(), 'v'), (gen_random_uuid(), 'w')`,
      'public.tokens.id',
    ],
    [
      `WITH more AS (INSERT INTO tokens (id, note) VALUES (gen_random_uuid(), 'm'))
       UPDATE watched SET note = 'n' WHERE true`,
      'public.tokens.id',
    ],
  ] as const) {
    const plan = await bench.planned(text);
    assert(plan.maskedColumns.includes(column), plan.maskedColumns.join());
    assert.equal((await bench.planned(text)).effectsDigest, plan.effectsDigest);
  }
});

test('an amount, and what a scope is judged by, are not left to chance', async () => {
  const amount = await bench.refused('UPDATE bills SET amount = random() WHERE id = 1');
  assert.equal(amount.code, 'effect-unmeasurable', amount.reason);
  await bench.planned('UPDATE bills SET paid = clock_timestamp() WHERE id = 1');
  const scope = await bench.refused(
    `INSERT INTO owned (id, tenant) VALUES (gen_random_uuid(), gen_random_uuid()::text)`,
  );
  assert.equal(scope.code, 'scope-violated', scope.reason);
  await bench.planned(`INSERT INTO owned (id, tenant) VALUES (gen_random_uuid(), 'north')`);
});
