import type { Command } from 'commander';
import { GatewayProblem } from '../client/problem.ts';
import type { FreezeScope } from '../model/freeze.ts';
import { Problem } from '../model/problem.ts';
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
  readonly tenant?: true;
  readonly agent?: string;
  readonly target?: string;
  readonly run?: string;
  readonly reason: string;
}

/** `stop`: no new effects, for everything, for the tenant, or for one agent, target or run. */
export function addStop(program: Command, shell: Shell): void {
  const command = program
    .command('stop')
    .description('stop all writes at once, or those of the tenant, of one agent, target or run')
    .option('--tenant', 'only your tenant; without an option, every tenant of the store')
    .option('--agent <name>', 'only this agent')
    .option('--target <name>', 'only this target')
    .option('--run <id>', 'only this run')
    .requiredOption('--reason <text>', 'why (required); goes into the ledger');
  withExample(
    withConnection(command),
    "writegate stop --reason 'wrong addresses in the CRM'",
    "writegate stop --tenant --reason 'audit'",
    "writegate stop --agent crm-bot --reason 'it repeats itself'",
  ).action((options: StopOptions) => stop(shell, options));
}

async function stop({ io }: Shell, options: StopOptions): Promise<void> {
  const scope = scopeOf(options);
  const freeze = await connect(io, options, 'person')
    .then((client) => client.stop(scope, options.reason))
    .catch((error: unknown) => {
      throw withOtherWay(error);
    });
  print(io, options, freeze, (look) => [
    ...freezeLines([freeze], look),
    ...nextCommands(look, [`writegate resume ${freeze.id} --reason '…'`]),
  ]);
}

/** Where no gateway answers there is a switch that needs none. */
function withOtherWay(error: unknown): unknown {
  const isAway =
    (error instanceof Problem || error instanceof GatewayProblem) &&
    error.code === 'gateway-unreachable';
  if (!isAway) return error;
  return new Problem(
    'gateway-unreachable',
    `${error.message}\nnothing was stopped; to stop without it, write \`writes: { enabled: false }\` into its \`writegate.yaml\`: a running gateway obeys within a second, one that is down when it starts`,
    { cause: error },
  );
}

function scopeOf({ tenant, agent, target, run }: StopOptions): FreezeScope {
  const scopes = [
    { kind: 'agent', name: agent },
    { kind: 'target', name: target },
    { kind: 'run', name: run },
  ] as const;
  const given = scopes.filter((scope) => scope.name !== undefined);
  const [only] = given;
  if (only?.name === undefined) return { kind: tenant === true ? 'tenant' : 'all' };
  if (given.length === 1 && tenant !== true) return { kind: only.kind, name: only.name };
  throw new UsageError(
    'expected one of --tenant, --agent, --target and --run, or none to stop everything',
  );
}
