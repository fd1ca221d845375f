/** Where `writegate.yaml` is. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Io } from './io.ts';

export interface ConfigurationOption {
  readonly config?: string;
}

/** Adds `--config`. */
export function withConfiguration(command: Command): Command {
  return command.option('--config <file>', 'configuration; else ./writegate.yaml');
}

/** Path of the configuration file that the options name. */
export function configurationPath(io: Io, options: ConfigurationOption): string {
  return resolve(io.cwd, options.config ?? 'writegate.yaml');
}
