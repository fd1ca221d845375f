/** How a new credential is shown: once, and with the line that a shell takes. */
import type { CredentialView } from '../model/api.ts';
import type { Io } from './io.ts';
import { field } from './look.ts';
import { print, type JsonOption } from './shell.ts';

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
    `Revoke it with: writegate agent revoke ${id}`,
  ]);
}
