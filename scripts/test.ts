// Runs the tests: `npm test [-- [--slow] [PATH ...] [--test-… OPTION ...]]`.
//
// PATH is a part of a file name: `npm test -- src/store`. Files named `*.slow.test.ts` run with
// `--slow` only, beside the others.
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { constants } from 'node:os';
import { sep } from 'node:path';

const FILES = ['src', 'support', 'test', 'demo', 'bench', 'conformance', 'crash'].map(
  (root) => `${root}/**/*.test.ts`,
);
const CONCURRENCY = 2;

const given = process.argv.slice(2);
const isSlowToo = given.includes('--slow');
const options = given.filter((each) => each.startsWith('-') && each !== '--slow');
const wanted = given
  .filter((each) => !each.startsWith('-'))
  .map((each) => each.replace(/^\.\//, ''));

const files = globSync(FILES)
  .map((file) => file.replaceAll(sep, '/'))
  .filter((file) => isSlowToo || !file.endsWith('.slow.test.ts'))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .toSorted();

if (files.length === 0) {
  process.stderr.write(
    `no test file has \`${wanted.join('` or `')}\` in its name; ` +
      'expected a part of a path such as `src/store`; slow ones need `--slow`\n',
  );
  process.exit(1);
}

const runner = spawn(
  process.execPath,
  [
    '--test',
    `--test-concurrency=${CONCURRENCY}`,
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    ...options,
    ...files,
  ],
  { stdio: ['ignore', 'inherit', 'inherit'] },
);
for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => runner.kill(signal));
}
// The terminal sends Ctrl-C to the runner too; this process waits for its end.
process.on('SIGINT', () => undefined);
runner.on('exit', (code, signal) => {
  process.exitCode = signal === null ? (code ?? 1) : 128 + constants.signals[signal];
});
