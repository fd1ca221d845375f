/** Test 8.3, the agent's reach: every path that it has to the log or the store is refused. */
import { strict as assert } from 'node:assert';
import { readdir, readFile, stat } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import type { Figures } from '../check.ts';
import { takeSnapshot } from './snapshot.ts';
import type { World } from './world.ts';

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
}

const FREEZE = { scope: { kind: 'all' }, reason: 'x' };

/** Calls of the API that would read or change what is not the agent's. */
function callsOf(waiting: { readonly id: string; readonly planDigest: string }): readonly Call[] {
  const ledger = '/v1/ledger';
  const files = ['ledger.key', 'store.sqlite', 'evidence.key', 'operator.token', 'reads.ndjson'];
  const escapes = files.flatMap((file) => [
    `${ledger}/../${file}`,
    `${ledger}/..%2f${file}`,
    `${ledger}/%2e%2e/${file}`,
    `${ledger}/tile/../../${file}`,
    `${ledger}//${file}`,
  ]);
  const read = ['checkpoint', 'tile/0/000', 'tile/entries/000.p/1', 'payloads/0-0.jsonl', 'vkey'];
  return [
    ...read.map((path) => ({ method: 'GET', path: `${ledger}/${path}` })),
    ...escapes.map((path) => ({ method: 'GET', path })),
    ...['PUT', 'DELETE', 'PATCH', 'POST'].map((method) => ({
      method,
      path: `${ledger}/checkpoint`,
      body: {},
    })),
    { method: 'GET', path: '/v1/credentials' },
    {
      method: 'POST',
      path: '/v1/credentials',
      body: { holder: { kind: 'person', name: 'alice' } },
    },
    { method: 'POST', path: '/v1/freezes', body: FREEZE },
    {
      method: 'POST',
      path: '/v1/freezes/frz_00000000000000000000000000/release',
      body: { reason: 'x' },
    },
    {
      method: 'POST',
      path: `/v1/proposals/${waiting.id}/approvals`,
      body: { planDigest: waiting.planDigest, verdict: 'approve' },
    },
    { method: 'DELETE', path: `/v1/proposals/${waiting.id}` },
    { method: 'PATCH', path: `/v1/proposals/${waiting.id}`, body: { state: 'applied' } },
  ];
}

/** None of them is answered, and not one entry is written because of them. */
export async function apiIsClosed(world: World): Promise<Figures> {
  const proposed = await world.agent.propose({
    target: 'shop',
    operation: 'sql',
    arguments: { statement: `UPDATE customers SET note = 'reach' WHERE id = 170` },
  });
  assert.equal(proposed.state, 'waiting', `${proposed.code}: ${proposed.reason}`);
  const waiting = { id: proposed.proposalId ?? '', planDigest: proposed.planDigest ?? '' };
  const head = await world.published();
  const calls = callsOf(waiting);
  for (const call of calls) {
    const { status, text } = await send(world, call);
    const name = `${call.method} ${call.path}`;
    assert.ok(status >= 400 && status < 500, `${name} was answered with ${status}`);
    assert.doesNotMatch(text, /PRIVATE\+KEY|wg[ap]_[A-Za-z0-9_-]{16}|SQLite format/, name);
  }
  const after = await world.published();
  assert.deepEqual(after, head, 'the head moved');
  const { state } = await world.agent.status(waiting.id);
  assert.equal(state, 'waiting', 'the proposal moved');
  await world.agent.cancel(waiting.id);
  return { calls: calls.length, refused: calls.length, head: head.size };
}

/** Statements that reach for the log's files, the receipts, or a way out of the database. */
function statementsFor({ folder, ledgerFolder }: World): readonly string[] {
  const into = (expression: string): string =>
    `UPDATE customers SET note = ${expression} WHERE id = 171`;
  return [
    'DELETE FROM writegate.receipts',
    `UPDATE writegate.receipts SET key = 'x'`,
    'TRUNCATE writegate.receipts',
    'DROP TABLE writegate.receipts',
    'DELETE FROM customers USING writegate.receipts WHERE customers.id = 171',
    `WITH gone AS (DELETE FROM writegate.receipts RETURNING 1) ${into(`'x'`)}`,
    into(`(SELECT count(*)::text FROM writegate.receipts)`),
    into(`pg_read_file('${ledgerFolder}/checkpoint')`),
    into(`encode(pg_read_binary_file('${folder}/ledger.key'), 'hex')`),
    into(`(SELECT string_agg(f, ',') FROM pg_ls_dir('${folder}') AS f)`),
    into(`lo_import('${folder}/store.sqlite')::text`),
    into(`lo_export(1, '${ledgerFolder}/checkpoint')::text`),
    into(`query_to_xml('DELETE FROM writegate.receipts', true, true, '')::text`),
    into(`set_config('session_replication_role', 'replica', false)`),
    into(`pg_terminate_backend(1)::text`),
    `COPY customers TO '${ledgerFolder}/checkpoint'`,
    `COPY customers FROM '${folder}/store.sqlite'`,
    `COPY (SELECT 1) TO PROGRAM 'rm -rf ${ledgerFolder}'`,
    `DO $$ BEGIN DELETE FROM writegate.receipts; END $$`,
    `CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    `ALTER ROLE wg_writer_shop SUPERUSER`,
    `SET session_replication_role = replica`,
    `${into(`'x'`)}; DELETE FROM writegate.receipts`,
    'COMMIT',
  ];
}

/**
 * Each of them is denied or refused, as a write and as a read; nothing in the database moves, and
 * the log only grows by what says so.
 */
export async function statementsAreRefused(world: World): Promise<Figures> {
  const head = await world.published();
  const receipts = async (): Promise<readonly unknown[]> => {
    const text = 'SELECT * FROM writegate.receipts ORDER BY 1';
    return (await world.superuser.query<unknown[]>({ text, rowMode: 'array' })).rows;
  };
  const [rows, kept] = [await takeSnapshot(world.superuser), await receipts()];
  const statements = statementsFor(world);
  for (const statement of statements) {
    const given = { target: 'shop', arguments: { statement } };
    const result = await world.agent.propose({ ...given, operation: 'sql' });
    const isOver = result.state === 'denied' || result.state === 'refused';
    assert.ok(isOver, `${statement}: ${result.state} ${result.code}`);
    const read = await world.agent.read(given);
    assert.equal(read.state, 'refused', `${statement}: it was read`);
  }
  assert.deepEqual(await takeSnapshot(world.superuser), rows, 'rows moved');
  assert.deepEqual(await receipts(), kept, 'receipts moved');
  const grown = await world.published();
  const report = await world.verify(world.ledgerFolder, [head.checkpoint, grown.checkpoint]);
  assert.deepEqual(report.findings, []);
  return { statements: statements.length, refused: statements.length, head: grown.size };
}

/** Nobody but the gateway's own account opens what it keeps. */
export async function filesAreClosed(world: World): Promise<Figures> {
  const secrets = ['ledger.key', 'evidence.key', 'operator.token', 'reads.ndjson'];
  assert.equal((await stat(world.folder)).mode & 0o077, 0, 'the data folder is open to others');
  for (const name of secrets) {
    const { mode } = await stat(join(world.folder, name));
    assert.equal(mode & 0o077, 0, `\`${name}\` is open to others`);
  }
  let files = secrets.length;
  for (const name of await readdir(join(world.folder, 'evidence'))) {
    const bytes = await readFile(join(world.folder, 'evidence', name), 'latin1');
    assert.ok(!bytes.includes('measurements'), 'evidence can be read without its key');
    files += 1;
  }
  return { files };
}

/** As it stands: no client would send some of these paths. */
function send(
  world: World,
  { method, path, body }: Call,
): Promise<{ readonly status: number; readonly text: string }> {
  const { hostname, port } = new URL(world.url);
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${world.tokens.agent}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    const call = request({ hostname, port, method, path, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() });
      });
    });
    call.on('error', reject);
    if (body !== undefined) call.write(JSON.stringify(body));
    call.end();
  });
}
