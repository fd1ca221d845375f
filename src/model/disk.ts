import { Problem } from './problem.ts';

const DISK_ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: 'make room on the disk',
  EDQUOT: 'make room: the quota is used up',
  EROFS: 'the file system is read-only: put it right, or name another folder with --dir',
  EIO: 'check the disk',
};

/** What an error of the file system says about the disk itself; undefined for any other error. */
export function diskProblem(error: unknown): Problem | undefined {
  if (!(error instanceof Error && 'syscall' in error && 'code' in error)) return undefined;
  const advice = DISK_ADVICE[String(error.code)];
  if (advice === undefined) return undefined;
  const path = 'path' in error ? `\`${String(error.path)}\`` : 'a file';
  return new Problem(
    'store-unusable',
    `${path} cannot be written (${String(error.code)}); ${advice}, then start again: what was committed is untouched`,
    { cause: error },
  );
}
