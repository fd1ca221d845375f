/** The options of `preview` and `propose`, and the draft that they make. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { nearest } from '../lib/nearest.ts';
import { recordOf } from '../lib/record.ts';
import type { ChainBody, DraftBody, WriteBody } from '../model/api.ts';
import { DRAFT_BOUNDS, type DraftStep } from '../model/draft.ts';
import { isJsonObject, parsedJson, type Json, type JsonObject } from '../lib/json.ts';
import type { Io } from './io.ts';
import { UsageError, type ConnectionOptions } from './shell.ts';

export interface DraftOptions extends ConnectionOptions {
  readonly target?: string;
  readonly operation?: string;
  readonly chain?: string;
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
    .option('--target <name>', 'target of writegate.yaml')
    .option('--operation <name>', 'operation that the target offers; `sql` if none is named')
    .option('--sql <statement>', 'one INSERT, UPDATE or DELETE')
    .option('--param <value>', 'value for $1, then $2, …; as text (may be repeated)', collect)
    .option('--args <json>', 'arguments as a JSON object, in place of --sql and --param')
    .option('--args-file <file>', 'the same from a file, or from standard input with -')
    .option(
      '--chain <file>',
      'several writes as one: `steps` of target, operation, arguments; YAML or JSON, or - for standard input',
    )
    .option('--reason <text>', 'why; shown to people, decides nothing')
    .option('--key <key>', 'idempotency key; the gateway derives one of its own too')
    .option('--run <id>', "the agent's run; budgets and stops may be per run");
}

/** Makes the draft; `UsageError` where the options do not make one. */
export async function draftOf(io: Io, options: DraftOptions): Promise<WriteBody> {
  return {
    ...(options.chain === undefined
      ? await singleOf(io, options)
      : await chainOf(io, options.chain, options)),
    ...(options.reason !== undefined && { reason: options.reason }),
    ...(options.key !== undefined && { idempotencyKey: options.key }),
    ...(options.run !== undefined && { run: options.run }),
  };
}

async function singleOf(io: Io, options: DraftOptions): Promise<DraftBody> {
  const { target, operation = 'sql' } = options;
  if (target === undefined) throw new UsageError('expected `--target`, or `--chain`');
  return { target, operation, arguments: await argumentsOf(io, options) };
}

/** Either the list of steps, or an object that has it as `steps`; what is in a step the gateway checks. */
async function chainOf(io: Io, file: string, options: DraftOptions): Promise<ChainBody> {
  const { target, operation, sql, param, args, argsFile } = options;
  if ([target, operation, sql, param, args, argsFile].some((other) => other !== undefined)) {
    throw new UsageError(
      'expected the steps in the file of `--chain`, and no option of a single write',
    );
  }
  const value = await chainValue(file, await readArguments(io, file, '--chain'));
  const steps: unknown = Array.isArray(value) ? value : recordOf(value)['steps'];
  if (!isJsonArray(steps)) {
    throw new UsageError('expected a list of steps, or an object with `steps`, after `--chain`');
  }
  const { stepsMin, stepsMax } = DRAFT_BOUNDS;
  if (steps.length < stepsMin || steps.length > stepsMax) {
    const remedy =
      steps.length === 1
        ? 'propose a single write with `--target`'
        : `put ${stepsMin} to ${stepsMax} into the file`;
    throw new UsageError(
      `expected ${stepsMin} to ${stepsMax} steps after \`--chain\`, found ${steps.length}; ${remedy}`,
    );
  }
  return { steps: steps.map(stepOf) };
}

async function chainValue(file: string, text: string): Promise<unknown> {
  const { parse, YAMLParseError } = await import('yaml');
  try {
    return parse(text, { maxAliasCount: 0 });
  } catch (error) {
    const start = error instanceof YAMLParseError ? error.linePos?.[0] : undefined;
    if (start !== undefined) {
      throw new UsageError(
        `${file}:${start.line}:${start.col}: expected YAML or JSON after \`--chain\`, found a slip in it; correct it, or put the text in quotes`,
      );
    }
    throw new UsageError(
      `expected YAML or JSON without aliases in \`${file}\` after \`--chain\`, found others; write the values out, and texts that begin with \`*\` in quotes`,
    );
  }
}

const STEP_KEYS = ['target', 'operation', 'arguments'];

function stepOf(value: Json, index: number): DraftStep {
  const step = isJsonObject(value) ? value : {};
  const { target, operation = 'sql', arguments: given, ...others } = step;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) {
    const near = nearest(unknown, STEP_KEYS);
    const remedy = near === undefined ? 'remove it' : `write \`${near}\``;
    throw new UsageError(
      `expected \`target\`, \`operation\` and \`arguments\` alone in step ${index + 1} of \`--chain\`, found \`${unknown}\`; ${remedy}`,
    );
  }
  const isWhole =
    typeof target === 'string' && typeof operation === 'string' && isJsonObject(given);
  if (isWhole) return { target, operation, arguments: given };
  throw new UsageError(
    `expected \`target\` and \`operation\` as texts and \`arguments\` as an object in step ${index + 1} of \`--chain\`, found others or none`,
  );
}

/** What YAML reads without tags is JSON, but for numbers that JSON has not: the gateway refuses those. */
function isJsonArray(value: unknown): value is readonly Json[] {
  return Array.isArray(value);
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

async function readArguments(io: Io, file: string, option = '--args-file'): Promise<string> {
  try {
    if (file === '-') return await io.readInput(DRAFT_BOUNDS.argumentsBytesMax);
    return await readFile(resolve(io.cwd, file), 'utf8');
  } catch (error) {
    const why = error instanceof RangeError ? error.message : 'it cannot be read';
    throw new UsageError(`expected arguments in \`${file}\` after \`${option}\`: ${why}`);
  }
}

function jsonObject(text: string, option: string): JsonObject {
  const value = parsedJson(text);
  if (value === undefined) {
    throw new UsageError(`expected a JSON object after \`${option}\`, found text that is not JSON`);
  }
  if (isJsonObject(value)) return value;
  throw new UsageError(`expected a JSON object after \`${option}\`, found other JSON`);
}
