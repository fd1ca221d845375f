import type { Command } from 'commander';
import { createClient } from '../client/client.ts';
import { VERSION } from '../main/version.ts';
import { connectionOf } from './connect.ts';
import type { Io } from './io.ts';
import {
  remark,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';

/** `mcp`: MCP over standard input and output, for clients that start their servers themselves. */
export function addMcp(program: Command, shell: Shell): void {
  const command = program
    .command('mcp')
    .description('serve MCP over standard input and output, with the token of one agent');
  withExample(
    withConnection(command),
    'WRITEGATE_TOKEN=wga_… writegate mcp --url http://127.0.0.1:7878',
  ).action((options: ConnectionOptions) => mcp(shell, options));
}

async function mcp({ io }: Shell, options: ConnectionOptions): Promise<void> {
  const { url, token } = await connectionOf(io, options, 'agent');
  const signals = io.signals();
  const { serveMcpStdio } = await import('../server/mcp.ts');
  const served = serveMcpStdio(createClient({ url, token: token.reveal() }), {
    version: VERSION,
    // Standard output belongs to the protocol.
    log: (line) => remark(io, line),
    ended: signals.stop,
  });
  try {
    await untilClosed(io, signals.stop);
    await served.close();
  } finally {
    signals.release();
  }
}

/** Resolves when the client closes standard input, or when the process is asked to stop. */
function untilClosed(io: Io, stop: AbortSignal): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    stop.addEventListener('abort', () => resolve(), { once: true });
  });
  return Promise.race([io.inputEnd(), stopped]);
}
