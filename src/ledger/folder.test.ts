import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { withFolder } from '../../test/support/ledger.ts';
import { LogFolder } from './folder.ts';

test('the names in a folder come as they are read, all of them', () =>
  withFolder(async (root) => {
    const folder = new LogFolder(root);
    for await (const name of folder.names('checkpoints')) assert.fail(`there is no ${name}`);
    await mkdir(join(root, 'checkpoints'), { recursive: true });
    const names = Array.from({ length: 2_500 }, (_, at) => String(at));
    await Promise.all(names.map((name) => writeFile(join(root, 'checkpoints', name), '')));
    const found = new Set<string>();
    for await (const name of folder.names('checkpoints')) found.add(name);
    assert.deepEqual(found, new Set(names));
  }));
