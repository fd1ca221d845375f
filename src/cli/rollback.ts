import type { Command } from 'commander';
import { connect, readProposalId } from './connect.ts';
import { exitOf } from './exit.ts';
import { paragraph } from './look.ts';
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

interface RollbackOptions extends ConnectionOptions {
  readonly wait?: string | true;
}

/** `rollback`: proposes the inverse of an applied proposal, through the same door. */
export function addRollback(program: Command, shell: Shell): void {
  const command = program
    .command('rollback')
    .description(
      'take an applied write back: proposes its inverse, which is decided like any write',
    )
    .argument('<id>', 'applied proposal')
    .option('--wait [seconds]', 'wait until it settles, an hour if no number is given');
  withExample(withConnection(command), 'writegate rollback prop_01…').action(
    (id: string, options: RollbackOptions) => rollback(shell, id, options),
  );
}

async function rollback(
  { io, finish }: Shell,
  text: string,
  options: RollbackOptions,
): Promise<void> {
  const waitMs = waitMsOf(options.wait);
  const id = readProposalId(text);
  const client = await connect(io, options, 'either');
  const result = await waitFor(io, client, await client.rollback(id), waitMs);
  print(io, options, result, (look) => [
    ...paragraph(look, `takes back ${id}`),
    ...resultLines(result, look, io.now()),
  ]);
  finish(exitOf(result.state));
}
