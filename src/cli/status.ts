import type { Command } from 'commander';
import { connect, readProposalId } from './connect.ts';
import { exitOf } from './exit.ts';
import { resultLines } from './render-result.ts';
import {
  print,
  waitMsOf,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';
import { waitFor } from './wait.ts';

interface StatusOptions extends ConnectionOptions {
  readonly wait?: string | true;
}

/** `status`: where a proposal stands, as exit code too. */
export function addStatus(program: Command, shell: Shell): void {
  const command = program
    .command('status')
    .description('say where a proposal stands; the exit code says it too')
    .argument('<id>', 'proposal')
    .option('--wait [seconds]', 'wait until it settles, an hour if no number is given');
  withExample(withConnection(command), 'writegate status prop_01… --wait 60').action(
    (id: string, options: StatusOptions) => status(shell, id, options),
  );
}

async function status({ io, finish }: Shell, text: string, options: StatusOptions): Promise<void> {
  const waitMs = waitMsOf(options.wait);
  const id = readProposalId(text);
  const client = await connect(io, options, 'either');
  const result = await waitFor(io, client, await client.status(id), waitMs);
  print(io, options, result, (look) => resultLines(result, look, io.now()));
  finish(exitOf(result.state));
}
