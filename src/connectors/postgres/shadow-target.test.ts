/** Previews on a shadow through a whole target; primary and shadow are two databases of one server. */
import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../support/postgres.ts';
import type { JsonObject } from '../../lib/json.ts';
import { newProposalId } from '../../model/ids.ts';
import { planDigest, type Plan } from '../../model/plan.ts';
import type { ApplyAnswer, PlanAnswer, PlanRequest, Target } from '../../model/ports.ts';
import { openPostgresTarget } from '../postgres.ts';

const SCHEMA = `
CREATE TABLE things (id int PRIMARY KEY, n int);
INSERT INTO things SELECT i, i FROM generate_series(1, 10) i;
`;

let server: Postgres;
const admins = new Map<string, pg.Client>();
let proposals = 0;

before(async () => {
  server = await startPostgres();
  for (const name of ['primary', 'branch']) {
    await server.createDatabase(name);
    const admin = new pg.Client(server.url(name));
    await admin.connect();
    await admin.query(SCHEMA);
    admins.set(name, admin);
  }
});
after(async () => {
  for (const admin of admins.values()) await admin.end();
  await server.stop();
});

async function withTarget(
  shadow: JsonObject,
  work: (target: Target) => Promise<void>,
): Promise<void> {
  const settings = { url: server.url('primary'), acceptFindings: ['role-superuser'], shadow };
  const target = await openPostgresTarget('bench', settings, () => undefined);
  try {
    await work(target);
  } finally {
    await target.close();
  }
}

function ask(statement: string, more: Partial<PlanRequest> = {}): PlanRequest {
  proposals += 1;
  return {
    proposalId: newProposalId(proposals, new Uint8Array(10)),
    operation: 'sql',
    arguments: { statement },
    permits: () => true,
    compensated: null,
    ...more,
  };
}

const signal = (): AbortSignal => AbortSignal.timeout(30_000);

async function planned(target: Target, request: PlanRequest): Promise<Plan> {
  const answer: PlanAnswer = await target.plan(request, signal());
  assert(answer.kind === 'planned', JSON.stringify(answer));
  return answer.plan;
}

function apply(target: Target, request: PlanRequest, plan: Plan): Promise<ApplyAnswer> {
  const digest = (of: Plan): ReturnType<typeof planDigest> => planDigest('t', 'o', of);
  const key = request.proposalId;
  return target.apply({ ...request, key, planDigest: digest(plan), digest }, signal());
}

async function valueOf(name: string, id: number): Promise<unknown> {
  const found = await admins
    .get(name)
    ?.query<{ n: number }>('SELECT n FROM things WHERE id = $1', [id]);
  return found?.rows[0]?.n;
}

test('a preview runs on the shadow, the commit measures on the primary, and both agree', async () => {
  await withTarget({ url: server.url('branch') }, async (target) => {
    const request = ask('UPDATE things SET n = n + 100 WHERE id = 1');
    // A lock on the primary that a preview there would wait for, and be refused.
    await admins.get('primary')?.query('BEGIN; LOCK TABLE things');
    const plan = await planned(target, request);
    await admins.get('primary')?.query('ROLLBACK');
    assert.deepEqual([plan.measuredOn, plan.warnings], ['shadow', []]);
    assert.equal((await apply(target, request, plan)).kind, 'applied');
    assert.deepEqual([await valueOf('primary', 1), await valueOf('branch', 1)], [101, 1]);
  });
});

test('a shadow that differs leads to drift at the commit, and never to another effect', async () => {
  await withTarget({ url: server.url('branch') }, async (target) => {
    await admins.get('branch')?.query('UPDATE things SET n = 77 WHERE id = 2');
    const request = ask('UPDATE things SET n = n + 1 WHERE id = 2');
    const plan = await planned(target, request);
    const answer = await apply(target, request, plan);
    assert(answer.kind === 'drifted', JSON.stringify(answer));
    assert.equal(answer.plan.measuredOn, undefined);
    assert.equal(await valueOf('primary', 2), 2);
    // What is approved then is what the primary showed.
    const again = { ...request, proposalId: ask('').proposalId };
    assert.equal((await apply(target, again, answer.plan)).kind, 'applied');
    assert.equal(await valueOf('primary', 2), 3);
  });
});

test('one pass is never taken where previews belong on the shadow', async () => {
  await withTarget({ url: server.url('branch') }, async (target) => {
    const request = ask('UPDATE things SET n = 5 WHERE id = 3');
    assert.equal(await target.hold?.({ ...request, key: request.proposalId }, signal()), null);
  });
});

test('taking a write back is planned on the primary, which alone has it', async () => {
  await withTarget({ url: server.url('branch') }, async (target) => {
    const request = ask('UPDATE things SET n = 0 WHERE id = 4');
    const plan = await planned(target, request);
    assert.equal((await apply(target, request, plan)).kind, 'applied');
    const { proposalId } = request;
    const compensated = { proposalId, plan, effects: plan.effects, evidence: null };
    const inverse = ask('', { arguments: {}, compensated });
    const taken = await planned(target, inverse);
    assert.equal(taken.measuredOn, undefined);
    assert.equal((await apply(target, inverse, taken)).kind, 'applied');
    assert.equal(await valueOf('primary', 4), 4);
  });
});

test('a shadow that is down refuses previews, or lets the primary make them and say so', async () => {
  const url = server.url('no_such_branch');
  const request = ask('UPDATE things SET n = 6 WHERE id = 5');
  await withTarget({ url }, async (target) => {
    const answer = await target.plan(request, signal());
    assert(answer.kind === 'refused');
    assert.equal(answer.code, 'target-unavailable');
    assert.match(answer.reason, /shadow/);
    assert.doesNotMatch(answer.reason, /no_such_branch|postgres:/);
  });
  await withTarget({ url, whenDown: 'primary' }, async (target) => {
    const plan = await planned(target, request);
    assert.equal(plan.measuredOn, undefined);
    assert.match(plan.warnings.join(), /shadow could not be reached/);
    assert.equal((await apply(target, request, plan)).kind, 'applied');
  });
});
