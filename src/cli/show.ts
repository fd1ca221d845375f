import type { Command } from 'commander';
import { connect, readProposalId } from './connect.ts';
import { planLines } from './render-plan.ts';
import type { RowsShown } from './render-rows.ts';
import {
  print,
  UsageError,
  wholeNumber,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';

interface ShowOptions extends ConnectionOptions {
  readonly all?: true;
  readonly page?: string;
}

/** `show`: the plan, as a person reads it before deciding. */
export function addShow(program: Command, shell: Shell): void {
  const command = program
    .command('show')
    .description('show a proposal: measured effect, why it was held, every row, its digest')
    .argument('<id>', 'proposal')
    .option('--all', 'every row that the plan itself holds; `rows` has all of them')
    .option('--page <number>', 'one page of rows');
  withExample(withConnection(command), 'writegate show prop_01… --all').action(
    (id: string, options: ShowOptions) => show(shell, id, options),
  );
}

async function show({ io }: Shell, text: string, options: ShowOptions): Promise<void> {
  const id = readProposalId(text);
  const rows = rowsShown(options);
  const client = await connect(io, options, 'either');
  const view = await client.view(id);
  print(io, options, view, (look) => planLines(view, look, { now: io.now(), rows }));
}

function rowsShown(options: ShowOptions): RowsShown {
  if (options.all === true && options.page !== undefined) {
    throw new UsageError('expected --all or --page, found both');
  }
  if (options.all === true) return { kind: 'all' };
  const page = wholeNumber('--page', options.page ?? '1', { min: 1, max: 10_000 });
  return { kind: 'page', page };
}
