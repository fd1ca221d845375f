// `npm run conformance -- [--json]`: attacks a running gateway as AG-302 asks, tests 8.3 and 8.6.
import { parseArgs } from 'node:util';
import { inert } from '../src/lib/terminal.ts';
import type { CheckResult } from './check.ts';
import { runConformance } from './run.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});
const startedAt = performance.now();
const results = await runConformance({
  progress: (line) => {
    if (values.verbose) process.stderr.write(`conformance: ${inert(line)}\n`);
  },
  onResult: (result) => {
    process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : sentence(result));
  },
});
const open = results.filter(({ passed }) => !passed).length;
const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
process.stderr.write(
  `conformance: ${results.length - open} of ${results.length} checks passed in ${seconds} s\n`,
);
process.exitCode = open === 0 ? 0 : 1;

function sentence({ test, requirement, name, passed, figures, failure }: CheckResult): string {
  const told = Object.entries(figures).map(([figure, value]) => `${figure} ${value}`);
  const tail = told.length === 0 ? '' : `  (${told.join(', ')})`;
  const head = `${passed ? 'pass' : 'FAIL'}  AG-302 ${test} (${requirement})  ${name}${tail}\n`;
  if (failure === null) return head;
  const lines = failure.split('\n').slice(0, 12).map(inert);
  return `${head}${lines.map((each) => `      ${each}\n`).join('')}`;
}
