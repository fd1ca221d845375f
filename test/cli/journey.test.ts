// The command line before a real PostgreSQL, from `init` to `ledger verify`, as the guide tells it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import pg from 'pg';
import { run } from '../../src/cli/main.ts';
import { startPostgres, type Postgres } from '../../support/postgres.ts';
import { captureIo, jsonOf } from './fixture.ts';

const WAIT_MS = 20_000;
const PROGRAM = fileURLToPath(new URL('../../bin/writegate.mjs', import.meta.url));

let postgres: Postgres;
let database: pg.Client;
let home = '';
let gateway: { readonly url: string; readonly vkey: string; readonly policyDigest: string };
let up: ReturnType<typeof startUp>;
let agentToken = '';

type Environment = Readonly<Record<string, string>>;

/** Runs one command line in the operator's folder, now, not at the fixture's time. */
async function writegate(
  line: readonly string[],
  options: { readonly env?: Environment; readonly answers?: readonly string[] } = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const io = { ...captureIo({ cwd: home, ...options }), now: () => Date.now() };
  const code = await run(line, io);
  return { code, out: io.out(), err: io.err() };
}

/** The same as an agent, with `--json`. */
async function asAgent(...line: readonly string[]): Promise<{ code: number; result: Answer }> {
  const env = { WRITEGATE_TOKEN: agentToken };
  const { code, out, err } = await writegate([...line, '--json'], { env });
  assert.notEqual(out, '', err);
  return { code, result: JSON.parse(out) as Answer };
}

async function asOperator(...line: readonly string[]): Promise<{ code: number; result: Answer }> {
  const { code, out, err } = await writegate([...line, '--json']);
  assert.notEqual(out, '', err);
  return { code, result: JSON.parse(out) as Answer };
}

/** The members of answers that these tests read. */
interface Answer {
  readonly state: string;
  readonly reason: string;
  readonly code: string;
  readonly proposalId: string;
  readonly planDigest: string;
  readonly wouldBe: string;
  readonly secret: string;
  readonly id: string;
  readonly ok: boolean;
  readonly entries: number;
  readonly items: readonly {
    readonly id: string;
    readonly name: string;
    readonly credentials: readonly string[];
  }[];
  readonly findings: readonly { readonly code: string }[];
  readonly policyProblem: string | null;
  readonly changes: readonly unknown[];
  readonly receipt: { readonly reference: string };
}

function startUp(env: Environment): {
  readonly ready: Promise<string>;
  readonly ended: Promise<number>;
  readonly err: () => string;
  hangUp(): void;
  stop(): void;
} {
  const controller = new AbortController();
  const { promise: ready, resolve } = Promise.withResolvers<string>();
  const io = captureIo({
    cwd: home,
    env,
    stop: controller.signal,
    onOutput: (text) => text.startsWith('{') && resolve(text),
  });
  const ended = run(['up', '--port', '0', '--json'], { ...io, now: () => Date.now() });
  void ended.then(() => resolve(io.out() + io.err()));
  return { ready, ended, err: io.err, hangUp: io.hangUp, stop: () => controller.abort() };
}

/** As the guide's SQL makes the role. */
function writerUrl(): string {
  const url = new URL(postgres.url('crm'));
  url.username = 'wg_writer';
  url.password = 'change-me';
  return url.href;
}

async function email(id: number): Promise<string> {
  const { rows } = await database.query<{ email: string }>(
    'SELECT email FROM customers WHERE id = $1',
    [id],
  );
  return rows[0]?.email ?? '';
}

function setEmail(id: number, address: string): readonly string[] {
  const sql = 'UPDATE customers SET email = $1 WHERE id = $2';
  return ['--target', 'crm', '--sql', sql, '--param', address, '--param', String(id)];
}

before(async () => {
  postgres = await startPostgres({ settings: { fsync: 'off' } });
  await postgres.createDatabase('crm');
  database = new pg.Client({ connectionString: postgres.url('crm') });
  await database.connect();
  await database.query(`
    CREATE TABLE customers (id integer PRIMARY KEY, email text NOT NULL);
    CREATE TABLE invoices (id serial PRIMARY KEY, customer integer REFERENCES customers, total numeric);
    INSERT INTO customers SELECT n, 'c' || n || '@example.org' FROM generate_series(1, 400) n;
  `);
  const guide = await readFile(new URL('../../docs/guide/operator.md', import.meta.url), 'utf8');
  const [, roles] = /```sql\n(.*?)```/s.exec(guide) ?? [];
  assert.ok(roles, 'the guide has the SQL of the roles');
  await database.query(roles);
  home = await mkdtemp(join(tmpdir(), 'writegate-journey-'));
});

after(async () => {
  up?.stop();
  await up?.ended;
  await database?.end();
  await postgres?.stop();
  await rm(home, { recursive: true, force: true });
});

describe('an operator and an agent at the command line', { timeout: 120_000 }, () => {
  test('init, then up: the gateway answers and says so on one line', async () => {
    const init = await writegate(['init', '--person', 'ada']);
    assert.equal(init.code, 0, init.err);
    assert.match(init.out, /export CRM_URL=postgres:/);

    up = startUp({ CRM_URL: writerUrl() });
    gateway = JSON.parse(await up.ready) as typeof gateway;
    assert.match(gateway.url, /^http:\/\/127\.0\.0\.1:\d+$/);
    const place = join(home, '.writegate', 'gateway.json');
    assert.equal((await stat(place)).mode & 0o777, 0o600);
    assert.equal(jsonOf(await readFile(place, 'utf8'))['url'], gateway.url);
  });

  test('a second gateway on the same data folder is refused', async () => {
    const second = startUp({ CRM_URL: postgres.url('crm') });
    assert.match(await second.ready, /"code":"store-locked"/);
    assert.equal(await second.ended, 1);
  });

  test('agent add shows the token once; a name that the file lacks gets none', async () => {
    const added = await writegate(['agent', 'add', 'crm-bot']);
    assert.equal(added.code, 0, added.err);
    agentToken = /^export WRITEGATE_TOKEN=(wga_\S+)$/m.exec(added.out)?.[1] ?? '';
    assert.notEqual(agentToken, '');
    const unknown = await writegate(['agent', 'add', 'nobody']);
    assert.equal(unknown.code, 1);
    assert.match(unknown.err, /^credential-holder-unknown: .*`nobody`/s);
    const listed = await writegate(['agent', 'list']);
    assert.match(listed.out, /crm-bot +autonomous\n +cred_[0-9a-z]{26}\n/);
    const people = await asOperator('person', 'list');
    const credentials = people.result.items.map((each) => [each.name, each.credentials.length]);
    assert.deepEqual(credentials, [['ada', 1]], 'the one that init made');
  });

  test('a preview measures, says how it would be decided, and changes nothing', async () => {
    const { code, result } = await asAgent('preview', ...setEmail(1, 'new@example.org'));
    assert.equal(code, 0);
    assert.equal(result.state, 'previewed');
    assert.equal(result.wouldBe, 'allow');
    assert.equal(await email(1), 'c1@example.org');
  });

  test('several writes are one proposal, later ones see earlier ones, and are taken back as one', async () => {
    const set = (address: string, where: string) => ({
      target: 'crm',
      arguments: {
        statement: 'UPDATE customers SET email = $1 WHERE email = $2',
        parameters: [address, where],
      },
    });
    const steps = [
      set('first@example.org', 'c1@example.org'),
      set('x@example.org', 'first@example.org'),
    ];
    const file = join(home, 'chain.json');
    await writeFile(file, JSON.stringify({ steps }));
    const preview = await asAgent('preview', '--chain', file);
    assert.equal(preview.result.wouldBe, 'allow', preview.result.reason);
    const chain = await asAgent('propose', '--chain', file);
    assert.deepEqual([chain.code, chain.result.state], [0, 'applied'], chain.result.reason);
    assert.equal(await email(1), 'x@example.org');
    const id = chain.result.proposalId ?? '';
    const shown = await writegate(['show', id]);
    assert.match(shown.out, /step 2 +sql: /);
    const back = await asOperator('rollback', id);
    assert.deepEqual([back.code, back.result.state], [0, 'applied'], back.result.reason);
    assert.equal(await email(1), 'c1@example.org');
  });

  test('a small write within the limits is applied at once, and can be taken back', async () => {
    const line = ['propose', ...setEmail(1, 'new@example.org'), '--reason', 'corrected'];
    const { out, code } = await writegate(line, { env: { WRITEGATE_TOKEN: agentToken } });
    assert.equal(code, 0, out);
    assert.match(out, /^applied  prop_/);
    assert.equal(await email(1), 'new@example.org');
    const id = /prop_[0-9a-z]{26}/.exec(out)?.[0] ?? '';
    assert.match(out, new RegExp(`Next:\n  writegate rollback ${id}`));

    const again = await asAgent('propose', ...setEmail(1, 'new@example.org'));
    assert.deepEqual([again.code, again.result.proposalId], [0, id]);
    const other = await asAgent('propose', ...setEmail(1, 'new@example.org'), '--key', 'fresh');
    assert.deepEqual([other.code, other.result.code], [3, 'duplicate-write']);

    const back = await writegate(['rollback', id]);
    assert.equal(back.code, 0, back.err);
    assert.match(back.out, new RegExp(`^takes back ${id}\napplied  prop_`));
    const inverse = /^applied {2}(prop_\w{26})/m.exec(back.out)?.[1] ?? '';
    assert.equal(await email(1), 'c1@example.org');
    const undone = await writegate(['status', id]);
    assert.match(undone.out, new RegExp(`taken back +by ${inverse}$`, 'm'));
    assert.match(undone.out, new RegExp(`Next:\n {2}writegate show ${inverse}\n$`));
    assert.doesNotMatch(undone.out, /reversible|writegate rollback/);
    const twice = await asOperator('rollback', id);
    assert.equal(twice.code, 1, twice.result.code);
  });

  test('over a threshold it waits; an approval names the digest that was shown', async () => {
    const sql = "UPDATE customers SET email = 'x' || id WHERE id BETWEEN 100 AND 260";
    const proposed = await asAgent('propose', '--target', 'crm', '--sql', sql);
    assert.equal(proposed.code, 2, proposed.result.code);
    const { proposalId: id, planDigest } = proposed.result;
    const inbox = await writegate(['inbox']);
    assert.match(inbox.out, new RegExp(`1 proposal waits for a decision\n${id}`));
    const shown = await writegate(['show', id]);
    assert.match(shown.out, /Rows 1 to 25 of 161\n/);
    assert.ok(shown.out.includes(planDigest));

    const wrong = await asOperator('approve', id, '--digest', 'f'.repeat(12));
    assert.deepEqual([wrong.code, wrong.result.code], [1, 'digest-mismatch']);
    const agent = await writegate(['approve', id, '--digest', planDigest], {
      env: { WRITEGATE_TOKEN: agentToken },
    });
    assert.match(agent.err, /^credential-kind/);

    await database.query("UPDATE customers SET email = 'moved' WHERE id = 100");
    const drifted = await asOperator('approve', id, '--digest', planDigest.slice(7, 23));
    assert.equal(drifted.code, 4, JSON.stringify(drifted.result));
    assert.equal(await email(101), 'c101@example.org', 'nothing was written');
    const present = await writegate(['show', id]);
    assert.match(present.out, /The target moved since the plan was shown/);
    assert.match(present.out, /approved +by ada .*, an earlier plan:/);
    assert.match(present.out, /email \(before\): "c100@example.org" → "moved"/);

    const asked = await writegate(['approve', id], { answers: ['all', 'yes'] });
    assert.equal(asked.code, 0, asked.out);
    assert.match(asked.out, /Rows 1 to 161 of 161/);
    assert.equal(await email(101), 'x101');
  });

  test('anything but yes leaves it waiting, and a denial is told to the agent', async () => {
    const sql = "UPDATE customers SET email = 'y' || id WHERE id BETWEEN 100 AND 260";
    const proposed = await asAgent('propose', '--target', 'crm', '--sql', sql);
    const id = proposed.result.proposalId;
    const unsure = await writegate(['approve', id], { answers: ['y'] });
    assert.equal(unsure.code, 2);
    assert.match(unsure.out, /not approved/);
    assert.equal((await asOperator('deny', id, '--reason', 'only region 4')).code, 0);
    const told = await asAgent('status', id);
    assert.deepEqual([told.code, told.result.code], [3, 'denied-by-person']);
  });

  test('a stop refuses, resume lets through again', async () => {
    const stopped = await asOperator('stop', '--agent', 'crm-bot', '--reason', 'it loops');
    assert.equal(stopped.code, 0);
    const frozen = await asAgent('propose', ...setEmail(2, 'two@example.org'));
    assert.deepEqual([frozen.code, frozen.result.code], [3, 'frozen']);
    const resumed = await writegate(['resume', '--reason', 'mended']);
    assert.equal(resumed.code, 0, resumed.err);
    const slip = await writegate(['stop', '--target', 'crmm', '--reason', 'it loops']);
    assert.equal(slip.code, 1, slip.out);
    assert.match(slip.err, /^request-invalid: nothing was stopped: .*did you mean\s+`crm`/s);
    assert.match(resumed.out, /released +agent crm-bot|frz_.* {2}released {2}agent crm-bot/);
    assert.equal((await asAgent('propose', ...setEmail(2, 'two@example.org'))).code, 0);
  });

  test('a delete is denied, an unknown target too, a bad statement refused', async () => {
    const line = ['propose', '--target', 'crm', '--sql', 'DELETE FROM customers WHERE id = 3'];
    const denied = await asAgent(...line);
    assert.equal(denied.code, 3, denied.result.code);
    const elsewhere = await asAgent('propose', '--target', 'erp', '--sql', 'DELETE FROM x');
    assert.deepEqual([elsewhere.code, elsewhere.result.code], [3, 'unknown-target']);
    const drop = await asAgent('propose', '--target', 'crm', '--sql', 'DROP TABLE customers');
    assert.ok([3, 6].includes(drop.code), drop.result.code);
    assert.equal(await email(3), 'c3@example.org');
  });

  test('the policy is read again when it changes; one that does not load stays out', async () => {
    const path = join(home, 'writegate.yaml');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('recordsOver: 100', 'recordsOver: 0'));
    up.hangUp();
    await until(async () => (await status()).policyDigest !== gateway.policyDigest);
    const waits = await asAgent('propose', ...setEmail(4, 'four@example.org'));
    assert.equal(waits.code, 2, 'one record is over none');

    await writeFile(path, `${text}\nnonsense: 1\n`);
    await until(async () => (await status()).policyProblem !== null);
    assert.match(up.err(), /the last good policy stays/);
    assert.equal(
      (await asAgent('preview', ...setEmail(5, 'five@example.org'))).result.wouldBe,
      'wait',
    );

    await writeFile(path, text);
    await until(async () => (await status()).policyProblem?.includes('weaker') === true);
    assert.notEqual((await status()).policyDigest, gateway.policyDigest);
    const diff = await asOperator('policy', 'diff');
    assert.deepEqual(
      [diff.code, diff.result.changes],
      [
        2,
        [
          {
            path: 'thresholds.many-records',
            sentence: 'recordsOver 0 → 100',
            effect: 'weaker',
          },
        ],
      ],
    );
    const agent = await writegate(['policy', 'apply'], { env: { WRITEGATE_TOKEN: agentToken } });
    assert.match(agent.err, /^credential-kind/);
    assert.equal((await asOperator('policy', 'apply')).code, 0);
    assert.deepEqual(
      [(await status()).policyProblem, (await status()).policyDigest],
      [null, gateway.policyDigest],
    );
    const history = await writegate(['policy', 'history']);
    assert.match(history.out, /let in by +ada\n +weaker +in 1 way\n.*by +itself/s);
    assert.equal((await asOperator('policy', 'diff')).code, 0);
  });

  test('an agent that the file no longer names is nobody; so is a revoked credential', async () => {
    const second = await asOperator('agent', 'add', 'crm-bot');
    const revoked = await writegate(['agent', 'revoke', second.result.id]);
    assert.equal(revoked.code, 0, revoked.err);
    const listed = await asOperator('agent', 'list');
    assert.equal(listed.result.items[0]?.credentials.length, 1, 'the revoked one is gone');
    const env = { WRITEGATE_TOKEN: second.result.secret };
    assert.match((await writegate(['list'], { env })).err, /^credential-unknown/);

    const path = join(home, 'writegate.yaml');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('  crm-bot:', '  other-bot:'));
    assert.equal((await asOperator('policy', 'apply')).code, 0);
    await until(async () => (await status()).policyDigest !== gateway.policyDigest);
    const gone = await writegate(['list'], { env: { WRITEGATE_TOKEN: agentToken } });
    assert.match(gone.err, /^credential-unknown/);
    await writeFile(path, text);
    assert.equal((await asOperator('policy', 'apply')).code, 0);
    assert.equal((await status()).policyDigest, gateway.policyDigest);
  });

  test('an MCP client that starts the command itself proposes with the token of the agent', async () => {
    const client = new Client({ name: 'test', version: '1' });
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [PROGRAM, 'mcp', '--url', gateway.url],
      env: { WRITEGATE_TOKEN: agentToken },
    });
    await client.connect(transport);
    const called = await client.callTool({
      name: 'propose',
      arguments: {
        target: 'crm',
        operation: 'sql',
        arguments: {
          statement: 'UPDATE customers SET email = $1 WHERE id = $2',
          parameters: ['mcp@example.org', 9],
        },
      },
    });
    assert.match(JSON.stringify(called.structuredContent), /"state":"applied"/);
    await client.close();
    assert.equal(await email(9), 'mcp@example.org');
  });

  test('SIGTERM ends it in order, and the next start goes on', async () => {
    up.stop();
    assert.equal(await up.ended, 0, up.err());
    const files = join(home, '.writegate');
    assert.ok(!(await readdir(files)).includes('gateway.json'));

    const path = join(home, 'writegate.yaml');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('mode: active', 'mode: observe'));
    const host = await writegate(['policy', 'apply', '--offline']);
    assert.match(host.out, /^in force from the next start\n.*Tighter\n +mode active → observe/s);
    await writeFile(path, text);
    const back = await asOperator('policy', 'apply', '--offline');
    assert.deepEqual([back.code, back.result.changes.length], [0, 1]);

    const child = spawn(process.execPath, [PROGRAM, 'up', '--port', '0', '--json'], {
      cwd: home,
      env: { ...process.env, CRM_URL: writerUrl() },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    gateway = JSON.parse(line.toString()) as typeof gateway;
    const applied = await asAgent('propose', ...setEmail(6, 'six@example.org'));
    child.kill('SIGTERM');
    assert.equal(applied.code, 0, applied.result.code);
    assert.deepEqual(await ended, [0, null]);
    assert.ok(!(await readdir(files)).includes('gateway.json'));
  });

  test('the ledger verifies from a copy, and not when a byte of it changed', async () => {
    const head = await writegate(['ledger', 'checkpoint']);
    assert.equal(head.code, 0, head.err);
    await writeFile(join(home, 'kept'), head.out);
    await writeFile(join(home, 'vkey'), `${gateway.vkey}\n`);
    const here = await asOperator('ledger', 'verify');
    assert.deepEqual([here.code, here.result.findings], [0, []]);

    const copy = join(home, 'copy');
    await cp(join(home, '.writegate', 'ledger'), copy, { recursive: true });
    const proof = ['ledger', 'verify', copy, '--vkey', 'vkey', '--against', 'kept'];
    const whole = await writegate(proof);
    assert.equal(whole.code, 0, whole.out);
    assert.match(whole.out, /^verified  writegate\.local\/default/);

    const [file] = (await readdir(copy, { recursive: true, withFileTypes: true }))
      .filter((each) => each.isFile() && each.parentPath.includes('entries'))
      .map((each) => join(each.parentPath, each.name))
      .toSorted();
    assert.ok(file);
    const bytes = await readFile(file);
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    await writeFile(file, bytes);
    const broken = await writegate(proof);
    assert.equal(broken.code, 1);
    assert.match(broken.out, /^NOT verified/);
  });
});

async function status(): Promise<{
  readonly policyDigest: string;
  readonly policyProblem: string | null;
}> {
  const response = await fetch(`${gateway.url}/v1/status`);
  return (await response.json()) as Answer & { readonly policyDigest: string };
}

/** Waits, by looking, until it is so. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!(await isSo())) {
    assert.ok(Date.now() < deadline, 'it did not come about in time');
    await pause(50);
  }
}
