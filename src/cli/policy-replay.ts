import { resolve } from 'node:path';
import type { Command } from 'commander';
import { connect } from './connect.ts';
import { progressOf } from './progress.ts';
import { replayLines } from './render-replay.ts';
import { print, withConnection, withExample, type ConnectionOptions, type Shell } from './shell.ts';
import { readSince } from './since.ts';

interface ReplayOptions extends ConnectionOptions {
  readonly since: string;
  readonly active?: true;
}

/** `policy replay`: what a file would have decided on what was really proposed. */
export function addPolicyReplay(group: Command, shell: Shell): void {
  const command = group
    .command('replay')
    .description('what a policy would have decided on the proposals of the past; changes nothing')
    .argument('[file]', 'candidate; else the policy in force')
    .requiredOption('--since <when>', 'how far back: `30d`, `12h`, or a date in UTC')
    .option('--active', 'as if the candidate had `mode: active`, whatever it says');
  withExample(
    withConnection(command),
    'writegate policy replay --since 30d candidate.yaml',
    'writegate policy replay --since 2026-11-01 --active --json',
  ).action((file: string | undefined, options: ReplayOptions) => replay(shell, file, options));
}

async function replay(
  { io }: Shell,
  file: string | undefined,
  options: ReplayOptions,
): Promise<void> {
  const since = readSince(options.since, io.now());
  const text = file === undefined ? undefined : await candidateText(resolve(io.cwd, file));
  const client = await connect(io, options, 'person');
  const report = await client.replayPolicy(
    {
      since,
      ...(text !== undefined && { text }),
      ...(options.active === true && { mode: 'active' }),
    },
    { onProgress: progressOf(io, 'proposals replayed') },
  );
  print(io, options, report, (look) => replayLines(report, look));
}

/** Loads the file here first: what is wrong with it is then said with its own name. */
async function candidateText(path: string): Promise<string> {
  const { loadConfiguration } = await import('../main/configuration.ts');
  return (await loadConfiguration(path)).text;
}
