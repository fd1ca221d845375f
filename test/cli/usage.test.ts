import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exitOf } from '../../src/cli/exit.ts';
import { lossyWriter } from '../../src/cli/io.ts';
import { run } from '../../src/cli/main.ts';
import { report } from '../../src/cli/shell.ts';
import { STATES } from '../../src/model/lifecycle.ts';
import { captureIo, ID, jsonOf } from './fixture.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writegate-cli-'));
});
after(() => rm(folder, { recursive: true, force: true }));

type Options = Parameters<typeof captureIo>[0];

async function writegate(
  line: readonly string[],
  options: Options = {},
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const io = captureIo({ cwd: folder, ...options });
  const code = await run(line, io);
  return { code, out: io.out(), err: io.err() };
}

const COMMANDS = [
  ['init'],
  ['add', 'postgres'],
  ['doctor'],
  ['up'],
  ['store', 'migrate'],
  ['agent', 'add'],
  ['agent', 'list'],
  ['agent', 'revoke'],
  ['person', 'add'],
  ['person', 'list'],
  ['policy', 'explain'],
  ['policy', 'test'],
  ['policy', 'replay'],
  ['policy', 'suggest'],
  ['preview'],
  ['propose'],
  ['status'],
  ['list'],
  ['cancel'],
  ['read'],
  ['mcp'],
  ['inbox'],
  ['show'],
  ['rows'],
  ['dependents'],
  ['person', 'revoke'],
  ['trace'],
  ['approve'],
  ['deny'],
  ['resolve'],
  ['rollback'],
  ['budgets'],
  ['baseline'],
  ['stop'],
  ['resume'],
  ['ledger', 'verify'],
  ['ledger', 'checkpoint'],
];

const LAUNCHER = fileURLToPath(new URL('../../bin/writegate.mjs', import.meta.url));

test('help names every command and every exit code, at 80 columns', async () => {
  const { code, out } = await writegate(['--help']);
  assert.equal(code, 0);
  for (const [name] of COMMANDS) assert.match(out, new RegExp(`^  ${name}`, 'm'));
  for (const exit of [0, 1, 2, 3, 4, 5, 6, 64]) assert.match(out, new RegExp(`\\b${exit} \\w`));
  for (const line of out.split('\n')) assert.ok(line.length <= 80, line);
});

test('the help of each command takes --json and shows an example', async () => {
  for (const command of COMMANDS) {
    const { code, out } = await writegate([...command, '--help']);
    assert.equal(code, 0);
    assert.match(out, /--json/, command.join(' '));
    assert.match(out, new RegExp(`Example:\n  .*writegate ${command.join(' ')}`));
  }
});

test('no command, an unknown one and an unknown option are usage, with the nearest name', async () => {
  assert.equal((await writegate([])).code, 64);
  const command = await writegate(['inbx']);
  assert.equal(command.code, 64);
  assert.match(command.err, /unknown command 'inbx'\n\(Did you mean inbox\?\)/);
  const option = await writegate(['list', '--limt', '3']);
  assert.equal(option.code, 64);
  assert.match(option.err, /unknown option '--limt'\n\(Did you mean --limit\?\)/);
});

test('with --json a usage error is one JSON document on standard output', async () => {
  const { code, out, err } = await writegate(['inbx', '--json']);
  assert.equal(code, 64);
  const { detail, ...document } = jsonOf(out);
  assert.match(String(detail), /unknown command 'inbx'/);
  assert.deepEqual(document, {
    type: 'about:blank',
    title: 'the command line is not of the expected form',
    status: 400,
    code: 'usage',
    at: null,
    acts: 'caller',
  });
  assert.equal(err, '');
});

test('what is wrong with an argument is said with what was expected and found', async () => {
  const lines: readonly (readonly [readonly string[], RegExp])[] = [
    [['status', 'prop_1'], /expected a proposal id like `prop_01…`, found `prop_1`/],
    [['list', '--limit', '0'], /whole number from 1 to 200 after `--limit`, found `0`/],
    [['list', '--state', 'done'], /expected one of proposed, .* found `done`/],
    [['status', ID, '--wait', 'long'], /after `--wait`, found `long`/],
    [['stop', '--reason', 'x', '--agent', 'a', '--run', 'b'], /expected one of --tenant/],
    [['stop', '--reason', 'x', '--tenant', '--run', 'b'], /expected one of --tenant/],
    [['resume', 'frz_1', '--reason', 'x'], /expected the id of a stop/],
    [['approve', ID, '--digest', '9f2c'], /expected 12 to 64 hex digits .* found `9f2c`/],
    [['show', ID, '--all', '--page', '2'], /expected --all or --page, found both/],
    [['person', 'revoke', 'x'], /expected a credential id/],
    [['agent', 'revoke', 'x'], /expected a credential id/],
    [['policy', 'replay', '--since', 'long'], /after `--since`, found `long`/],
    [['up', '--port', '70000'], /from 0 to 65535 after `--port`, found `70000`/],
    [['up', '--shutdown-delay', '1m'], /from 0 to 600 after `--shutdown-delay`, found `1m`/],
    [['inbox', '--url', 'file:///etc/passwd'], /expected a URL/],
    [['inbox', '--url', 'http://'], /expected a URL .* found `http:\/\/`/],
    [['inbox', '--url', 'http://h:99999'], /expected a URL/],
    [['inbox', '--url', 'http://h/?a'], /found one with a query/],
    [['inbox', '--url', 'http://ada:hunter2@h'], /found one with a name or password; the token/],
    [['init', '--profile', 'loose'], /expected one of balanced, observe-first, strict after/],
    [['init', '--person', 'a b'], /after `--person`, found `a b`/],
  ];
  for (const [line, message] of lines) {
    const { code, err } = await writegate(line);
    assert.equal(code, 64, line.join(' '));
    assert.match(err.replaceAll(/\s+/g, ' '), message);
    assert.doesNotMatch(err, /hunter2/);
  }
});

test('a usage error is no wider than the terminal', async () => {
  const io = captureIo({ cwd: folder });
  const narrow = { ...io, stderr: { ...io.stderr, columns: 44 } };
  assert.equal(await run(['approve', ID], narrow), 64);
  const lines = io.err().split('\n');
  assert.ok(lines.length > 3, io.err());
  for (const line of lines) assert.ok(line.length <= 44, line);
});

test('arguments of a write come one way, and as a JSON object', async () => {
  const propose = ['propose', '--target', 'crm'];
  for (const rest of [
    [],
    ['--sql', 'x', '--args', '{}'],
    ['--param', '1'],
    ['--args', '[1]'],
    ['--args', '{'],
    ['--args-file', 'absent.json'],
  ]) {
    assert.equal((await writegate([...propose, ...rest])).code, 64, rest.join(' '));
  }
  const input = await writegate([...propose, '--args-file', '-'], { input: 'null' });
  assert.match(input.err, /expected a JSON object after `--args-file`, found other JSON/);
});

test('what is wrong with the file of a chain is said with its place, and is usage', async () => {
  const step = 'target: crm, operation: sql, arguments: { statement: x }';
  for (const [input, message] of [
    ['steps:\n  - target: crm\n   x: [\n', /^-:3:\d+: expected YAML or JSON after `--chain`/],
    ['steps: [*a]', /without aliases in `-`/],
    [`steps: [{ ${step} }]`, /expected 2 to 50 steps .* found 1; propose a single write/],
    [
      `steps: [{ target: crm, argument: {} }, { ${step} }]`,
      /in step 1 of `--chain`, found `argument`; write `arguments`/,
    ],
    [`steps: [{ ${step} }, { target: crm }]`, /`arguments` as an object in step 2/],
  ] as const) {
    const { code, err } = await writegate(['preview', '--chain', '-'], { input });
    assert.equal(code, 64, err);
    assert.match(err.replaceAll(/\s+/g, ' '), message);
  }
});

test('without a gateway the problem says how to start one', async () => {
  const { code, err } = await writegate(['inbox']);
  assert.equal(code, 1);
  assert.match(err, /^gateway-unreachable: no gateway runs on/);
  assert.match(err, /writegate up/);
});

test('with --json a problem is an RFC 9457 document on standard output', async () => {
  const { code, out, err } = await writegate(['inbox', '--json']);
  assert.equal(code, 1);
  const document = jsonOf(out);
  assert.equal(document['code'], 'gateway-unreachable');
  assert.equal(document['status'], 503);
  assert.equal(err, '');
});

test('a gateway that does not answer is a problem, not a crash', async () => {
  const env = { WRITEGATE_URL: 'http://127.0.0.1:9', WRITEGATE_TOKEN: `wgp_${'x'.repeat(40)}` };
  const { code, err } = await writegate(['rollback', ID], { env });
  assert.equal(code, 1);
  assert.match(err, /^gateway-unreachable: no gateway answered at `http:\/\/127.0.0.1:9`/);
});

test("an agent's token in the shell is not silently replaced by the operator's", async () => {
  const env = { WRITEGATE_URL: 'http://127.0.0.1:9', WRITEGATE_TOKEN: 'wga_x' };
  const { code, err } = await writegate(['inbox'], { env });
  assert.equal(code, 1);
  assert.match(err, /^credential-kind: the token in \$WRITEGATE_TOKEN is an agent's/);
});

test("an agent's command never takes the operator's token", async () => {
  await writeFile(join(folder, 'operator.token'), 'wgp_secret\n', { mode: 0o600 });
  const env = { WRITEGATE_URL: 'http://127.0.0.1:9', WRITEGATE_DIR: folder };
  const { code, err } = await writegate(['propose', '--target', 'crm', '--sql', 'x'], { env });
  assert.equal(code, 1);
  assert.match(err, /^credential-missing: expected an agent's token/);
  await rm(join(folder, 'operator.token'));
});

test('a token file that others can read is refused', async () => {
  await writeFile(join(folder, 'loose.token'), 'wgp_secret\n', { mode: 0o644 });
  const env = { WRITEGATE_URL: 'http://127.0.0.1:9' };
  const { err } = await writegate(['inbox', '--token-file', 'loose.token'], { env });
  assert.match(err, /found mode 644; run\s+`chmod 600/);
  assert.doesNotMatch(err, /wgp_secret/);
});

test('where nobody can be asked an approval names the digest', async () => {
  const { code, err } = await writegate(['approve', ID]);
  assert.equal(code, 64);
  assert.match(err, /expected --digest with the plan digest that/);
});

test('each state of a proposal has its documented exit code', () => {
  const codes = Object.fromEntries(STATES.map((state) => [state, exitOf(state)]));
  assert.deepEqual(codes, {
    proposed: 2,
    assessed: 2,
    waiting: 2,
    allowed: 2,
    executing: 2,
    stale: 4,
    in_doubt: 5,
    applied: 0,
    refused: 6,
    denied: 3,
    expired: 3,
    cancelled: 3,
  });
  assert.equal(exitOf('previewed'), 0);
});

test('init writes what a gateway needs, closed to others, and overwrites nothing', async () => {
  const home = await mkdtemp(join(folder, 'home-'));
  const line = ['init', '--person', 'ada', '--target-url', 'postgres://w:s3cret@db/crm'];
  const first = await writegate(line, { cwd: home });
  assert.equal(first.code, 0, first.err);
  assert.match(first.out, /Next:\n  writegate up/);
  const text = await readFile(join(home, 'writegate.yaml'), 'utf8');
  assert.doesNotMatch(text, /s3cret/, 'the ledger keeps the text of the file');
  const modes = Object.entries({
    '.writegate': 0o700,
    '.writegate/ledger.key': 0o600,
    '.writegate/operator.token': 0o600,
    '.writegate/crm.url': 0o600,
  });
  for (const [path, mode] of modes) {
    assert.equal((await stat(join(home, path))).mode & 0o777, mode, path);
  }
  const token = await readFile(join(home, '.writegate/operator.token'), 'utf8');
  assert.match(token, /^wgp_cred_[0-9a-z]{26}_[A-Za-z0-9_-]{43}\n$/);

  const again = await writegate(['init', '--person', 'bob'], { cwd: home });
  assert.equal(again.code, 0, again.err);
  assert.match(again.out, /kept /);
  assert.equal(await readFile(join(home, 'writegate.yaml'), 'utf8'), text);
  assert.equal(await readFile(join(home, '.writegate/operator.token'), 'utf8'), token);
});

test('init that cannot go through leaves nothing behind', async () => {
  const home = await mkdtemp(join(folder, 'nothing-'));
  const person = await writegate(['init', '--person', 'a b', '--target-url', 'postgres://db/crm'], {
    cwd: home,
  });
  assert.equal(person.code, 64);
  const place = await writegate(['init', '--config', 'absent/writegate.yaml'], { cwd: home });
  assert.equal(place.code, 1);
  assert.match(place.err, /^configuration-missing: expected a folder to write/);
  assert.deepEqual(await readdir(home), []);
});

test('a folder where a file should be, or the reverse, is a problem that says so', async () => {
  const home = await mkdtemp(join(folder, 'kinds-'));
  await writeFile(join(home, 'file'), '');
  await writeFile(join(home, 'writegate.yaml'), 'version: 1\n');
  await mkdir(join(home, 'folder'));
  const lines: readonly (readonly [string, RegExp])[] = [
    ['up --config folder', /^configuration-invalid: .*found a\s+folder/s],
    ['init --config folder', /^configuration-invalid: .*found a\s+folder/s],
    ['agent list --config folder', /^configuration-invalid: .*found a\s+folder/s],
    ['up --config file/a.yaml', /^configuration-invalid: .*found a\s+file where a\s+folder/s],
    ['up --dir file', /^store-unusable: .*found a\s+file where a\s+folder.*--dir/s],
    ['init --dir file/data', /^store-unusable: .*found a\s+file where a\s+folder.*--dir/s],
    ['inbox --dir file', /^store-unusable: .*found a\s+file where a\s+folder/s],
    [
      'inbox --url http://127.0.0.1:9 --token-file folder',
      /^credential-missing: .*found a\s+folder/s,
    ],
  ];
  for (const [line, message] of lines) {
    const { code, err } = await writegate(line.split(' '), { cwd: home });
    assert.equal(code, 1, `${line}: ${err}`);
    assert.match(err, message, line);
  }
});

test('while no gateway answers, the names of the file are listed without credentials', async () => {
  const home = await mkdtemp(join(folder, 'names-'));
  await writegate(['init', '--person', 'ada'], { cwd: home });
  const agents = await writegate(['agent', 'list', '--json'], { cwd: home });
  const item = { name: 'crm-bot', owner: null, tiers: ['autonomous'], credentials: null };
  assert.deepEqual(JSON.parse(agents.out), { items: [item] });
  const people = await writegate(['person', 'list'], { cwd: home });
  assert.equal(people.out, '  ada  operator, approver, policy\n');
  assert.equal(people.err, 'no gateway answers: credentials are not shown\n');
});

test('a data folder that others can enter is refused', async () => {
  const home = await mkdtemp(join(folder, 'open-'));
  await writegate(['init'], { cwd: home });
  const { chmod } = await import('node:fs/promises');
  await chmod(join(home, '.writegate'), 0o755);
  const { code, err } = await writegate(['up'], { cwd: home });
  assert.equal(code, 1);
  assert.match(err, /^store-unusable: .*chmod 700/s);
});

test('up says where it answers, once, and warns of what is shared', async () => {
  const home = await bareHome();
  const stop = new AbortController();
  const { out, code, err } = await writegate(['up', '--port', '0'], {
    cwd: home,
    stop: stop.signal,
    onOutput: (text) => text.includes('answers at') && stop.abort(),
  });
  assert.equal(code, 0, err);
  assert.equal(out.match(/https?:\/\//g)?.length, 1);
  assert.match(out, /warning +agents share this machine with it/);
  assert.match(out, /ledger key/);
  for (const line of out.split('\n')) {
    assert.ok(line.length <= 80 || !line.trim().includes(' '), line);
  }
});

test('up says which target cannot be used, why, and what to look at', async () => {
  const home = await mkdtemp(join(folder, 'down-'));
  const stop = new AbortController();
  const env = { CRM_URL: 'postgres://w:s3cret@127.0.0.1:9/crm' };
  await writegate(['init', '--person', 'ada'], { cwd: home });
  const seen: Promise<unknown>[] = [];
  const { out, code, err } = await writegate(['up', '--port', '0', '--json'], {
    cwd: home,
    env,
    stop: stop.signal,
    onOutput: (text) => {
      if (!text.startsWith('{')) return;
      const answer = fetch(`${String(jsonOf(text)['url'])}/v1/status`);
      seen.push(answer.then((response) => response.text()).finally(() => stop.abort()));
    },
  });
  assert.equal(code, 0, err);
  const reason = /the database cannot be reached \(ECONNREFUSED\)/;
  assert.match(err, /^warning: target `crm` cannot be used: .*check its settings/m);
  assert.equal(err.match(/cannot be used/g)?.length, 1);
  for (const text of [err, out, String(await seen[0])]) {
    assert.match(text, reason);
    assert.doesNotMatch(text, /s3cret/);
  }
});

test('a taken port is a problem that names it', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const address = taken.address();
  assert.ok(typeof address === 'object' && address !== null);
  const port = String(address.port);
  const { code, err } = await writegate(['up', '--port', port], { cwd: await bareHome() });
  taken.close();
  assert.equal(code, 1);
  assert.match(err, new RegExp(`^configuration-invalid: .*127.0.0.1:${port}`, 's'));
});

test('a store without its ledger key, or of another tenant, is not opened', async () => {
  const home = await bareHome();
  assert.equal((await writegate(['init'], { cwd: home })).code, 0);
  await writeFile(join(home, 'writegate.yaml'), 'version: 1\ntenant: other\n');
  const other = await writegate(['init'], { cwd: home });
  assert.match(other.err, /^configuration-invalid: expected the tenant of/);
  await rm(join(home, '.writegate/ledger.key'));
  const keyless = await writegate(['init'], { cwd: home });
  assert.match(keyless.err, /^ledger-inconsistent: there is a store .* put the\s+key back/s);
});

/** A folder whose configuration permits nothing and needs nothing. */
async function bareHome(): Promise<string> {
  const home = await mkdtemp(join(folder, 'bare-'));
  await writeFile(join(home, 'writegate.yaml'), 'version: 1\n');
  return home;
}

test('up without a configuration says what to run', async () => {
  const { code, err } = await writegate(['up'], { cwd: await mkdtemp(join(folder, 'bare-')) });
  assert.equal(code, 1);
  assert.match(err, /^configuration-missing: .*writegate init/s);
});

test('who reads the output and stops early causes no error', async () => {
  const child = spawn(process.execPath, [LAUNCHER, '--help'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let complaint = '';
  child.stderr.on('data', (bytes) => (complaint += String(bytes)));
  await once(child, 'close');
  assert.equal(complaint, '');
});

/** Takes every opening and no byte; Linux alone has it. */
const FULL = '/dev/full';

test('a log that cannot be written stops no gateway', { skip: !existsSync(FULL) }, async () => {
  const home = await mkdtemp(join(folder, 'full-'));
  await writegate(['init', '--person', 'ada'], { cwd: home });
  const full = await open(FULL, 'w');
  const child = spawn(process.execPath, [LAUNCHER, 'up', '--port', '0', '--json'], {
    cwd: home,
    // It cannot be reached, which is logged before the gateway says that it answers.
    env: { ...process.env, CRM_URL: 'postgres://w:s3cret@127.0.0.1:9/crm' },
    stdio: ['ignore', 'pipe', full.fd],
  });
  assert.ok(child.stdout);
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  const answered = await fetch(`${String(jsonOf(String(said))['url'])}/v1/healthz`);
  assert.equal(answered.status, 200);
  child.kill('SIGTERM');
  const [code] = (await once(child, 'close')) as [number];
  await full.close();
  assert.equal(code, 1, 'lines were lost and nobody could be told');
});

test('an answer that cannot be written is no success', { skip: !existsSync(FULL) }, async () => {
  const full = await open(FULL, 'w');
  const child = spawn(process.execPath, [LAUNCHER, '--help'], {
    stdio: ['ignore', full.fd, 'pipe'],
  });
  let complaint = '';
  child.stderr?.on('data', (bytes) => (complaint += String(bytes)));
  const [code] = (await once(child, 'close')) as [number];
  await full.close();
  assert.equal(code, 1);
  assert.equal(complaint, 'standard output cannot be written (ENOSPC)\n');
});

test('a log that can be written again says how many lines it lost', () => {
  const written: string[] = [];
  let isFull = false;
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
  const log = lossyWriter((text, done) => {
    if (!isFull) written.push(text);
    done(isFull ? full : null);
  }, 'log');
  log.write('one\n');
  isFull = true;
  log.write('two\n');
  log.write('three\nfour\n');
  assert.equal(log.lost(), 3);
  isFull = false;
  log.write('five\n');
  assert.deepEqual(written, ['one\n', 'five\n', '3 lines before this could not be written\n']);
  assert.equal(log.lost(), 0);
});

test('a disk without room is a problem of the store, not a bug', () => {
  for (const [code, advice] of [
    ['ENOSPC', /make room on the disk/],
    ['EROFS', /read-only/],
  ] as const) {
    const io = captureIo({ cwd: folder });
    const error = Object.assign(new Error(`${code}: no, write`), { code, syscall: 'write' });
    assert.equal(report(io, error, false), 1);
    assert.match(io.err(), /^store-unusable: /);
    assert.match(io.err(), new RegExp(code));
    assert.match(io.err(), advice);
  }
});

test('a stop that reaches no gateway says that nothing was stopped, and which switch needs none', async () => {
  for (const env of [{}, { WRITEGATE_URL: 'http://127.0.0.1:9', WRITEGATE_TOKEN: 'wgp_x' }]) {
    const { code, err } = await writegate(['stop', '--reason', 'x'], { env });
    assert.equal(code, 1);
    const text = err.replaceAll(/\s+/g, ' ');
    assert.match(text, /^gateway-unreachable: /);
    assert.match(text, /nothing was stopped; .* `writes: \{ enabled: false \}` .*`writegate.yaml`/);
  }
});
