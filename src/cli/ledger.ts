import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { VerifyReport } from '../ledger/verify.ts';
import { exists, readText } from '../main/folder.ts';
import { folderOf } from './connect.ts';
import { EXIT } from './exit.ts';
import type { Io } from './io.ts';
import { counted, field, heading, paragraph, whole, type Look } from './look.ts';
import {
  print,
  UsageError,
  withExample,
  withFolder,
  type FolderOptions,
  type Shell,
} from './shell.ts';

interface VerifyCommandOptions extends FolderOptions {
  readonly vkey?: string;
  readonly against?: readonly string[];
  readonly payloads: boolean;
}

/** Where a key came from; one out of the folder itself proves less. */
interface Key {
  readonly vkey: string;
  readonly isFromFolder: boolean;
}

/** `ledger verify | checkpoint`: proof that needs no gateway. */
export function addLedger(program: Command, shell: Shell): void {
  const ledger = program.command('ledger').description('verify the ledger, or keep its checkpoint');
  withExample(
    withFolder(
      ledger
        .command('verify')
        .description('verify a published ledger, or a copy of one; needs no gateway')
        .argument('[folder]', 'else the ledger of the data folder')
        .option('--vkey <key>', "the log's public key, or a file that holds it")
        .option('--against <file...>', 'checkpoints of this log that you kept elsewhere')
        .option('--no-payloads', 'for a copy without payloads'),
    ),
    'writegate ledger verify',
    'writegate ledger verify ./copy --vkey ./log.vkey --against ./checkpoint.monday',
  ).action((folder: string | undefined, options: VerifyCommandOptions) =>
    verify(shell, folder, options),
  );
  withExample(
    withFolder(
      ledger
        .command('checkpoint')
        .description('print the signed checkpoint: keep it where nobody here can write'),
    ),
    'writegate ledger checkpoint > /mnt/elsewhere/checkpoint.monday',
  ).action((options: FolderOptions) => checkpoint(shell, options));
}

async function verify(
  { io, finish }: Shell,
  named: string | undefined,
  options: VerifyCommandOptions,
): Promise<void> {
  const folder = named === undefined ? folderOf(io, options).ledger : resolve(io.cwd, named);
  if (!(await exists(folder))) {
    throw new UsageError(`expected the folder of a published ledger, found no \`${folder}\``);
  }
  const key = await keyOf(io, options, { folder, isNamed: named !== undefined });
  const against = await Promise.all((options.against ?? []).map((file) => kept(io, file)));
  const { folderReader } = await import('../ledger/folder.ts');
  const { verifyLedger } = await import('../ledger/verify.ts');
  const report = await verifyLedger({
    reader: folderReader(folder),
    vkey: key.vkey,
    against,
    payloads: options.payloads,
  });
  const document = { folder, ...report, keyFromFolder: key.isFromFolder, against: against.length };
  print(io, options, document, (look) => reportLines(document, look));
  finish(report.ok ? EXIT.done : EXIT.problem);
}

/** Lays out what was verified, what was found, and what this does not prove. */
export function reportLines(
  report: VerifyReport & {
    readonly folder: string;
    readonly keyFromFolder: boolean;
    readonly against: number;
  },
  look: Look,
): readonly string[] {
  const { figures, findings } = report;
  return [
    ...heading(look, [
      report.ok ? ['verified', look.paint.green] : ['NOT verified', look.paint.red],
      [report.origin ?? 'no log'],
    ]),
    ...whole(look, 'folder', report.folder),
    ...field(look, 'entries', `${report.entries} of ${report.size}`),
    ...(report.root === null ? [] : whole(look, 'root', report.root)),
    ...field(
      look,
      'checked',
      Object.entries(figures)
        .filter(([, figure]) => typeof figure === 'number')
        .map(([name, figure]) => `${spoken(name)} ${String(figure)}`)
        .join(', '),
    ),
    ...field(look, 'proposals', tally(figures.states)),
    ...(findings.length === 0 ? [] : ['', counted(findings.length, 'finding')]),
    ...findings.flatMap(({ code, index, message }) =>
      paragraph(look, `${code}${index === null ? '' : ` at entry ${index}`}: ${message}`, {
        indent: '  ',
        paint: look.paint.red,
      }),
    ),
    ...remarks(report).flatMap((remark) => paragraph(look, `Note: ${remark}`)),
  ];
}

function remarks(report: {
  readonly keyFromFolder: boolean;
  readonly against: number;
}): readonly string[] {
  return [
    ...(report.keyFromFolder
      ? [
          'the key came out of the folder itself, so whoever could forge the log could forge it too: give the one that you kept with --vkey',
        ]
      : []),
    ...(report.against === 0
      ? [
          'no checkpoint kept elsewhere was given, so a log rewritten by the holder of its key would not be seen: give one with --against',
        ]
      : []),
  ];
}

/** `3 applied, 1 denied`; what there is none of is left out. */
function tally(counts: Readonly<Record<string, number>>): string {
  const present = Object.entries(counts).filter(([, count]) => count > 0);
  return present.map(([name, count]) => `${count} ${name}`).join(', ') || 'none';
}

function spoken(name: string): string {
  return name.replaceAll(/([A-Z])/g, ' $1').toLowerCase();
}

async function keyOf(
  io: Io,
  options: VerifyCommandOptions,
  ledger: { readonly folder: string; readonly isNamed: boolean },
): Promise<Key> {
  if (options.vkey !== undefined) {
    const text = await readText(resolve(io.cwd, options.vkey));
    return { vkey: (text ?? options.vkey).trim(), isFromFolder: false };
  }
  const data = folderOf(io, options);
  if (!ledger.isNamed && (await exists(data.ledgerKey))) {
    const { openSigner } = await import('../ledger/signer.ts');
    return { vkey: (await openSigner(data.ledgerKey)).vkey, isFromFolder: false };
  }
  const text = await readText(join(ledger.folder, 'vkey'));
  if (text === undefined) {
    throw new UsageError(`expected --vkey, as \`${ledger.folder}\` has no \`vkey\` file`);
  }
  return { vkey: text.trim(), isFromFolder: true };
}

async function kept(io: Io, file: string): Promise<string> {
  try {
    return await readFile(resolve(io.cwd, file), 'utf8');
  } catch {
    throw new UsageError(
      `expected a checkpoint in \`${file}\` after \`--against\`, cannot read it`,
    );
  }
}

async function checkpoint({ io }: Shell, options: FolderOptions): Promise<void> {
  const folder = folderOf(io, options);
  const text = await readText(join(folder.ledger, 'checkpoint'));
  if (text === undefined) {
    throw new UsageError(
      `expected a published checkpoint in \`${folder.ledger}\`, found none; it appears within a second of \`writegate up\``,
    );
  }
  if (options.json === true) print(io, options, { checkpoint: text }, () => []);
  // As it stands: every byte is signed.
  else io.stdout.write(text);
}
