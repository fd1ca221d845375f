import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../src/cli/main.ts';
import { dependentsLines } from '../../src/cli/render-dependents.ts';
import { columnsOf, palette } from '../../src/lib/terminal.ts';
import { DEPENDENTS } from '../support/fake-gate.ts';
import { captureIo } from './fixture.ts';

async function cli(line: readonly string[]) {
  const io = captureIo({});
  const code = await run(line, io);
  return { code, stdout: io.out(), stderr: io.err() };
}

test('what depends on a resource is two trees that fit a phone', () => {
  const lines = dependentsLines(DEPENDENTS, { columns: 100, paint: palette(false) });
  assert.deepEqual(lines.slice(0, 11), [
    'public.invoices on crm',
    '',
    'In the target:',
    '  ├ foreign key lines_invoice_fkey, on delete cascade → public.lines',
    '  │ └ view public.open_lines',
    '  └ trigger audit, runs public.note',
    '',
    'By the policy (dependents):',
    '  ├ invoice-api  high, serves them',
    '  │ └ web-shop  critical',
    '  └ reports  medium',
  ]);
  const hostile = { ...DEPENDENTS, resource: 'a\u001b[2J\nb' };
  for (const columns of [40, 44, 100]) {
    for (const line of dependentsLines(hostile, { columns, paint: palette(false) })) {
      assert.ok(columnsOf(line.trimEnd()) <= columns, line);
      assert.ok(!line.includes('\n') && !line.includes('\u001b'), line);
    }
  }
});

test('a catalogue comes out as lines for the policy, and what was left out is said', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'writegate-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'catalog-info.yaml');
  await writeFile(
    path,
    'kind: Component\nmetadata: {name: shop}\nspec: {dependsOn: ["resource:db"]}\n---\nkind: Resource\nmetadata: {name: db}\n',
  );
  const mapped = await cli(['dependents', '--backstage', path, '--map', 'db=crm/public.*']);
  assert.equal(mapped.code, 0);
  assert.equal(
    mapped.stdout,
    'dependents:\n  - name: shop\n    target: crm\n    resource:\n      - public.*\n    criticality: medium\n    how: component\n',
  );
  const unmapped = await cli(['dependents', '--backstage', path, '--json']);
  assert.match(unmapped.stdout, /"dependents":\[\]/);
  assert.match(unmapped.stderr, /note: no entity says which resource it stands for/);
  const missing = await cli(['dependents', '--backstage', join(folder, 'none.yaml')]);
  assert.equal(missing.code, 64);
  assert.match(missing.stderr, /expected a catalogue file at/);
});

test('a resource, or a catalogue, and not both or neither', async () => {
  for (const args of [
    ['dependents'],
    ['dependents', 'public.a', '--backstage', 'x.yaml'],
    ['dependents', 'public.a', '--map', 'a=b/c'],
    ['dependents', '--backstage', 'x.yaml', '--map', 'nonsense'],
  ]) {
    assert.equal((await cli(args)).code, 64, args.join(' '));
  }
});
