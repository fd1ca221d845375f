// The command `writegate` as its users have it, but for one thing: it ends when its stdin does, so
// that no gateway outlives a harness that was killed.
import { flushCompileCache } from 'node:module';
import { run } from '../src/cli/main.ts';

const FLUSH_MS = 5_000;

process.stdin.resume().on('end', () => process.kill(process.pid, 'SIGKILL'));
// A wait for that end keeps no process that is done.
if ('unref' in process.stdin && typeof process.stdin.unref === 'function') process.stdin.unref();
// One that is killed would leave nothing for the next start to be quick by.
setTimeout(() => flushCompileCache(), FLUSH_MS).unref();
process.exitCode = await run(process.argv.slice(2));
