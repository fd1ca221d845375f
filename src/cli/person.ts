import type { Command } from 'commander';
import { configurationPath } from './configuration.ts';
import { connect } from './connect.ts';
import { addRevoke, printCredential } from './credential.ts';
import { listHolders, withHolders, type HolderListOptions } from './holders.ts';
import { withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

/** `person add | list | revoke`: credentials of people, which no agent's can stand in for. */
export function addPerson(program: Command, shell: Shell): void {
  const person = program.command('person').description('make and revoke credentials of people');
  withExample(
    withConnection(
      person
        .command('add')
        .description('make a credential for a person of writegate.yaml; shows their token once')
        .argument('<name>', 'person'),
    ),
    'writegate person add ada',
  ).action((name: string, options: ConnectionOptions) => add(shell, name, options));
  withExample(
    withHolders(
      person
        .command('list')
        .description('list the people of writegate.yaml with the ids of their credentials'),
    ),
    'writegate person list',
  ).action((options: HolderListOptions) => list(shell, options));
  addRevoke(person, shell);
}

async function add({ io }: Shell, name: string, options: ConnectionOptions): Promise<void> {
  const client = await connect(io, options, 'person');
  const credential = await client.issueCredential({ kind: 'person', name });
  printCredential(io, options, credential);
}

async function list({ io }: Shell, options: HolderListOptions): Promise<void> {
  const { loadConfiguration } = await import('../main/configuration.ts');
  const { policy } = await loadConfiguration(configurationPath(io, options));
  const named = [...policy.people.values()].map(({ name, roles, groups }) => ({
    item: { name, roles, groups },
    description: [roles.length === 0 ? 'no role' : roles.join(', '), ...groups].join('; '),
  }));
  await listHolders(io, options, 'person', named);
}
