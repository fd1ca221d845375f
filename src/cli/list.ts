import type { Command } from 'commander';
import { STATES, type State } from '../model/lifecycle.ts';
import { PAGE_MAX } from '../model/ports.ts';
import { connect, readProposalId } from './connect.ts';
import { listLines } from './render-result.ts';
import {
  print,
  UsageError,
  wholeNumber,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';

interface ListOptions extends ConnectionOptions {
  readonly state?: readonly string[];
  readonly limit: string;
  readonly before?: string;
}

/** `list`: an agent's own proposals; for a person, everybody's. */
export function addList(program: Command, shell: Shell): void {
  const command = program
    .command('list')
    .description('list proposals, newest first: an agent sees its own')
    .option('--state <state...>', 'only these states')
    .option('--limit <count>', `at most ${PAGE_MAX}`, '20')
    .option('--before <id>', 'those before this one');
  withExample(withConnection(command), 'writegate list --state waiting applied').action(
    (options: ListOptions) => list(shell, options),
  );
}

async function list({ io }: Shell, options: ListOptions): Promise<void> {
  const states = options.state?.map(readState);
  const limit = wholeNumber('--limit', options.limit, { min: 1, max: PAGE_MAX });
  const before = options.before === undefined ? undefined : readProposalId(options.before);
  const client = await connect(io, options, 'either');
  const page = await client.list({
    limit,
    ...(states !== undefined && { state: states }),
    ...(before !== undefined && { before }),
  });
  print(io, options, page, (look) => [
    ...(page.items.length === 0 ? ['no proposals'] : listLines(page.items, look, io.now())),
    ...(page.before === null ? [] : ['', `More: writegate list --before ${page.before}`]),
  ]);
}

function readState(text: string): State {
  const state = STATES.find((each) => each === text);
  if (state !== undefined) return state;
  throw new UsageError(`expected one of ${STATES.join(', ')} after \`--state\`, found \`${text}\``);
}
