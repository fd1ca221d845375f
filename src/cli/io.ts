/** What a command sees of the process: tests hand in their own. */
import { createInterface } from 'node:readline/promises';
import { isatty } from 'node:tty';
import { EXIT } from './exit.ts';

/** One output stream. */
export interface Output {
  readonly isTerminal: boolean;
  /** Width of the terminal; where it is none, `$COLUMNS`, else 80. */
  readonly columns: number;
  write(text: string): void;
}

export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Whether a person can be asked. */
  readonly isInteractive: boolean;
  readonly now: () => number;
  /** Reads standard input to its end, as UTF-8, at most `bytesMax`. */
  readInput(bytesMax: number): Promise<string>;
  /** Resolves once standard input has ended, while somebody else reads it. */
  inputEnd(): Promise<void>;
  /** Asks a person one question; an empty answer at the end of input. */
  ask(question: string): Promise<string>;
  /** Begins to listen for SIGINT and SIGTERM (`stop`) and for SIGHUP. */
  signals(): Signals;
}

export interface Signals {
  readonly stop: AbortSignal;
  onHangup(listener: () => void): void;
  /** Has the process end by itself after `ms`, whatever still holds it then. */
  endWithin(ms: number): void;
  /** Stops listening; idempotent. */
  release(): void;
}

/** The real process. */
export function processIo(): Io {
  return {
    stdout: output(process.stdout),
    stderr: output(process.stderr),
    env: process.env,
    cwd: process.cwd(),
    isInteractive: isatty(0) && isatty(1),
    now: () => Date.now(),
    readInput,
    inputEnd,
    ask,
    signals,
  };
}

const COLUMNS_MIN = 40;

/** How wide a pipe or a file is written: as whoever reads it says in `$COLUMNS`, else 80. */
export function pipeColumns(env: Readonly<Record<string, string | undefined>>): number {
  const columns = env['COLUMNS'] ?? '';
  return /^\d{1,4}$/.test(columns) && Number(columns) > 0
    ? Math.max(Number(columns), COLUMNS_MIN)
    : 80;
}

function output(stream: NodeJS.WriteStream & { readonly fd: number }): Output {
  const isTerminal = isatty(stream.fd);
  // Without a listener the process would end; the callback of each write says more.
  stream.on('error', () => undefined);
  const what = stream.fd === process.stdout.fd ? 'answer' : 'log';
  const lossy = lossyWriter((text, done) => void stream.write(text, done), what);
  process.on('exit', (code) => {
    if (lossy.lost() > 0 && code === 0) process.exitCode = EXIT.problem;
  });
  return {
    isTerminal,
    columns: isTerminal ? Math.max(stream.columns, COLUMNS_MIN) : pipeColumns(process.env),
    write: lossy.write,
  };
}

/**
 * Writes lines that may be lost: a full disk under a log stops no gateway. Lines of a log that were
 * lost are counted, and the count is written once a line goes through again; that an answer was
 * lost is said on standard error. What is lost at the end makes the exit code that of a problem.
 */
export function lossyWriter(
  put: (text: string, done: (error?: NodeJS.ErrnoException | null) => void) => void,
  what: 'answer' | 'log',
): { readonly write: (text: string) => void; readonly lost: () => number } {
  let lost = 0;
  const failed = (text: string, error: NodeJS.ErrnoException): void => {
    // `writegate show … | head`: who stops reading has seen enough, and that is no error of ours.
    if (error.code === 'EPIPE') return;
    if (what === 'answer' && lost === 0) {
      process.stderr.write(`standard output cannot be written (${error.code ?? error.name})\n`);
    }
    lost += text.split('\n').length - 1;
  };
  const write = (text: string): void => {
    put(text, (error) => {
      if (error) return failed(text, error);
      if (what === 'answer' || lost === 0) return;
      const lines = lost === 1 ? '1 line' : `${lost} lines`;
      lost = 0;
      write(`${lines} before this could not be written\n`);
    });
  };
  return { write, lost: () => lost };
}

async function readInput(bytesMax: number): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  // No encoding is set, so what comes are bytes.
  for await (const bytes of process.stdin as AsyncIterable<Buffer>) {
    sizeBytes += bytes.length;
    if (sizeBytes > bytesMax) throw new RangeError(`standard input is over ${bytesMax} bytes`);
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function inputEnd(): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once('end', () => resolve()).once('close', () => resolve());
  });
}

async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const closed = new Promise<string>((resolve) => lines.once('close', () => resolve('')));
    // A question that is cut off by Ctrl-C or the end of input is answered by nothing.
    return await Promise.race([lines.question(question).catch(() => ''), closed]);
  } finally {
    lines.close();
  }
}

function signals(): Signals {
  const controller = new AbortController();
  const hangups: (() => void)[] = [];
  const stop = (): void => controller.abort();
  const hangup = (): void => hangups.forEach((listener) => listener());
  process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', hangup);
  return {
    stop: controller.signal,
    onHangup: (listener) => void hangups.push(listener),
    endWithin: (ms) => void setTimeout(() => process.exit(), ms).unref(),
    release: () => void process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', hangup),
  };
}
