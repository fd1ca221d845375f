// What the compiler and the linter cannot hold about this source tree.
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { basename, dirname, join, posix, sep } from 'node:path';
import { describe, test } from 'node:test';

const ROOT = dirname(import.meta.dirname);
const IGNORED = new Set(['node_modules', '.git', 'dist', 'coverage', '.writegate']);
const INVARIANTS = 'docs/spec/lifecycle.md';

/** What each layer may import beside itself: only what stands to its right in ARCHITECTURE.md. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  model: ['lib'],
  policy: ['model', 'lib'],
  ledger: ['model', 'lib'],
  connectors: ['model', 'lib'],
  store: ['model', 'lib'],
  notify: ['model', 'lib'],
  gate: ['policy', 'ledger', 'model', 'lib'],
  server: ['gate', 'policy', 'ledger', 'model', 'lib'],
  client: ['model', 'lib'],
  main: ['server', 'gate', 'policy', 'ledger', 'connectors', 'store', 'notify', 'model', 'lib'],
  cli: ['main', 'server', 'gate', 'policy', 'ledger', 'client', 'model', 'lib'],
};

interface Import {
  /** Path from the root, or the name of a package. */
  readonly to: string;
  readonly isPackage: boolean;
  readonly isType: boolean;
}

/** The files below the root that match, as `src/model/plan.ts`. */
function files(pattern: string | string[]): readonly string[] {
  const exclude = (path: string): boolean => IGNORED.has(basename(path));
  return globSync(pattern, { cwd: ROOT, exclude }).map((file) => file.split(sep).join('/'));
}

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

const IMPORT =
  /^(?:import|export)\s+(?<type>type\s)?(?:[^'";]*?\sfrom\s+)?'(?<static>[^']+)'|\bimport\('(?<dynamic>[^']+)'\)/gm;

function importsOf(file: string, source: string): readonly Import[] {
  return [...source.matchAll(IMPORT)].map(({ groups }) => {
    const specifier = groups?.['static'] ?? groups?.['dynamic'] ?? '';
    const isPackage = !specifier.startsWith('.');
    return {
      to: isPackage ? specifier : posix.join(posix.dirname(file), specifier),
      isPackage,
      isType: groups?.['type'] !== undefined,
    };
  });
}

/** `src/gate.ts` and `src/gate/admit.ts` are the layer `gate`; undefined outside `src/`. */
function layerOf(file: string): string | undefined {
  return /^src\/([^/.]+)/.exec(file)?.[1];
}

/** Says what is wrong with one import; undefined: nothing. */
function trespass(file: string, { to, isPackage, isType }: Import): string | undefined {
  const from = layerOf(file) ?? '';
  const allowed = LAYERS[from];
  if (allowed === undefined) return `${file}: \`${from}\` is not a layer; add it to LAYERS`;
  // JSON is data that is published beside the code, such as the schema of the policy file.
  const target = isPackage || to.endsWith('.json') ? from : layerOf(to);
  if (target !== from && !(target !== undefined && allowed.includes(target))) {
    return `${file}: \`${from}\` imports \`${to}\``;
  }
  // The client runs in other people's programs: types from model and lib, no code, no dependency.
  const isForeignCode = isPackage ? !to.startsWith('node:') : target !== from && !isType;
  return from === 'client' && isForeignCode
    ? `${file}: \`client\` imports more than types from \`${to}\``
    : undefined;
}

/** Returns one cycle as the files on it, or undefined where there is none. */
function cycleIn(graph: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of graph.get(file) ?? []) {
      const cycle = visit(next, [...path, file]);
      if (cycle) return cycle;
    }
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const cycle = visit(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}

/** Returns what the compiler erases: types, without the comments and the strings in them. */
function typesIn(source: string): string {
  const code = stripTypeScriptTypes(source);
  const erased = source.replace(/\S/g, (char, at: number) => (code[at] === char ? ' ' : char));
  return erased.replace(/\/\*.*?\*\/|\/\/[^\n]*|'[^'\n]*'/gs, ' ');
}

const ANY = /(?<!\.)\bany\b(?!\s*\??:)/;

const all = files(['{src,test,demo,bench,support,scripts,conformance,crash}/**/*.ts']);
const product = all.filter((file) => file.startsWith('src/') && !file.endsWith('.test.ts'));

describe('the source tree', () => {
  test('imports only to the right in the table of layers', () => {
    assert.ok(product.length > 0);
    const found = product.flatMap((file) =>
      importsOf(file, read(file)).map((each) => trespass(file, each)),
    );
    assert.deepEqual(
      found.filter((each) => each !== undefined),
      [],
    );
  });

  test('has no import cycle, types included', () => {
    const graph = new Map(
      all.map((file) => [file, importsOf(file, read(file)).map(({ to }) => to)]),
    );
    assert.deepEqual(cycleIn(graph), undefined);
  });

  test('has no any', () => {
    assert.deepEqual(
      all.filter((file) => ANY.test(typesIn(read(file)))),
      [],
    );
  });

  test('names no private path of the machine it was written on', () => {
    const folders = ['work', 'root', 'home', 'Users'].join('|');
    const privatePath = new RegExp(`(?<![\\w.~/])/(?:${folders})/`);
    const texts = files(['**/*', '.*', '.ci/*', '.github/**/*']).filter((file) =>
      /(?:\.(?:[cm]?[jt]sx?|json|md|ya?ml|sql|txt|html|css|sh)|\/run)$/.test(file),
    );
    assert.ok(texts.includes('package.json'));
    assert.deepEqual(
      texts.filter((file) => privatePath.test(read(file))),
      [],
    );
  });

  const isSpecified = existsSync(join(ROOT, INVARIANTS));
  const skip = !isSpecified && `${INVARIANTS} is not written yet`;
  test('has a test that cites each invariant by its number', { skip }, () => {
    const invariants = [...read(INVARIANTS).matchAll(/^[-*|\s]*\*\*([A-Z]\d+)\b/gm)];
    assert.ok(invariants.length > 0, `found no line such as \`**G1** …\` in ${INVARIANTS}`);
    const tests = all
      .filter((file) => /\.test\.ts$|^test\//.test(file) && file !== 'test/tidy.test.ts')
      .map(read)
      .join('\n');
    const untested = invariants.flatMap(([, name = '']) =>
      new RegExp(`\\b${name}\\b`).test(tests) ? [] : [name],
    );
    assert.deepEqual(untested, []);
  });
});

describe('the checks above', () => {
  test('see each form of import', () => {
    const source = [
      `import { a } from './a.ts';`,
      `import type { B } from '../b.ts';`,
      `export { c } from './c.ts';`,
      `import 'node:d';`,
      `import {`,
      `  e,`,
      `} from './e.ts';`,
      `const f = await import('./f.ts');`,
    ].join('\n');
    assert.deepEqual(importsOf('src/gate/x.ts', source), [
      { to: 'src/gate/a.ts', isPackage: false, isType: false },
      { to: 'src/b.ts', isPackage: false, isType: true },
      { to: 'src/gate/c.ts', isPackage: false, isType: false },
      { to: 'node:d', isPackage: true, isType: false },
      { to: 'src/gate/e.ts', isPackage: false, isType: false },
      { to: 'src/gate/f.ts', isPackage: false, isType: false },
    ]);
  });

  test('refuse an import to the left, beside, out of src and of code where types are allowed', () => {
    const of = (from: string, to: string, isType = false): string =>
      trespass(from, { to, isPackage: !to.includes('.ts'), isType }) ?? 'fine';
    assert.match(of('src/model/plan.ts', 'src/gate.ts'), /`model` imports `src\/gate.ts`/);
    assert.match(of('src/store/a.ts', 'src/gate.ts', true), /`store` imports/);
    assert.match(of('src/policy/a.ts', 'src/ledger/b.ts'), /`policy` imports/);
    assert.match(of('src/gate.ts', 'test/tidy.test.ts'), /imports `test\/tidy.test.ts`/);
    assert.match(of('src/client/a.ts', 'src/model/plan.ts'), /more than types/);
    assert.match(of('src/client/a.ts', 'zod'), /more than types/);
    assert.match(of('src/elsewhere/a.ts', 'src/gate.ts'), /not a layer/);
    assert.equal(of('src/client/a.ts', 'src/model/plan.ts', true), 'fine');
    assert.equal(of('src/gate.ts', 'src/model/plan.ts'), 'fine');
    assert.equal(of('src/gate.ts', 'node:fs'), 'fine');
  });

  test('find a cycle and pass over a diamond', () => {
    const diamond = new Map([
      ['a', ['b', 'c']],
      ['b', ['d']],
      ['c', ['d']],
      ['d', []],
    ]);
    assert.equal(cycleIn(diamond), undefined);
    assert.deepEqual(cycleIn(new Map([...diamond, ['d', ['c']]])), ['d', 'c', 'd']);
  });

  test('find any in types and not in words, strings and names', () => {
    for (const text of ['let a: any;', 'f<any>();', 'type B = any[];', 'x as any;']) {
      assert.match(typesIn(text), ANY, text);
    }
    const inert = [
      `const any = 'any'; // any`,
      `interface C {\n  /** any */\n  any: 'any';\n  company: string;\n}`,
    ];
    for (const text of inert) assert.doesNotMatch(typesIn(text), ANY, text);
  });
});
