import type { Command } from 'commander';
import type { Configuration } from '../model/policy.ts';
import { configurationPath } from './configuration.ts';
import { connect } from './connect.ts';
import { EXIT } from './exit.ts';
import { nextCommands } from './look.ts';
import { changeLines } from './render-changes.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

/** `policy diff`: what a file would change, by meaning and not by line. */
export function addPolicyDiff(policy: Command, shell: Shell): void {
  const command = policy
    .command('diff')
    .description(
      'say what a file would change of the policy in force, or of another file; 2 where it is weaker',
    )
    .argument('[file]', 'the new one; else ./writegate.yaml')
    .argument('[other]', 'then the first file is the old one, and this is the new one');
  withExample(
    withConnection(command),
    'writegate policy diff',
    'writegate policy diff before.yaml after.yaml',
  ).action((file: string | undefined, other: string | undefined, options: ConnectionOptions) =>
    diff(shell, [file, other], options),
  );
}

async function diff(
  shell: Shell,
  [first, second]: readonly [string | undefined, string | undefined],
  options: ConnectionOptions,
): Promise<void> {
  const { io, finish } = shell;
  const { loadConfiguration } = await import('../main/configuration.ts');
  const { changesOf } = await import('../policy/weakening.ts');
  const load = (file: string | undefined): Promise<Configuration> =>
    loadConfiguration(configurationPath(io, file === undefined ? {} : { config: file }));
  const isFiles = first !== undefined && second !== undefined;
  const after = await load(isFiles ? second : first);
  const before = isFiles ? await load(first) : await inForce(shell, first, options);
  const changes = changesOf(before, after);
  const weakens = changes.filter(({ effect }) => effect === 'weaker').length;
  const document = { before: before.policy.digest, after: after.policy.digest, weakens, changes };
  const name = first === undefined ? '' : ` ${first}`;
  print(io, options, document, (look) => [
    ...changeLines(changes, look),
    ...(isFiles || changes.length === 0
      ? []
      : nextCommands(look, [`writegate policy apply${name}`])),
  ]);
  finish(weakens > 0 ? EXIT.waiting : EXIT.done);
}

/** What the gateway has in force, read as if it were the file. */
async function inForce(
  { io }: Shell,
  file: string | undefined,
  options: ConnectionOptions,
): Promise<Configuration> {
  const { configurationFrom } = await import('../main/configuration.ts');
  const client = await connect(io, options, 'person');
  const { text } = await client.policy();
  return configurationFrom(text, configurationPath(io, file === undefined ? {} : { config: file }));
}
