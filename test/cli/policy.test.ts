// The policy commands that need no gateway.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { run } from '../../src/cli/main.ts';
import { captureIo, jsonOf } from './fixture.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writegate-policy-'));
  await writeFile(join(folder, 'writegate.yaml'), FILE);
});
after(() => rm(folder, { recursive: true, force: true }));

const FILE = `version: 1
targets: { crm: { kind: postgres, url: '\${env:CRM_URL}' } }
people: { ada: { roles: [operator, approver] } }
agents:
  crm-bot:
    owner: ada
    permissions:
      - { target: crm, resource: public.customers, class: [create, update], tier: autonomous }
      - { target: crm, resource: public.invoices, class: update, tier: confirm }
limits: [{ name: records, recordsMax: 100 }]
rules: [{ id: all, effect: permit, match: { target: crm }, reason: a test }]
`;

async function writegate(line: readonly string[], columns = 80) {
  const io = captureIo({ cwd: folder });
  const narrow = { ...io, stdout: { ...io.stdout, columns } };
  const code = await run(line, narrow);
  return { code, out: io.out(), err: io.err() };
}

test('policy explain says of each tier what it allows, with its line and counts', async () => {
  const { code, out, err } = await writegate(['policy', 'explain', 'crm-bot'], 100);
  assert.equal(code, 0, err);
  assert.match(out, /^crm-bot  in production  owner ada\n/);
  assert.match(
    out,
    /^ {2}autonomous +1 line\n {2}confirm +1 line\n {2}read-only +2 lines\n {2}denied +0 lines\n {2}never +2 lines$/m,
  );
  assert.match(
    out,
    /^ {2}create, update +crm: public\.customers +any +agents\.crm-bot\.permissions\[0\]$/m,
  );
  assert.match(out, /^ {2}destroy .* never\.destroy$/m);
  assert.match(out, /limits\.records +at most 100 records/);
  assert.match(out, /From the file alone \(no gateway runs on/);
});

test('an explanation is readable at 44 and at 100 columns', async () => {
  for (const columns of [44, 100]) {
    const { out } = await writegate(['policy', 'explain', 'crm-bot'], columns);
    for (const line of out.split('\n')) assert.ok(line.length <= columns, line);
    assert.match(out, /agents\.crm-bot\.permissions\[1\]/);
  }
});

test('policy explain has a document for programs, with every row', async () => {
  const { code, out } = await writegate(['policy', 'explain', 'crm-bot', '--json']);
  assert.equal(code, 0);
  const { agent, environment, rows, source } = jsonOf(out);
  assert.deepEqual([agent, environment], ['crm-bot', 'production']);
  assert.ok(Array.isArray(rows) && rows.length > 4);
  assert.equal((source as { kind: string }).kind, 'file');
});

test('an agent that the file does not name is a problem with the nearest name', async () => {
  const { code, err } = await writegate(['policy', 'explain', 'crm-bt']);
  assert.equal(code, 1);
  assert.match(err, /found `crm-bt`,\nwhich may do nothing; write `crm-bot`/);
});

const CASES = `version: 1
cases:
  - { name: a small correction, agent: crm-bot, target: crm, resource: public.customers, class: update, expect: allow }
  - { name: too many, agent: crm-bot, target: crm, resource: public.customers, class: update, records: 101, expect: deny, rule: limits.records }
`;

test('policy test decides the cases beside the configuration, and ends in 1 where one differs', async () => {
  const missing = await writegate(['policy', 'test']);
  assert.equal(missing.code, 1);
  assert.match(missing.err, /^configuration-missing: there is no/);

  await writeFile(join(folder, 'writegate.tests.yaml'), CASES);
  const good = await writegate(['policy', 'test']);
  assert.equal(good.code, 0, good.err);
  assert.match(good.out, /^2 cases {2}2 as expected\n3 of 4 lines of the policy spoke\n/);
  assert.match(good.out, /agents\.crm-bot\.permissions\[1\] +no case is about it/);
  assert.equal((await writegate(['policy', 'test', '--every-line'])).code, 1);

  await writeFile(join(folder, 'wrong.yaml'), CASES.replace('expect: allow', 'expect: wait'));
  for (const columns of [44, 100]) {
    const { code, out } = await writegate(['policy', 'test', 'wrong.yaml'], columns);
    assert.equal(code, 1);
    assert.match(out, /^a small correction\n/);
    assert.match(out, /wrong\.yaml:3:5/);
    assert.match(out, /≠ decision/);
    for (const line of out.split('\n')) {
      if (!line.includes('wrong.yaml')) assert.ok(line.length <= columns, line);
    }
  }
  const { out } = await writegate(['policy', 'test', 'wrong.yaml', '--json']);
  assert.deepEqual([jsonOf(out)['passed'], jsonOf(out)['failed']], [1, 1]);
});
