/** The options of `preview` and `propose`, and the draft that they make. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { DraftBody } from '../model/api.ts';
import { DRAFT_BOUNDS } from '../model/draft.ts';
import { isJsonObject, type Json, type JsonObject } from '../lib/json.ts';
import type { Io } from './io.ts';
import { UsageError, type ConnectionOptions } from './shell.ts';

export interface DraftOptions extends ConnectionOptions {
  readonly target: string;
  readonly operation: string;
  readonly sql?: string;
  readonly param?: readonly string[];
  readonly args?: string;
  readonly argsFile?: string;
  readonly reason?: string;
  readonly key?: string;
  readonly run?: string;
}

/** Adds the options that describe a write. */
export function withDraft(command: Command): Command {
  const collect = (value: string, earlier: readonly string[] | undefined): readonly string[] => [
    ...(earlier ?? []),
    value,
  ];
  return command
    .requiredOption('--target <name>', 'target of writegate.yaml')
    .option('--operation <name>', 'operation that the target offers', 'sql')
    .option('--sql <statement>', 'one INSERT, UPDATE or DELETE')
    .option('--param <value>', 'value for $1, then $2, …; as text (may be repeated)', collect)
    .option('--args <json>', 'arguments as a JSON object, in place of --sql and --param')
    .option('--args-file <file>', 'the same from a file, or from standard input with -')
    .option('--reason <text>', 'why; shown to people, decides nothing')
    .option('--key <key>', 'idempotency key; the gateway derives one of its own too')
    .option('--run <id>', "the agent's run; budgets and stops may be per run");
}

/** Makes the draft; `UsageError` where the options do not make one. */
export async function draftOf(io: Io, options: DraftOptions): Promise<DraftBody> {
  return {
    target: options.target,
    operation: options.operation,
    arguments: await argumentsOf(io, options),
    ...(options.reason !== undefined && { reason: options.reason }),
    ...(options.key !== undefined && { idempotencyKey: options.key }),
    ...(options.run !== undefined && { run: options.run }),
  };
}

async function argumentsOf(io: Io, options: DraftOptions): Promise<JsonObject> {
  const { sql, param, args, argsFile } = options;
  const ways = [sql ?? param, args, argsFile].filter((way) => way !== undefined);
  if (ways.length !== 1 || (sql === undefined && param !== undefined)) {
    throw new UsageError(
      'expected the arguments one way: --sql with --param, or --args, or --args-file',
    );
  }
  if (sql !== undefined)
    return { statement: sql, ...(param !== undefined && { parameters: param }) };
  if (args !== undefined) return jsonObject(args, '--args');
  return jsonObject(await readArguments(io, argsFile ?? '-'), '--args-file');
}

async function readArguments(io: Io, file: string): Promise<string> {
  try {
    if (file === '-') return await io.readInput(DRAFT_BOUNDS.argumentsBytesMax);
    return await readFile(resolve(io.cwd, file), 'utf8');
  } catch (error) {
    const why = error instanceof RangeError ? error.message : 'it cannot be read';
    throw new UsageError(`expected arguments in \`${file}\` after \`--args-file\`: ${why}`);
  }
}

function jsonObject(text: string, option: string): JsonObject {
  let value: Json | undefined;
  try {
    // `JSON.parse` gives JSON and nothing else.
    value = JSON.parse(text) as Json;
  } catch {
    throw new UsageError(`expected a JSON object after \`${option}\`, found text that is not JSON`);
  }
  if (isJsonObject(value)) return value;
  throw new UsageError(`expected a JSON object after \`${option}\`, found other JSON`);
}
