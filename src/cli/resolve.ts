import type { Command } from 'commander';
import type { ResolutionBody } from '../model/api.ts';
import { connect, readProposalId } from './connect.ts';
import { EXIT, exitOf } from './exit.ts';
import { resultLines } from './render-result.ts';
import {
  print,
  UsageError,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';

interface ResolveOptions extends ConnectionOptions {
  readonly outcome: string;
  readonly reason: string;
}

/** `resolve`: says how a proposal in doubt ended, as an operator who looked. */
export function addResolve(program: Command, shell: Shell): void {
  const command = program
    .command('resolve')
    .description('say how a proposal in doubt ended, after looking at its targets')
    .argument('<id>', 'proposal')
    .requiredOption(
      '--outcome <outcome>',
      '`applied`: all of it is there; `refused`: none of it is',
    )
    .requiredOption('--reason <text>', 'what was looked at and put right; on record');
  withExample(
    withConnection(command),
    "writegate resolve prop_01… --outcome refused --reason 'deleted the invoice by hand'",
  ).action((id: string, options: ResolveOptions) => resolve(shell, id, options));
}

async function resolve(
  { io, finish }: Shell,
  text: string,
  options: ResolveOptions,
): Promise<void> {
  const id = readProposalId(text);
  const resolution = { outcome: outcomeOf(options.outcome), reason: options.reason };
  const client = await connect(io, options, 'person');
  const result = await client.resolve(id, resolution);
  print(io, options, result, (look) => resultLines(result, look, io.now()));
  // What was asked for happened.
  finish(result.state === resolution.outcome ? EXIT.done : exitOf(result.state));
}

function outcomeOf(text: string): ResolutionBody['outcome'] {
  if (text === 'applied' || text === 'refused') return text;
  throw new UsageError(
    `expected \`applied\` or \`refused\` after \`--outcome\`, found \`${text}\``,
  );
}
