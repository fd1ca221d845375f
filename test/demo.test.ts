import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { STORIES } from '../demo/stories/index.ts';

interface DemoDocument {
  readonly stories: readonly {
    readonly name: string;
    readonly expected: string;
    readonly actual: string;
  }[];
  readonly ledger: { readonly entries: number; readonly verified: boolean };
  readonly ok: boolean;
}

const MAIN = fileURLToPath(new URL('../demo/main.ts', import.meta.url));
let folder: string;
let document: DemoDocument;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writegate-demo-test-'));
  const { stdout } = await promisify(execFile)(process.execPath, [
    MAIN,
    '--json',
    '--keep',
    folder,
  ]);
  document = JSON.parse(stdout) as DemoDocument;
});

after(() => rm(folder, { recursive: true, force: true }));

for (const [position, { name, title, expected }] of STORIES.entries()) {
  test(`demo: ${title}`, () => {
    assert.deepEqual(
      [document.stories[position]?.name, document.stories[position]?.actual],
      [name, expected],
    );
  });
}

test('the demo prints one JSON document and says that all went well', () => {
  assert.equal(document.ok, true);
  assert.equal(document.ledger.verified, true);
  assert.ok(document.ledger.entries > 0);
});

test('the demo leaves store, ledger, key and configuration where it is told to keep them', async () => {
  for (const path of [
    'writegate.yaml',
    'store.sqlite',
    'ledger/checkpoint',
    'ledger/vkey',
    'ledger.key',
  ]) {
    assert.ok((await stat(join(folder, path))).size > 0, path);
  }
  const vkey = await readFile(join(folder, 'ledger/vkey'), 'utf8');
  assert.match(vkey, /^writegate\.local\/demo\+[0-9a-f]{8}\+/);
});
