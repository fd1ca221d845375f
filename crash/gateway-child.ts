// The command `writegate` as its users have it, but for this: it ends when its stdin does, so that no
// gateway outlives a harness that was killed, and a gateway says when its code is loaded.
import { flushCompileCache } from 'node:module';
import { run } from '../src/cli/main.ts';
import { LOADED } from './loaded.ts';

process.stdin
  // Whoever started it says so once it answers. One that is killed would leave nothing for the next
  // start to be quick by.
  .on('data', () => flushCompileCache())
  .on('end', () => process.kill(process.pid, 'SIGKILL'));
// A wait for that end keeps no process that is done.
if ('unref' in process.stdin && typeof process.stdin.unref === 'function') process.stdin.unref();
const words = process.argv.slice(2);
if (words[0] === 'up') {
  await import('../src/main.ts');
  process.stdout.write(`${LOADED}\n`);
}
process.exitCode = await run(words);
