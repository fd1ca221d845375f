/** What every command has in common: options, printing, and how a call that cannot be taken ends. */
import type { Command } from 'commander';
import { inert, inertJson, wrap } from '../lib/terminal.ts';
import { GatewayProblem } from '../client/problem.ts';
import { diskProblem } from '../model/disk.ts';
import { Problem } from '../model/problem.ts';
import { problemDocument } from '../server/problem.ts';
import { EXIT, type ExitCode } from './exit.ts';
import type { Io } from './io.ts';
import { lookOf, paragraph, type Look } from './look.ts';

/** One run of the command line. */
export interface Shell {
  readonly io: Io;
  /** Sets the exit code of the run. */
  finish(code: ExitCode): void;
}

/** The command line itself is wrong: exit 64. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface JsonOption {
  readonly json?: true;
}

export interface FolderOptions extends JsonOption {
  readonly dir?: string;
}

export interface ConnectionOptions extends FolderOptions {
  readonly url?: string;
  readonly tokenFile?: string;
}

/** Adds `--json`. */
export function withJson(command: Command): Command {
  return command.option('--json', 'print one JSON document on standard output');
}

/** Adds `--json` and `--dir`. */
export function withFolder(command: Command): Command {
  return withJson(command).option(
    '--dir <folder>',
    'data folder; else $WRITEGATE_DIR, else ./.writegate',
  );
}

/** Adds the options that say which gateway to call, and as whom. */
export function withConnection(command: Command): Command {
  return withFolder(command)
    .option(
      '--url <url>',
      'gateway; else $WRITEGATE_URL, else the one that runs on the data folder',
    )
    .option('--token-file <file>', 'file with the token; else $WRITEGATE_TOKEN');
}

/** Ends the help of a command with an example that can be typed as it stands. */
export function withExample(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText('after', `\nExample:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}

/** How standard output looks. */
export function look(io: Io): Look {
  return lookOf(io.stdout, io.env);
}

/** Prints the answer: the document as one line of JSON, or the lines that a person reads. */
export function print(
  io: Io,
  options: JsonOption,
  document: unknown,
  lines: (look: Look) => readonly string[],
): void {
  if (options.json === true) io.stdout.write(`${inertJson(document)}\n`);
  else io.stdout.write(`${lines(look(io)).join('\n')}\n`);
}

/** Prints a remark on standard error, apart from the answer: one line, as a log has them. */
export function remark(io: Io, text: string): void {
  io.stderr.write(`${inert(text)}\n`);
}

/**
 * Says why the run ended early and returns its exit code. People read standard error; with
 * `--json` the document goes to standard output, where the answer would have been.
 */
export function report(io: Io, error: unknown, isJson: boolean): ExitCode {
  if (error instanceof UsageError) return reportUsage(io, error.message, isJson);
  const problem = problemOf(error);
  if (isJson) io.stdout.write(`${inertJson(problemDocument(problem))}\n`);
  else printProblem(io, problem, error instanceof GatewayProblem);
  return EXIT.problem;
}

function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof GatewayProblem) {
    const at = error.at === null ? {} : { at: error.at };
    return new Problem(error.code, error.message, { ...at, cause: error });
  }
  const ofDisk = diskProblem(error);
  if (ofDisk !== undefined) return ofDisk;
  return new Problem('bug', unexpected(error), { cause: error });
}

/** The form of a problem; `usage` is no code of the gateway's, so no gateway answers for it. */
const USAGE = {
  type: 'about:blank',
  title: 'the command line is not of the expected form',
  status: 400,
  code: 'usage',
  acts: 'caller',
} as const;

/** Says what is wrong with the command line. */
export function reportUsage(io: Io, message: string, isJson: boolean): ExitCode {
  if (isJson) io.stdout.write(`${inertJson({ ...USAGE, detail: message, at: null })}\n`);
  else printErrorLines(io, message.split('\n'));
  return EXIT.usage;
}

/** Prints lines on standard error, inert and no wider than that is. */
function printErrorLines(io: Io, lines: readonly string[]): void {
  const { columns } = lookOf(io.stderr, io.env);
  io.stderr.write(`${lines.flatMap((line) => wrap(inert(line), columns)).join('\n')}\n`);
}

function printProblem(io: Io, problem: Problem, isFromGateway: boolean): void {
  const errorLook = lookOf(io.stderr, io.env);
  const isPlaced = problem.at === null || problem.message.includes(problem.at);
  const place = isPlaced ? '' : ` (at ${problem.at})`;
  const lines = problem.message
    .split('\n')
    .map((line, position) => (position === 0 ? `${problem.code}: ${line}${place}` : `  ${line}`));
  printErrorLines(io, lines);
  // Who runs a command on the spot is the operator.
  if (isFromGateway && problem.acts === 'operator' && problem.code !== 'gateway-unreachable') {
    const text = 'this is for the operator of the gateway to put right';
    io.stderr.write(`${paragraph(errorLook, text, { paint: errorLook.paint.dim }).join('\n')}\n`);
  }
}

function unexpected(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return `this was not expected: ${message}`;
}

const SECONDS_MAX = 86_400;
/** How long `--wait` without a number waits: longer than a route is likely to stay open. */
export const WAIT_SECONDS_DEFAULT = 3_600;

/** Reads the value of `--wait [seconds]` into milliseconds, or undefined where it was not given. */
export function waitMsOf(wait: string | true | undefined): number | undefined {
  if (wait === undefined) return undefined;
  if (wait === true) return WAIT_SECONDS_DEFAULT * 1000;
  return wholeNumber('--wait', wait, { min: 0, max: SECONDS_MAX }) * 1000;
}

/** Reads a whole number out of an option. */
export function wholeNumber(
  option: string,
  text: string,
  bounds: { readonly min: number; readonly max: number },
): number {
  const number = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= bounds.min && number <= bounds.max)) {
    throw new UsageError(
      `expected a whole number from ${bounds.min} to ${bounds.max} after \`${option}\`, found \`${text}\``,
    );
  }
  return number;
}
