import assert from 'node:assert/strict';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { seededRandom, withFolder } from '../../test/support/ledger.ts';
import { need } from '../../test/support/gate.ts';
import { tenantId } from '../model/ids.ts';
import { Problem } from '../model/problem.ts';
import { openNote, parseVkey, signNote } from './note.ts';
import { createKeyFile, openSigner, originOf } from './signer.ts';

const ORIGIN = originOf(need(tenantId('acme')));

function unusable(error: unknown): boolean {
  return error instanceof Problem && error.code === 'store-unusable';
}

test('a key file is its owner’s alone, and signs under the log’s origin', async () => {
  await withFolder(async (folder) => {
    const path = `${folder}.key`;
    await createKeyFile(path, ORIGIN, seededRandom('key'));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const signer = await openSigner(path);
    assert.equal(signer.name, 'writegate.local/acme');
    const note = await signNote('a text\n', signer);
    assert.equal(openNote(note, need(parseVkey(signer.vkey))).kind, 'opened');
  });
});

test('a key file is never overwritten', async () => {
  await withFolder(async (folder) => {
    const path = `${folder}.key`;
    await createKeyFile(path, ORIGIN, seededRandom('first'));
    const before = await readFile(path, 'utf8');
    await assert.rejects(createKeyFile(path, ORIGIN, seededRandom('second')), unusable);
    assert.equal(await readFile(path, 'utf8'), before);
  });
});

test('a key file that is missing, open to others or altered is refused, and never shown', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, '..', 'ledger.key');
    await assert.rejects(openSigner(path), unusable);
    await createKeyFile(path, ORIGIN, seededRandom('key'));
    const text = await readFile(path, 'utf8');
    await chmod(path, 0o640);
    await assert.rejects(openSigner(path), unusable);
    await chmod(path, 0o600);
    await writeFile(path, text.replace('acme', 'acma'));
    await assert.rejects(openSigner(path), (error) => {
      assert(unusable(error));
      return !inspect(error).includes(text.slice(-48));
    });
  });
});

test('a signer does not print its key', async () => {
  await withFolder(async (folder) => {
    const path = `${folder}.key`;
    await createKeyFile(path, ORIGIN, seededRandom('key'));
    const seed = (await readFile(path, 'utf8')).split('+').slice(4).join('+').trim();
    const signer = await openSigner(path);
    assert(!inspect(signer, { depth: 9, showHidden: true }).includes(seed));
    assert(!JSON.stringify(signer).includes(seed));
  });
});
