// Installs what is missing and runs a script of this repository under the pinned Node 24.
//
// Plain JavaScript for Node 20 or newer, and no dependency: it must run on a bare clone.
// Usage: node scripts/run.mjs FILE [ARG ...]
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const pinnedNode = join(
  root,
  'node_modules',
  'node',
  'bin',
  process.platform === 'win32' ? 'node.exe' : 'node',
);

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

/** Compares the lock file with the list that npm leaves behind when it has finished. */
function installed() {
  const list = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(list) || !existsSync(pinnedNode)) return false;
  const present = packages(list);
  return Object.entries(packages(join(root, 'package-lock.json'))).every(
    ([path, { optional, version }]) =>
      path === '' || optional || present[path]?.version === version,
  );
}

function packages(lockFile) {
  return JSON.parse(readFileSync(lockFile, 'utf8')).packages;
}

if (!installed()) {
  process.stderr.write('writegate: installing dependencies (once, under a minute) …\n');
  // Not `npm ci`: it refuses a lock file that leaves out the programs of other platforms, as one
  // made against a registry without them does. `--no-save` leaves the lock file as it is.
  npm([
    'install',
    '--no-save',
    '--include=dev',
    '--include=optional',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ]);
  // npm may be configured to hold install scripts back; Node's own binary arrives through one.
  if (!existsSync(pinnedNode)) npm(['rebuild', 'node', '--ignore-scripts=false']);
  if (!existsSync(pinnedNode)) {
    process.stderr.write('writegate: the pinned Node 24 did not install; run `npm rebuild node`\n');
    process.exit(1);
  }
}

const [file, ...rest] = process.argv.slice(2);
const child = spawn(pinnedNode, [join(root, file), ...rest], {
  cwd: root,
  stdio: 'inherit',
  env: {
    ...process.env,
    PATH: `${dirname(pinnedNode)}${process.platform === 'win32' ? ';' : ':'}${process.env.PATH ?? ''}`,
    // Tests start hundreds of processes; each would strip the types of the same files anew.
    NODE_COMPILE_CACHE:
      process.env.NODE_COMPILE_CACHE ?? join(root, 'node_modules', '.cache', 'compiled'),
  },
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  // A terminal sends Ctrl-C to the child as well; twice would cut its clean-up short.
  process.on(signal, () => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  });
}
child.on('exit', (code, signal) => {
  process.exit(signal ? 128 + (constants.signals[signal] ?? 1) : (code ?? 1));
});
