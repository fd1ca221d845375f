import type { Command } from 'commander';
import { connect } from './connect.ts';
import { EXIT } from './exit.ts';
import { readLines } from './render-read.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';

interface ReadOptions extends ConnectionOptions {
  readonly param?: readonly string[];
  readonly run?: string;
}

/** `read`: an agent's question to a target. */
export function addRead(program: Command, shell: Shell): void {
  const collect = (value: string, earlier: readonly string[] | undefined): readonly string[] => [
    ...(earlier ?? []),
    value,
  ];
  const command = program
    .command('read')
    .description('read from a target: one SELECT, in a read-only transaction, logged')
    .argument('<target>', 'target of writegate.yaml')
    .argument('<statement>', 'one SELECT')
    .option('--param <value>', 'value for $1, then $2, …; as text (may be repeated)', collect)
    .option('--run <id>', "the agent's run");
  withExample(
    withConnection(command),
    "writegate read crm 'SELECT id, email FROM customers WHERE id = $1' --param 17",
  ).action((target: string, statement: string, options: ReadOptions) =>
    read(shell, target, statement, options),
  );
}

async function read(
  { io, finish }: Shell,
  target: string,
  statement: string,
  options: ReadOptions,
): Promise<void> {
  const { param, run } = options;
  const client = await connect(io, options, 'agent');
  const result = await client.read({
    target,
    arguments: { statement, ...(param !== undefined && { parameters: param }) },
    ...(run !== undefined && { run }),
  });
  print(io, options, result, (look) => readLines(result, statement, look));
  finish(result.state === 'read' ? EXIT.done : EXIT.refused);
}
