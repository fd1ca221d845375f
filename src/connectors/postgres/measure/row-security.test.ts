import { strict as assert } from 'node:assert';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import { newProposalId } from '../../../model/ids.ts';
import type { Plan } from '../../../model/plan.ts';
import type { Target } from '../../../model/ports.ts';
import { openPostgresTarget } from '../../postgres.ts';

const SCHEMA = `
CREATE ROLE clerk LOGIN PASSWORD 'clerk';
CREATE ROLE witness LOGIN PASSWORD 'witness' BYPASSRLS;
CREATE SCHEMA writegate AUTHORIZATION clerk;
CREATE TABLE clients (id int PRIMARY KEY, name text);
CREATE TABLE bills (id int PRIMARY KEY, client int REFERENCES clients ON DELETE CASCADE, tenant int);
INSERT INTO clients SELECT i, 'c' || i FROM generate_series(1, 5) i;
INSERT INTO bills SELECT i, 1 + i % 5, i % 2 FROM generate_series(1, 20) i;
ALTER TABLE bills ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON bills USING (tenant = current_setting('app.tenant')::int);
GRANT USAGE ON SCHEMA public TO clerk, witness;
GRANT SELECT, INSERT, UPDATE, DELETE ON clients, bills TO clerk;
GRANT SELECT ON clients, bills TO witness;
`;

let server: Postgres;
let admin: pg.Client;
const targets: Target[] = [];

before(async () => {
  server = await startPostgres();
  await server.createDatabase('secured');
  admin = new pg.Client(server.url('secured'));
  await admin.connect();
  await admin.query(SCHEMA);
});
after(async () => {
  await Promise.all(targets.map((target) => target.close()));
  await admin.end();
  await server.stop();
});

function urlOf(role: string): string {
  const url = new URL(server.url('secured'));
  url.username = role;
  url.password = role;
  return url.href;
}

async function planned(settings: object, statement: string): Promise<Plan> {
  const target = await openPostgresTarget(
    'secured',
    { url: urlOf('clerk'), session: { 'app.tenant': '1' }, ...settings },
    () => undefined,
  );
  targets.push(target);
  const answer = await target.plan(
    {
      proposalId: newProposalId(targets.length, new Uint8Array(10)),
      operation: 'sql',
      arguments: { statement },
      permits: () => true,
      compensated: null,
    },
    AbortSignal.timeout(30_000),
  );
  assert(answer.kind === 'planned', JSON.stringify(answer));
  return answer.plan;
}

test('rows that the policies show are measured whole', async () => {
  const plan = await planned({}, 'UPDATE bills SET client = 2 WHERE id <= 4');
  assert.equal(plan.headline, '2 updates in public.bills');
  assert.deepEqual(plan.warnings, []);
  assert.equal(plan.reversibility.kind, 'proved', plan.reversibility.reason);
});

test('rows that a cascade takes beyond them are counted, and said to be unseen', async () => {
  const plan = await planned({}, 'DELETE FROM clients WHERE id = 3');
  assert.equal(plan.headline, '1 delete from public.clients, 4 deletes by cascade in public.bills');
  assert.equal(plan.effects.filter(({ resource }) => resource === 'public.bills').length, 2);
  assert.equal(plan.reversibility.kind, 'one-way');
  assert.match(plan.warnings[0] ?? '', /row security hides .*an evidence role/);
  assert.deepEqual(plan.unmeasured, ['bytes']);
});

test('recipients in rows that nobody saw are not all counted', async () => {
  const recipients = [{ table: 'bills', column: 'client' }];
  const plan = await planned({ recipients }, 'DELETE FROM clients WHERE id = 3');
  assert.deepEqual(plan.unmeasured, ['recipients', 'bytes']);
  assert.match(plan.warnings.join(), /the recipients in public\.bills could not all be counted/);
  const whole = { recipients, evidence: urlOf('witness') };
  const seen = await planned(whole, 'DELETE FROM clients WHERE id = 3');
  assert.equal(seen.unmeasured, undefined);
  assert.equal(seen.recipients, 1);
});

test('a role that may see them gives them their images', async () => {
  const plan = await planned({ evidence: urlOf('witness') }, 'DELETE FROM clients WHERE id = 3');
  assert.equal(plan.effects.filter(({ resource }) => resource === 'public.bills').length, 4);
  assert.deepEqual(plan.warnings, []);
});
