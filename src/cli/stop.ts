import type { Command } from 'commander';
import type { FreezeScope } from '../model/freeze.ts';
import { connect } from './connect.ts';
import { nextCommands } from './look.ts';
import { freezeLines } from './render-result.ts';
import {
  print,
  UsageError,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';

interface StopOptions extends ConnectionOptions {
  readonly agent?: string;
  readonly target?: string;
  readonly run?: string;
  readonly reason: string;
}

/** `stop`: no new effects, for everything or for one agent, target or run. */
export function addStop(program: Command, shell: Shell): void {
  const command = program
    .command('stop')
    .description('stop all writes at once, or those of one agent, target or run')
    .option('--agent <name>', 'only this agent')
    .option('--target <name>', 'only this target')
    .option('--run <id>', 'only this run')
    .requiredOption('--reason <text>', 'why; goes into the ledger');
  withExample(
    withConnection(command),
    "writegate stop --reason 'wrong addresses in the CRM'",
    "writegate stop --agent crm-bot --reason 'it repeats itself'",
  ).action((options: StopOptions) => stop(shell, options));
}

async function stop({ io }: Shell, options: StopOptions): Promise<void> {
  const scope = scopeOf(options);
  const client = await connect(io, options, 'person');
  const freeze = await client.stop(scope, options.reason);
  print(io, options, freeze, (look) => [
    ...freezeLines([freeze], look),
    ...nextCommands(look, [`writegate resume ${freeze.id} --reason '…'`]),
  ]);
}

function scopeOf({ agent, target, run }: StopOptions): FreezeScope {
  const scopes = [
    { kind: 'agent', name: agent },
    { kind: 'target', name: target },
    { kind: 'run', name: run },
  ] as const;
  const given = scopes.filter((scope) => scope.name !== undefined);
  const [only] = given;
  if (only?.name === undefined) return { kind: 'all' };
  if (given.length === 1) return { kind: only.kind, name: only.name };
  throw new UsageError('expected one of --agent, --target and --run, or none to stop everything');
}
