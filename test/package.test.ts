// What is published, built and laid out as `npm pack` would, without the sources.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { globSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const ROOT = dirname(import.meta.dirname);
const run = promisify(execFile);

let folder = '';
let installed = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'writegate-package-'));
  installed = join(folder, 'node_modules', 'writegate');
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const built = join(installed, 'dist');
  await run(process.execPath, [
    compiler,
    '-p',
    join(ROOT, 'tsconfig.build.json'),
    '--outDir',
    built,
  ]);
  for (const part of ['package.json', 'bin', 'schema']) {
    await cp(join(ROOT, part), join(installed, part), { recursive: true });
  }
  await symlink(join(ROOT, 'node_modules'), join(installed, 'node_modules'));
});
after(() => rm(folder, { recursive: true, force: true }));

function writegate(...line: readonly string[]): Promise<{ readonly stdout: string }> {
  const program = join(installed, 'bin', 'writegate.mjs');
  return run(process.execPath, [program, ...line], { cwd: folder });
}

describe('the published package', () => {
  test('has the command, which makes what a gateway needs', async () => {
    assert.match((await writegate('--help')).stdout, /^Usage: writegate/);
    const { stdout } = await writegate('init', '--person', 'ada', '--json');
    assert.match(stdout, /"isWritten":true/);
    assert.ok((await stat(join(folder, '.writegate', 'operator.token'))).isFile());
  });

  test('has the SDK as its main entry, with types, and nothing else comes with that', async () => {
    const script = `import * as sdk from 'writegate'; console.log(Object.keys(sdk).join());`;
    await writeFile(join(folder, 'script.mjs'), script);
    const { stdout } = await run(process.execPath, ['script.mjs'], { cwd: folder });
    assert.equal(stdout, 'GatewayProblem,createClient\n');
    const manifest: unknown = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'));
    const { exports } = manifest as { exports: Record<string, { types: string }> }; // ours
    assert.ok((await stat(join(installed, exports['.']?.types ?? ''))).isFile());
    const code = globSync('dist/client/*.js', { cwd: installed }).map((file) =>
      readFile(join(installed, file), 'utf8'),
    );
    for (const text of await Promise.all(code)) assert.doesNotMatch(text, /from '[^.]/);
  });

  test('has the thread that parses statements', async () => {
    const built = pathToFileURL(join(installed, 'dist/connectors/postgres/')).href;
    const script = `import { openParser } from '${built}text/parse.js';
      import { parsePostgresSettings } from '${built}settings.js';
      const parser = openParser();
      const { kind } = await parser.parse('DELETE FROM a WHERE b = 1', parsePostgresSettings('a', { url: 'postgres://b' }));
      await parser.close();
      console.log(kind);`;
    await writeFile(join(folder, 'parse.mjs'), script);
    const { stdout } = await run(process.execPath, ['parse.mjs'], { cwd: folder });
    assert.equal(stdout, 'delete\n');
  });

  test('has no test in it', () => {
    const files = globSync('dist/**/*', { cwd: installed });
    assert.ok(files.includes(join('dist', 'main.js')));
    assert.deepEqual(
      files.filter((file) => /\.test\.|conformance/.test(file)),
      [],
    );
  });
});
