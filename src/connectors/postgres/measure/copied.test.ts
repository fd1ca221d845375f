import { strict as assert } from 'node:assert';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { newProposalId } from '../../../model/ids.ts';
import type { Effect, Plan } from '../../../model/plan.ts';
import type { PlanAnswer, Target } from '../../../model/ports.ts';
import { openEvidenceFiles, type EvidenceFolder } from '../../../store/evidence-files.ts';
import { openPostgresTarget } from '../../postgres.ts';

/** No trigger, cascade or part, so all of it is sealed; names and values that a text form must keep apart. */
const SCHEMA = String.raw`
CREATE TYPE mood AS ENUM ('glad', E'a\tb');
CREATE DOMAIN code AS character(6);
CREATE TABLE odd (
  zid int PRIMARY KEY, "b\c" text, "A
B" boolean, fixed character(8), code code, mood mood, tags text[], bin bytea, doc json, docb jsonb,
  at timestamptz, day date, gap interval, f float8, n numeric(12, 3), ip inet, bits bit(4), one "char",
  u uuid, stamp timestamptz, gone text
);
INSERT INTO odd SELECT i,
  (ARRAY['', E'\\N', E'\\', E'tab\there', E'line\nfeed', E'cr\rvt\x0bff\fbs\b', 'é😀', '\N', 'plain'])[i % 9 + 1],
  i % 3 = 0, 'ab', 'cd', (ARRAY['glad', E'a\tb'])[i % 2 + 1]::mood, ARRAY['x', E'a\\b"c', NULL],
  decode('005c0aff', 'hex'), '{"a" : 1}', '{"a": 1}', '2026-01-01'::timestamptz + i * interval '1 s',
  '2026-01-01', '1 day 2 h', i / 3.0, i * 1.5, '10.0.0.1/8', B'0101', 'x', gen_random_uuid(), now(),
  CASE WHEN i % 2 = 0 THEN NULL ELSE 'there' END
  FROM generate_series(1, 3000) i;
CREATE TABLE plain (a text, b text);
INSERT INTO plain SELECT 'a', NULL FROM generate_series(1, 2000);
CREATE TABLE wide (id int PRIMARY KEY, body text);
INSERT INTO wide SELECT i, repeat('é', 10000) FROM generate_series(1, 600) i;
`;

let server: Postgres;
let admin: pg.Client;
let evidence: EvidenceFolder;
let folder: string;
let target: Target;
let small: Target;

before(async () => {
  server = await startPostgres();
  await server.createDatabase('copied');
  admin = new pg.Client(server.url('copied'));
  await admin.connect();
  await admin.query(SCHEMA);
  folder = await mkdtemp(join(tmpdir(), 'writegate-copied-'));
  evidence = await openEvidenceFiles({
    folder: join(folder, 'evidence'),
    keyPath: join(folder, 'evidence.key'),
    now: Date.now,
  });
  const settings = {
    url: server.url('copied'),
    acceptFindings: ['role-superuser'],
    rowsMax: 50,
    statementTimeoutMs: 30_000,
  };
  target = await openPostgresTarget('copied', settings, () => undefined, { evidence });
  const limited = { ...settings, limits: { imageBytes: 100_000 } };
  small = await openPostgresTarget('small', limited, () => undefined, { evidence });
});
after(async () => {
  try {
    await target.close();
    await small.close();
    await admin.end();
    await rm(folder, { recursive: true, force: true });
  } finally {
    await server.stop();
  }
});

let proposals = 0;

function ask(of: Target, statement: string, parameters: readonly number[]): Promise<PlanAnswer> {
  proposals += 1;
  const proposalId = newProposalId(proposals, new Uint8Array(10));
  const common = { proposalId, operation: 'sql', permits: () => true, compensated: null };
  return of.plan(
    { ...common, arguments: { statement, parameters: [...parameters] } },
    AbortSignal.timeout(60_000),
  );
}

async function planned(statement: string, parameters: readonly number[] = []): Promise<Plan> {
  const answer = await ask(target, statement, parameters);
  assert(answer.kind === 'planned', JSON.stringify(answer).slice(0, 1_000));
  return answer.plan;
}

async function kept({ evidence: reference }: Plan): Promise<readonly Effect[]> {
  assert(reference !== null);
  const reader = await evidence.open(reference.id);
  assert(reader !== undefined);
  try {
    const effects: Effect[] = [];
    for await (const batch of reader.batches()) effects.push(...batch);
    assert.equal(effects.length, reader.rows);
    return effects;
  } finally {
    await reader.close();
  }
}

/** What does not hang on which file the evidence is in. */
function told({ evidence: reference, ...rest }: Plan): unknown {
  return { ...rest, evidence: reference?.rows };
}

/** The same statement once with a `$1`, which no COPY takes, and once without. */
async function bothWays(statement: (value: string) => string, value: number): Promise<Plan> {
  const prepared = await planned(statement('$1'), [value]);
  const copied = await planned(statement(String(value)));
  assert.deepEqual(told(copied), told(prepared));
  const [left, right] = [await kept(copied), await kept(prepared)];
  assert.deepEqual(left, right);
  assert.equal(left.length, copied.effects.length + copied.effectsOmitted);
  return copied;
}

test('rows that are copied out come to the same plan and evidence, whatever is in them', async () => {
  const plan = await bothWays(
    (value) =>
      String.raw`UPDATE odd SET "b\c" = "b\c" || E'\\', "A
B" = NOT "A
B", gone = '\N' WHERE zid <= ${value}`,
    3000,
  );
  assert.equal(plan.effectsOmitted, 2950);
  const { rows } = await admin.query<Record<string, string>>(
    String.raw`SELECT zid::text, "b\c", "A
B"::text AS flag, fixed::text, code::text, tags::text, bin::text, gone FROM odd ORDER BY odd.zid`,
  );
  const effects = (await kept(plan)).toSorted((a, b) => Number(a.key[0]) - Number(b.key[0]));
  for (const [at, row] of rows.entries()) {
    const image = effects[at]?.before;
    assert(image !== null && image !== undefined);
    const found = ['zid', String.raw`b\c`, 'A\nB', 'fixed', 'code', 'tags', 'bin', 'gone'];
    assert.deepEqual(
      found.map((name) => image[name]),
      Object.values(row),
    );
  }
});

test('a masked column is null in what is copied out, and only after the write', async () => {
  const plan = await bothWays(
    (value) => `UPDATE odd SET day = now()::date WHERE zid <= ${value}`,
    2000,
  );
  assert.deepEqual(plan.maskedColumns, ['public.odd.day']);
  for (const effect of await kept(plan)) {
    assert.equal(effect.after?.['day'], null);
    assert.notEqual(effect.before?.['day'], null);
  }
});

test('deletes, and rows that a query inserts, are copied out as well', async () => {
  const gone = await bothWays((value) => `DELETE FROM odd WHERE zid <= ${value}`, 1500);
  assert.equal(gone.counts[0]?.deleted, 1500);
  const made = await bothWays(
    (value) => `INSERT INTO plain SELECT "b\\c", gone FROM odd WHERE zid <= ${value}`,
    700,
  );
  assert.equal(made.counts[0]?.created, 700);
  const put = await bothWays(
    (value) =>
      `INSERT INTO wide SELECT zid, gone FROM odd WHERE zid BETWEEN 501 AND ${value} ` +
      'ON CONFLICT (id) DO UPDATE SET body = excluded.body',
    700,
  );
  assert.deepEqual([put.counts[0]?.created, put.counts[0]?.updated], [100, 100]);
});

test('rows without a key are told by their images alone', async () => {
  const plan = await bothWays((value) => `UPDATE plain SET b = 'b' WHERE length(a) <= ${value}`, 1);
  assert.deepEqual(plan.columns[0], {
    resource: 'public.plain',
    column: 'b',
    rows: 2000,
    examples: [{ before: null, after: 'b', rows: 2000 }],
  });
});

test('a limit that is passed among many rows refuses, and the connection goes on', async () => {
  const answer = await ask(small, `UPDATE wide SET body = body || 'x'`, []);
  assert(answer.kind === 'refused' && answer.code === 'limit-exceeded', JSON.stringify(answer));
  const error = await ask(target, `UPDATE odd SET n = 1 / (zid - 2900)`, []);
  assert(error.kind === 'refused', JSON.stringify(error).slice(0, 500));
  const { effects } = await planned('UPDATE odd SET n = 0 WHERE zid = 7');
  assert.equal(effects.length, 1);
});

test('rows of twenty kilobytes are taken at the pace of the evidence', async () => {
  const plan = await bothWays(
    (value) => `UPDATE wide SET body = 'x' || body WHERE id <= ${value}`,
    600,
  );
  assert.equal(plan.effectsOmitted, 550);
});
