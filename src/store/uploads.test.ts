import { strict as assert } from 'node:assert';
import { hash } from 'node:crypto';
import { appendFile, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fakeClock } from '../../test/support/fakes.ts';
import { Problem } from '../model/problem.ts';
import { UPLOAD_BOUNDS } from './uploads.ts';
import { openFolderUploads as openUploads } from './uploads-folder.ts';

let root: string;
let folders = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'writegate-uploads-'));
});
after(() => rm(root, { recursive: true }));

function newFolder(): string {
  folders += 1;
  return join(root, String(folders));
}

async function* content(...parts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

async function text(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function filesIn(folder: string): Promise<readonly string[]> {
  return (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name));
}

const SMALL = { ...UPLOAD_BOUNDS, fileBytesMax: 10, ownerBytesMax: 15, ownerFilesMax: 2 };

test('a file is kept by its content for its owner alone, and only its owner may read the disk', async () => {
  const folder = newFolder();
  const uploads = openUploads(folder, fakeClock());
  const answer = await uploads.put('agent:a', content('x,y\n', '1,2\n'));
  const sha256 = hash('sha256', 'x,y\n1,2\n', 'hex');
  assert.deepEqual(answer, { id: `upl_${sha256}`, bytes: 8, sha256 });
  assert.deepEqual(await uploads.put('agent:a', content('x,y\n1,2\n')), answer);
  const opened = await uploads.open(answer.id, 'agent:a');
  assert(opened !== undefined);
  assert.deepEqual([opened.bytes, opened.sha256], [8, sha256]);
  assert.equal(await text(opened.stream()), 'x,y\n1,2\n');
  for (const [id, owner] of [
    [answer.id, 'agent:b'],
    [answer.id, 'person:a'],
    [`upl_${'0'.repeat(64)}`, 'agent:a'],
    [`upl_../../${sha256}`, 'agent:a'],
  ] as const) {
    assert.equal(await uploads.open(id, owner), undefined);
  }
  const files = await filesIn(folder);
  assert.equal(files.length, 1);
  for (const file of files) assert.equal((await stat(file)).mode & 0o777, 0o600);
});

test('a file that is too large, empty or broken off leaves nothing', async () => {
  const folder = newFolder();
  const uploads = openUploads(folder, fakeClock(), SMALL);
  const isProblem = (code: string) => (error: unknown) =>
    error instanceof Problem && error.code === code;
  await assert.rejects(
    uploads.put('a', content('123456', '78901')),
    isProblem('request-too-large'),
  );
  await assert.rejects(uploads.put('a', content()), isProblem('request-invalid'));
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('1');
    throw new Error('gone');
  }
  await assert.rejects(uploads.put('a', broken()), /gone/);
  assert.deepEqual(await filesIn(folder), []);
  await uploads.put('a', content('1234567890'));
});

test('an owner has so many bytes and files together, and no other owner pays for it', async () => {
  const uploads = openUploads(newFolder(), fakeClock(), SMALL);
  await uploads.put('a', content('12345678'));
  await assert.rejects(uploads.put('a', content('abcdefgh')), Problem);
  await uploads.put('a', content('abc'));
  await assert.rejects(uploads.put('a', content('z')), Problem);
  await uploads.put('b', content('12345678'));
  // Those that are on their way at the same time count too.
  const both = await Promise.allSettled([
    uploads.put('c', content('12345678')),
    uploads.put('c', content('abcdefgh')),
  ]);
  assert(both.filter(({ status }) => status === 'rejected').length >= 1);
});

test('after a day an upload is gone, and the sweep removes it and what a crash left', async () => {
  const folder = newFolder();
  const clock = fakeClock();
  const uploads = openUploads(folder, clock);
  const { id } = await uploads.put('a', content('old'));
  const [file = ''] = await filesIn(folder);
  await appendFile(`${file}.part`, 'crash');
  clock.advance(UPLOAD_BOUNDS.keptMs - 1);
  await uploads.sweep();
  assert(await uploads.open(id, 'a'));
  const later = await uploads.put('a', content('new'));
  clock.advance(2);
  assert.equal(await uploads.open(id, 'a'), undefined);
  await uploads.sweep();
  assert(
    (await filesIn(folder)).every((name) => name.endsWith('.part') || name.endsWith(later.sha256)),
  );
  assert(!(await filesIn(folder)).some((name) => name === file));
  // The same content again is as good as new.
  await uploads.put('a', content('old'));
  assert(await uploads.open(id, 'a'));
});

test('what was edited on the disk is handed over with the hash that it no longer has', async () => {
  const folder = newFolder();
  const uploads = openUploads(folder, fakeClock());
  const { id, sha256 } = await uploads.put('a', content('true'));
  await appendFile(join((await filesIn(folder))[0] ?? ''), ' no more');
  const opened = await uploads.open(id, 'a');
  assert(opened !== undefined);
  assert.notEqual(hash('sha256', await text(opened.stream()), 'hex'), sha256);
});

test('a disk without room is a problem of the store, and leaves no part of the file', async () => {
  const folder = newFolder();
  const uploads = openUploads(folder, fakeClock());
  async function* cutOff(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('x,y\n');
    await Promise.resolve();
    throw Object.assign(new Error('no space'), { code: 'ENOSPC', syscall: 'write' });
  }
  await assert.rejects(uploads.put('agent:a', cutOff()), {
    name: 'Problem',
    code: 'store-unusable',
  });
  assert.deepEqual(await filesIn(folder), []);
});
