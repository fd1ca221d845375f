import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { CasesReport } from '../gate/cases.ts';
import { readText } from '../main/folder.ts';
import { Problem } from '../model/problem.ts';
import { configurationPath, withConfiguration, type ConfigurationOption } from './configuration.ts';
import { EXIT } from './exit.ts';
import { casesLines } from './render-cases.ts';
import { print, withExample, withJson, type JsonOption, type Shell } from './shell.ts';

interface TestOptions extends JsonOption, ConfigurationOption {
  readonly everyLine?: true;
}

/** The file that `init` writes beside `writegate.yaml`. */
export const CASES_FILE = 'writegate.tests.yaml';

/** `policy test`: cases decided by the file as it is; needs no gateway. */
export function addPolicyTest(group: Command, shell: Shell): void {
  const command = withConfiguration(
    group
      .command('test')
      .description('decide the cases of a file, and say which lines of the policy none reached')
      .argument('[fixtures]', `file of cases; else ${CASES_FILE} beside the configuration`),
  ).option('--every-line', 'end in 1 too where a line of the policy spoke in no case');
  withExample(
    withJson(command),
    'writegate policy test',
    'writegate policy test cases/billing.yaml --every-line --json',
  ).action((file: string | undefined, options: TestOptions) => test(shell, file, options));
}

async function test(
  { io, finish }: Shell,
  file: string | undefined,
  options: TestOptions,
): Promise<void> {
  const path = configurationPath(io, options);
  const cases = file === undefined ? join(dirname(path), CASES_FILE) : resolve(io.cwd, file);
  const report = await run(path, cases);
  print(io, options, report, (look) => casesLines(report, look));
  const isSilent = options.everyLine === true && report.coverage.silent.length > 0;
  if (report.failed > 0 || isSilent) finish(EXIT.problem);
}

async function run(configuration: string, file: string): Promise<CasesReport> {
  const { loadConfiguration } = await import('../main/configuration.ts');
  const loaded = await loadConfiguration(configuration);
  const text = await readText(file, 'configuration-invalid');
  if (text === undefined) {
    throw new Problem(
      'configuration-missing',
      `there is no \`${file}\`; write cases there, as docs/guide/operator.md shows, or name another file`,
    );
  }
  const { parseCases } = await import('../policy/cases/cases.ts');
  const { decideCases } = await import('../gate/cases.ts');
  return decideCases(loaded, parseCases(text, file, loaded));
}
