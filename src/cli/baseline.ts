import type { Command } from 'commander';
import type { BaselineView } from '../model/api.ts';
import { count, measureText } from '../policy/stages/sentences.ts';
import { connect } from './connect.ts';
import { field, heading, instant, type Look } from './look.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

/** `baseline`: what is usual for an agent, and above what a figure is not. */
export function addBaseline(program: Command, shell: Shell): void {
  const command = program
    .command('baseline')
    .description('show what is usual for an agent, and above what it is not')
    .argument('<agent>', 'name of the agent');
  withExample(withConnection(command), 'writegate baseline crm-bot').action(
    (agent: string, options: ConnectionOptions) => baseline(shell, agent, options),
  );
}

async function baseline({ io }: Shell, agent: string, options: ConnectionOptions): Promise<void> {
  const client = await connect(io, options, 'person');
  const page = await client.baselines(agent);
  print(io, options, page, (look) => [
    ...(page.items.length === 0 ? ['it has proposed nothing that is configured'] : []),
    ...page.items.flatMap((item) => baselineLines(item, look)),
  ]);
}

const NAMES: ReadonlyMap<string, string> = new Map([
  ['minute', 'per minute'],
  ['hour', 'per hour'],
  ['day', 'per day'],
  ['records', 'records'],
  ['recipients', 'recipients'],
  ['repeats', 'repeated'],
  ['nothings', 'to nothing'],
]);

/** Lays out what is usual for one operation. */
export function baselineLines(item: BaselineView, look: Look): readonly string[] {
  const { target, operation, applied, warmUp, sensitivity, since } = item;
  const learned =
    applied < warmUp
      ? `from ${count(applied, 'write')} of the ${warmUp} that make a baseline`
      : `from ${count(applied, 'write')} since ${instant(since)}`;
  return [
    ...heading(look, [[target], [operation], [`sensitivity ${sensitivity}`]]),
    ...field(look, 'learned', learned),
    ...item.figures.flatMap((figure) => figureLines(figure, look)),
    ...field(look, 'hours (UTC)', hoursText(item.hours)),
    ...field(look, 'writes to', resourcesText(item)),
  ];
}

function figureLines(figure: BaselineView['figures'][number], look: Look): readonly string[] {
  const { measure, low, high, unusualAbove } = figure;
  const text = (amount: number): string => measureText(measure, amount);
  const range = low === high ? text(high) : `${text(low)} to ${text(high)}`;
  const above = unusualAbove === null ? '' : `, unusual above ${text(unusualAbove)}`;
  return field(look, NAMES.get(measure) ?? measure, `${range}${above}`);
}

function resourcesText({ resources, isCrowded }: BaselineView): string {
  if (resources.length === 0) return 'nothing yet: none of it was applied';
  return isCrowded ? `${resources.join(', ')} and more` : resources.join(', ');
}

/** Runs of hours: `08 to 17, 22`. */
function hoursText(hours: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const hour of hours) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === hour - 1) run[1] = hour;
    else runs.push([hour, hour]);
  }
  const two = (hour: number): string => String(hour).padStart(2, '0');
  const texts = runs.map(([from, to]) => (from === to ? two(from) : `${two(from)} to ${two(to)}`));
  return texts.length === 0 ? 'not known yet' : texts.join(', ');
}
