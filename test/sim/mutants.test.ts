// Every mutant still finds the lines that it changes: the slow suite, which plays them, comes later.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { MUTANTS } from './mutants.ts';

for (const { name, edits } of MUTANTS) {
  test(name, () => {
    for (const { file, find } of edits) {
      const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
      assert.equal(source.split(find).length - 1, 1, `${file} has it once: ${find}`);
    }
  });
}
