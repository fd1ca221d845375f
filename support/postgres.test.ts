import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import { startPostgres } from './postgres.ts';

const GONE_TIMEOUT_MS = 10_000;

async function ask(url: string, sql: string): Promise<unknown> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<Record<string, unknown>>(sql);
  await client.end();
  return Object.values(rows[0] ?? {})[0];
}

async function isListening(port: number): Promise<boolean> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Waits, by looking, until neither server nor folder is left. */
async function assertGone(port: number, folder: string): Promise<void> {
  const deadline = Date.now() + GONE_TIMEOUT_MS;
  while (existsSync(folder) || (await isListening(port))) {
    assert.ok(Date.now() < deadline, `\`${folder}\` or port ${port} is still there after 10 s`);
    await pause(20);
  }
}

async function folderOf(url: string): Promise<string> {
  return String(await ask(url, 'show data_directory')).replace(/\/data$/, '');
}

/** A Node of its own that starts a server, prints where it is, and then does `ending`. */
async function otherNode(ending: string): Promise<{
  readonly child: ReturnType<typeof spawn>;
  readonly url: string;
}> {
  const script = `
    import { startPostgres } from ${JSON.stringify(import.meta.resolve('./postgres.ts'))};
    const postgres = await startPostgres();
    console.log(postgres.url());
    process.stdin.once('data', () => { ${ending} });
  `;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  for await (const line of createInterface({ input: child.stdout })) return { child, url: line };
  throw new Error('the other Node ended before its server was up');
}

describe('a throw-away PostgreSQL', () => {
  test('comes back after it was killed, with what was committed, and leaves nothing after stop', async () => {
    const postgres = await startPostgres();
    const folder = await folderOf(postgres.url());
    await ask(postgres.url(), 'create table kept (id int)');
    const open = new Client({ connectionString: postgres.url() });
    await open.connect();
    const cut = once(open, 'error');
    await open.query('begin');
    await open.query('insert into kept values (1)');

    await postgres.kill();
    await cut;
    assert.equal(await isListening(postgres.port), false);
    await postgres.restart();
    assert.equal(await ask(postgres.url(), 'select count(*) from kept'), '0');

    await postgres.kill();
    await postgres.restart();
    await ask(postgres.url(), 'insert into kept values (2)');
    assert.equal(await ask(postgres.url(), 'select id from kept'), 2);

    await postgres.kill();
    await postgres.stop();
    await assertGone(postgres.port, folder);
  });

  test('answers with its password only, makes and drops databases, and leaves nothing after stop', async () => {
    const postgres = await startPostgres({ settings: { max_connections: '17' } });
    assert.match(String(await ask(postgres.url(), 'select version()')), /^PostgreSQL \d+/);
    assert.equal(await ask(postgres.url(), 'show max_connections'), '17');
    assert.equal(await ask(postgres.url(), 'show fsync'), 'on');
    assert.equal(await ask(postgres.url(), 'show server_version'), postgres.version);

    await postgres.createDatabase('first "one"');
    await ask(postgres.url('first "one"'), 'create table kept (id int)');
    await postgres.createDatabase('second', 'first "one"');
    assert.equal(await ask(postgres.url('second'), 'select count(*) from kept'), '0');
    await postgres.dropDatabase('second');
    await postgres.dropDatabase('second');
    await assert.rejects(ask(postgres.url('second'), 'select 1'), { code: '3D000' });

    const wrong = new URL(postgres.url());
    wrong.password = 'guessed';
    await assert.rejects(ask(wrong.href, 'select 1'), { code: '28P01' });

    const folder = await folderOf(postgres.url());
    assert.ok(existsSync(folder));
    await Promise.all([postgres.stop(), postgres.stop()]);
    assert.ok(!existsSync(folder));
    assert.ok(!(await isListening(postgres.port)));
  });

  test('runs beside others of its kind', async () => {
    const all = await Promise.all([startPostgres(), startPostgres(), startPostgres()]);
    const answers = await Promise.all(all.map((each) => ask(each.url(), 'show port')));
    assert.equal(new Set(answers).size, all.length);
    await Promise.all(all.map((each) => each.stop()));
  });

  test('says what the server said when a setting keeps it from starting', async () => {
    await assert.rejects(
      startPostgres({ settings: { max_connections: 'many' } }),
      /did not start; it said:[^]*max_connections/,
    );
  });

  test('says which folder does not serve when the override is wrong', async () => {
    process.env['WRITEGATE_TEST_POSTGRES_BIN'] = '/nowhere/bin';
    try {
      await assert.rejects(startPostgres(), /names `\/nowhere\/bin`, which does not serve/);
    } finally {
      delete process.env['WRITEGATE_TEST_POSTGRES_BIN'];
    }
  });
});

describe('a throw-away PostgreSQL that nobody stops', { concurrency: true }, () => {
  const endings = {
    'is killed': `process.kill(process.pid, 'SIGKILL')`,
    'gets Ctrl-C': `process.kill(process.pid, 'SIGINT')`,
    'gets SIGTERM': `process.kill(process.pid, 'SIGTERM')`,
    'throws what nobody catches': `throw new Error('on purpose')`,
    'forgets to stop it': `process.stdin.destroy()`,
  };
  for (const [name, ending] of Object.entries(endings)) {
    test(`is gone after its Node ${name}`, async () => {
      const { child, url } = await otherNode(ending);
      const folder = await folderOf(url);
      const ended = once(child, 'exit');
      child.stdin?.write('now\n');
      await ended;
      await assertGone(Number(new URL(url).port), folder);
    });
  }
});
