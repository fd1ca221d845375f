// Installs what is missing and runs a script of this repository under the pinned Node 24.
//
// Plain JavaScript for Node 20 or newer, and no dependency: it must run on a bare clone.
// Usage: node scripts/run.mjs FILE [ARG ...]
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const marker = join(root, 'node_modules', '.writegate-installed');
const pinnedNode = join(
  root,
  'node_modules',
  'node',
  'bin',
  process.platform === 'win32' ? 'node.exe' : 'node',
);

const lockDigest = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex');

function npm(args) {
  const outcome = spawnSync('npm', args, {
    cwd: root,
    stdio: ['ignore', 2, 'inherit'],
    shell: process.platform === 'win32',
  });
  if (outcome.status !== 0) {
    process.stderr.write(
      `writegate: \`npm ${args.join(' ')}\` did not finish; the lines above say why\n`,
    );
    process.exit(outcome.status ?? 1);
  }
}

function installed() {
  if (!existsSync(marker) || !existsSync(pinnedNode)) return false;
  return readFileSync(marker, 'utf8') === lockDigest;
}

if (!installed()) {
  process.stderr.write('writegate: installing dependencies (once, under a minute) …\n');
  npm(['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error']);
  // npm may be configured to hold install scripts back; Node's own binary arrives through one.
  if (!existsSync(pinnedNode)) npm(['rebuild', 'node', '--ignore-scripts=false']);
  if (!existsSync(pinnedNode)) {
    process.stderr.write('writegate: the pinned Node 24 did not install; run `npm rebuild node`\n');
    process.exit(1);
  }
  writeFileSync(marker, lockDigest);
}

const [file, ...rest] = process.argv.slice(2);
const child = spawn(pinnedNode, [join(root, file), ...rest], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    PATH: `${dirname(pinnedNode)}${process.platform === 'win32' ? ';' : ':'}${process.env.PATH ?? ''}`,
  },
});
// The terminal sends Ctrl-C to the whole group; this parent only waits for the child's own clean-up.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (signal !== 'SIGINT') child.kill(signal);
  });
}
child.on('exit', (code, signal) => {
  process.exit(signal ? 128 + (constants.signals[signal] ?? 1) : (code ?? 1));
});
