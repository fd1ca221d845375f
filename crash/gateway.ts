import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { LOADED } from './loaded.ts';

/** The command as the harness starts it. */
export const CHILD: string = fileURLToPath(new URL('gateway-child.ts', import.meta.url));

export interface GatewayOptions {
  /** 1, 2, 3. */
  readonly number: number;
  /** Arguments of `writegate up` beside `--port` and `--json`. */
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Where compiled code is kept from one start to the next: it halves what a start costs. */
  readonly cache: string;
  /** What it says on standard error is added to this file. */
  readonly logPath: string;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

/** A process of `writegate up`, started again and again on one port. */
export class Gateway {
  readonly number: number;
  readonly #options: GatewayOptions;
  #child: Child | undefined;
  #port = 0;
  #isFrozen = false;
  #answers = Promise.withResolvers<void>();
  #loaded = Promise.withResolvers<void>();
  #doesAnswer = false;

  constructor(options: GatewayOptions) {
    this.number = options.number;
    this.#options = options;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** Whether it came up and was not ended since; it may be frozen, or cut off. */
  get isUp(): boolean {
    return this.#doesAnswer;
  }

  /** Resolves once it is up. */
  up(): Promise<void> {
    return this.#answers.promise;
  }

  /** Resolves once the code of the one that starts is loaded, or it has ended. */
  loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Starts it and returns once it answers; throws with its last words where it ends before. */
  async start(): Promise<void> {
    const child = this.#spawn();
    const words: string[] = [];
    child.stderr.on('data', (bytes: Buffer) => {
      words.push(String(bytes));
      appendFileSync(this.#options.logPath, bytes);
    });
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === LOADED) {
        this.#loaded.resolve();
        continue;
      }
      const port = portOf(line);
      if (port === undefined) {
        words.push(line);
        continue;
      }
      this.#port = port;
      this.#doesAnswer = true;
      this.#answers.resolve();
      child.stdin.write('\n');
      return;
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
    const how = child.signalCode ?? `exit code ${child.exitCode}`;
    const said = words.join('').trim().slice(-600);
    throw new Error(`gateway ${this.number} did not come up (${how}): ${said}`);
  }

  /** Ends it at once, as nothing in it can notice; returns once the system has let go of it. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Asks it to end, waits until it did, and returns its exit code; 0 where it did not run. */
  stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  /** Stops its time: it holds what it holds and does nothing, until `thaw`. */
  freeze(): void {
    this.#isFrozen = this.#child?.kill('SIGSTOP') ?? false;
  }

  thaw(): void {
    if (this.#isFrozen) this.#child?.kill('SIGCONT');
    this.#isFrozen = false;
  }

  #spawn(): Child {
    const { arguments: given, environment, cache } = this.#options;
    this.#loaded = Promise.withResolvers();
    const { resolve: ended } = this.#loaded;
    const child = spawn(
      process.execPath,
      [CHILD, 'up', '--json', '--log', 'json', '--port', String(this.#port), ...given],
      {
        stdio: ['pipe', 'pipe', 'pipe'],
        // A terminal's Ctrl-C is for the harness: it ends what it plays, and the gateways after that.
        detached: true,
        env: {
          PATH: process.env['PATH'] ?? '',
          NODE_NO_WARNINGS: '1',
          NODE_COMPILE_CACHE: cache,
          ...environment,
        },
      },
    );
    child.stdin.on('error', () => undefined);
    child.on('close', () => {
      ended();
      if (this.#child !== child) return;
      this.#child = undefined;
      this.#isDown();
    });
    this.#child = child;
    return child;
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (child === undefined) return 0;
    const closed = once(child, 'close');
    child.kill(signal);
    this.#isFrozen = false;
    this.#isDown();
    await closed;
    return child.exitCode;
  }

  #isDown(): void {
    if (!this.#doesAnswer) return;
    this.#doesAnswer = false;
    this.#answers = Promise.withResolvers();
  }
}

/** The port in what `up --json` says once it answers; undefined where it says why it does not. */
function portOf(line: string): number | undefined {
  const said: unknown = JSON.parse(line);
  const hasUrl = typeof said === 'object' && said !== null && 'url' in said;
  return hasUrl ? Number(new URL(String(said.url)).port) : undefined;
}
