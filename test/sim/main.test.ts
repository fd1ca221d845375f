// The command: what it takes, and that what it does not take is never "all holds".
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const run = promisify(execFile);

for (const [line, words] of [
  [['--nope'], /Unknown option '--nope'/],
  [['7'], /Unexpected argument '7'/],
  [['--seeds', '0'], /at least 1 after --seeds, found `0`/],
  [['--seeds', '1e3'], /after --seeds, found `1e3`/],
  [['--seed', '1', '--seeds', '3'], /found both/],
  [['--without', 'nope'], /nothing is called `nope`/],
] as const) {
  test(`\`${line.join(' ')}\` is wrong usage`, async () => {
    await assert.rejects(run(process.execPath, [MAIN, ...line]), (error) => {
      assert(error instanceof Error && 'code' in error && 'stderr' in error);
      assert.equal(error.code, 64);
      assert.match(String(error.stderr), words);
      return true;
    });
  });
}

test('help says every option, and a seed ends with 0 and its hash', async () => {
  const help = await run(process.execPath, [MAIN, '--help']);
  for (const option of ['--seeds', '--seed', '--from', '--without', '--operations', '--json']) {
    assert(help.stdout.includes(option), option);
  }
  const { stdout } = await run(process.execPath, [MAIN, '--seed', '3', '--without', 'crash']);
  assert.match(stdout, /^seed 3: \d+ steps, all holds; trace [0-9a-f]{64}$/m);
});
