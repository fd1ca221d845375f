/** What a command sees of the process: tests hand in their own. */
import { createInterface } from 'node:readline/promises';
import { isatty } from 'node:tty';

/** One output stream. */
export interface Output {
  readonly isTerminal: boolean;
  /** Width of the terminal; 80 where it is none. */
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

function output(stream: NodeJS.WriteStream & { readonly fd: number }): Output {
  const isTerminal = isatty(stream.fd);
  // `writegate show … | head`: who stops reading has seen enough, and that is no error of ours.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  return {
    isTerminal,
    columns: isTerminal ? Math.max(stream.columns, 40) : 80,
    write: (text) => void stream.write(text),
  };
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
    release: () => void process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', hangup),
  };
}
