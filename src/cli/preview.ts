import type { Command } from 'commander';
import { connect } from './connect.ts';
import { draftOf, withDraft, type DraftOptions } from './draft.ts';
import { exitOf } from './exit.ts';
import { resultLines } from './render-result.ts';
import { print, withConnection, withExample, type Shell } from './shell.ts';

/** `preview`: measures and decides, and proposes nothing. */
export function addPreview(program: Command, shell: Shell): void {
  const command = program
    .command('preview')
    .description('measure what a write would do and how it would be decided; proposes nothing');
  withExample(
    withConnection(withDraft(command)),
    "writegate preview --target crm --sql 'UPDATE customers SET email = $1 WHERE id = $2' \\",
    '  --param ada@example.org --param 17',
  ).action((options: DraftOptions) => preview(shell, options));
}

async function preview({ io, finish }: Shell, options: DraftOptions): Promise<void> {
  const draft = await draftOf(io, options);
  const client = await connect(io, options, 'agent');
  const result = await client.preview(draft);
  print(io, options, result, (look) => resultLines(result, look, io.now()));
  finish(exitOf(result.state));
}
