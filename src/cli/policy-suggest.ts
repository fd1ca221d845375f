import type { Command } from 'commander';
import { connect } from './connect.ts';
import { lookOf } from './look.ts';
import { progressOf } from './progress.ts';
import { replayLines } from './render-replay.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';
import { readSince } from './since.ts';

interface SuggestOptions extends ConnectionOptions {
  readonly since: string;
  readonly agent?: string;
}

/** `policy suggest`: a draft from what was really written, on standard output; its replay beside it. */
export function addPolicySuggest(group: Command, shell: Shell): void {
  const command = group
    .command('suggest')
    .description('draft a policy from what agents were seen to write; applies nothing')
    .requiredOption('--since <when>', 'how far back: `30d`, `12h`, or a date in UTC')
    .option('--agent <name>', 'only the lines of this agent');
  withExample(
    withConnection(command),
    'writegate policy suggest --since 14d > candidate.yaml',
    'writegate policy suggest --since 14d --agent crm-bot --json',
  ).action((options: SuggestOptions) => suggest(shell, options));
}

async function suggest({ io }: Shell, options: SuggestOptions): Promise<void> {
  const since = readSince(options.since, io.now());
  const client = await connect(io, options, 'person');
  const answer = await client.suggestPolicy(
    { since, ...(options.agent !== undefined && { agent: options.agent }) },
    { onProgress: progressOf(io, 'proposals replayed') },
  );
  print(io, options, answer, () => [answer.text.trimEnd()]);
  if (options.json === true) return;
  // Beside the draft, so that it can go into a file.
  io.stderr.write(`${replayLines(answer.replay, lookOf(io.stderr, io.env)).join('\n')}\n`);
}
