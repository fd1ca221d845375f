/** Structured writes, imports and the guards through a whole target. */
import { strict as assert } from 'node:assert';
import { hash } from 'node:crypto';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { startPostgres, type Postgres } from '../../../../support/postgres.ts';
import type { JsonObject } from '../../../lib/json.ts';
import { newProposalId } from '../../../model/ids.ts';
import { planDigest, type Plan } from '../../../model/plan.ts';
import type { ApplyRequest, PlanRequest, Target, Upload, Uploads } from '../../../model/ports.ts';
import { openPostgresTarget } from '../../postgres.ts';

const SCHEMA = `
CREATE TABLE customers (id int PRIMARY KEY, email text, tenant int NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers ON DELETE CASCADE,
  total numeric(12,2) NOT NULL DEFAULT 0, tenant int NOT NULL, deleted_at timestamptz);
CREATE TABLE audit (n bigserial PRIMARY KEY, order_id int, fee numeric(12,2));
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
  INSERT INTO audit (order_id, fee) VALUES (NEW.id, NEW.total / 10); RETURN NULL; END$$;
CREATE TRIGGER audit AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TABLE secrets (id int PRIMARY KEY);
INSERT INTO customers SELECT i, 'c' || i, i % 2 FROM generate_series(1, 20) i;
INSERT INTO orders (id, customer_id, total, tenant) SELECT i, i, 10, i % 2 FROM generate_series(1, 20) i;
`;

const SETTINGS: JsonObject = {
  acceptFindings: ['role-superuser'],
  tables: {
    customers: { update: ['email'], delete: true },
    orders: { insert: ['id', 'customer_id', 'total', 'tenant'], update: ['total'], delete: true },
  },
  scope: [{ column: 'tenant', value: 1 }],
  softDelete: { orders: { column: 'deleted_at' } },
  limits: { rows: 50 },
  value: [
    { table: 'orders', column: 'total', currency: 'GBP' },
    { table: 'audit', column: 'fee', currency: 'GBP' },
  ],
};

const files = new Map<string, Buffer>();
const uploads: Uploads = {
  open: (id, owner) => {
    const content = files.get(`${owner} ${id}`);
    return Promise.resolve(content === undefined ? undefined : uploadOf(id, content));
  },
};

function uploadOf(id: string, content: Buffer): Upload {
  const stream = async function* (): AsyncGenerator<Uint8Array> {
    yield content;
  };
  return { bytes: content.length, sha256: id.slice('upl_'.length), stream };
}

function uploaded(content: string): string {
  const id = `upl_${hash('sha256', content, 'hex')}`;
  files.set(`agent:a ${id}`, Buffer.from(content));
  return id;
}

let server: Postgres;
let target: Target;
let admin: pg.Client;
let proposals = 0;

before(async () => {
  server = await startPostgres();
  await server.createDatabase('governed');
  admin = new pg.Client(server.url('governed'));
  await admin.connect();
  await admin.query(SCHEMA);
  const settings = { url: server.url('governed'), ...SETTINGS };
  target = await openPostgresTarget('bench', settings, () => undefined, { uploads });
});
after(async () => {
  await target.close();
  await admin.end();
  await server.stop();
});

function ask(operation: string, args: JsonObject): PlanRequest {
  proposals += 1;
  return {
    proposalId: newProposalId(proposals, new Uint8Array(10)),
    operation,
    arguments: args,
    permits: () => true,
    compensated: null,
    proposer: 'agent:a',
  };
}

const signal = (): AbortSignal => AbortSignal.timeout(30_000);

async function planned(request: PlanRequest): Promise<Plan> {
  const answer = await target.plan(request, signal());
  assert(answer.kind === 'planned', JSON.stringify(answer));
  return answer.plan;
}

async function refusal(operation: string, args: JsonObject): Promise<string> {
  const answer = await target.plan(ask(operation, args), signal());
  assert(answer.kind === 'refused', JSON.stringify(answer).slice(0, 1_000));
  return answer.code;
}

function applying(request: PlanRequest, plan: Plan): ApplyRequest {
  const digest = (of: Plan): ReturnType<typeof planDigest> => planDigest('t', 'o', of);
  return { ...request, key: request.proposalId, planDigest: digest(plan), digest };
}

async function done(operation: string, args: JsonObject): Promise<Plan> {
  const request = ask(operation, args);
  const plan = await planned(request);
  const answer = await target.apply(applying(request, plan), signal());
  assert(answer.kind === 'applied', JSON.stringify(answer));
  return plan;
}

async function count(query: string): Promise<number> {
  const { rows } = await admin.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${query}`);
  return rows[0]?.n ?? -1;
}

function countsOf(plan: Plan): readonly string[] {
  return plan.counts
    .filter((each) => each.created + each.updated + each.deleted > 0)
    .map(({ resource, attribution, created, updated, deleted }) => {
      return `${resource} ${attribution} ${created} ${updated} ${deleted}`;
    })
    .toSorted();
}

test('every operation that the target names is one that it takes', async () => {
  assert.deepEqual(target.operations, ['sql', 'insert', 'update', 'delete', 'import']);
  for (const operation of target.operations) {
    assert.equal(await refusal(operation, {}), 'arguments-invalid');
  }
});

test('an insert, an update and a delete by JSON are measured and carried out', async () => {
  const row = { customer_id: 1, tenant: 1, total: '2.50' };
  const inserted = await done('insert', {
    table: 'orders',
    rows: [
      { id: 100, ...row },
      { id: 101, ...row },
    ],
  });
  assert.deepEqual(countsOf(inserted), [
    'public.audit trigger 2 0 0',
    'public.orders direct 2 0 0',
  ]);
  // Both orders, and the fee that the trigger writes for each.
  assert.deepEqual(inserted.value, [{ currency: 'GBP', amountMinor: '550' }]);
  const set = { total: { increment: '1.25' } };
  const updated = await done('update', { table: 'orders', set, key: { id: 100 } });
  assert.deepEqual(countsOf(updated), ['public.orders direct 0 1 0']);
  assert.deepEqual(updated.value, [{ currency: 'GBP', amountMinor: '125' }]);
  assert.equal(await count('orders WHERE id = 100 AND total = 3.75'), 1);
});

test('a delete of a soft deleted table marks the row once, by JSON and by SQL', async () => {
  const keys = [{ id: 11 }, { id: 13 }];
  const plan = await done('delete', { table: 'orders', keys });
  assert.deepEqual(countsOf(plan), ['public.orders direct 0 2 0']);
  assert.deepEqual(
    [plan.headline, plan.class],
    ['2 soft deletes in public.orders (deleted_at set)', 'update'],
  );
  assert.deepEqual(countsOf(await done('delete', { table: 'orders', keys })), []);
  const text = 'DELETE FROM orders WHERE id = $1';
  const one = await done('sql', { statement: text, parameters: [15] });
  assert.equal(one.headline, '1 soft delete in public.orders (deleted_at set)');
  const again = 'DELETE FROM orders WHERE id IN (11, 13, 15)';
  assert.deepEqual(countsOf(await done('sql', { statement: again })), []);
  assert.equal(await count('orders WHERE id IN (11, 13, 15) AND deleted_at IS NOT NULL'), 3);
});

test('what the guards forbid is refused, in any table and by any way, and nothing changes', async () => {
  const had = await count('orders');
  const cases: readonly (readonly [string, JsonObject, string])[] = [
    ['update', { table: 'orders', set: { total: 1 }, key: { id: 2 } }, 'scope-violated'],
    ['update', { table: 'orders', set: { tenant: 2 }, key: { id: 1 } }, 'not-permitted'],
    ['update', { table: 'orders', set: { deleted_at: null }, key: { id: 11 } }, 'not-permitted'],
    [
      'insert',
      { table: 'orders', rows: [{ id: 200, customer_id: 1, tenant: 2 }] },
      'scope-violated',
    ],
    [
      'insert',
      { table: 'orders', rows: [{ id: 200, customer_id: 1, tenant: 1, deleted_at: '2020-01-01' }] },
      'not-permitted',
    ],
    ['insert', { table: 'customers', rows: [{ id: 200, tenant: 1 }] }, 'not-permitted'],
    ['insert', { table: 'secrets', rows: [{ id: 1 }] }, 'statement-relation'],
    ['delete', { table: 'customers', key: { id: 2 } }, 'scope-violated'],
    [
      'sql',
      { statement: "UPDATE customers SET email = 'x' WHERE tenant = tenant" },
      'scope-violated',
    ],
  ];
  for (const [operation, args, code] of cases) {
    assert.equal(await refusal(operation, args), code, JSON.stringify(args));
  }
  assert.equal(await count('orders'), had);
});

test('an import is measured row by row, with what triggers make of it, and carried out once', async () => {
  const csv = `id,customer_id,total,tenant\n${[300, 301, 302].map((id) => `${id},3,1.00,1\n`).join('')}`;
  const args = { table: 'orders', upload: uploaded(csv), format: 'csv' };
  const request = ask('import', args);
  const plan = await planned(request);
  assert.deepEqual(countsOf(plan), ['public.audit trigger 3 0 0', 'public.orders direct 3 0 0']);
  assert.deepEqual(plan.value, [{ currency: 'GBP', amountMinor: '330' }]);
  assert.equal(plan.effects.filter(({ resource }) => resource === 'public.orders').length, 3);
  assert.equal(await count('orders WHERE id >= 300'), 0);
  const applied = await target.apply(applying(request, plan), signal());
  assert(applied.kind === 'applied', JSON.stringify(applied));
  const again = await target.apply(applying(request, plan), signal());
  assert(again.kind === 'applied' && again.earlier);
  assert.equal(await count('orders WHERE id >= 300'), 3);
});

test('an import may be one step of several, and is masked with what its triggers number', async () => {
  const csv = `id,customer_id,total,tenant\n350,3,1.00,1\n351,3,1.00,1\n`;
  const step = (operation: string, args: JsonObject) => {
    return { operation, arguments: args, permits: () => true };
  };
  const steps = [
    step('import', { table: 'orders', upload: uploaded(csv), format: 'csv' }),
    step('update', { table: 'orders', key: { id: 351 }, set: { total: { increment: 4 } } }),
  ];
  const request = { ...ask('import', {}), steps };
  const plan = await planned(request);
  assert.deepEqual(
    plan.steps?.map((each) => [each.operation, each.plan.headline]),
    [
      ['import', '2 inserts into public.orders, 2 inserts by trigger in public.audit'],
      ['update', '1 update in public.orders'],
    ],
  );
  assert.deepEqual(plan.value, [{ currency: 'GBP', amountMinor: '620' }]);
  const applied = await target.apply(applying(request, plan), signal());
  assert(applied.kind === 'applied', JSON.stringify(applied));
  assert.equal(await count('orders WHERE id IN (350, 351) AND total = 5'), 1);
  const held = await target.hold?.({ ...request, key: ask('import', {}).proposalId }, signal());
  assert.equal(held, null);
});

test('an import is held to the scope, the columns and the limits as any write', async () => {
  const csv = (rows: readonly string[], head = 'id,customer_id,total,tenant'): JsonObject => ({
    table: 'orders',
    format: 'csv',
    upload: uploaded(`${head}\n${rows.join('\n')}\n`),
  });
  const many = Array.from({ length: 51 }, (_, at) => `${400 + at},3,1,1`);
  for (const [args, code] of [
    [csv(['400,3,1,1', '401,3,1,2']), 'scope-violated'],
    [csv(['400,3,1,1,2020-01-01'], 'id,customer_id,total,tenant,deleted_at'), 'not-permitted'],
    [csv(many), 'limit-exceeded'],
    [csv(['1,3,1,1']), 'constraint-violated'],
    [{ ...csv(['1']), table: 'secrets' }, 'statement-relation'],
    [{ ...csv(['1']), upload: `upl_${'0'.repeat(64)}` }, 'upload-unknown'],
  ] as const) {
    assert.equal(await refusal('import', args), code);
  }
  assert.equal(await count('orders WHERE id >= 400'), 0);
});

test('an upload that is gone or was edited since the preview is refused, and nothing is copied', async () => {
  const ndjson = JSON.stringify({ id: 500, customer_id: 3, total: 1, tenant: 1 });
  const upload = uploaded(ndjson);
  const request = ask('import', { table: 'orders', upload, format: 'ndjson' });
  const plan = await planned(request);
  for (const content of [Buffer.from(ndjson.replace('500', '501')), undefined]) {
    if (content === undefined) files.delete(`agent:a ${upload}`);
    else files.set(`agent:a ${upload}`, content);
    const answer = await target.apply(applying(request, plan), signal());
    assert(answer.kind === 'refused', JSON.stringify(answer));
    assert.equal(answer.code, 'upload-unknown');
  }
  assert.equal(await count('orders WHERE id >= 500'), 0);
});
