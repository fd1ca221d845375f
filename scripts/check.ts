// Checks the code: `npm run check [-- STEP ...]`; without a step all of CHECKS, in order.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';

const STEPS = {
  types: ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.json'],
  lint: ['node_modules/oxlint/bin/oxlint', '--deny-warnings', '--report-unused-disable-directives'],
  format: ['node_modules/oxfmt/bin/oxfmt', '--check'],
  tests: ['scripts/test.ts'],
  'format-write': ['node_modules/oxfmt/bin/oxfmt'],
  build: ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'],
} as const;
type Step = keyof typeof STEPS;
const CHECKS: readonly Step[] = ['types', 'lint', 'format', 'tests'];

function isStep(name: string): name is Step {
  return Object.hasOwn(STEPS, name);
}

/** Runs a step and prints one line; its own output follows where it found something. */
async function passes(step: Step): Promise<boolean> {
  // What a former build left behind would be published.
  if (step === 'build') rmSync('dist', { recursive: true, force: true });
  const startedAt = performance.now();
  const child = spawn(process.execPath, [...STEPS[step]], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => output.push(chunk));
  }
  const onTerminate = (): boolean => child.kill('SIGTERM');
  process.once('SIGTERM', onTerminate);
  await once(child, 'close');
  process.off('SIGTERM', onTerminate);
  const hasPassed = child.exitCode === 0;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`${hasPassed ? '✔' : '✖'} ${step.padEnd(12)} ${seconds.padStart(5)} s\n`);
  if (!hasPassed) process.stdout.write(Buffer.concat(output));
  return hasPassed;
}

const given = process.argv.slice(2);
const unknown = given.find((name) => !isStep(name));
if (unknown !== undefined) {
  const names = Object.keys(STEPS).join(', ');
  process.stderr.write(`there is no step \`${unknown}\`; expected some of ${names}\n`);
  process.exit(64);
}
for (const step of given.length === 0 ? CHECKS : given.filter(isStep)) {
  if (!(await passes(step))) {
    process.exitCode = 1;
    break;
  }
}
