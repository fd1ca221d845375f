// A real PostgreSQL that is thrown away: for the demo, the tests and the benches.
//
// Between Node and the server stands a small shell script, the keeper. Its stdin is a pipe from
// Node, so it learns of any end of Node, `kill -9` too, stops the server and removes the folder.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { platform, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client, escapeIdentifier } from 'pg';
import {
  findBinaries,
  unprivilegedAccount,
  type Account,
  type Preference,
} from './postgres-binaries.ts';
import { withSmallDisk } from './small-disk.ts';

const HOST = '127.0.0.1';
const SUPERUSER = 'postgres';
const STARTS_MAX = 5;
const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;
const POLL_MS = 20;

export interface PostgresOptions {
  /** Where to look for the programs first; the default is the embedded ones. */
  readonly prefer?: Preference;
  /** Lines of `postgresql.conf`. `fsync` is on unless you say otherwise here. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Gives it a disk of so many megabytes at `SMALL_DISK`, for a tablespace; see `noSmallDisk`. */
  readonly smallDiskMegabytes?: number;
}

/** A running server with nothing in it. It ends with this process at the latest. */
export interface Postgres {
  readonly host: string;
  readonly port: number;
  /** As `server_version` says: `18.4`. */
  readonly version: string;
  /** The process that watches over it, and sees what it sees. */
  readonly keeperPid: number;
  /** The connection string of the superuser, with password; database `postgres` if none is named. */
  url(database?: string): string;
  createDatabase(name: string, template?: string): Promise<void>;
  /** Drops it with its connections; nothing happens where it is not there. */
  dropDatabase(name: string): Promise<void>;
  /**
   * Kills the server with SIGKILL, every process of it, as the end of its machine does: what was
   * committed is on disk, nobody was told anything. It is down until `restart`.
   */
  kill(): Promise<void>;
  /** Starts a killed server again on its port and files; returns once it takes connections. */
  restart(): Promise<void>;
  /** Stops the server and removes its folder. A second call waits for the first. */
  stop(): Promise<void>;
}

/**
 * Starts a server on a free port of 127.0.0.1, in a folder of its own under the temporary folder.
 * A crash of this process at any point leaves neither server nor folder.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  if (platform() === 'win32') {
    throw new Error('the throw-away PostgreSQL needs Linux or macOS; on Windows run this in WSL');
  }
  const password = randomBytes(24).toString('hex');
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const keeper = await startKeeper(port, password, options);
    try {
      await answering(keeper);
      return await connected(keeper, port, password);
    } catch (error) {
      await stopKeeper(keeper);
      const isTaken = keeper.complaint.includes('Address already in use');
      if (!isTaken || attempt === STARTS_MAX) throw error;
    }
  }
}

interface Keeper {
  readonly child: ChildProcess;
  readonly folder: string;
  /** The end of the server's log, once the server ended unasked. */
  complaint: string;
  closed: boolean;
}

// $1 the folder, $2 the programs; the rest are arguments of `postgres`. What the shell starts with
// `&` gets its own signals from here only: the keeper has a session of its own, so Ctrl-C does not
// reach the server before Node is done with it. TERM is sent again and again because a server that
// has only just started does not listen yet.
const KEEPER = `
folder=$1; bin=$2; shift 2
exec 3<&0 </dev/null
running=; stopping=; code=1
stop() { stopping=1; if [ -n "$running" ]; then kill -INT "$running" 2>/dev/null; fi; }
trap stop INT TERM HUP
{ trap - INT TERM HUP; read -r _ <&3; while kill -TERM $$; do sleep 1; done; } 2>/dev/null &
reader=$!
keep() {
  "$@" >>"$folder/log" 2>&1 3<&- &
  running=$!
  [ -z "$stopping" ] || stop
  while kill -0 "$running" 2>/dev/null; do wait "$running"; code=$?; done
  running=
}
[ -n "$stopping" ] || keep "$bin/initdb" -D "$folder/data" -U ${SUPERUSER} -E UTF8 \\
  --locale=${platform() === 'linux' ? 'C.UTF-8' : 'C'} --pwfile="$folder/password" \\
  --auth=scram-sha-256 --no-sync --no-instructions
rm -f "$folder/password"
[ -n "$stopping" ] || [ "$code" != 0 ] || keep "$bin/postgres" -D "$folder/data" "$@"
while [ -z "$stopping" ] && [ -e "$folder/killed" ]; do
  while [ -z "$stopping" ] && [ -e "$folder/down" ]; do sleep 0.05; done
  [ -n "$stopping" ] || keep "$bin/postgres" -D "$folder/data" "$@"
  [ -n "$stopping" ] || sleep 0.1
done
[ -n "$stopping" ] || tail -n 30 "$folder/log" >&2
kill -9 "$reader"
cd /
rm -rf "$folder"
exit "$code"
`;

async function startKeeper(
  port: number,
  password: string,
  options: PostgresOptions,
): Promise<Keeper> {
  const account = unprivilegedAccount();
  const folder = mkdtempSync(join(account ? '/tmp' : tmpdir(), 'writegate-postgres-'));
  const { arguments: args, bin } = prepare(folder, port, password, account, options);
  const words = ['-c', KEEPER, 'writegate-postgres', folder, bin, ...args];
  const { smallDiskMegabytes } = options;
  const isPlain = smallDiskMegabytes === undefined;
  const command = isPlain
    ? { program: '/bin/sh', arguments: words }
    : withSmallDisk(smallDiskMegabytes, words);
  const child = spawn(command.program, command.arguments, {
    cwd: folder,
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    ...(isPlain && account && { uid: account.uid, gid: account.gid }),
  });
  const keeper: Keeper = { child, folder, complaint: '', closed: false };
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    keeper.complaint += text;
  });
  child.stdin?.on('error', () => undefined);
  child.on('close', () => {
    keeper.closed = true;
  });
  try {
    await once(child, 'spawn');
  } catch (cause) {
    rmSync(folder, { recursive: true });
    const who = account ? ` as account \`${account.name}\`` : '';
    throw new Error(`could not run \`/bin/sh\`${who} to keep PostgreSQL; see the cause`, { cause });
  }
  // A caller that forgets to stop the server still ends, and the server with it.
  child.unref();
  for (const stream of [child.stdin, child.stderr]) if (stream instanceof Socket) stream.unref();
  return keeper;
}

function prepare(
  folder: string,
  port: number,
  password: string,
  account: Account | undefined,
  options: PostgresOptions,
): { readonly bin: string; readonly arguments: readonly string[] } {
  try {
    writeFileSync(join(folder, 'password'), password, { mode: 0o600 });
    if (account) {
      chownSync(folder, account.uid, account.gid);
      chownSync(join(folder, 'password'), account.uid, account.gid);
    }
    const bin = findBinaries(options.prefer ?? 'newest', folder, account);
    const settings = {
      ...options.settings,
      listen_addresses: HOST,
      port: String(port),
      unix_socket_directories: '',
    };
    const lines = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    return { bin, arguments: lines };
  } catch (error) {
    rmSync(folder, { recursive: true });
    throw error;
  }
}

/** Waits until the server takes connections; one with the process id `former` does not count. */
async function answering(keeper: Keeper, former?: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < START_TIMEOUT_MS; waitedMs += POLL_MS) {
    if (keeper.closed) break;
    const pid = readyPid(keeper);
    if (pid !== undefined && pid !== former) return;
    await pause(POLL_MS);
  }
  const reason = keeper.closed ? `it said:\n${keeper.complaint}` : 'it said nothing in 30 s';
  throw new Error(`PostgreSQL did not start; ${reason}`);
}

/**
 * The process id of the server, once it wrote the line `ready`, or `standby`, as it does when it takes connections;
 * `pg_ctl` looks there too. A killed server leaves the file as it was.
 */
function readyPid(keeper: Keeper): number | undefined {
  try {
    const lines = readFileSync(join(keeper.folder, 'data', 'postmaster.pid'), 'utf8').split('\n');
    return ['ready', 'standby'].includes(lines[7]?.trim() ?? '') ? Number(lines[0]) : undefined;
  } catch {
    // Not written yet, or gone again.
    return undefined;
  }
}

/** Kills a server, and returns the process id that it had. */
async function killServer(keeper: Keeper, url: string): Promise<number> {
  const pid = readyPid(keeper);
  if (pid === undefined) throw new Error('there is no PostgreSQL to kill: it does not run');
  const others = await query(url, 'select pid from pg_stat_activity where pid <> pg_backend_pid()');
  writeFileSync(join(keeper.folder, 'killed'), '');
  writeFileSync(join(keeper.folder, 'down'), '');
  for (const each of [pid, ...others.map((row) => Number(row['pid']))]) {
    if (isAlive(each)) process.kill(each, 'SIGKILL');
  }
  while (isAlive(pid)) await pause(POLL_MS);
  return pid;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function connected(keeper: Keeper, port: number, password: string): Promise<Postgres> {
  const url = (database = 'postgres'): string =>
    `postgresql://${SUPERUSER}:${password}@${HOST}:${port}/${encodeURIComponent(database)}`;
  let stopped: Promise<void> | undefined;
  let killed: number | undefined;
  const rows = await query(url(), 'show server_version');
  return {
    host: HOST,
    port,
    keeperPid: keeper.child.pid ?? 0,
    version: String(rows[0]?.['server_version']).replace(/ .*/, ''),
    url,
    async createDatabase(name, template = 'template1') {
      const [what, from] = [escapeIdentifier(name), escapeIdentifier(template)];
      await query(url(), `create database ${what} template ${from}`);
    },
    async dropDatabase(name) {
      await query(url(), `drop database if exists ${escapeIdentifier(name)} with (force)`);
    },
    async kill() {
      killed ??= await killServer(keeper, url());
    },
    async restart() {
      if (killed === undefined) return;
      rmSync(join(keeper.folder, 'down'), { force: true });
      await answering(keeper, killed);
      rmSync(join(keeper.folder, 'killed'), { force: true });
      killed = undefined;
    },
    stop() {
      stopped ??= stopKeeper(keeper);
      return stopped;
    },
  };
}

async function query(url: string, sql: string): Promise<readonly Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(sql);
    return rows;
  } finally {
    await client.end();
  }
}

async function stopKeeper(keeper: Keeper): Promise<void> {
  keeper.child.ref();
  keeper.child.stdin?.end();
  for (let waitedMs = 0; !keeper.closed && waitedMs < STOP_TIMEOUT_MS; waitedMs += POLL_MS) {
    await pause(POLL_MS);
  }
  if (!keeper.closed) {
    throw new Error(`PostgreSQL in \`${keeper.folder}\` did not stop in 30 s; stop it by hand`);
  }
  // The keeper may remove the contents but not, below an odd temporary folder, the folder itself.
  rmSync(keeper.folder, { recursive: true, force: true });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('found no free TCP port');
  return address.port;
}
