import type { Command } from 'commander';
import type { Examination } from '../main/onboard.ts';
import { Problem } from '../model/problem.ts';
import { configurationPath, withConfiguration, type ConfigurationOption } from './configuration.ts';
import { folderOf } from './connect.ts';
import { EXIT } from './exit.ts';
import { nextCommands } from './look.ts';
import { examinationLines, isShut } from './render-report.ts';
import { storeLines } from './render-store.ts';
import { print, withExample, withFolder, type FolderOptions, type Shell } from './shell.ts';
import { storeWish, withStore, type StoreOption } from './store-option.ts';

interface DoctorOptions extends FolderOptions, ConfigurationOption, StoreOption {}

/** `doctor`: the check that every start makes, with the report, and the store; needs no running gateway. */
export function addDoctor(program: Command, shell: Shell): void {
  const command = withConfiguration(
    program
      .command('doctor')
      .description(
        'look the store and the targets over: roles, rights, settings, tables; says how to put right what is wrong',
      )
      .argument('[target]', 'target of writegate.yaml; else all of them'),
  );
  withExample(
    withFolder(withStore(command)),
    'writegate doctor',
    'writegate doctor crm --json',
  ).action((target: string | undefined, options: DoctorOptions) => doctor(shell, target, options));
}

async function doctor(
  shell: Shell,
  name: string | undefined,
  options: DoctorOptions,
): Promise<void> {
  const { io } = shell;
  const { loadConfiguration } = await import('../main/configuration.ts');
  const configuration = await loadConfiguration(configurationPath(io, options));
  const { targets } = configuration;
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
  const { examineStore } = await import('../main/store-report.ts');
  const store = await examineStore(storeWish(io, options), configuration, folderOf(io, options));
  print(io, options, { store, targets: examined }, (look) => [
    ...storeLines(store, look, io.now()),
    ...(examined.length === 0 ? ['no target of writegate.yaml is a PostgreSQL'] : []),
    ...examined.flatMap((each) => examinationLines(each, look)),
    ...nextCommands(look, examined.some(isShut) ? ['writegate doctor'] : []),
  ]);
  if (store.problem !== null || examined.some(isShut)) shell.finish(EXIT.problem);
}
