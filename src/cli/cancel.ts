import type { Command } from 'commander';
import { connect, readProposalId } from './connect.ts';
import { EXIT, exitOf } from './exit.ts';
import { resultLines } from './render-result.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

/** `cancel`: takes a proposal back before it was applied. */
export function addCancel(program: Command, shell: Shell): void {
  const command = program
    .command('cancel')
    .description('withdraw a proposal that was not applied')
    .argument('<id>', 'proposal');
  withExample(withConnection(command), 'writegate cancel prop_01…').action(
    (id: string, options: ConnectionOptions) => cancel(shell, id, options),
  );
}

async function cancel(
  { io, finish }: Shell,
  text: string,
  options: ConnectionOptions,
): Promise<void> {
  const id = readProposalId(text);
  const client = await connect(io, options, 'either');
  const result = await client.cancel(id);
  print(io, options, result, (look) => resultLines(result, look, io.now()));
  // What was asked for happened.
  finish(result.state === 'cancelled' ? EXIT.done : exitOf(result.state));
}
