import type { Command } from 'commander';
import { PAGE_MAX } from '../model/ports.ts';
import { connect, readProposalId } from './connect.ts';
import { nextCommands } from './look.ts';
import { listLines, waitingSentence } from './render-result.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

interface InboxOptions extends ConnectionOptions {
  readonly before?: string;
}

/** `inbox`: what waits for a decision. */
export function addInbox(program: Command, shell: Shell): void {
  const command = program
    .command('inbox')
    .description('list what waits for a decision, newest first')
    .option('--before <id>', 'those before this one');
  withExample(withConnection(command), 'writegate inbox').action((options: InboxOptions) =>
    inbox(shell, options),
  );
}

async function inbox({ io }: Shell, options: InboxOptions): Promise<void> {
  const before = options.before === undefined ? undefined : readProposalId(options.before);
  const client = await connect(io, options, 'person');
  const page = await client.list({
    state: ['waiting'],
    limit: PAGE_MAX,
    ...(before !== undefined && { before }),
  });
  print(io, options, page, (look) => {
    const newest = page.items[0];
    return [
      waitingSentence(page.items.length, page.before !== null),
      ...listLines(page.items, look, io.now()),
      ...(page.before === null ? [] : ['', `More: writegate inbox --before ${page.before}`]),
      ...nextCommands(look, newest === undefined ? [] : [`writegate show ${newest.id}`]),
    ];
  });
}
