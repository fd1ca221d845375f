#!/usr/bin/env node
// Starts the command `writegate` under Node 24.
//
// Plain JavaScript for Node 20 or newer. In a checkout it runs `src/` as it stands, with the Node
// that `npm install` brought where yours is older; in an installed package it runs `dist/`.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const NODE_MAJOR = 24;

const self = fileURLToPath(import.meta.url);
const root = dirname(dirname(self));
const isCheckout = existsSync(join(root, 'src')) && !root.split(sep).includes('node_modules');
const entry = join(root, ...(isCheckout ? ['src', 'cli', 'main.ts'] : ['dist', 'cli', 'main.js']));
const nodeName = process.platform === 'win32' ? 'node.exe' : 'node';
const pinnedNode = join(root, 'node_modules', 'node', 'bin', nodeName);
const present = process.versions.node;

if (isCheckout && !existsSync(join(root, 'node_modules', '.package-lock.json'))) {
  stop(`the dependencies of this checkout are missing; run \`npm install\` first in \`${root}\``);
} else if (Number.parseInt(present, 10) >= NODE_MAJOR) {
  const { run } = await import(pathToFileURL(entry).href);
  process.exitCode = await run(process.argv.slice(2));
} else if (existsSync(pinnedNode)) {
  runUnder(pinnedNode);
} else if (isCheckout) {
  stop(`expected Node ${NODE_MAJOR}, found ${present}; run \`npm rebuild node\` in \`${root}\``);
} else {
  stop(
    `expected Node ${NODE_MAJOR} or newer, found ${present}; install it from https://nodejs.org, ` +
      `or run \`npx --package=node@${NODE_MAJOR} --package=writegate writegate\``,
  );
}

function stop(reason) {
  process.stderr.write(`writegate: ${reason}\n`);
  process.exitCode = 1;
}

function runUnder(node) {
  const child = spawn(node, [self, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // A terminal sends Ctrl-C to the child as well; twice would cut its clean-up short.
    process.on(signal, () => {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on('exit', (code, signal) => {
    process.exitCode = signal === null ? code : 128 + constants.signals[signal];
  });
  child.on('error', (error) => stop(`\`${node}\` did not start (${error.message})`));
}
