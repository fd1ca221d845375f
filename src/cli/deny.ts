import type { Command } from 'commander';
import { Problem } from '../model/problem.ts';
import { connect, readProposalId } from './connect.ts';
import { EXIT, exitOf } from './exit.ts';
import { resultLines } from './render-result.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

interface DenyOptions extends ConnectionOptions {
  readonly reason: string;
}

/** `deny`: a person's no, with the reason that the agent reads. */
export function addDeny(program: Command, shell: Shell): void {
  const command = program
    .command('deny')
    .description('deny a proposal that waits')
    .argument('<id>', 'proposal')
    .requiredOption('--reason <text>', 'why; the agent reads it');
  withExample(
    withConnection(command),
    "writegate deny prop_01… --reason 'only the customers of region 4'",
  ).action((id: string, options: DenyOptions) => deny(shell, id, options));
}

async function deny({ io, finish }: Shell, text: string, options: DenyOptions): Promise<void> {
  const id = readProposalId(text);
  const client = await connect(io, options, 'person');
  const { planDigest, state } = await client.view(id);
  if (planDigest === null) {
    throw new Problem(
      'state-conflict',
      `expected a proposal that waits, found \`${id}\` ${state} with no plan`,
    );
  }
  const result = await client.approve(id, { planDigest, verdict: 'deny', reason: options.reason });
  print(io, options, result, (look) => resultLines(result, look, io.now()));
  // What was asked for happened.
  finish(result.state === 'denied' ? EXIT.done : exitOf(result.state));
}
