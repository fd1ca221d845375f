// A disk of a few megabytes that only one server sees: it can be filled without harm to anybody else.
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { unprivilegedAccount, type Account } from './postgres-binaries.ts';

/** Where the server, and nobody else, finds it: a folder that every Linux has. */
export const SMALL_DISK = '/mnt';

const CHUNK = Buffer.alloc(64 * 1024);
const TOOLS: readonly string[] = ['unshare', 'mount', 'setpriv'];

/** Why this machine cannot give a server such a disk; null where it can. */
export function noSmallDisk(): string | null {
  why ??= { reason: whyNot() };
  return why.reason;
}

let why: { readonly reason: string | null } | undefined;

function whyNot(): string | null {
  if (process.platform !== 'linux') return 'a disk of its own for a server takes Linux';
  if (process.getuid?.() !== 0) return 'only root may mount a disk that is to be full';
  if (!existsSync(SMALL_DISK)) return `there is no folder \`${SMALL_DISK}\` to mount a disk on`;
  for (const tool of TOOLS) {
    if (spawnSync(tool, ['--version']).status !== 0) return `there is no \`${tool}\``;
  }
  const mounts = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', SMALL_DISK]);
  return mounts.status === 0 ? null : `nothing can be mounted: ${String(mounts.stderr).trim()}`;
}

/** The command `sh ARGUMENTS`, as the account, with the disk in a name space that ends with it. */
export function withSmallDisk(
  megabytes: number,
  arguments_: readonly string[],
): { readonly program: string; readonly arguments: readonly string[] } {
  const account = unprivilegedAccount();
  if (account === undefined) throw new Error('only root may mount a disk');
  return {
    program: 'unshare',
    arguments: [
      '--mount',
      '/bin/sh',
      '-c',
      MOUNTED,
      'sh',
      options(megabytes, account),
      String(account.uid),
      String(account.gid),
      ...arguments_,
    ],
  };
}

const MOUNTED = `
mount -t tmpfs -o "$1" tmpfs ${SMALL_DISK} || exit 1
uid=$2; gid=$3; shift 3
exec setpriv --reuid="$uid" --regid="$gid" --clear-groups /bin/sh "$@"
`;

function options(megabytes: number, { uid, gid }: Account): string {
  return `size=${megabytes}m,mode=0700,uid=${uid},gid=${gid}`;
}

/** Fills the disk of the process `pid` but for some bytes; what it returns makes room again. */
export function fillDisk(pid: number, roomBytes: number): () => void {
  const filler = join('/proc', String(pid), 'root', SMALL_DISK, 'filler');
  const file = openSync(filler, 'wx');
  try {
    let bytes = 0;
    try {
      for (;;) bytes += writeSync(file, CHUNK);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    }
    ftruncateSync(file, Math.max(bytes - roomBytes, 0));
  } finally {
    closeSync(file);
  }
  return () => rmSync(filler);
}
