// Ctrl-C at a terminal reaches every process of the group: only the harness goes by it.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

test('a harness that is stopped by its terminal says what it has, and that nothing is wrong', async () => {
  const line = ['--rounds', '20', '--seed', '7', '--lanes', '1', '--json'];
  const child = spawn(process.execPath, [MAIN, ...line], { detached: true, stdio: 'pipe' });
  const said: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => said.push(String(bytes)));
  }
  assert(child.pid !== undefined);
  await once(child.stdout, 'data');
  // Into the load of the second round.
  await pause(1_500);
  process.kill(-child.pid, 'SIGINT');
  const [code] = (await once(child, 'exit')) as [number | null];
  assert.equal(code, 130, said.join(''));
  assert.doesNotMatch(said.join(''), /could not go on|FAIL/);
});
