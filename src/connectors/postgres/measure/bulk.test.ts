import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { newEvidenceId, newProposalId, type EvidenceId } from '../../../model/ids.ts';
import { planDigest, type Effect, type Plan } from '../../../model/plan.ts';
import type { EvidenceFiles, PlanRequest, Target } from '../../../model/ports.ts';
import { openPostgresTarget } from '../../postgres.ts';

/** A cascade, so that the fast lane is not asked. */
const SCHEMA = `
CREATE TABLE big (id int PRIMARY KEY, name text NOT NULL, n int);
CREATE TABLE small (id int PRIMARY KEY, big int REFERENCES big ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO big SELECT i, 'name ' || i, i FROM generate_series(1, 5000) i;
INSERT INTO small SELECT i, i FROM generate_series(1, 5000) i;
CREATE INDEX ON small (big);
CREATE TABLE hot (id int PRIMARY KEY, n int);
CREATE TABLE hot_child (id int PRIMARY KEY, hot int REFERENCES hot ON DELETE CASCADE);
INSERT INTO hot VALUES (1, 0);
`;

/** Evidence in memory, which says what became of its files. */
class Files implements EvidenceFiles {
  readonly finished = new Map<EvidenceId, Effect[]>();
  discarded = 0;
  #made = 0;

  create() {
    const effects: Effect[] = [];
    return Promise.resolve({
      append: (more: readonly Effect[]) => {
        effects.push(...more);
        return Promise.resolve();
      },
      finish: () => {
        this.#made += 1;
        const id = newEvidenceId(this.#made, new Uint8Array(10));
        this.finished.set(id, effects);
        return Promise.resolve({ id, rows: effects.length, bytes: effects.length });
      },
      discard: () => {
        this.discarded += 1;
        return Promise.resolve();
      },
    });
  }

  open(id: EvidenceId) {
    const effects = this.finished.get(id);
    if (effects === undefined) return Promise.resolve(undefined);
    return Promise.resolve({
      rows: effects.length,
      page: (from: number, limit: number) => Promise.resolve(effects.slice(from, from + limit)),
      async *batches() {
        for (let from = 0; from < effects.length; from += 700) {
          yield await Promise.resolve(effects.slice(from, from + 700));
        }
      },
      close: () => Promise.resolve(),
    });
  }

  remove(id: EvidenceId) {
    this.finished.delete(id);
    return Promise.resolve();
  }
}

let server: Postgres;
let admin: pg.Client;
let target: Target;
const files = new Files();

before(async () => {
  server = await startPostgres();
  await server.createDatabase('bulk');
  admin = new pg.Client(server.url('bulk'));
  await admin.connect();
  await admin.query(SCHEMA);
  const settings = {
    url: server.url('bulk'),
    acceptFindings: ['role-superuser'],
    rowsMax: 100,
    statementTimeoutMs: 30_000,
  };
  target = await openPostgresTarget('bulk', settings, () => undefined, { evidence: files });
});
after(async () => {
  try {
    await target.close();
    await admin.end();
  } finally {
    await server.stop();
  }
});

let proposals = 0;
const digest = (plan: Plan): ReturnType<typeof planDigest> => planDigest('bulk', 'sql', plan);
const signal = (): AbortSignal => AbortSignal.timeout(60_000);

function ask(statement: string): PlanRequest {
  proposals += 1;
  const proposalId = newProposalId(proposals, new Uint8Array(10));
  const common = { proposalId, operation: 'sql', permits: () => true, compensated: null };
  return { ...common, arguments: { statement, parameters: [] } };
}

async function planned(request: PlanRequest): Promise<Plan> {
  const answer = await target.plan(request, signal());
  assert(answer.kind === 'planned', JSON.stringify(answer).slice(0, 1_000));
  return answer.plan;
}

async function state(): Promise<unknown> {
  const { rows } = await admin.query(
    `SELECT (SELECT md5(string_agg(b::text, '' ORDER BY id)) FROM big b),
       (SELECT md5(string_agg(s::text, '' ORDER BY id)) FROM small s)`,
  );
  return rows[0];
}

test('every image of a bulk write is kept outside the plan, and is enough to take it back', async () => {
  const was = await state();
  const asked = ask('DELETE FROM big WHERE id <= 2000');
  const plan = await planned(asked);
  assert.equal(
    plan.headline,
    '2,000 deletes from public.big, 2,000 deletes by cascade in public.small',
  );
  assert.deepEqual([plan.effects.length, plan.effectsOmitted], [100, 3_900]);
  assert.equal(plan.evidence?.rows, 4_000);
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
  const applied = await target.apply(
    { ...asked, key: asked.proposalId, planDigest: digest(plan), digest },
    signal(),
  );
  assert(applied.kind === 'applied', JSON.stringify(applied));
  assert.equal(applied.evidence?.rows, 4_000);
  const compensated = {
    proposalId: asked.proposalId,
    plan,
    effects: applied.effects ?? plan.effects,
    evidence: applied.evidence,
  };
  const inverse = { ...ask(''), arguments: {}, compensated };
  const shown = await planned(inverse);
  assert.equal(shown.headline, '4,000 inserts into 2 tables');
  const back = await target.apply(
    { ...inverse, key: inverse.proposalId, planDigest: digest(shown), digest },
    signal(),
  );
  assert.equal(back.kind, 'applied', JSON.stringify(back));
  assert.deepEqual(await state(), was);
});

test('what each column became is told with its commonest changes', async () => {
  const plan = await planned(
    ask(`UPDATE big SET name = CASE WHEN id % 10 = 0 THEN 'ten' ELSE 'other' END, n = 0`),
  );
  const name = plan.columns.find(({ column }) => column === 'name');
  assert.deepEqual([name?.rows, name?.examples.length], [5_000, 3]);
  assert.equal(plan.columns.find(({ column }) => column === 'n')?.rows, 5_000);
});

test('a limit refuses a bulk write before it locks a row', async () => {
  await admin.query('BEGIN; SELECT FROM big WHERE id = 1 FOR UPDATE');
  try {
    const answer = await target.plan(
      { ...ask('DELETE FROM big WHERE id > 0'), recordsMax: 10 },
      signal(),
    );
    assert(answer.kind === 'refused', JSON.stringify(answer).slice(0, 1_000));
    assert.equal(answer.code, 'limit-exceeded');
  } finally {
    await admin.query('ROLLBACK');
  }
});

test('a held write that is let go leaves nothing, and one that is kept is there once', async () => {
  const hold = async (statement: string) => {
    const asked = ask(statement);
    const held = await target.hold?.({ ...asked, key: asked.proposalId }, signal());
    assert(held?.kind === 'held', JSON.stringify(held));
    return { asked, held };
  };
  const was = await state();
  const first = await hold('DELETE FROM big WHERE id = 4000');
  assert.equal(first.held.plan.counts.length, 2);
  assert.equal(first.held.plan.reversibility.kind, 'proved');
  await first.held.release();
  assert.deepEqual(await state(), was);
  const second = await hold('DELETE FROM big WHERE id = 4000');
  const answer = await second.held.commit();
  assert(answer.kind === 'applied', JSON.stringify(answer));
  const probed = await target.probe({ key: second.asked.proposalId, fence: false }, signal());
  assert.equal(probed.kind, 'applied');
  assert.notDeepEqual(await state(), was);
});

test('writers that get in each other’s way try again, and each is applied once', async () => {
  const one = async (): Promise<void> => {
    const asked = ask('UPDATE hot SET n = n + 1 WHERE id = 1');
    for (let tries = 0; tries < 60; tries += 1) {
      const answer = await target.plan(asked, signal());
      if (answer.kind === 'refused') {
        assert.equal(answer.code, 'target-busy', JSON.stringify(answer));
        continue;
      }
      const applied = await target.apply(
        { ...asked, key: asked.proposalId, planDigest: digest(answer.plan), digest },
        signal(),
      );
      if (applied.kind === 'applied') return;
      assert(applied.kind === 'drifted' || applied.code === 'target-busy', JSON.stringify(applied));
    }
    assert.fail('no end in sixty tries');
  };
  await Promise.all(Array.from({ length: 8 }, one));
  const { rows } = await admin.query<{ n: number }>('SELECT n FROM hot');
  assert.equal(rows[0]?.n, 8);
});
