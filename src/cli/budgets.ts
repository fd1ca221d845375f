import type { Command } from 'commander';
import type { BudgetView } from '../model/api.ts';
import { measureText } from '../policy/stages/sentences.ts';
import { connect } from './connect.ts';
import { field, heading, instant, span, type Look } from './look.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

/** `budgets`: what is used, under way and left, and when it frees up. */
export function addBudgets(program: Command, shell: Shell): void {
  const command = program
    .command('budgets')
    .description('show what each budget has spent, in flight and left, and when it frees up')
    .argument('[agent]', 'only the budgets of this agent');
  withExample(withConnection(command), 'writegate budgets crm-bot').action(
    (agent: string | undefined, options: ConnectionOptions) => budgets(shell, agent, options),
  );
}

async function budgets(
  { io }: Shell,
  agent: string | undefined,
  options: ConnectionOptions,
): Promise<void> {
  const client = await connect(io, options, 'either');
  const page = await client.budgets(agent === undefined ? {} : { agent });
  print(io, options, page, (look) => [
    ...(page.items.length === 0 ? ['no budget has anything in use'] : []),
    ...page.items.flatMap((item) => budgetLines(item, look, io.now())),
    ...(page.isCut ? ['there are more than are shown; name an agent'] : []),
  ]);
}

/** Lays out one budget: what it is of, then its figures. */
export function budgetLines(item: BudgetView, look: Look, now: number): readonly string[] {
  const text = (figure: number): string => measureText(item.measure, figure);
  const left = item.left === 0 ? look.paint.red : look.paint.green;
  return [
    ...heading(look, [[item.budget], [item.scope], [`${text(item.left)} left`, left]]),
    ...field(look, 'at most', `${text(item.max)} ${item.measure} per ${item.window}`),
    ...field(look, 'spent', text(item.spent)),
    ...field(look, 'in flight', text(item.inFlight)),
    ...(item.freesAt === null
      ? []
      : field(
          look,
          'frees up',
          `from ${instant(item.freesAt)} on, in ${span(Math.max(item.freesAt - now, 0))}`,
        )),
  ];
}
