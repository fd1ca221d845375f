import type { Command } from 'commander';
import { connect, readProposalId } from './connect.ts';
import { exitOf } from './exit.ts';
import { resultLines } from './render-result.ts';
import { gatewayLines } from './render-store.ts';
import {
  print,
  UsageError,
  waitMsOf,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';
import { waitFor } from './wait.ts';

interface StatusOptions extends ConnectionOptions {
  readonly wait?: string | true;
}

/** `status`: where a proposal stands, as exit code too; without one how the gateway is. */
export function addStatus(program: Command, shell: Shell): void {
  const command = program
    .command('status')
    .description('say where a proposal stands; the exit code says it too')
    .argument(
      '[id]',
      'proposal; else the gateway itself: policy, store, gateways beside it, targets',
    )
    .option('--wait [seconds]', 'wait until it settles, an hour if no number is given');
  withExample(
    withConnection(command),
    'writegate status prop_01… --wait 60',
    'writegate status',
  ).action((id: string | undefined, options: StatusOptions) =>
    id === undefined ? gatewayStatus(shell, options) : status(shell, id, options),
  );
}

async function gatewayStatus({ io }: Shell, options: StatusOptions): Promise<void> {
  if (options.wait !== undefined) {
    throw new UsageError('expected a proposal id before `--wait`: only a proposal is waited for');
  }
  const client = await connect(io, options, 'either');
  const answer = await client.gatewayStatus();
  print(io, options, answer, (look) => gatewayLines(answer, look));
}

async function status({ io, finish }: Shell, text: string, options: StatusOptions): Promise<void> {
  const waitMs = waitMsOf(options.wait);
  const id = readProposalId(text);
  const client = await connect(io, options, 'either');
  const result = await waitFor(io, client, await client.status(id), waitMs);
  print(io, options, result, (look) => resultLines(result, look, io.now()));
  finish(exitOf(result.state));
}
