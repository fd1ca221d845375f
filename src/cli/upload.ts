import { openAsBlob } from 'node:fs';
import { extname, resolve } from 'node:path';
import type { Command } from 'commander';
import { Problem } from '../model/problem.ts';
import { connect } from './connect.ts';
import {
  print,
  UsageError,
  withConnection,
  withExample,
  type ConnectionOptions,
  type Shell,
} from './shell.ts';

interface UploadOptions extends ConnectionOptions {
  readonly format?: string;
}

const FORMATS = ['csv', 'ndjson'] as const;

/** `upload`: a file of rows for an `import` to come. */
export function addUpload(program: Command, shell: Shell): void {
  const command = program
    .command('upload')
    .description('send a file of rows, kept for a day; nothing is written with it')
    .argument('<file>', 'csv, or ndjson: one JSON object a line')
    .option('--format <format>', 'csv or ndjson; else by the name of the file');
  withExample(withConnection(command), 'writegate upload contacts.csv').action(
    (file: string, options: UploadOptions) => upload(shell, file, options),
  );
}

async function upload({ io }: Shell, file: string, options: UploadOptions): Promise<void> {
  const named = options.format ?? extname(file).slice(1).toLowerCase();
  const format = FORMATS.find((each) => each === named);
  if (format === undefined) {
    throw new UsageError(`expected --format csv or ndjson, found \`${named}\``);
  }
  const content = await openFile(resolve(io.cwd, file), file);
  const client = await connect(io, options, 'agent');
  const answer = await client.upload(content, { format });
  print(io, options, answer, () => [
    answer.id,
    `${answer.bytes.toLocaleString('en-GB')} bytes; name it in an import within a day:`,
    `  {"table": "…", "upload": "${answer.id}", "format": "${format}"}`,
  ]);
}

async function openFile(path: string, named: string): Promise<Blob> {
  try {
    return await openAsBlob(path);
  } catch (cause) {
    throw new Problem('request-invalid', `the file \`${named}\` cannot be read`, { cause });
  }
}
