/** `writegate up` as a process of its own, with somebody's tokens, for tests of floods and restarts. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createClient } from '../../src/client/index.ts';

const BIN = fileURLToPath(new URL('../../bin/writegate.mjs', import.meta.url));

export interface GatewayProcess {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** What it said on standard error so far. */
  said(): string;
  /** The most memory that it had resident, in MB; null where the system does not say. */
  peakMb(): number | null;
  /** Asks it to end, and returns its exit code once it did; null where a signal ended it. */
  stop(): Promise<number | null>;
  kill(): Promise<void>;
}

export interface Started {
  /** Holds `writegate.yaml` and the data folder. */
  readonly folder: string;
  /** 0 for any. */
  readonly port?: number;
  readonly environment: Readonly<Record<string, string>>;
  /** More arguments of `up`. */
  readonly arguments?: readonly string[];
}

/** Starts it and returns once it answers; throws with its last words where it ends before. */
export async function startGatewayProcess(started: Started): Promise<GatewayProcess> {
  const { folder, port = 0, environment } = started;
  const given = ['--json', '--port', String(port), '--dir', join(folder, 'data')];
  const config = ['--config', join(folder, 'writegate.yaml'), ...(started.arguments ?? [])];
  const child = spawn(process.execPath, [BIN, 'up', ...given, ...config], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', NODE_NO_WARNINGS: '1', ...environment },
  });
  const endWithTest = (): boolean => child.kill('SIGKILL');
  process.once('exit', endWithTest);
  child.once('close', () => process.off('exit', endWithTest));
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const ready = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await ready.next();
  if (first.done === true) throw new Error(`the gateway did not come up: ${said}`);
  const { url } = JSON.parse(first.value) as { url: string }; // as `up --json` prints it
  const { pid } = child;
  if (pid === undefined) throw new Error('a process that answers has an id');
  return {
    url,
    pid,
    port: Number(new URL(url).port),
    said: () => said,
    peakMb: () => peakMb(pid),
    stop: async () => {
      await ended(child, 'SIGTERM');
      return child.exitCode;
    },
    kill: () => ended(child, 'SIGKILL'),
  };
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill(signal);
  await closed;
}

function peakMb(pid: number): number | null {
  try {
    const [, kb] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return kb === undefined ? null : Math.round(Number(kb) / 1_024);
  } catch {
    return null;
  }
}

/** A token of each agent and person that is named, made by the operator of the data folder. */
export async function tokensFor<Name extends string>(
  gateway: Pick<GatewayProcess, 'url'>,
  folder: string,
  holders: Readonly<Record<Name, 'agent' | 'person'>>,
): Promise<Readonly<Record<Name, string>>> {
  const token = (await readFile(join(folder, 'data', 'operator.token'), 'utf8')).trim();
  const operator = createClient({ url: gateway.url, token });
  const made: Partial<Record<Name, string>> = {};
  for (const name of namesOf(holders)) {
    const kind = holders[name];
    made[name] = (await operator.issueCredential({ kind, name })).secret;
  }
  // Every name has one now.
  return made as Record<Name, string>;
}

function namesOf<Name extends string>(of: Readonly<Record<Name, unknown>>): readonly Name[] {
  // The keys of a record by name are its names.
  return Object.keys(of) as Name[];
}
