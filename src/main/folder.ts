/**
 * The data folder: what a gateway keeps between runs. The folder is 0700 and the secrets in it
 * are 0600; a folder that others can read is refused rather than mended behind someone's back.
 */
import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { renameDurably } from '../lib/durable.ts';
import { isJsonObject, parsedJson } from '../lib/json.ts';
import { Problem, type ProblemCode } from '../model/problem.ts';
import { Secret } from '../lib/secret.ts';

/** Paths of what the data folder holds. */
export interface DataFolder {
  readonly path: string;
  readonly store: string;
  /** The published log: public, made to be copied. */
  readonly ledger: string;
  readonly ledgerKey: string;
  readonly operatorToken: string;
  /** Images that are too many for a plan, encrypted with `evidenceKey`. */
  readonly evidence: string;
  readonly evidenceKey: string;
  /** The log of reads; older parts of it have a number at the end. */
  readonly reads: string;
  /** Files that agents sent ahead of a write. */
  readonly uploads: string;
  /** Which text of the configuration was judged last. */
  readonly judged: string;
  /** What the gateway is called, where it has others beside it. */
  readonly gatewayId: string;
  /** Says that the store was moved, or is being moved, to another. */
  readonly move: string;
  /** Where the running gateway is; absent while none runs. */
  readonly gateway: string;
}

/** Names the parts of a data folder; touches nothing. */
export function dataFolder(path: string): DataFolder {
  const root = resolve(path);
  return {
    path: root,
    store: join(root, 'store.sqlite'),
    ledger: join(root, 'ledger'),
    ledgerKey: join(root, 'ledger.key'),
    operatorToken: join(root, 'operator.token'),
    evidence: join(root, 'evidence'),
    evidenceKey: join(root, 'evidence.key'),
    reads: join(root, 'reads.ndjson'),
    uploads: join(root, 'uploads'),
    judged: join(root, 'policy.judged'),
    gatewayId: join(root, 'gateway.id'),
    move: join(root, 'store.move'),
    gateway: join(root, 'gateway.json'),
  };
}

/** Makes the folder where it is missing, 0700. Problem `store-unusable` where others can enter it. */
export async function prepareFolder(folder: DataFolder): Promise<void> {
  const isMade = await makeFolder(folder.path);
  // The mode of `mkdir` passes through the umask.
  if (isMade) await chmod(folder.path, 0o700);
  const { mode } = await stat(folder.path);
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new Problem(
      'store-unusable',
      `expected \`${folder.path}\` to be open to its owner alone, found mode ${(mode & 0o777).toString(8)}; run \`chmod 700 ${folder.path}\``,
    );
  }
}

async function makeFolder(path: string): Promise<boolean> {
  try {
    return (await mkdir(path, { recursive: true, mode: 0o700 })) !== undefined;
  } catch (cause) {
    throw new Problem(
      'store-unusable',
      `expected a data folder at \`${path}\`, or that one can be made there, ${foundInstead(cause)}; name another with --dir`,
      { cause },
    );
  }
}

/**
 * Writes a file that only its owner reads, 0600, in place of what was there; durable when it resolves.
 * A crash leaves the old file or the new one, and perhaps a `.part` file.
 */
export async function writePrivate(path: string, text: string): Promise<void> {
  const part = `${path}.${randomBytes(6).toString('hex')}.part`;
  await writeFile(part, text, { mode: 0o600, flag: 'wx', flush: true });
  await renameDurably(part, path);
}

/** Reports whether there is a file or folder. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return false;
    throw error;
  }
}

/** Reads a token file, or undefined where there is none. Problem where others can read it. */
export async function readToken(path: string): Promise<Secret | undefined> {
  const text = await readText(path, 'credential-missing');
  if (text === undefined) return undefined;
  const { mode } = await stat(path);
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new Problem(
      'credential-missing',
      `expected \`${path}\` to be readable by its owner alone, found mode ${(mode & 0o777).toString(8)}; run \`chmod 600 ${path}\``,
    );
  }
  return new Secret(text.trim());
}

/** Reads a whole file as UTF-8, or undefined where there is none; what cannot be read is a problem. */
export async function readText(
  path: string,
  code: ProblemCode = 'store-unusable',
): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw new Problem(
      code,
      `expected a file that can be read at \`${path}\`, ${foundInstead(error)}; name another, or put it right`,
      { cause: error },
    );
  }
}

function foundInstead(error: unknown): string {
  if (hasCode(error, 'EISDIR')) return 'found a folder';
  if (hasCode(error, 'EEXIST') || hasCode(error, 'ENOTDIR')) {
    return 'found a file where a folder should be';
  }
  if (hasCode(error, 'EACCES') || hasCode(error, 'EPERM')) return 'found no right to it';
  return `found ${error instanceof Error ? error.message : String(error)}`;
}

/** Where a gateway answers. */
export interface GatewayPlace {
  readonly url: string;
  readonly pid: number;
  readonly startedAt: number;
}

/** Says where the gateway answers, for commands on this machine. */
export async function writePlace(folder: DataFolder, place: GatewayPlace): Promise<void> {
  await writePrivate(folder.gateway, `${JSON.stringify(place)}\n`);
}

/** Reads where the gateway answers, or undefined; a crash may have left a place where none does. */
export async function readPlace(folder: DataFolder): Promise<GatewayPlace | undefined> {
  const text = await readText(folder.gateway);
  if (text === undefined) return undefined;
  const place = parsedJson(text);
  if (!isJsonObject(place)) return undefined;
  const { url, pid, startedAt } = place;
  if (typeof url !== 'string' || typeof pid !== 'number' || typeof startedAt !== 'number') {
    return undefined;
  }
  return { url, pid, startedAt };
}

/** Takes the place back; idempotent. */
export async function removePlace(folder: DataFolder): Promise<void> {
  await rm(folder.gateway, { force: true });
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
