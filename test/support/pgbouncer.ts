/** PgBouncer itself in transaction mode, for tests, where the machine has it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { unprivilegedAccount } from '../../support/postgres-binaries.ts';

export interface PgBouncer {
  readonly port: number;
  /** What it wrote to its log so far. */
  said(): string;
  close(): Promise<void>;
}

const STARTS_WITHIN_MS = 10_000;
const LOOK_MS = 50;

/** Where it lies; undefined where this machine has none. */
export function pgbouncerProgram(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];
  return folders.map((folder) => join(folder, 'pgbouncer')).find((path) => existsSync(path));
}

/**
 * Starts it before a server that trusts the user `postgres`, with so many connections to it. It runs as
 * no root, whoever runs the tests, and ends with this process at the latest.
 */
export async function startPgBouncer(
  program: string,
  { serverPort, servers }: { readonly serverPort: number; readonly servers: number },
): Promise<PgBouncer> {
  const folder = mkdtempSync(join(tmpdir(), 'writegate-pgbouncer-'));
  const port = await freePort();
  const users = join(folder, 'users');
  const config = join(folder, 'pgbouncer.ini');
  writeFileSync(users, '"postgres" ""\n');
  writeFileSync(
    config,
    `[databases]
postgres = host=127.0.0.1 port=${serverPort} dbname=postgres user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${servers}
max_client_conn = 500
`,
  );
  const account = unprivilegedAccount();
  if (account !== undefined) {
    for (const path of [folder, users, config]) chownSync(path, account.uid, account.gid);
  }
  const child = spawn(program, [config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(account !== undefined && { uid: account.uid, gid: account.gid }),
  });
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()));
  const endWithTest = (): boolean => child.kill('SIGKILL');
  process.once('exit', endWithTest);
  const close = async (): Promise<void> => {
    process.off('exit', endWithTest);
    await ended(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await answering(port, () => child.exitCode !== null);
  } catch (error) {
    await close();
    throw new Error(`PgBouncer did not start: ${said}`, { cause: error });
  }
  return { port, said: () => said, close };
}

async function answering(port: number, isOver: () => boolean): Promise<void> {
  const until = performance.now() + STARTS_WITHIN_MS;
  for (;;) {
    const client = new pg.Client(`postgres://postgres@127.0.0.1:${port}/postgres`);
    try {
      await client.connect();
      await client.query('SELECT 1');
      return;
    } catch (error) {
      if (isOver() || performance.now() > until) throw error;
      await pause(LOOK_MS);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  // It listens on a port, not on a path.
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
