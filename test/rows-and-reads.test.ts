// Every row of a large write, and reads, on every surface: the gateway, the SDK and the command line.
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openWorld, type World } from '../conformance/evidence/world.ts';
import { approved, proposalOf } from '../conformance/evidence/writes.ts';
import { Client as McpClient, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { run } from '../src/cli/main.ts';
import { recordOf } from '../src/lib/record.ts';
import { captureIo, jsonOf } from './cli/fixture.ts';

let world: World;
before(async () => {
  world = await openWorld(() => undefined);
});
after(() => world.close());

async function writegate(
  token: string,
  ...line: readonly string[]
): Promise<{ readonly code: number; readonly out: string }> {
  const io = captureIo({ env: { WRITEGATE_TOKEN: token, WRITEGATE_URL: world.url } });
  const code = await run(line, io);
  return { code, out: io.out() + io.err() };
}

async function propose(statement: string): Promise<string> {
  const result = await world.agent.propose({
    target: 'shop',
    operation: 'sql',
    arguments: { statement },
  });
  assert.equal(result.state, 'waiting', result.reason);
  return proposalOf(result);
}

async function evidenceFiles(): Promise<readonly string[]> {
  return (await readdir(join(world.folder, 'evidence'))).toSorted();
}

test('a write of more rows than a plan holds shows every one of them before it is approved', async () => {
  const id = await propose(`UPDATE measurements SET unit = 'C' WHERE id <= 2500`);
  const shown = await writegate(world.tokens.alice, 'show', id);
  assert.match(shown.out, /1,000 of 2,500 rows can be shown here/);
  assert.ok(shown.out.replaceAll(/\s+/g, ' ').includes(`writegate rows ${id}`), shown.out);
  const rows = await world.rows(id);
  assert.equal(rows.length, 2_500);
  assert.equal(new Set(rows.map(({ key }) => key[0])).size, 2_500);
  const page = await writegate(world.tokens.alice, 'rows', id, '--from', '2400', '--limit', '50');
  assert.match(page.out, /^Rows 2401 to 2450 of 2,500, as planned/);
  assert.match(page.out, /unit: "K" → "C"/);
  assert.match(page.out, /50 rows after these/);
  const document = await writegate(world.tokens.agent, 'rows', id, '--kind', 'delete', '--json');
  assert.deepEqual(jsonOf(document.out), {
    items: [],
    from: 0,
    total: 0,
    left: 0,
    as: 'planned',
    maskedColumns: [],
    missing: null,
  });
  await world.agent.cancel(id);
});

test('a preview leaves no evidence behind', async () => {
  const files = await evidenceFiles();
  const statement = `UPDATE measurements SET unit = 'F' WHERE id <= 2500`;
  const given = { target: 'shop', operation: 'sql', arguments: { statement } };
  assert.equal((await world.agent.preview(given)).state, 'previewed');
  assert.deepEqual(await evidenceFiles(), files);
});

test('a write whose evidence was changed is not rolled back, and says what is wrong with it', async () => {
  const statement = `UPDATE measurements SET unit = 'S' WHERE id <= 2500`;
  const given = { target: 'shop', operation: 'sql', arguments: { statement } };
  const waiting = await world.agent.propose(given);
  assert.equal((await approved(world, waiting)).state, 'applied');
  const flipAll = async (): Promise<void> => {
    for (const name of await evidenceFiles()) {
      const path = join(world.folder, 'evidence', name);
      const bytes = await readFile(path);
      bytes[5_000] = (bytes[5_000] ?? 0) ^ 1;
      await writeFile(path, bytes);
    }
  };
  await flipAll();
  const back = await world.olga.rollback(proposalOf(waiting));
  assert.deepEqual([back.state, back.code], ['refused', 'rollback-impossible'], back.reason);
  assert.match(
    back.reason,
    /^nothing was taken back: the evidence `evi_\w+` is not as the gateway/,
  );
  assert.equal(back.next, 'ask-human');
  await flipAll();
  const again = await world.olga.rollback(proposalOf(waiting));
  assert.notEqual(again.proposalId, back.proposalId, 'the file is back, and so is the way back');
  assert.notEqual(again.state, 'refused', again.reason);
});

test('a write whose evidence is gone is not rolled back, and says that it is gone', async () => {
  const statement = `UPDATE measurements SET unit = 'R' WHERE id <= 2500`;
  const given = { target: 'shop', operation: 'sql', arguments: { statement } };
  const waiting = await world.agent.propose(given);
  const applied = await approved(world, waiting);
  assert.equal(applied.state, 'applied', applied.reason);
  const id = proposalOf(waiting);
  for (const name of await evidenceFiles()) await rm(join(world.folder, 'evidence', name));
  const page = await world.agent.rows(id, { from: 900, limit: 1_000 });
  assert.deepEqual([page.items.length, page.left, page.missing?.rows], [100, 0, 1_500]);
  const back = await world.olga.rollback(id);
  assert.deepEqual([back.state, back.code], ['refused', 'rollback-impossible'], back.reason);
  assert.match(back.reason, /`evi_\w+`, which is missing before its 30 days are over; put it back/);
  const { rows } = await world.superuser.query(`SELECT FROM measurements WHERE unit = 'R'`);
  assert.equal(rows.length, 2_500, 'nothing of it was taken back');
});

test('an agent reads what it may, and each read is one line without a value', async () => {
  const statement = 'SELECT id, name, city FROM customers WHERE id <= $1 ORDER BY id';
  const result = await world.agent.read({
    target: 'shop',
    arguments: { statement, parameters: ['3'] },
    run: 'run-7',
  });
  assert.equal(result.state, 'read', result.reason);
  assert.deepEqual(result.rows[0], ['1', 'customer 1', 'Leeds']);
  assert.deepEqual(result.resources, ['public.customers']);
  const table = await writegate(world.tokens.agent, 'read', 'shop', statement, '--param', '2');
  assert.equal(table.code, 0, table.out);
  assert.match(table.out, /^id {2}name +city\n/);
  assert.match(table.out, /2 rows, all there are/);
  const refused = await writegate(world.tokens.agent, 'read', 'shop', 'DELETE FROM customers');
  assert.equal(refused.code, 6, refused.out);
  assert.match(refused.out, /refused/);
  const lines = (await readFile(join(world.folder, 'reads.ndjson'), 'utf8')).trimEnd().split('\n');
  assert.equal(lines.length, 3);
  const [first = '{}'] = lines;
  const line = jsonOf(first);
  assert.deepEqual(
    [line['agent'], line['run'], line['target'], line['rows'], line['code']],
    ['prober', 'run-7', 'shop', 3, 'read'],
  );
  assert.doesNotMatch(lines.join('\n'), /customer 1|Leeds|SELECT|DELETE/);
});

test('a stop does not end reads, and a person does not read through the gateway', async () => {
  const freeze = await world.olga.stop({ kind: 'all' }, 'a look');
  const given = { target: 'shop', arguments: { statement: 'SELECT 1 FROM customers' } };
  assert.equal((await world.agent.read(given)).state, 'read');
  await world.olga.release(freeze.id, 'seen');
  await assert.rejects(world.alice.read(given), { code: 'credential-kind' });
});

test('the structured writes of the target are tools of their own, with the form of their arguments', async (t) => {
  const client = new McpClient({ name: 'agent', version: '1' });
  const authProvider = { token: async () => world.tokens.agent };
  const url = new URL('/mcp', world.url);
  await client.connect(new StreamableHTTPClientTransport(url, { authProvider }));
  t.after(() => client.close());
  const { tools } = await client.listTools();
  const names = tools.map(({ name }) => name);
  for (const name of ['insert', 'update', 'delete', 'import', 'query']) {
    assert.ok(names.includes(name), name);
  }
  const result = await client.callTool({
    name: 'update',
    arguments: {
      target: 'shop',
      arguments: { table: 'customers', key: { id: 5 }, set: { city: 'York' } },
      waitMs: 0,
    },
  });
  const proposed = recordOf(result.structuredContent);
  assert.equal(proposed['state'], 'waiting', JSON.stringify(proposed));
  await world.agent.cancel(String(proposed['proposalId']));
});
