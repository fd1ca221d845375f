// `npm run conformance -- [--json] [SUITE ...]`: attacks running gateways as AG-302 asks.
import { parseArgs } from 'node:util';
import { inert } from '../src/lib/terminal.ts';
import type { CheckResult } from './check.ts';
import { runConformance, type Suite } from './run.ts';
import { tableOf, tableText } from './table.ts';

const SUITES: readonly Suite[] = ['scope', 'evidence'];

const { values, positionals } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const unknown = positionals.find((name) => !SUITES.some((suite) => suite === name));
if (unknown !== undefined) {
  process.stderr.write(`expected \`${SUITES.join('` or `')}\`, found \`${inert(unknown)}\`\n`);
  process.exit(64);
}
const wanted = SUITES.filter((suite) => positionals.length === 0 || positionals.includes(suite));
const startedAt = performance.now();
const results = await runConformance(wanted, {
  progress: (line) => {
    if (values.verbose) process.stderr.write(`conformance: ${inert(line)}\n`);
  },
  onResult: (result) => {
    process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : sentence(result));
  },
});
const table = tableOf(results);
process.stdout.write(values.json ? `${JSON.stringify({ table })}\n` : `\n${tableText(table)}\n`);
const open = results.filter(({ passed }) => !passed).length;
const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
process.stderr.write(
  `conformance: ${results.length - open} of ${results.length} checks passed in ${seconds} s\n`,
);
process.exitCode = open === 0 ? 0 : 1;

function sentence({ test, requirement, name, passed, figures, failure }: CheckResult): string {
  const told = Object.entries(figures).map(([figure, value]) => `${figure} ${value}`);
  const tail = told.length === 0 ? '' : `  (${told.join(', ')})`;
  const numbers = test === null ? requirement : `${test} (${requirement})`;
  const head = `${passed ? 'pass' : 'FAIL'}  AG-302 ${numbers}  ${name}${tail}\n`;
  if (failure === null) return head;
  const lines = failure.split('\n').slice(0, 12).map(inert);
  return `${head}${lines.map((each) => `      ${each}\n`).join('')}`;
}
