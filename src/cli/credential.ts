/** How a new credential is shown, once, with the line that a shell takes; and how one is revoked. */
import type { Command } from 'commander';
import type { CredentialView } from '../model/api.ts';
import { credentialId } from '../model/ids.ts';
import { connect } from './connect.ts';
import type { Io } from './io.ts';
import { field } from './look.ts';
import {
  print,
  UsageError,
  withConnection,
  withExample,
  type ConnectionOptions,
  type JsonOption,
  type Shell,
} from './shell.ts';

/** Prints a new credential. The token stands on a line of its own, to be copied whole. */
export function printCredential(io: Io, options: JsonOption, credential: CredentialView): void {
  const { id, holder, secret } = credential;
  print(io, options, credential, (look) => [
    ...field(look, holder.kind, holder.name),
    ...field(look, 'credential', id),
    ...(holder.roles.length === 0 ? [] : field(look, 'roles', holder.roles.join(', '))),
    '',
    'This token is shown once; the gateway keeps only its digest:',
    `export WRITEGATE_TOKEN=${secret}`,
    '',
    `Revoke it with: writegate ${holder.kind} revoke ${id}`,
  ]);
}

/** Adds `revoke` to a group: the id says whose credential it is, so that either group takes any. */
export function addRevoke(group: Command, shell: Shell): void {
  withExample(
    withConnection(
      group
        .command('revoke')
        .description('revoke a credential of an agent or a person, at once and for good')
        .argument('<credential>', 'id that `add` printed'),
    ),
    `writegate ${group.name()} revoke cred_01…`,
  ).action((id: string, options: ConnectionOptions) => revoke(shell, id, options));
}

async function revoke({ io }: Shell, text: string, options: ConnectionOptions): Promise<void> {
  const id = credentialId(text);
  if (id === undefined) {
    throw new UsageError(`expected a credential id like \`cred_01…\`, found \`${text}\``);
  }
  const client = await connect(io, options, 'person');
  await client.revokeCredential(id);
  print(io, options, { id, revoked: true }, () => [`${id} is revoked`]);
}
