import type { Command } from 'commander';
import type { TraceLine } from '../model/trace.ts';
import { connect } from './connect.ts';
import { field, heading, instant, nextCommands, whole, type Look } from './look.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

/** `trace`: what a run did, step by step. */
export function addTrace(program: Command, shell: Shell): void {
  const command = program
    .command('trace')
    .description('show what was proposed under a run, step by step, and where it stopped')
    .argument('<run>', 'the run, as the agent named it');
  withExample(withConnection(command), 'writegate trace run_9f2d').action(
    (run: string, options: ConnectionOptions) => trace(shell, run, options),
  );
}

async function trace({ io }: Shell, run: string, options: ConnectionOptions): Promise<void> {
  const client = await connect(io, options, 'either');
  const page = await client.trace(run);
  print(io, options, page, (look) => {
    const last = page.items.at(-1);
    return [
      ...(page.items.length === 0 ? [`nothing was proposed under this run`] : []),
      ...page.items.flatMap((line) => traceLines(line, look)),
      ...(page.left > 0 ? ['', `${page.left} older proposals of the run are not shown`] : []),
      ...nextCommands(look, last === undefined ? [] : [`writegate show ${last.proposal}`]),
    ];
  });
}

/** One line of the trace, and below it what it was about. */
export function traceLines(line: TraceLine, look: Look): readonly string[] {
  const { paint } = look;
  const head = (word: string, colour: (text: string) => string): readonly string[] =>
    heading(look, [[`${line.step}.`], [word, colour], [line.tool], [instant(line.at), paint.dim]]);
  switch (line.event) {
    case 'tool_call':
      return [
        ...head(`proposed: ${line.decision}`, paint.bold),
        ...field(look, 'code', `${line.code}, by ${line.rule}`),
        ...whole(look, 'arguments', line.args_hash),
        ...whole(look, 'proposal', line.proposal),
      ];
    case 'approval':
      return head(`${line.verdict} by ${line.approver}`, paint.bold);
    case 'effect':
      return head('applied', paint.green);
    case 'stop':
      return [...head(line.reason, paint.yellow), ...field(look, 'code', line.code)];
    case 'compensated':
      return [...head('taken back', paint.yellow), ...whole(look, 'by', line.by)];
  }
}
