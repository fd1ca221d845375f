import type { Command } from 'commander';
import type { Examination } from '../main/onboard.ts';
import { Problem } from '../model/problem.ts';
import { configurationPath, withConfiguration, type ConfigurationOption } from './configuration.ts';
import { EXIT } from './exit.ts';
import { nextCommands } from './look.ts';
import { examinationLines, isShut } from './render-report.ts';
import { print, withExample, withJson, type JsonOption, type Shell } from './shell.ts';

interface DoctorOptions extends JsonOption, ConfigurationOption {}

/** `doctor`: the check that every start makes, with the report; needs no running gateway. */
export function addDoctor(program: Command, shell: Shell): void {
  const command = withConfiguration(
    program
      .command('doctor')
      .description(
        'look a target over: roles, rights, settings, tables; says how to put right what is wrong',
      )
      .argument('[target]', 'target of writegate.yaml; else all of them'),
  );
  withExample(withJson(command), 'writegate doctor', 'writegate doctor crm --json').action(
    (target: string | undefined, options: DoctorOptions) => doctor(shell, target, options),
  );
}

async function doctor(
  shell: Shell,
  name: string | undefined,
  options: DoctorOptions,
): Promise<void> {
  const { io } = shell;
  const { loadConfiguration } = await import('../main/configuration.ts');
  const { targets } = await loadConfiguration(configurationPath(io, options));
  const wanted = targets.filter((each) => name === undefined || each.name === name);
  if (name !== undefined && wanted.length === 0) {
    const known = targets.map((each) => `\`${each.name}\``).join(', ') || 'none';
    throw new Problem(
      'configuration-invalid',
      `writegate.yaml has no target \`${name}\`; it has ${known}`,
    );
  }
  const { examineTarget } = await import('../main/onboard.ts');
  const examined: Examination[] = [];
  for (const { name: target, kind, settings } of wanted) {
    if (kind !== 'postgres') continue;
    examined.push(await examineTarget(target, settings, (variable) => io.env[variable]));
  }
  print(io, options, { targets: examined }, (look) => [
    ...(examined.length === 0 ? ['no target of writegate.yaml is a PostgreSQL'] : []),
    ...examined.flatMap((each) => examinationLines(each, look)),
    ...nextCommands(look, examined.some(isShut) ? ['writegate doctor'] : []),
  ]);
  if (examined.some(isShut)) shell.finish(EXIT.problem);
}
