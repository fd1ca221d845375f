import type { Command } from 'commander';
import type { MigrateOptions, MigrateReport } from '../main/migrate.ts';
import { configurationPath, withConfiguration, type ConfigurationOption } from './configuration.ts';
import { folderOf } from './connect.ts';
import type { Io } from './io.ts';
import { counted, field, heading, nextCommands, whole, type Look } from './look.ts';
import { openBar } from './progress.ts';
import {
  print,
  UsageError,
  withExample,
  withFolder,
  type FolderOptions,
  type Shell,
} from './shell.ts';
import { storeWish, withStore, type StoreOption } from './store-option.ts';

interface StoreMigrateOptions extends FolderOptions, ConfigurationOption, StoreOption {
  readonly from: string;
  readonly check?: true;
  readonly abandon?: true;
}

/** `store migrate`: moves a running installation to another store. */
export function addStore(program: Command, shell: Shell): void {
  const store = program.command('store').description('move the state to another store');
  const command = withConfiguration(
    store
      .command('migrate')
      .description('move the store of the data folder into a PostgreSQL that gateways share')
      .requiredOption('--from <kind>', 'what is moved: sqlite'),
  )
    .option('--check', 'look whether it could be moved, and move nothing')
    .option('--abandon', 'give an unfinished move up, where nothing of it is in the new store');
  withExample(
    withFolder(withStore(command)),
    "writegate store migrate --from sqlite --store '${env:STORE_URL}' --check",
    "writegate store migrate --from sqlite --store '${env:STORE_URL}'",
  ).action((options: StoreMigrateOptions) => migrate(shell, options));
}

async function migrate({ io }: Shell, options: StoreMigrateOptions): Promise<void> {
  if (options.from !== 'sqlite') {
    throw new UsageError(`expected \`sqlite\` after \`--from\`, found \`${options.from}\``);
  }
  if (options.check === true && options.abandon === true) {
    throw new UsageError('expected `--check` or `--abandon`, found both');
  }
  const { abandonMigration, checkMigration, migrateStore } = await import('../main/migrate.ts');
  const bar = openBar(io);
  const wish = wishOf(io, options, bar.at);
  try {
    if (options.abandon === true) {
      const given = await abandonMigration(wish);
      print(io, options, { state: 'abandoned', ...given }, () => [
        `nothing of it is at ${given.to}; the store of the data folder may be used again`,
      ]);
      return;
    }
    const report = await (options.check === true ? checkMigration(wish) : migrateStore(wish));
    bar.end();
    print(io, options, report, (look) => reportLines(report, look));
  } finally {
    bar.end();
  }
}

function wishOf(
  io: Io,
  options: StoreMigrateOptions,
  progress: MigrateOptions['progress'],
): MigrateOptions {
  return {
    configPath: configurationPath(io, options),
    dataFolder: folderOf(io, options).path,
    ...storeWish(io, options),
    progress,
  };
}

/** Lays out what was moved, or would be. */
export function reportLines(report: MigrateReport, look: Look): readonly string[] {
  const { state, from, to, tenants, files, proposals } = report;
  const isDone = state === 'moved';
  return [
    ...heading(look, [[isDone ? 'moved' : 'can be moved', look.paint.green]]),
    ...whole(look, 'from', from),
    ...field(look, 'to', to),
    ...tenants.flatMap((tenant) => tenantLines(tenant, look)),
    ...field(
      look,
      'files',
      `${counted(files.evidence, 'file')} of evidence, ${counted(files.uploads, 'upload')}, ${counted(files.bytes, 'byte')}`,
    ),
    ...(proposals === null
      ? []
      : field(look, 'checked', `${counted(proposals, 'record')} folded from their entries again`)),
    ...nextCommands(
      look,
      isDone
        ? ["writegate up --store '${env:STORE_URL}'", 'writegate ledger verify']
        : ["writegate store migrate --from sqlite --store '${env:STORE_URL}'"],
    ),
  ];
}

function tenantLines(
  { tenant, entries, root }: MigrateReport['tenants'][number],
  look: Look,
): readonly string[] {
  const ledger = field(look, 'ledger', `${tenant}, ${counted(entries, 'entry', 'entries')}`);
  return ledger.concat(whole(look, 'root', root));
}
