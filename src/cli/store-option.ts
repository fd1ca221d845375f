/** Which store a command works on, where it opens one itself. */
import type { Command } from 'commander';
import type { StoreWish } from '../main/store-choice.ts';
import type { Io } from './io.ts';

export interface StoreOption {
  readonly store?: string;
}

/** Adds `--store`. */
export function withStore(command: Command): Command {
  return command.option(
    '--store <url>',
    "PostgreSQL that gateways share, as '${env:NAME}' or '${file:PATH}'; else $WRITEGATE_STORE, else `store` of writegate.yaml, else the data folder",
  );
}

/** What options and environment say of the store; the configuration may still say more. */
export function storeWish(io: Io, { store }: StoreOption): StoreWish {
  return { environment: (name) => io.env[name], ...(store !== undefined && { store }) };
}
