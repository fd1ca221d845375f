import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Problem } from '../model/problem.ts';
import { parseConfiguration } from '../policy/parse.ts';
import { dataFolder } from './folder.ts';
import { chooseStore } from './store-choice.ts';

const FILE = 'version: 1\npeople: { ada: { roles: [operator] } }\n';

for (const cut of ['a@hunter2/x%zz', 'a@hunter2#x']) {
  test(`of a password with \`${cut.slice(-4)}\` no piece is told as host or database`, async () => {
    const url = `postgres://gateway:${cut}@127.0.0.1:1/store`;
    const wish = { store: '${env:STORE}', environment: () => url };
    const configuration = parseConfiguration(FILE, 'writegate.yaml');
    await assert.rejects(chooseStore(wish, configuration, dataFolder('/nowhere')), (error) => {
      assert(error instanceof Problem && error.code === 'configuration-invalid');
      assert.match(error.message, /percent-encode the password/);
      assert(!inspect(error).includes('hunter2'));
      return true;
    });
  });
}
