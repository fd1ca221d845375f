import type { Command } from 'commander';
import { connect } from './connect.ts';
import { draftOf, withDraft, type DraftOptions } from './draft.ts';
import { exitOf } from './exit.ts';
import { resultLines } from './render-result.ts';
import { print, waitMsOf, withConnection, withExample, type Shell } from './shell.ts';
import { waitFor } from './wait.ts';

interface ProposeOptions extends DraftOptions {
  readonly wait?: string | true;
}

/** `propose`: the write through the gate. */
export function addPropose(program: Command, shell: Shell): void {
  const command = withDraft(
    program
      .command('propose')
      .description('propose a write: it is measured, decided and, where allowed, applied'),
  ).option('--wait [seconds]', 'wait until it settles, an hour if no number is given');
  withExample(
    withConnection(command),
    "writegate propose --target crm --sql 'UPDATE customers SET email = $1 WHERE id = $2' \\",
    "  --param ada@example.org --param 17 --reason 'address corrected' --wait 600",
  ).action((options: ProposeOptions) => propose(shell, options));
}

async function propose({ io, finish }: Shell, options: ProposeOptions): Promise<void> {
  const waitMs = waitMsOf(options.wait);
  const draft = await draftOf(io, options);
  const client = await connect(io, options, 'agent');
  const result = await waitFor(io, client, await client.propose(draft), waitMs);
  print(io, options, result, (look) => resultLines(result, look, io.now()));
  finish(exitOf(result.state));
}
