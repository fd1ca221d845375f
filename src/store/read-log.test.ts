import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { ReadRecord } from '../model/read.ts';
import { openReadLog } from './read-log.ts';

const READ: ReadRecord = {
  at: Date.UTC(2026, 10, 20),
  tenant: 'acme',
  agent: 'bot',
  credential: 'cred_1',
  environment: 'production',
  run: null,
  target: 'crm',
  argumentsDigest: `sha256:${'a'.repeat(64)}`,
  code: 'read',
  resources: ['public.customers'],
  rows: 1,
  bytes: 10,
  durationMs: 4,
};

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'writegate-reads-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

test('every read is one line, in order, also of calls at once and after a restart', async (t) => {
  const path = join(await folder(t), 'reads.ndjson');
  const log = await openReadLog({ path });
  const runs = Array.from({ length: 20 }, (_, run) => `run-${run}`);
  await Promise.all(runs.map((run) => log.record({ ...READ, run })));
  await log.close();
  const second = await openReadLog({ path });
  await second.record({ ...READ, run: 'last' });
  await second.close();
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  const records = lines.map((line) => JSON.parse(line) as ReadRecord);
  assert.deepEqual(
    records.map(({ run }) => run),
    [...runs, 'last'],
  );
  const first = { ...READ, at: '2026-11-20T00:00:00.000Z', run: 'run-0' };
  assert.deepEqual(records[0], first);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test('the files are bounded in size and number, the newest lines are kept', async (t) => {
  const data = await folder(t);
  const path = join(data, 'reads.ndjson');
  const log = await openReadLog({ path, fileBytesMax: 1_000 });
  for (let turn = 0; turn < 60; turn += 1) await log.record({ ...READ, run: `run-${turn}` });
  await log.close();
  const names = await readdir(data);
  assert.equal(names.length, 9);
  for (const name of names) assert.ok((await stat(join(data, name))).size <= 1_000, name);
  const last = (await readFile(path, 'utf8')).trimEnd().split('\n').at(-1) ?? '';
  assert.match(last, /run-59/);
});

test('a log that cannot be written is a problem', async (t) => {
  const path = join(await folder(t), 'reads.ndjson');
  await mkdir(path);
  await assert.rejects(openReadLog({ path }), { code: 'store-unusable', message: /no read is/ });
});
