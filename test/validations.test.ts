// What a write has to satisfy, attacked as the agent: a gateway and a real PostgreSQL, over HTTP.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import pg from 'pg';
import { createClient, type Client, type Result } from '../src/client/index.ts';
import { openGateway } from '../src/main.ts';
import { startPostgres } from '../support/postgres.ts';
import { makeRoles } from './support/postgres-roles.ts';

const SCHEMA = `
CREATE TABLE products(id int PRIMARY KEY, name text NOT NULL, price numeric NOT NULL, stock int);
INSERT INTO products VALUES (1, 'cup', 5.00, 10), (2, 'pot', 20.00, 3), (3, 'pan', 30.00, 3);
CREATE TABLE audited(id int PRIMARY KEY, price numeric NOT NULL);
INSERT INTO audited VALUES (1, 10);
CREATE TABLE prices_seen(id int, price numeric);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO prices_seen VALUES (NEW.id, NEW.price); RETURN NEW; END$$;
CREATE TRIGGER see AFTER UPDATE ON audited FOR EACH ROW EXECUTE FUNCTION see();
`;

const POLICY = `version: 1
targets:
  shop: { kind: postgres, url: '\${env:SHOP}' }
people:
  ann: { roles: [approver] }
  olga: { roles: [operator] }
agents:
  bot: { permissions: [{ target: shop, tier: autonomous }] }
  clerk: { permissions: [{ target: shop, tier: confirm }] }
rules:
  - { id: all, effect: permit, match: { target: shop }, reason: all }
  - { id: pans, effect: forbid, match: { resource: public.products }, when: 'effect.rows.exists(r, r.after.name == "pan")', reason: pans are not for agents }
validations:
  - name: price
    reason: a price is never negative
    holds: effect.rows.all(r, r.after.price >= 0)
  - name: parameters
    match: { operation: sql }
    reason: values come as parameters
    schema:
      type: object
      properties:
        statement: { type: string, pattern: '\\$1' }
        parameters: { type: array, minItems: 1 }
  - name: stock
    match: { resource: public.products }
    reason: no product is priced without stock
    check: >-
      SELECT count(*) = 0, count(*) || ' without stock'
      FROM products WHERE price > 0 AND coalesce(stock, 0) = 0
  - name: seen
    match: { resource: public.prices_seen }
    reason: what was seen is never above 1,000
    check: SELECT coalesce(max(price), 0) <= 1000 FROM prices_seen
`;

interface World {
  readonly bot: Client;
  readonly clerk: Client;
  readonly ann: Client;
  readonly operator: Client;
  readonly admin: pg.Client;
  snapshot(): Promise<string>;
  close(): Promise<void>;
}

let world: World;
before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-validations-'));
  const postgres = await startPostgres();
  await postgres.createDatabase('shop');
  const admin = new pg.Client(postgres.url('shop'));
  await admin.connect();
  await admin.query(SCHEMA);
  const roles = await makeRoles(postgres.url('shop'));
  const configPath = join(folder, 'writegate.yaml');
  await writeFile(configPath, POLICY);
  const gateway = await openGateway({
    configPath,
    dataFolder: folder,
    port: 0,
    environment: (name) => (name === 'SHOP' ? roles.url : undefined),
    log: () => undefined,
  });
  const { url } = gateway;
  const token = (await readFile(gateway.folder.operatorToken, 'utf8')).trim();
  const operator = createClient({ url, token });
  const client = async (kind: 'agent' | 'person', name: string): Promise<Client> =>
    createClient({ url, token: (await operator.issueCredential({ kind, name })).secret });
  world = {
    bot: await client('agent', 'bot'),
    clerk: await client('agent', 'clerk'),
    ann: await client('person', 'ann'),
    operator,
    admin,
    async snapshot() {
      const tables = ['products', 'audited', 'prices_seen'];
      const found: unknown[] = [];
      for (const each of tables) {
        found.push((await admin.query(`SELECT * FROM ${each} ORDER BY 1, 2`)).rows);
      }
      return JSON.stringify(found);
    },
    async close() {
      await gateway.close();
      await admin.end();
      await postgres.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
});
after(() => world.close());

function sql(statement: string, ...parameters: readonly (string | number)[]) {
  return { target: 'shop', operation: 'sql', arguments: { statement, parameters } };
}

/** What failed, with the decision's own words; nothing may have changed. */
async function denied(
  draft: ReturnType<typeof sql>,
  client: Client = world.bot,
): Promise<{ readonly result: Result; readonly failed: readonly string[] }> {
  const untouched = await world.snapshot();
  const result = await client.propose(draft);
  assert.equal(result.state, 'denied', result.reason);
  assert.equal(await world.snapshot(), untouched);
  const { decision } = await client.view(result.proposalId ?? '');
  const failed = (decision?.findings ?? []).filter(({ stage }) => stage === 'validation');
  for (const { reason } of failed) {
    if (result.code === 'validation-failed') assert.ok(result.reason.includes(reason), reason);
  }
  return { result, failed: failed.map(({ rule }) => rule) };
}

test('what satisfies everything is written', async () => {
  const result = await world.bot.propose(
    sql('UPDATE products SET price = $1 WHERE id = 1', '6.50'),
  );
  assert.equal(result.state, 'applied', result.reason);
  const { assessment } = await world.bot.view(result.proposalId ?? '');
  assert.deepEqual(
    assessment?.plan.checks?.map(({ name, holds }) => [name, holds]),
    [
      ['stock', true],
      ['seen', true],
    ],
  );
});

test('a condition that is false, or null where a number is asked, denies', async () => {
  const { result, failed } = await denied(sql('UPDATE products SET price = $1 WHERE id = 1', '-1'));
  assert.equal(result.code, 'validation-failed');
  assert.deepEqual(failed, ['validations.price']);
  assert.match(result.reason, /a price is never negative/);
});

test('a check that is false denies, with its own words', async () => {
  const { result, failed } = await denied(sql('UPDATE products SET stock = $1 WHERE id < 3', 0));
  assert.deepEqual(failed, ['validations.stock']);
  assert.match(result.reason, /no product is priced without stock: 2 without stock/);
});

test('arguments that are not as the schema asks deny, each fault with its pointer', async () => {
  const { result, failed } = await denied(sql(`UPDATE products SET name = 'mug' WHERE id = 1`));
  assert.deepEqual(failed, ['validations.parameters', 'validations.parameters']);
  assert.match(result.reason, /`\/arguments\/statement` must match pattern/);
  assert.match(result.reason, /`\/arguments\/parameters` must NOT have fewer than 1 items/);
});

test('several at once are all told, a rule and three kinds of validation together', async () => {
  const untouched = await world.snapshot();
  const statement = `UPDATE products SET price = -1 * id, stock = 0 WHERE id < 3`;
  const { result, failed } = await denied(sql(statement));
  assert.deepEqual(failed, [
    'validations.price',
    'validations.parameters',
    'validations.parameters',
  ]);
  const all = await denied(sql(`UPDATE products SET price = id - 2, stock = 0 WHERE id < 4`));
  assert.equal(all.result.code, 'rule-forbids', 'the rule comes first');
  assert.deepEqual(all.failed, [
    'validations.price',
    'validations.parameters',
    'validations.parameters',
    'validations.stock',
  ]);
  assert.match(result.reason, /a price is never negative; values come as parameters: .*; values/);
  assert.equal(await world.snapshot(), untouched);
  const preview = await world.bot.preview(sql(statement));
  assert.match(preview.reason, /a price is never negative; values come as parameters/);
});

test('what a trigger changes is checked too, and passed where nothing matches', async () => {
  const { failed } = await denied(sql('UPDATE audited SET price = $1 WHERE id = 1', '2000'));
  assert.deepEqual(failed, ['validations.seen']);
  const fine = await world.bot.propose(sql('UPDATE audited SET price = $1 WHERE id = 1', '20'));
  assert.equal(fine.state, 'applied', fine.reason);
});

test('a check that turned false between approval and commit is drift, then denied', async () => {
  const waiting = await world.clerk.propose(
    sql('UPDATE products SET price = $1 WHERE id = 2', '21'),
  );
  assert.equal(waiting.state, 'waiting', waiting.reason);
  await world.admin.query('UPDATE products SET stock = 0 WHERE id = 3');
  const untouched = await world.snapshot();
  const ended = await world.ann.approve(waiting.proposalId ?? '', {
    planDigest: waiting.planDigest ?? '',
    verdict: 'approve',
  });
  assert.match(
    ended.reason,
    /the target changed since the plan was made.*check `stock` does not hold/,
  );
  const now = await world.clerk.status(waiting.proposalId ?? '');
  assert.equal(now.state, 'denied', now.reason);
  assert.equal(now.code, 'validation-failed');
  assert.match(now.reason, /no product is priced without stock: 1 without stock/);
  assert.equal(await world.snapshot(), untouched);
  await world.admin.query('UPDATE products SET stock = 3 WHERE id = 3');
});

test('taking back is checked as well', async () => {
  await world.admin.query('UPDATE products SET price = -5, stock = 1 WHERE id = 1');
  const mended = await world.bot.propose(sql('UPDATE products SET price = $1 WHERE id = 1', '5'));
  assert.equal(mended.state, 'applied', mended.reason);
  const untouched = await world.snapshot();
  const back = await world.operator.rollback(mended.proposalId ?? '');
  assert.equal(back.state, 'denied', back.reason);
  assert.match(back.reason, /a price is never negative/);
  assert.equal(await world.snapshot(), untouched);
});

test('an agent cannot make a check of its own, nor read by one', async () => {
  const untouched = await world.snapshot();
  const draft = {
    ...sql('UPDATE products SET price = $1 WHERE id = 1', '1'),
    checks: [{ name: 'x', query: 'SELECT true' }],
  };
  await assert.rejects(world.bot.propose(draft), /checks|known/);
  assert.equal(await world.snapshot(), untouched);
});
