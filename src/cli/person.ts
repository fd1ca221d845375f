import type { Command } from 'commander';
import { connect } from './connect.ts';
import { printCredential } from './credential.ts';
import { withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

/** `person add`: credentials of people, which no agent's can stand in for. */
export function addPerson(program: Command, shell: Shell): void {
  const person = program.command('person').description('make credentials of people');
  withExample(
    withConnection(
      person
        .command('add')
        .description('make a credential for a person of writegate.yaml; shows their token once')
        .argument('<name>', 'person'),
    ),
    'writegate person add ada',
  ).action((name: string, options: ConnectionOptions) => add(shell, name, options));
}

async function add({ io }: Shell, name: string, options: ConnectionOptions): Promise<void> {
  const client = await connect(io, options, 'person');
  const credential = await client.issueCredential({ kind: 'person', name });
  printCredential(io, options, credential);
}
